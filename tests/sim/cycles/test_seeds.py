"""Whole worlds by seed: nothing that lives is lost, all garbage goes, and planted faults are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from captp.sim.cycles import command
from captp.sim.cycles.run import Outcome, run
from tests.sim.cycles import planted

Plant = Callable[[pytest.MonkeyPatch], None]

PRINT_COUNTS = (
    "from captp.sim.cycles.run import run; print([sorted(run(seed).counts.items()) for seed in range(8)])"
)


def check(seed: int, liars: bool | None = None) -> Outcome:
    outcome = run(seed, liars)
    if outcome.failure is not None:
        mix = {None: "", False: " --honest", True: " --liars"}[liars]
        pytest.fail(f"{outcome.failure}: python -m captp.sim cycles --seeds 1 --start {seed}{mix}")
    return outcome


@pytest.mark.parametrize("start", range(0, 160, 40))
def test_no_world_loses_what_lives_or_keeps_what_does_not(start: int) -> None:
    for seed in range(start, start + 40):
        check(seed)


def test_what_a_liar_said_is_no_truer_for_its_crash() -> None:
    assert check(2061417).counts["worlds with liars"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("liars", [None, True])
@pytest.mark.parametrize("start", range(1_000, 2_000, 100))
def test_no_world_of_many_loses_what_lives(start: int, liars: bool | None) -> None:
    damage = 0
    for seed in range(start, start + 100):
        damage += check(seed, liars).counts["damage"]

    assert damage == 0


def test_worlds_cut_hold_back_and_are_lied_to() -> None:
    counts = sum((check(seed, liars=True).counts for seed in range(40)), start=check(0).counts)

    for name in ("cut", "garbage", "live", "changed", "held", "lies", "forged", "lost links"):
        assert counts[name] > 0, name


def test_the_command_ends_with_how_many_passed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seeds", "3", "--start", "7"]) == 0

    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 0 failed"


def test_the_command_says_how_to_run_again_what_failed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "run", lambda seed, liars: Outcome(Counter(), ValueError("what went wrong")))

    assert command.main(["--seeds", "1", "--start", "5", "--liars"]) == 1

    said = capsys.readouterr().out.splitlines()
    assert "again: python -m captp.sim cycles --seeds 1 --start 5 --liars" in said
    assert said[-1] == "0 passed, 1 failed"


def test_a_seed_gives_the_same_counts_under_two_hash_seeds() -> None:
    counts = [
        subprocess.run(
            [sys.executable, "-c", PRINT_COUNTS],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]

    assert counts[0] == counts[1]


def found_within(seeds: int, liars: bool | None) -> bool:
    """Tell whether some world shows that something is wrong."""
    for seed in range(seeds):
        outcome = run(seed, liars)
        if outcome.failure is not None or outcome.counts["damage"]:
            return True
    return False


@pytest.mark.parametrize("plant", [planted.nobody_looks_twice, planted.words_overtake])
def test_a_planted_fault_is_found_soon(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    assert found_within(150, liars=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "plant",
    [
        planted.contents_are_compared,
        planted.existence_is_compared,
        planted.gifts_are_no_roots,
        planted.pending_turns_are_no_roots,
    ],
)
def test_a_planted_fault_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    assert found_within(2_500, liars=False)


@pytest.mark.parametrize("seed", [101_749, 103_162])
def test_seeds_in_which_something_was_held_back_before_the_question(seed: int) -> None:
    check(seed)


@pytest.mark.slow
def test_what_waits_and_is_not_cut_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.what_waits_is_not_cut(monkeypatch)

    assert found_within(2_500, liars=True)
