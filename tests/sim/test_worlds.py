"""Whole worlds by seed: no violation, the same trace every time, and planted faults that are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from captp.peer import order
from captp.session.entries import Answer
from captp.session.outbound import Outbound
from captp.session.tables import Tables
from captp.sim.faults import KINDS
from captp.sim.script import as_test, run, shrink
from captp.wire.ops import OP_NAMES

PRINT_TRACES = "from captp.sim.script import run; print([run(seed).trace for seed in range(40, 46)])"


@pytest.mark.parametrize("start", range(0, 60, 10))
def test_no_world_breaks_a_rule(start: int) -> None:
    for seed in range(start, start + 10):
        outcome = run(seed)
        if outcome.failure is not None:
            pytest.fail(as_test(seed, outcome.nodes, shrink(seed, outcome), outcome.failure))


def test_a_seed_gives_the_same_trace_twice() -> None:
    one, other = run(41), run(41)

    assert one.steps == other.steps
    assert one.trace == other.trace
    assert one.trace != run(42).trace


def test_a_seed_gives_the_same_trace_under_two_hash_seeds() -> None:
    traces = [
        subprocess.run(
            [sys.executable, "-c", PRINT_TRACES],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]

    assert traces[0] == traces[1]
    assert traces[0].count("'") == 12


def counter() -> Iterator[int]:
    return iter(range(1, 1 << 62))


def skip_one_count(patch: pytest.MonkeyPatch) -> None:
    commit, calls = Tables.commit, counter()

    def faulty(tables: Tables) -> None:
        entry = tables.pending[0]
        commit(tables)
        if next(calls) % 20 == 0:
            entry.wire -= 1

    patch.setattr(Tables, "commit", faulty)


def deliver_out_of_order(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(order, "_keeps_old_route", lambda _promise: False)


def forget_a_release(patch: pytest.MonkeyPatch) -> None:
    take, calls = Tables.take_dropped_imports, counter()

    def faulty(tables: Tables) -> list[tuple[int, int]]:
        gone = take(tables)
        return gone[1:] if gone and next(calls) % 20 == 0 else gone

    patch.setattr(Tables, "take_dropped_imports", faulty)


def answer_to_the_wrong_question(patch: pytest.MonkeyPatch) -> None:
    report, calls = Outbound.report, counter()

    def faulty(outbound: Outbound, answer: Answer) -> None:
        others = [a for a in outbound.tables.answers.values() if a.reply and a is not answer]
        if others and next(calls) % 20 == 0:
            answer.position, others[0].position = others[0].position, answer.position
        report(outbound, answer)

    patch.setattr(Outbound, "report", faulty)


@pytest.mark.parametrize(
    "plant", [skip_one_count, deliver_out_of_order, forget_a_release, answer_to_the_wrong_question]
)
def test_a_planted_fault_is_found(plant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)  # type: ignore[operator]

    found = next((seed for seed in range(500) if run(seed).failure is not None), None)

    assert found is not None
    print(f"found by seed {found}")


@pytest.mark.slow
def test_five_hundred_worlds_by_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "captp.sim", "--seeds", "500", "--start", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    lines = done.stdout.splitlines()
    counts = dict(line.rsplit(": ", 1) for line in lines if line.startswith(("op ", "fault ")))

    assert done.returncode == 0
    assert lines[-1] == "500 passed, 0 failed"
    assert set(counts) == {f"op {name}" for name in OP_NAMES.values()} | {f"fault {kind}" for kind in KINDS}
    assert [name for name, count in counts.items() if int(count) == 0] == []
    assert float(lines[-2].removesuffix(" seeds/s")) >= 3
