"""A trustee with a thread of its own: what functions may bring, poisoned objects, shares, and OS threads."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest
import trio

import captp
from captp.errors import CaptureError, Dropped, Poisoned, Unpassable, UsageError
from captp.model.trust import Call, Outcome
from captp.run.jobs import Job, Keep, Turnstile
from captp.run.threads import ThreadTrust, open_thread_trustee
from captp.run.worker import Client, Worker
from tests.trio.turns_in_threads import Gate, Log, Sensed, ident, in_threads

# What functions bring.


async def refuse_everywhere(
    trust: ThreadTrust[Log], fn: Callable[..., Any], error: type[Exception], match: str
) -> None:
    """Check that no verb hands the function over."""
    blocking = trust.blocking
    waits: list[Callable[[], Any]] = [
        partial(trust.apply, fn),
        partial(trust.apply_with, fn, ()),
        partial(trust.apply_many, [Call(Log.add, "no"), Call(fn)]),
        partial(trio.to_thread.run_sync, blocking.apply, fn),
        partial(trio.to_thread.run_sync, blocking.apply_with, fn, ()),
        partial(trio.to_thread.run_sync, blocking.apply_then, fn),
        partial(trio.to_thread.run_sync, blocking.apply_many, [Call(Log.add, "no"), Call(fn)]),
    ]
    for wait in waits:
        with pytest.raises(error, match=match):
            await wait()
    with pytest.raises(error, match=match):
        trust.apply_then(fn)


async def test_a_function_that_captures_what_others_may_change_is_refused_by_every_verb() -> None:
    shared: list[Any] = []
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())

        await refuse_everywhere(trust, lambda log: [*shared, log], CaptureError, "'shared'")
        await refuse_everywhere(trust, lambda log, to=shared: to.append(log), CaptureError, "'to'")
        await refuse_everywhere(trust, shared.append, CaptureError, "list")
        await refuse_everywhere(trust, Log().add, CaptureError, "bound method")
        with pytest.raises(CaptureError, match="'shared'"):
            await trustee.entrust_new(lambda: shared)

        assert await trust.apply(Log.copy) == []
        assert shared == []


async def test_a_function_that_captures_what_belongs_to_a_loop_is_refused_by_every_verb() -> None:
    class Near(captp.Object):
        @captp.method
        def hello(self) -> str:
            return "hello"

    async with captp.open_vat() as vat, open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        ref, near, (_, resolver) = vat.export(Near()), vat.entrust(Log()), vat.promise()

        await refuse_everywhere(trust, lambda _: ref.hello(), UsageError, "loop")
        await refuse_everywhere(trust, lambda _: near.drop(), UsageError, "loop")
        await refuse_everywhere(trust, lambda _, to=resolver: to.fulfill(None), UsageError, "loop")


async def test_a_function_may_capture_what_nobody_can_change_and_a_handle_of_a_thread() -> None:
    name, pair = "one", ("two", 3)
    async with open_thread_trustee() as trustee, open_thread_trustee() as other:
        trust, elsewhere = trustee.entrust(Log()), other.entrust(Log())

        await trust.apply(lambda log: log.add((name, pair)))
        await trust.apply_many([Call(lambda log: elsewhere.blocking.apply_then(Log.add, name))])

        assert await trust.apply(Log.copy) == [("one", ("two", 3))]
        assert await elsewhere.apply(Log.copy) == ["one"]


async def test_each_of_many_calls_gets_its_own_arguments() -> None:
    def told(_: Log, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        one = Call(told, 1)
        calls = [one, one, Call(told), Call(told, 1, 2), Call(told, a=3), Call(told, 1, a=3), one]

        ends = await trust.apply_many(calls)

        assert [o.unwrap() for o in ends] == [(c.args, c.kwargs) for c in calls]


# Poisoned objects.


def spoil(log: Log, line: Any) -> None:
    log.add(line)
    raise ValueError("half done")


async def test_a_poisoned_object_is_used_by_nobody_until_it_is_healed() -> None:
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log(), on_error="poison")
        await trust.apply(Log.add, 1)

        with pytest.raises(ValueError, match="half done"):
            await trust.apply(spoil, 2)
        for wait in (
            partial(trust.apply, Log.add, 3),
            partial(trio.to_thread.run_sync, trust.blocking.apply, Log.add, 3),
        ):
            with pytest.raises(Poisoned, match="half done"):
                await wait()
        ends = await trust.apply_many([Call(Log.add, 3)] * 2)
        assert [type(o.error) for o in ends] == [Poisoned, Poisoned]

        trust.heal()
        assert await trust.apply(Log.copy) == [1, 2]
        with pytest.raises(ValueError, match="half done"):
            await trust.apply(spoil, 4)
        trust.blocking.heal()
        assert await trust.apply(Log.copy) == [1, 2, 4]


@pytest.mark.parametrize("quota", [2, 64])
async def test_of_many_calls_those_after_the_one_that_poisons_do_not_run(quota: int) -> None:
    async with open_thread_trustee(quota=quota) as trustee:
        trust = trustee.entrust(Log(), on_error="poison")

        calls: list[Call[Any]] = [Call(Log.add, 1), Call(spoil, 2), Call(Log.add, 3), Call(Log.add, 4)]
        ends = await trust.apply_many(calls)
        trust.heal()

        assert [type(o.error) for o in ends] == [type(None), ValueError, Poisoned, Poisoned]
        assert await trust.apply(Log.copy) == [1, 2]


async def test_another_object_is_not_poisoned_by_what_its_turns_raise() -> None:
    async with open_thread_trustee() as trustee:
        kept, other = trustee.entrust(Log()), trustee.entrust(Log(), on_error="poison")

        for _ in range(2):
            with pytest.raises(ValueError, match="half done"):
                await kept.apply(spoil, 1)

        assert await other.apply(Log.copy) == []
        kept.heal()


# OS threads.


async def test_an_os_thread_passes_payloads_as_they_are_now_and_has_handles_of_its_own() -> None:
    gone: list[int] = []
    async with open_thread_trustee() as trustee:
        trust = await trustee.entrust_new(Log)
        sensed = await trustee.entrust_new(Sensed, gone)
        there, before = await trust.apply(ident), trustee.stats().live

        def thread(_: int) -> None:
            trust.blocking.apply_with(Log.add, {"lines": [1, 2]})
            with pytest.raises(Unpassable, match=r"\.odd"):
                trust.blocking.apply_with(Log.add, {"odd": object()})
            mine = sensed.blocking.clone()
            sensed.drop()
            assert mine.apply(ident) == there
            assert trustee.stats().live == before
            mine.drop()
            mine.drop()
            with pytest.raises(Dropped):
                mine.apply(ident)
            with pytest.raises(Dropped):
                mine.clone()

        await in_threads(1, thread)

        assert await trust.apply(Log.copy) == [{"lines": (1, 2)}]
        assert (gone, trustee.stats().live) == ([there], before - 1)


async def test_what_many_calls_gave_an_os_thread_reads_as_a_list_does() -> None:
    def odd(_: Log, number: int) -> int:
        if number % 2:
            raise ValueError(number)
        return number

    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        blocking = trust.blocking

        fine = await trio.to_thread.run_sync(blocking.apply_many, [Call(odd, 0), Call(odd, 2)])
        ends = await trio.to_thread.run_sync(blocking.apply_many, [Call(odd, n) for n in range(3)])
        none: Sequence[Any] = await trio.to_thread.run_sync(blocking.apply_many, [])

        assert list(fine) == [fine[0], fine[1]] == [Outcome(0), Outcome(2)]
        assert [o.value for o in ends] == [0, None, 2]
        assert ends[1].error is ends[-2].error is list(ends)[1].error is ends[1:][0].error
        assert isinstance(ends[1].error, ValueError)
        assert (ends[-3], ends[0:2:2], len(ends), len(none)) == (Outcome(0), [Outcome(0)], 3, 0)
        with pytest.raises(IndexError):
            ends[3]
        with pytest.raises(ValueError, match="1"):
            ends[1].unwrap()
        assert "value=2" in repr(ends)


def test_an_interrupted_os_thread_leaves_its_turn_to_the_others() -> None:
    gate, handles, over = Gate(), SimpleQueue[ThreadTrust[Log]](), threading.Event()
    ran: list[int] = []

    async def keep() -> None:
        async with open_thread_trustee() as trustee:
            trust = trustee.entrust(Log())
            await gate.shut(trust)
            handles.put(trust)
            assert await trio.to_thread.run_sync(over.wait, 10)

    def after(number: int) -> None:
        ran.append(trust.blocking.apply(Log.add, number))

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    loop = threading.Thread(target=trio.run, args=(keep,))
    loop.start()
    trust = handles.get(timeout=10)
    others = [threading.Thread(target=after, args=(number,)) for number in range(4)]
    timer = threading.Timer(0.1, interrupt)
    try:
        for other in others[:2]:
            other.start()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            trust.blocking.apply(Log.add, "never")
        for other in others[2:]:
            other.start()
        gate.open.set()
        for other in others:
            other.join(5)
        lines = trust.blocking.apply(Log.copy)
    finally:
        gate.open.set()
        timer.cancel()
        over.set()
        loop.join(10)

    assert sorted(ran) == [2, 3, 4, 5]
    assert sorted(map(str, lines)) == ["0", "1", "2", "3", "gate"]


def test_threads_that_have_their_answers_wake_each_other_past_those_that_have_gone() -> None:
    turnstile, owner = Turnstile(), Worker(64, 64, 64, bool)
    client = Client(owner)
    jobs = [Job(Keep(owner, None), client, Log.copy, (), {}) for _ in range(4)]
    for job in jobs:
        job.waiter = threading.Lock()
        job.waiter.acquire()
    jobs[1].is_off = True

    def awake() -> list[int]:
        return [number for number, job in enumerate(jobs) if not job.waiter.locked()]

    for job in jobs:
        turnstile.admit(job)
    assert awake() == [0]
    turnstile.move()
    assert awake() == [0, 1, 2]
    turnstile.move()
    turnstile.move()
    assert (awake(), len(turnstile.waiting)) == ([0, 1, 2, 3], 0)


# Shares and figures.


async def test_a_client_beside_a_flooding_one_keeps_its_share() -> None:
    gate = Gate()
    async with open_thread_trustee(quota=16, window=2000) as trustee:
        trust = trustee.entrust(Log())
        await gate.shut(trust)

        def post(number: int) -> None:
            for _ in range((2000, 500)[number]):
                trust.blocking.apply_then(Log.add, number)

        await in_threads(2, post)
        gate.open.set()
        while len(lines := await trust.apply(Log.copy)) < 2501:
            pass

    both = lines[1 : len(lines) - lines[::-1].index(1)]
    assert both.count(1) == 500
    assert abs(both.count(0) - 500) <= 50


async def test_the_figures_say_what_was_done() -> None:
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(Log())
        before = trustee.stats()
        gate = Gate()
        await gate.shut(trust)
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(trust.apply, Log.add, number)
            await trio.testing.wait_all_tasks_blocked()
            assert trustee.stats().depth == 6
            gate.open.set()

        stats = trustee.stats()
        assert (stats.turns - before.turns, stats.depth, stats.high_water) == (6, 0, 6)
        assert stats.live == before.live
        assert 1 <= stats.wakes <= 5
    # The thread has ended: it counts a batch behind the last answer.
    stats = trustee.stats()
    assert 0 < sum(stats.sizes) == sum(stats.waits) == stats.batches <= stats.turns
    assert stats.sizes[0] == 0
    assert 0 < trustee.stats().longest_wait_s < 10
    assert 0 < trustee.stats().busy_s < 10
