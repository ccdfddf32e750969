"""One of three processes is killed while references are introduced: each arrives, or breaks and says why."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100)]

ROOT = Path(__file__).parents[2]


def kill(*words: str) -> tuple[int, str]:
    """Run the command; return its exit status and what it printed."""
    command = [sys.executable, "-W", "error", "-m", "tests.durability.kill.handoff", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout, done.stderr
    return done.returncode, done.stdout


def test_whoever_is_killed_each_introduction_works_or_breaks_with_a_clear_error() -> None:
    status, said = kill("--kills", "10", "--seed", "5")

    assert re.fullmatch(r"10 kills, \d+ introductions, 0 wrong\n", said), said
    assert status == 0


@pytest.mark.parametrize(("plant", "finding"), [("swapped", ", and not answered "), ("silent", "r waits: ")])
def test_a_fault_that_was_planted_is_found(plant: str, finding: str) -> None:
    status, said = kill("--kills", "10", "--plant", plant)

    assert status == 1
    assert said.startswith("seed 1, after ")
    assert finding in said
