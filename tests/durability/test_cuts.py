"""What a durable vat acknowledged is there wherever the power is cut; the cuts would find a loss."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def cuts(number: int, *more: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.durability.cuts", "--cuts", str(number), *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout, done.stderr
    print(done.stdout)
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "seed"), [(40, 1), pytest.param(300, 2, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_no_cut_loses_or_tears_what_was_acknowledged(number: int, seed: int) -> None:
    assert cuts(number, "--seed", str(seed)) == (0, f"{number} cuts, 0 lost, 0 torn")


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_a_commit_that_is_acknowledged_before_it_is_synced_is_found_to_be_lost(synchronous: str) -> None:
    code, last = cuts(40, "--synchronous", synchronous)

    found = re.fullmatch(r"40 cuts, (\d+) lost, \d+ torn", last)
    assert code == 1
    assert found is not None
    assert int(found[1]) > 5
