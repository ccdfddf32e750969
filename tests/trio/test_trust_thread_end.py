"""A trustee with a thread of its own: its end, by its block or by a turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio

from captp.errors import (
    Closed,
)
from captp.model.trust import Call, Outcome
from captp.run.threads import ThreadTrust, ThreadTrustee, open_thread_trustee
from tests.trio.turns_in_threads import Gate, Log, in_threads, passes


async def test_closing_breaks_what_has_not_begun_and_lets_the_running_call_finish() -> None:
    gate = Gate()
    before = set(threading.enumerate())
    ends: list[Any] = []
    broken = threading.Semaphore(0)

    async def note(what: str, wait: Callable[[], Any]) -> None:
        try:
            ends.append((what, await wait()))
        except Closed:
            ends.append((what, Closed))
            broken.release()

    def thread(trust: ThreadTrust[Log]) -> None:
        try:
            trust.blocking.apply(Log.add, "no")
        except Closed:
            broken.release()
            raise

    def open_when_broken() -> None:
        assert all(broken.acquire(timeout=5) for _ in range(53))
        gate.open.set()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            async with open_thread_trustee(max_inflight=40) as trustee:
                trust = trustee.entrust(Log())
                nursery.start_soon(note, "running", partial(trust.apply, passes, gate))
                assert await trio.to_thread.run_sync(gate.entered.wait, 5)
                for _ in range(50):  # more than are handed over
                    nursery.start_soon(note, "queued", partial(trust.apply, Log.add, "no"))
                in_thread = partial(trio.to_thread.run_sync, thread, trust)
                nursery.start_soon(note, "thread", in_thread)
                nursery.start_soon(trio.to_thread.run_sync, open_when_broken)
                many = partial(trust.apply_many, [Call(Log.add, "no")] * 3)
                nursery.start_soon(note, "many", many)
                await trio.testing.wait_all_tasks_blocked()
                broken.release()
            with pytest.raises(Closed, match="block has ended"):
                await trust.apply(Log.copy)
            with pytest.raises(Closed):
                trustee.entrust(Log())

    assert ends.count(("queued", Closed)) == 50
    assert ("running", "through") in ends
    assert ("thread", Closed) in ends
    [errors] = [end for what, end in ends if what == "many"]
    assert [type(o.error) for o in errors] == [Closed] * 3
    assert not [t for t in set(threading.enumerate()) - before if t.name == "captp trustee"]


async def test_calls_break_at_once_wherever_they_wait_while_a_turn_runs() -> None:
    first, running = Gate(), Gate()
    told: list[Any] = []

    def then(outcome: Outcome[Any]) -> None:
        told.append(type(outcome.error))
        if len(told) == 3:
            running.open.set()

    async with open_thread_trustee() as trustee:
        log = Log()
        trust = trustee.entrust(log)
        await first.shut(trust)

        def post(_: int) -> None:
            trust.blocking.apply_then(passes, running)
            trust.blocking.apply_then(Log.add, "behind it in one visit", then=then)
            trust.blocking.apply_then(Log.add, "behind it in one visit", then=then)

        await in_threads(1, post)
        first.open.set()
        assert await trio.to_thread.run_sync(running.entered.wait, 5)
        trust.apply_then(Log.add, "not yet handed over", then=then)

    assert told == [Closed] * 3
    assert log.lines == ["gate", "gate"]


async def test_closing_lets_one_of_many_calls_finish_and_breaks_those_behind_it() -> None:
    gate, log = Gate(), Log()
    async with trio.open_nursery() as nursery:
        outcomes: list[Outcome[Any]] = []

        async def call(trust: ThreadTrust[Log]) -> None:
            calls: list[Call[Any]] = [Call(passes, gate), Call(Log.add, "no"), Call(Log.add, "no")]
            outcomes.extend(await trust.apply_many(calls))

        async with open_thread_trustee() as trustee:
            nursery.start_soon(call, trustee.entrust(log))
            assert await trio.to_thread.run_sync(gate.entered.wait, 5)
            nursery.start_soon(open_when_closed, trustee, gate)

    assert outcomes[0] == Outcome("through")
    assert [type(o.error) for o in outcomes[1:]] == [Closed, Closed]
    assert log.lines == ["gate"]


async def open_when_closed(trustee: ThreadTrustee, gate: Gate) -> None:
    with suppress(Closed):
        while True:
            trustee.entrust(Log())
            await trio.lowlevel.checkpoint()
    gate.open.set()


async def test_closing_under_load_answers_everybody_once() -> None:
    answers: list[str] = []
    handed: list[str] = []

    async def task(trust: ThreadTrust[Log]) -> None:
        try:
            while True:
                handed.append("task")
                await trust.apply(Log.add, "x")
                answers.append("ran")
        except Closed:
            answers.append("closed")

    def thread(trust: ThreadTrust[Log], _: int) -> None:
        try:
            while True:
                handed.append("thread")
                trust.blocking.apply(Log.add, "x")
                answers.append("ran")
        except Closed:
            answers.append("closed")

    with trio.fail_after(10):
        for _ in range(5):
            log = Log()
            async with (
                trio.open_nursery() as nursery,
                open_thread_trustee(quota=3, max_inflight=5) as trustee,
            ):
                trust = trustee.entrust(log)
                nursery.start_soon(in_threads, 4, partial(thread, trust))
                for _ in range(10):
                    nursery.start_soon(task, trust)
                while trustee.stats().turns < 200:
                    await trio.lowlevel.checkpoint()
            assert answers.count("closed") == 14
            assert answers.count("ran") == len(log.lines)
            assert len(answers) == len(handed)
            answers.clear()
            handed.clear()


async def test_what_is_no_exception_closes_the_trustee_and_everybody_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate, end = Gate(), SystemExit("enough")

    def leave(log: Log, end: BaseException) -> None:
        raise end

    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        errors: list[BaseException | None] = []

        async def wait(fn: Callable[..., Any], *args: Any) -> None:
            with pytest.raises(Closed) as caught:
                await trust.apply(fn, *args)
            errors.append(caught.value.__cause__)

        def block(_: int) -> None:
            with pytest.raises(Closed):
                trust.blocking.apply(Log.copy)

        async with trio.open_nursery() as nursery:
            for call in ((leave, end), (Log.copy,), (Log.copy,)):
                nursery.start_soon(wait, *call)
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(in_threads, 1, block)
            await trio.testing.wait_all_tasks_blocked()
            gate.open.set()
        with pytest.raises(Closed, match="enough"):
            await trust.apply(Log.copy)

    assert [repr(error) for error in errors] == [repr(end)] * 3
    assert len({id(error) for error in (*errors, end)}) == 4
    assert "ended its thread trustee" in caplog.text


async def test_a_turn_that_does_not_end_is_left_behind_with_a_word(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    gate = Gate()
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        trust.apply_then(passes, gate)
        while not gate.entered.is_set():
            await trio.lowlevel.checkpoint()
        worker = await_thread()
    assert "still runs" in caplog.text
    gate.open.set()
    worker.join(5)
    assert not worker.is_alive()


def await_thread() -> threading.Thread:
    [thread] = [t for t in threading.enumerate() if t.name == "captp trustee"]
    return thread


def test_a_trustee_is_quiet_when_the_run_is_over() -> None:
    left: list[ThreadTrustee] = []

    async def main() -> None:
        async with open_thread_trustee() as trustee:
            left.append(trustee)
            trustee.entrust(Log()).apply_then(Log.copy)

    trio.run(main)

    assert left[0].stats().live == 0
    with pytest.raises(Closed):
        left[0].entrust(Log())
