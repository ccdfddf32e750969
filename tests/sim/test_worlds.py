"""Whole worlds by seed: no violation, the same trace every time, and planted faults that are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from captp.model.keys import PrivateKey
from captp.model.promise import Settlement
from captp.peer import order
from captp.peer.handoff import exporter
from captp.peer.handoff.certificates import Give
from captp.session import handshake, releases, session
from captp.session.entries import DROPPED, Answer, Question
from captp.session.handshake import Channel
from captp.session.outbound import Outbound
from captp.session.session import Session
from captp.session.tables import Tables
from captp.sim.faults import KINDS
from captp.sim.script import as_test, run, shrink
from captp.wire.ops import OP_NAMES, Op

PRINT_TRACES = "from captp.sim.script import run; print([run(seed).trace for seed in range(40, 46)])"


@pytest.mark.parametrize(
    "start", [0, 20, 40, *(pytest.param(n, marks=pytest.mark.slow) for n in (10, 30, 50))]
)
def test_no_world_breaks_a_rule(start: int) -> None:
    for seed in range(start, start + 10):
        outcome = run(seed)
        if outcome.failure is not None:
            pytest.fail(as_test(seed, outcome.kinds, shrink(seed, outcome), outcome.failure))


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


def release_too_early(patch: pytest.MonkeyPatch) -> None:
    def faulty(outbound: Outbound) -> None:
        before = len(outbound.messages)
        releases.collect(outbound)
        outbound.messages[:] = outbound.messages[before:] + outbound.messages[:before]

    patch.setattr(session, "collect", faulty)


def forget_the_used_handoff_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(exporter.Counts, "use", lambda _counts, _count: None)


def keep_a_gift_that_was_withdrawn(patch: pytest.MonkeyPatch) -> None:
    def faulty(_e: exporter.Exporter, gifter: exporter.Side, give: Give, _receiver: object) -> object:
        gift = gifter.gifts.get(give.gift_id)
        return exporter.ABSENT if gift is None else gift.value

    patch.setattr(exporter.Exporter, "_take", faulty)


def believe_every_give(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(exporter, "check_give", lambda _give, **_expected: None)


def believe_every_receive(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(exporter, "check_receive", lambda _receive, **_expected: None)


def leave_withdrawals_waiting(patch: pytest.MonkeyPatch) -> None:
    ended = exporter.Exporter.ended

    def faulty(it: exporter.Exporter, session: Session) -> list[Settlement]:
        ended(it, session)
        return []

    patch.setattr(exporter.Exporter, "ended", faulty)


def accept_an_unproved_location(patch: pytest.MonkeyPatch) -> None:
    verify = handshake.verify_hello

    def faulty(op: Op, own: PrivateKey, channel: Channel, **more: Any) -> handshake.Hello:
        return verify(op, own, evolve(channel, proved=None), **more)

    patch.setattr(session, "verify_hello", faulty)


def drop_a_call_before_it_has_arrived(patch: pytest.MonkeyPatch) -> None:
    def faulty(question: Question, *, is_awaited: bool) -> bool:
        del is_awaited
        return question.state is not DROPPED

    patch.setattr(Question, "promise_dropped", faulty)


@pytest.mark.parametrize(
    "plant",
    [
        skip_one_count,
        pytest.param(deliver_out_of_order, marks=pytest.mark.slow),
        forget_a_release,
        pytest.param(answer_to_the_wrong_question, marks=pytest.mark.slow),
        release_too_early,
        forget_the_used_handoff_count,
        keep_a_gift_that_was_withdrawn,
        believe_every_give,
        believe_every_receive,
        # Found late: it takes a gifter that leaves at the right moment.
        pytest.param(leave_withdrawals_waiting, marks=pytest.mark.slow),
        accept_an_unproved_location,
        drop_a_call_before_it_has_arrived,
    ],
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
