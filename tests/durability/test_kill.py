"""A durable daemon that is killed loses nothing that it has acknowledged, and makes nothing twice."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.durability.kill.harness import Harness
from tests.durability.kill.points import POINTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "kill.md"


def kill(*words: str) -> tuple[int, list[str]]:
    """Run the command; return its exit status and the lines that it printed."""
    command = [sys.executable, "-W", "error", "-m", "tests.durability.kill", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.stdout, done.stderr
    return done.returncode, done.stdout.splitlines()


def test_some_kills_lose_and_double_nothing() -> None:
    said = kill("--kills", "1", "--points", "1", "--only", "before-commit")

    assert said == (0, ["point before-commit: 1 hit", "2 kills, 0 lost, 0 doubled"])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_kills_at_random_instants_lose_and_double_nothing() -> None:
    assert kill("--kills", "30", "--seed", "7") == (0, ["30 kills, 0 lost, 0 doubled"])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_kills_at_every_point_lose_and_double_nothing() -> None:
    status, lines = kill("--kills", "0", "--points", "1", "--seed", "8")

    assert lines == [*(f"point {p}: 1 hit" for p in POINTS), f"{len(POINTS)} kills, 0 lost, 0 doubled"]
    assert status == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("plant", "way", "finding"),
    [
        ("release", ("--kills", "0", "--points", "8", "--only", "before-commit"), "lost: "),
        ("every-second", ("--kills", "0", "--points", "8", "--only", "before-commit"), ("lost: ", "wrong: ")),
        ("parts", ("--kills", "0", "--points", "8", "--only", "in-migration"), "wrong: "),
        ("twice", ("--kills", "8"), "doubled: write "),
        ("again", ("--kills", "0", "--points", "8", "--only", "before-ack"), "doubled: write "),
        ("row", ("--kills", "8"), "wrong: "),
        ("stale", ("--kills", "8"), "wrong: "),
        ("late", ("--kills", "4"), "doubled: the alarm "),
        ("broken", ("--kills", "4"), "lost: the answer of alarm "),
        ("forgotten", ("--kills", "12"), "wrong: far: "),
        ("early", ("--kills", "16"), "wrong: far: its state says "),
    ],
)
def test_a_fault_that_was_planted_is_found(
    plant: str, way: tuple[str, ...], finding: str | tuple[str, ...]
) -> None:
    status, lines = kill("--plant", plant, *way)

    assert status == 1
    assert lines[0].startswith("seed 1, after ")
    assert lines[1].startswith(finding)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before-begin", "after-begin", "before-commit", "after-commit"])
async def test_a_daemon_that_is_killed_while_it_makes_its_store_starts_again(
    point: str, tmp_path: Path
) -> None:
    daemons = Harness(tmp_path, seed=1)
    async with daemons.open():
        for time in (1, 2, 3):
            assert await daemons.hit(point, time)
        await daemons.end()


@pytest.mark.slow
async def test_a_point_that_was_not_reached_does_not_count(tmp_path: Path) -> None:
    daemons = Harness(tmp_path, seed=1)
    async with daemons.open():
        is_hit = await daemons.hit("in-load", at=1_000_000, wait_s=2)

        assert (is_hit, daemons.kills, daemons.hits["in-load"]) == (False, 1, 0)


def test_the_page_has_every_point() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `") and "--" not in line]

    assert [name for row in rows for name in re.findall(r"`([a-z-]+)`", row)] == [*POINTS]
