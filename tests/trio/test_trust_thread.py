"""A trustee with a thread of its own: what a turn gives, what is refused, and how long objects live."""

from __future__ import annotations

import logging
import threading
import weakref
from functools import partial
from typing import Any

import pytest
import trio

import captp
from captp.errors import (
    Dropped,
    LeakedObject,
    NestedDelegation,
    NotNow,
    Reentrant,
    Unpassable,
    UsageError,
)
from captp.model.trust import Call, Outcome
from captp.run.threads import open_thread_trustee
from tests.trio.turns_in_threads import Gate, Log, Sensed, ident, in_threads

# What a turn gives.


async def test_a_turn_runs_in_the_trustees_thread_and_gives_its_result() -> None:
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())

        assert await trust.apply(Log.add, "one") == 1
        assert await trust.apply(Log.add, line="two") == 2
        assert await trust.apply(Log.copy) == ["one", "two"]
        assert await trust.apply(ident) != threading.get_ident()


async def test_the_exception_is_made_anew_for_the_caller_without_its_lines() -> None:
    problem = ValueError("mine")

    def fail(log: Log, problem: Exception) -> None:
        raise problem

    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())

        with pytest.raises(ValueError, match="mine") as caught:
            await trust.apply(fail, problem)
        with pytest.raises(ValueError, match="mine") as caught_there:
            await trio.to_thread.run_sync(trust.blocking.apply, fail, problem)

        for one in (caught, caught_there):
            assert one.value is not problem
            assert "fail" not in [entry.name for entry in one.traceback]
        assert caught.value is not caught_there.value
        assert await trust.apply(Log.add, "alive") == 1


async def test_a_result_that_is_the_object_itself_is_a_leak() -> None:
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())

        with pytest.raises(LeakedObject):
            await trust.apply(lambda log: log)
        [outcome] = await trust.apply_many([Call(lambda log: log)])

        assert isinstance(outcome.error, LeakedObject)


async def test_many_calls_end_in_order_each_once_however_small_the_quota() -> None:
    def add(log: Log, number: int) -> int:
        log.add(number)
        return number // (number - 7)

    async with open_thread_trustee(quota=4) as trustee:
        trust = trustee.entrust(Log())
        calls = [Call(add, number) for number in range(50)]

        outcomes = await trust.apply_many(calls)
        in_thread = await trio.to_thread.run_sync(trust.blocking.apply_many, calls)

        for ends in (outcomes, in_thread):
            assert [type(o.error) for o in ends if o.error] == [ZeroDivisionError]
            assert [o.value for o in ends] == [n // (n - 7) if n != 7 else None for n in range(50)]
        assert await trust.apply(Log.copy) == [*range(50), *range(50)]
        assert await trust.apply_many([]) == []


async def test_a_payload_is_what_it_was_at_the_call() -> None:
    gate = Gate()
    async with open_thread_trustee() as trustee, trio.open_nursery() as nursery:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        payload = {"lines": [1, 2]}

        nursery.start_soon(trust.apply_with, Log.add, payload)
        await trio.testing.wait_all_tasks_blocked()
        payload["lines"].append(3)
        gate.open.set()

        assert await trust.apply(Log.copy) == ["gate", {"lines": (1, 2)}]
        with pytest.raises(Unpassable, match=r"\.odd"):
            await trust.apply_with(Log.add, {"odd": object()})


async def test_then_gets_the_outcome_on_the_loop_and_for_a_thread_on_the_trustees(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[int, Outcome[Any]]] = []
    done = trio.Event()

    def then(outcome: Outcome[Any]) -> None:
        told.append((threading.get_ident(), outcome))

    def bad_then(outcome: Outcome[Any]) -> None:
        done.set()
        raise ValueError("in then")

    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        there = await trust.apply(ident)

        trust.apply_then(Log.add, "x", then=then)
        trust.apply_then(Log.add, "x", then=bad_then)
        await done.wait()
        await trio.to_thread.run_sync(partial(trust.blocking.apply_then, Log.add, "x", then=then))
        assert await trust.apply(Log.copy) == ["x", "x", "x"]

    assert told == [(threading.get_ident(), Outcome(1)), (there, Outcome(3))]
    assert "`then`" in caplog.text


async def test_an_exception_that_nobody_waits_for_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())

        def thread(_: int) -> None:
            trust.blocking.apply_then(getattr, "neither")
            trust.blocking.apply(Log.copy)

        trust.apply_then(getattr, "nothing")
        await trust.apply(Log.copy)
        await in_threads(1, thread)

        assert trustee.stats().unheard == 2
    errors = [r for r in caplog.records if r.name == "captp" and r.levelno == logging.ERROR]
    assert [r.exc_info[0] for r in errors if r.exc_info] == [AttributeError, AttributeError]


# What is refused.


async def test_what_belongs_to_a_loop_is_refused_with_advice() -> None:
    class Near(captp.Object):
        def hello(self) -> str:
            return "hello"

    async with captp.open_vat() as vat, open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        near = Near()
        for foreign in (near, vat.export(near), vat.entrust(Log())):
            with pytest.raises(UsageError, match="loop"):
                trustee.entrust(foreign)
            with pytest.raises(UsageError, match="plain"):
                await trust.apply(Log.add, foreign)
            with pytest.raises(UsageError, match="plain"):
                trust.apply_then(Log.add, foreign)
            with pytest.raises(UsageError, match="plain"):
                await trust.apply_many([Call(Log.add, line=foreign)])
            with pytest.raises(UsageError):
                await trust.apply_with(Log.add, foreign)
        with pytest.raises(Unpassable, match=r"\[0\]"):
            await trust.apply_with(Log.add, [near])
        assert await trust.apply(Log.copy) == []


async def test_what_a_thread_cannot_do_says_what_to_do() -> None:
    async def fiber(log: Log) -> None: ...

    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())

        with pytest.raises(NotNow, match="apply_then"):
            trust.apply_now(Log.copy)
        with pytest.raises(UsageError, match="before and after"):
            await trust.launch(fiber)
        with pytest.raises(UsageError, match=r"await trust\.apply"):
            trust.blocking.apply(Log.copy)
        with pytest.raises(UsageError, match=r"trust\.blocking"):
            await trio.to_thread.run_sync(trust.apply_then, Log.copy)


async def test_a_turn_that_asks_its_own_trustee_is_told_at_once() -> None:
    async with open_thread_trustee() as trustee, open_thread_trustee() as other:
        trust, elsewhere = trustee.entrust(Log()), other.entrust(Log())

        for verb in (trust.blocking.apply, trust.blocking.apply_then, trust.apply_then):
            with pytest.raises(Reentrant):
                await trust.apply(lambda _, verb: verb(Log.copy), verb)
        with pytest.raises(Reentrant):
            await trust.apply(lambda _: trust.blocking.apply_many([Call(Log.copy)]))
        for wait in (
            lambda _: elsewhere.blocking.apply(Log.copy),
            lambda _: elsewhere.blocking.apply_many([Call(Log.copy)]),
        ):
            with pytest.raises(NestedDelegation, match=r"another trustee: .*apply_then"):
                await trust.apply(wait)
        await trust.apply(lambda _: elsewhere.blocking.apply_then(Log.add, "sent"))

        assert await elsewhere.apply(Log.copy) == ["sent"]


class Asker(captp.Object):
    @captp.method
    def ask(self) -> list[str]:
        return WANTED[0].blocking.apply(Log.copy)  # type: ignore[no-any-return]


#: A handle that the turns of a vat can reach.
WANTED: list[Any] = []


async def test_a_turn_of_the_loop_that_would_wait_for_a_thread_is_told_at_once() -> None:
    async with captp.open_vat() as vat, vat.trustee("thread") as trustee:
        WANTED[:] = [trustee.entrust(Log())]

        for turn in (vat.entrust(Asker()).apply(Asker.ask), vat.export(Asker()).ask()):
            with pytest.raises(captp.Error, match=r"another trustee: .*apply_then") as caught:
                await turn
            # Across a border it is told by its name.
            name = getattr(caught.value, "class_name", type(caught.value).__name__)
            assert name == NestedDelegation.__name__
        WANTED.clear()


# Handles.


async def test_a_dropped_handle_is_of_no_use_and_the_others_are() -> None:
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        kept = trust.clone()

        trust.drop()
        trust.drop()

        for use in (trust.clone, partial(trust.apply_then, Log.copy)):
            with pytest.raises(Dropped):
                use()
        for wait in (trust.apply(Log.copy), trust.apply_many([Call(Log.copy)])):
            with pytest.raises(Dropped):
                await wait
        with pytest.raises(Dropped):
            await trio.to_thread.run_sync(trust.blocking.apply, Log.copy)
        assert await kept.apply(Log.add, "kept") == 1
        assert (repr(trust), repr(kept)) == ("<Trust, dropped>", "<Trust of a Log>")


async def test_clones_and_drops_in_many_threads_leave_exact_counts() -> None:
    gone: list[int] = []
    async with open_thread_trustee() as trustee:
        trust = await trustee.entrust_new(Sensed, gone)
        there, live = await trust.apply(ident), trustee.stats().live

        def storm(number: int) -> None:
            kept = trust.clone()
            for turn in range(12_500):
                clone = kept.clone()
                if turn % 3 == 0:
                    clone.drop()
                elif turn % 3 == 1:
                    kept, clone = clone, kept
                    clone.drop()
                if turn % 500 == number:
                    kept.blocking.apply(ident)

        await in_threads(8, storm)
        await trust.apply(ident)
        assert (gone, trustee.stats().live) == ([], live)
        trust.drop()
        other = trustee.entrust(Log())
        await other.apply(ident)
        assert (gone, trustee.stats().live) == ([there], live)  # the other is instead of it


async def test_the_last_drop_wakes_an_idle_trustee() -> None:
    gone = threading.Event()
    async with open_thread_trustee() as trustee:
        trust = await trustee.entrust_new(Log)
        await trust.apply(lambda log, tell: weakref.finalize(log, tell).alive, gone.set)

        trust.drop()

        assert await trio.to_thread.run_sync(gone.wait, 5)


async def test_two_threads_that_drop_one_handle_drop_it_once() -> None:
    gone: list[int] = []
    async with open_thread_trustee() as trustee:
        first = await trustee.entrust_new(Sensed, gone)
        for _ in range(200):
            clone, start = first.clone(), threading.Barrier(2)

            def drop(_: int, clone: Any = clone, start: Any = start) -> None:
                start.wait()
                clone.drop()

            await in_threads(2, drop)
        await first.apply(ident)
        assert gone == []


async def test_the_object_goes_in_the_thread_and_not_before_its_calls_are_done() -> None:
    gone: list[int] = []
    order: list[Any] = []
    async with open_thread_trustee() as trustee:
        watch = trustee.entrust(Log())
        there = await watch.apply(ident)
        trust = await trustee.entrust_new(Sensed, gone)

        def note(sensed: Sensed, order: list[Any]) -> None:
            order.append(list(sensed.gone))

        def fail(sensed: Sensed, order: list[Any]) -> None:
            note(sensed, order)
            raise ValueError

        with pytest.raises(ValueError) as kept:  # noqa: PT011
            await trust.apply(fail, order)
        [failed] = await trust.apply_many([Call(fail, order)])
        trust.apply_then(note, order)
        trust.drop()
        await watch.apply(ident)

        assert (type(kept.value), type(failed.error)) == (ValueError, ValueError)
        assert (order, gone) == ([[], [], []], [there])

        collected = await trustee.entrust_new(Sensed, gone)
        del collected
        await watch.apply(ident)
        assert gone == [there, there]
        last = await trustee.entrust_new(Sensed, gone)
    assert gone == [there] * 3
    last.drop()


async def test_an_object_is_made_in_the_thread_and_goes_there_when_nobody_takes_it() -> None:
    gone: list[int] = []
    gate = Gate()

    def make(gate: Gate, gone: list[int]) -> Sensed:
        gate.enter()
        return Sensed(gone)

    async with open_thread_trustee() as trustee:
        log = await trustee.entrust_new(Log)
        there, live = await log.apply(ident), trustee.stats().live
        assert await log.apply(lambda log: log.thread) == there
        with pytest.raises(TypeError):
            await trustee.entrust_new(Log, 1)  # type: ignore[call-arg]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trustee.entrust_new, make, gate, gone)
            assert await trio.to_thread.run_sync(gate.entered.wait, 5)
            nursery.cancel_scope.cancel()
        gate.open.set()
        await log.apply(ident)  # behind it
        assert (gone, trustee.stats().live) == ([there], live)
