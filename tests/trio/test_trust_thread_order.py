"""A trustee with a thread of its own: cancellation, order, shares and limits."""

from __future__ import annotations

from functools import partial
from itertools import groupby

import pytest
import trio

from captp.errors import (
    Overloaded,
)
from captp.model.trust import Call
from captp.run.threads import open_thread_trustee
from tests.trio.turns_in_threads import Gate, Log, in_threads, passes

# Cancellation.


async def test_a_call_cancelled_before_its_turn_never_runs() -> None:
    gate = Gate()
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trust.apply, Log.add, "never")
            nursery.start_soon(trust.apply_many, [Call(Log.add, "never"), Call(Log.add, "never")])
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        with trio.CancelScope() as scope:
            scope.cancel()
            await trust.apply(Log.add, "never")
        gate.open.set()

        assert await trust.apply(Log.copy) == ["gate"]
        assert trustee.stats().cancelled == 3


async def test_a_call_cancelled_in_its_turn_ends_at_once_and_its_late_answer_wakes_nobody() -> None:
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        for _ in range(20):
            gate = Gate()
            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trust.apply, passes, gate)
                    assert await trio.to_thread.run_sync(gate.entered.wait, 5)
                    nursery.cancel_scope.cancel()
            gate.open.set()
            # The answer arrives while this task is parked for another one.
            assert await trust.apply(lambda log: log.lines.pop()) == "gate"


async def test_cancellation_and_answer_may_come_together() -> None:
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        answered = 0

        async def call(scope: trio.CancelScope) -> None:
            nonlocal answered
            with scope:
                await trust.apply(Log.add, "x")
                answered += 1

        for turn in range(300):
            scopes = [trio.CancelScope() for _ in range(4)]
            async with trio.open_nursery() as nursery:
                for scope in scopes:
                    nursery.start_soon(call, scope)
                for _ in range(turn % 5):
                    await trio.lowlevel.checkpoint()
                if turn % 2:
                    await trust.apply(Log.copy)
                for scope in scopes:
                    scope.cancel()

        ran = len(await trust.apply(Log.copy))
        stats = trustee.stats()
        assert answered <= ran
        assert ran + stats.cancelled <= 1200  # the others were cancelled before they were handed over
        assert stats.depth == 0


# Order and shares.


async def test_each_client_is_served_in_its_own_order_under_load() -> None:
    posted = 0

    async with open_thread_trustee(quota=7) as trustee:
        trust = trustee.entrust(Log())

        async def task(number: int) -> None:
            nonlocal posted
            for turn in range(100):
                posted += 1
                if (turn + number) % 3:
                    trust.apply_then(Log.add, ("loop", posted))
                else:
                    await trust.apply(Log.add, ("loop", posted))

        def thread(number: int) -> None:
            for turn in range(0, 120, 3):
                trust.blocking.apply_then(Log.add, (number, turn))
                trust.blocking.apply_many([Call(Log.add, (number, turn + 1))])
                trust.blocking.apply(Log.add, (number, turn + 2))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_threads, 8, thread)
            for number in range(8):
                nursery.start_soon(task, number)
        lines = await trust.apply(Log.copy)

    assert [n for who, n in lines if who == "loop"] == list(range(1, 801))
    for number in range(8):
        assert [n for who, n in lines if who == number] == list(range(120))


async def test_calls_that_waited_for_room_keep_their_order() -> None:
    async with open_thread_trustee(max_inflight=3) as trustee:
        trust = trustee.entrust(Log())
        posted = 0

        async def task() -> None:
            nonlocal posted
            for _ in range(20):
                posted += 1
                await trust.apply(Log.add, posted)

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(task)

        assert await trust.apply(Log.copy) == list(range(1, 201))
        assert trustee.stats().high_water == 3


async def test_nothing_overtakes_many_calls_that_wait_for_room_or_take_several_visits() -> None:
    gate = Gate()
    async with open_thread_trustee(quota=4, max_inflight=20) as trustee, trio.open_nursery() as nursery:
        trust = trustee.entrust(Log())
        await gate.shut(trust)

        nursery.start_soon(trust.apply_many, [Call(Log.add, n) for n in range(15)])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(trust.apply, Log.add, 15)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(trust.apply_many, [Call(Log.add, n) for n in range(16, 20)])
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Overloaded):  # three would fit, were it not for the four before
            trust.apply_then(Log.add, 20)
        gate.open.set()

        lines = await trust.apply(Log.copy)
        assert lines == ["gate", *range(20)]


async def test_a_flooding_client_leaves_the_others_their_turns() -> None:
    gate = Gate()
    async with open_thread_trustee(quota=8, window=1000) as trustee:
        trust = trustee.entrust(Log())
        await gate.shut(trust)

        def flood(_: int) -> None:
            for _ in range(1000):
                trust.blocking.apply_then(Log.add, "flood")

        def slow(_: int) -> None:
            for _ in range(20):
                trust.blocking.apply(Log.add, "slow")

        await in_threads(1, flood)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trust.apply_many, [Call(Log.add, "loop")] * 20)
            await trio.testing.wait_all_tasks_blocked()
            gate.open.set()
            await in_threads(1, slow)
        lines = await trust.apply(Log.copy)

    assert lines.count("flood") == 1000
    before = lines[: len(lines) - lines[::-1].index("loop")]
    runs = [(who, len(list(run))) for who, run in groupby(line for line in before if line != "slow")]
    assert max(length for _, length in runs) == 8
    assert runs.count(("loop", 8)) >= 1


async def test_the_calls_of_one_scheduling_batch_are_handed_over_together() -> None:
    async with open_thread_trustee(quota=256) as trustee:
        trust = trustee.entrust(Log())
        await trust.apply(Log.copy)
        before = trustee.stats().batches

        async with trio.open_nursery() as nursery:
            for number in range(256):
                nursery.start_soon(trust.apply, Log.add, number)

        assert trustee.stats().batches == before + 1
        assert trustee.stats().high_water == 256


async def test_an_answer_does_not_wait_for_the_slow_turn_behind_it() -> None:
    gate, quick = Gate(), trio.Event()
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())

        trust.apply_then(Log.add, "quick", then=lambda _: quick.set())
        trust.apply_then(passes, gate)
        with trio.move_on_after(5):
            await quick.wait()
        gate.open.set()

        assert quick.is_set()


# Limits.


async def test_the_call_after_the_last_that_fits_is_refused_and_apply_waits() -> None:
    gate = Gate()
    async with open_thread_trustee(max_inflight=4) as trustee, trio.open_nursery() as nursery:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        for number in range(3):
            trust.apply_then(Log.add, number)

        with pytest.raises(Overloaded, match="max_inflight=4"):
            trust.apply_then(Log.add, "no")
        with pytest.raises(Overloaded):
            await trio.to_thread.run_sync(trust.blocking.apply_then, Log.add, "no")
        with pytest.raises(Overloaded, match="fewer"):
            await trust.apply_many([Call(Log.add, "no")] * 5)
        nursery.start_soon(trust.apply, Log.add, 3)
        many = partial(trust.blocking.apply_many, [Call(Log.add, 4)] * 4)
        nursery.start_soon(trio.to_thread.run_sync, many)
        await trio.testing.wait_all_tasks_blocked()
        assert (trustee.stats().depth, trustee.stats().overloads) == (4, 7)
        gate.open.set()
        while len(lines := await trust.apply(Log.copy)) < 9:
            pass

        assert sorted(lines[1:]) == [0, 1, 2, 3, 4, 4, 4, 4]
        for number in range(4):
            trust.apply_then(Log.add, number)
        assert await trust.apply_many([Call(Log.add, "all that fit")] * 4)
        assert trustee.stats().high_water == 4
        other = trustee.entrust(Log())
        live = trustee.stats().live
        trust.drop()
        await other.apply(Log.copy)
        assert trustee.stats().live == live - 1  # the refused calls hold nothing
