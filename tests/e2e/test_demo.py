"""``captp demo`` run as people and tools run it: the figures, the story, and what is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LIMIT_S = 40

COMMAND = [sys.executable, "-m", "captp", "demo"]


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a short name: a socket in it has 107 bytes for its path."""
    return tmp_path_factory.mktemp("d")


def environment(folder: Path) -> dict[str, str]:
    # Nothing of the user's own daemon may reach the demo's.
    stray = {"CAPTPD_LISTEN__TLS": "not an address", "CAPTPD_HOME": "/nowhere", "CAPTP_CONTROL": "/nowhere"}
    return {**os.environ, "TMPDIR": str(folder), **stray}


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_the_demo_finds_what_it_promises_and_leaves_nothing_behind(tmp_path: Path) -> None:
    started = time.monotonic()
    done = demo(tmp_path, "--json")
    took = time.monotonic() - started

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert (found["calls"], found["round_trips"]) == (4, 1)
    assert found["round_trips_one_by_one"] == 4, "the counter counts"
    assert (found["exports_after"], found["answers_after"]) == (0, 0)
    assert found["tables_held"]["daemon"]["exports"] > 0
    assert found["tables_held"]["daemon"]["answers"] > 0
    assert all(count == 0 for tables in found["tables_after"].values() for count in tables.values())
    assert found["session_open_after"] is True
    assert found["impostor_refused"] is True
    assert (found["cycle_collected"], found["objects_after"]) == (True, 0)
    assert found["same_sturdyref_after_restart"] is True
    assert found["balance_kept"] is True
    assert found["deposits"] > 0
    assert found["deposited"] - found["deposits"] in (0, 1)
    assert found["balance_after_restart"] == found["balance"] == 70
    assert found["handoff_survives_introducer"] is True
    assert (found["ok"], found["amiss"]) == (True, [])
    assert 0 < found["elapsed_s"] <= took < LIMIT_S
    assert list(tmp_path.iterdir()) == []
    assert processes_below(tmp_path) == []


@pytest.mark.slow
def test_the_story_fits_a_screen_and_its_last_line_is_the_summary(tmp_path: Path) -> None:
    done = demo(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 110
    assert "4 calls, 1 round trip" in done.stdout
    assert "4 calls, 4 round trips" in done.stdout
    said = (
        r"ok: 4 calls, 1 round trip; empty tables; sturdyref and balance outlive a kill;"
        r" handoff outlives gifter; \d+\.\d s"
    )
    assert re.fullmatch(said, lines[-1])
    cycle = re.search(r"6 rooms and members .*; 0 are left after (\d\.\d) s", done.stdout)
    assert cycle is not None
    assert float(cycle[1]) < 3
    assert "/s/" not in done.stdout, "no sturdyref on the screen"


@pytest.mark.slow
def test_quiet_leaves_the_summary(tmp_path: Path) -> None:
    done = demo(tmp_path, "-q")

    (line,) = done.stdout.splitlines()
    assert line.startswith("ok: 4 calls, 1 round trip;")


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*COMMAND, *words],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    heard = ""
    assert process.stdout is not None
    for line in process.stdout:
        heard += line
        if text in line:
            return heard
    raise AssertionError(f"{text!r} never came: {heard}")


@pytest.mark.parametrize(
    ("number", "step", "says"),
    [
        (signal.SIGINT, "1  daemons", "captp: interrupted\n"),
        pytest.param(signal.SIGINT, "3  calls", "captp: interrupted\n", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "3  calls", "", marks=pytest.mark.slow),
    ],
)
def test_a_signal_in_the_middle_cleans_up(number: int, step: str, says: str, tmp_path: Path) -> None:
    with started(tmp_path) as process:
        read_until(process, step)
        process.send_signal(number)
        _, err = process.communicate(timeout=LIMIT_S)

    assert (process.returncode, err) == (130, says)
    assert list(tmp_path.iterdir()) == []
    assert processes_below(tmp_path) == []


@pytest.mark.slow
def test_a_demo_that_is_kept_can_be_used_until_it_is_interrupted(tmp_path: Path) -> None:
    with started(tmp_path, "--keep") as process:
        told = read_until(process, "ok: ")
        home = re.search(r"export CAPTPD_HOME=(\S+)", told)
        call = re.search(r"captp (call \S+ .*)", told)
        assert home is not None
        assert call is not None
        environ: dict[str, Any] = {**os.environ, "CAPTPD_HOME": home[1]}
        done = subprocess.run(
            [sys.executable, "-m", "captp", *call[1].split()],
            env=environ,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)

    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
    assert (process.returncode, err) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_that_cannot_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    done = demo(long)

    assert done.returncode == 1
    assert "too long a path for a socket" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(long.iterdir()) == []


def processes_below(folder: Path) -> list[str]:
    """The command lines of processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found
