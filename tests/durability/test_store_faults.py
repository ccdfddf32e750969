"""What is left of a store whose disk is full, whose disk fails, or whose process is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: In a namespace of its own, which needs no root where users may make some, and ends with its process.
ON_A_SMALL_DISK = 'mount -t tmpfs -o size=16m,mode=700 tmpfs "$0" && exec "$@"'


def run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(name: str, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-W", "error", "-m", f"tests.durability.{name}", *arguments]


def on_a_small_disk(folder: Path, *command: str | Path) -> list[str | Path]:
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, folder, *command]


def can_mount(folder: Path) -> bool:
    try:
        done = subprocess.run(on_a_small_disk(folder, "true"), capture_output=True, timeout=20, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def test_a_killed_process_leaves_each_commit_whole_or_not_at_all() -> None:
    said = run(*python("killed", "--kills", "60"))

    assert said.startswith("60 kills, ")
    assert said.endswith(", 0 lost\n")
    assert int(said.split()[2]) > 60


def test_a_full_disk_refuses_commits_whole_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("no small disk can be mounted here; test_sqlite_store has a database that may not grow")
    found: dict[str, Any] = json.loads(run(*on_a_small_disk(tmp_path, *python("full", tmp_path))))

    path = tmp_path / "main.store"
    assert found.pop("rows by way of the reserve") > 20
    assert found == {
        "the log was moved": True,
        "reserve when there is no room": False,
        "full": f"{path}: database or disk is full; nothing was changed; make room on its disk",
        "nothing of it": True,
        "copy": f"cannot write the copy {tmp_path}/copy: database or disk is full; nothing of it was left",
        "copy is there": False,
        "room": False,
        "reads": True,
        "room again": True,
        "all rows": True,
    }


def test_a_disk_that_fails_closes_the_store_which_has_what_was_committed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = json.loads(run(*python("beyond", tmp_path)))

    path = tmp_path / "main.store"
    assert found.pop("failed") == (
        f"{path}: disk I/O error (SQLITE_IOERR_WRITE); see to the disk, then open the store anew: what was"
        " committed is there"
    )
    closed = (
        f"{path} was closed when its disk failed (SQLITE_IOERR_WRITE); see to the disk, then open it anew"
    )
    assert {found.pop(name) for name in ("commit", "get", "has_room", "copy")} == {closed}
    assert found.pop("files") == ["main.store", "main.store-lock", "main.store-reserve"]
    assert found.pop("acknowledged") == found.pop("there") > 5
    assert found == {}
