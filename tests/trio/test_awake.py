"""Waiting awake for a child process: for a moment only, and never so that others wait long."""

from __future__ import annotations

import itertools
import math
from typing import Any

import trio

import captp
from captp.model.idents import ConnId
from captp.model.promise import FULFILLED, Promise
from captp.run.awake import AWAKE_S, LONGEST, LOOK_S, MOST, SLEEP_MS, Awake
from captp.run.crowd import LOST, SHARED_S, SHORTEST
from tests.e2e.process_things import Tally

CONN = ConnId(1)


class Answers:
    """A conduit on which an answer comes at the so-many-th look, or none at all."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.looks = 0
        self.slept: list[int] = []

    def receive_now(self, milliseconds: int) -> bytes | None:
        self.looks += 1
        self.slept.append(milliseconds)
        return b"answer" if self.looks % self.at == 0 else None


#: Whether others were to have their go before each wait.
GOES: list[bool] = []


def waits(conduit: Answers, count: int, *yields: float) -> list[int]:
    """Let so many promises wait, where steps take so long, in turn; return how often each looked."""
    promise: Promise[Any]

    def received(_conn: ConnId, _data: bytes, _promise: Promise[Any]) -> None:
        promise._state = FULFILLED

    # Ten looks, if nobody says otherwise, whatever time they really take.
    times = itertools.accumulate(itertools.cycle(yields or (LOOK_S / 10,)))
    awake = Awake(received, lambda: next(times))
    awake.conduits[CONN] = conduit
    looked = []
    for _ in range(count):
        promise = Promise(None)
        GOES.append(awake.is_due())
        before = conduit.looks
        awake.look(CONN, promise)
        looked.append(conduit.looks - before)
    return looked


def test_an_answer_that_comes_soon_is_taken_in_and_others_have_their_go_after_some_in_a_row() -> None:
    GOES.clear()

    assert waits(Answers(3), 3 * MOST) == [3] * 3 * MOST
    assert [number for number, is_due in enumerate(GOES) if is_due] == [MOST, 2 * MOST]


def test_others_have_their_go_after_some_time_awake_however_few_answers_came() -> None:
    GOES.clear()

    # Each is found at the eighth look, when seven tenths of the time for it are over.
    assert waits(Answers(8), 20) == [8] * 20
    in_time = math.ceil(AWAKE_S / (0.7 * LOOK_S))
    assert in_time < MOST
    assert [number for number, is_due in enumerate(GOES) if is_due] == [in_time, 2 * in_time]


def test_each_look_in_vain_is_followed_by_a_rest_twice_as_long() -> None:
    looked = waits(Answers(10**9), 300)

    at = [number for number, looks in enumerate(looked) if looks]
    rests = [later - earlier - 1 for earlier, later in itertools.pairwise(at)]
    assert rests == [1, 2, 4, 8, 16, 32, LONGEST, LONGEST, LONGEST]


def test_an_answer_makes_the_next_rest_short_again() -> None:
    # What comes at every fifteenth look is missed by one look and found by the next, after a rest.
    looked = waits(Answers(15), 60)

    rests = [list(group) for looks, group in itertools.groupby(looked) if looks == 0]
    assert len(rests) >= 15
    assert all(len(rest) == 1 for rest in rests)


def test_who_loses_the_core_by_looking_sleeps_for_some_waits() -> None:
    conduit = Answers(3)

    # To begin, the first yield and the second.
    assert waits(conduit, 40, 0.0, 2 * SHARED_S, SHARED_S / 2) == [3] * 40
    slept = conduit.slept[::3]
    assert slept == [0] * LOST + [SLEEP_MS] * SHORTEST + [0] + [SLEEP_MS] * (39 - LOST - SHORTEST)


def test_who_keeps_the_core_looks_awake() -> None:
    conduit = Answers(2)

    waits(conduit, 40, SHARED_S / 2)
    assert set(conduit.slept) == {0}


def test_who_is_no_child_process_is_not_looked_at() -> None:
    awake = Awake(lambda _conn, _data, _promise: None)
    awake.look(CONN, Promise(None))


async def test_others_have_their_go_beside_a_task_that_calls_one_by_one() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        tally = await trustee.entrust_new(Tally)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            for number in range(1, 1001):
                assert await tally.apply(Tally.add, 1) == number
            nursery.cancel_scope.cancel()

    assert turns >= 1000 // MOST - 1
