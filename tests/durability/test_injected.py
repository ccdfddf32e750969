"""The files that SQLite knows nothing of: each call of the system on them fails in turn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from captpd.store.sqlite import SqliteStore
from tests.durability.child_of_faults import row
from tests.durability.traced import why_not

ROOT = Path(__file__).parents[2]
#: By file, the calls that the store makes on it.
CALLS = {
    "main.db-lock": ["openat", "fchmod", "flock", "ftruncate", "pwrite64"],
    "main.db-reserve": ["openat", "fchmod", "fallocate"],
    "copy": ["openat", "fchmod", "pwrite64", "fsync"],
    "": ["openat", "fsync"],
}


@pytest.fixture(scope="module", autouse=True)
def _can_trace() -> None:
    if reason := why_not():
        pytest.skip(reason)


def fail_one(folder: Path, name: str, call: str, error: str, nth: int) -> list[str] | None:
    """Run the child with the nth call on a file failing; return what it said, None if there is no nth."""
    folder.mkdir(mode=0o700)
    trace, path = folder / "trace", folder / "main.db"
    inject = f"inject={call}:error={error}:when={nth}"
    command = ["strace", "-f", "-o", str(trace), "-e", inject, "-P", str(folder / name)]
    child = [sys.executable, "-m", "tests.durability.child_of_faults", str(path)]
    done = subprocess.run(
        [*command, *child], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines() if "(INJECTED)" in trace.read_text() else None


def look(folder: Path, said: list[str]) -> None:
    for name in ("main.db", *(["copy"] if "copy" in said else [])):
        store = SqliteStore(folder / name, reserve_bytes=4096)
        store.open()
        there = store.scan("object")
        store.close()
        acknowledged = sum(word.startswith("row") for word in said)
        assert len(there) >= acknowledged
        assert there == [(row(number).key, row(number).value) for number in range(len(there))]
    assert (folder / "copy").exists() == ("copy" in said)


@pytest.mark.parametrize("error", ["EIO", pytest.param("ENOSPC", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "copy" else []) for name in CALLS]
)
def test_each_call_on_a_file_beside_the_database_may_fail(tmp_path: Path, name: str, error: str) -> None:
    for call in CALLS[name]:
        came: list[str] = []
        while True:
            folder = tmp_path / f"{call}-{len(came)}"
            said = fail_one(folder, name, call, error, len(came) + 1)
            if said is None:
                break
            look(folder, said)
            came.append(said[-1])

        print(call, came)
        assert came
        assert all(re.fullmatch("copy|Store(Unusable|Full|Failed)", last) for last in came)
