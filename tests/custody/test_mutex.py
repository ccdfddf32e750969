"""Mutexes: one holder at a time in order, whoever is cancelled or forgets."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Capsule, Mutex
from captp.run.live import LiveVat
from tests.custody.counters import BOXES, Adder, Box, settle
from tests.custody.lock_model import walk
from tests.support import Solo, outcome


@pytest.mark.parametrize("seed", range(15))
def test_a_random_walk_agrees_with_the_model(seed: int) -> None:
    walk(seed)


async def test_key_round_trip() -> None:
    async with captp.open_vat() as vat:
        box = Box(vat)
        with await box.mutex.lock() as guard:
            assert guard.access(box.add, 5) == 5
            with pytest.raises(captp.Contended, match="wait for that to end"):
                box.key.access(box.add)
        key = box.mutex.destroy()

        assert key.access(box.add)[0] == 6
        with pytest.raises(captp.UsageError, match="was destroyed"):
            await box.mutex.lock()
        with pytest.raises(captp.UsageError, match="was destroyed"):
            box.mutex.destroy()
        with pytest.warns(captp.AliasedKey, match=r"used by Mutex\(\) at counters.py"):
            value, _ = box.key.access(lambda access: box.count.unwrap(access).n)
        assert value == 6


async def add_in_tasks(box: Box, times: int) -> None:
    for _ in range(times):
        with await box.mutex.lock() as guard:
            before = guard.access(box.add, 0)
            await trio.sleep(0)
            guard.access(box.add, before + 1 - guard.access(box.add, 0))


async def test_tasks_and_fibers_have_it_one_at_a_time() -> None:
    async with captp.open_vat() as vat:
        adders = [vat.export(Adder()) for _ in range(3)]
        number = await adders[0].make()
        box = BOXES[number]
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(add_in_tasks, box, 20)
            for promise in [adder.add(number) for adder in adders for _ in range(20)]:
                await promise

        with await box.mutex.lock() as guard:
            assert guard.access(box.add, 0) == 120
        box.check()


async def test_the_lock_is_served_in_order_of_arrival() -> None:
    order: list[int] = []

    async def take(box: Box, number: int) -> None:
        with await box.mutex.lock():
            order.append(number)
            await trio.sleep(0)

    async with captp.open_vat() as vat, trio.open_nursery() as nursery:
        box = Box(vat)
        guard = await box.mutex.lock()
        for number in range(5):
            nursery.start_soon(take, box, number)
            await settle()
        guard.release()

    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("first", ["cancel", "release"])
async def test_a_task_that_is_cancelled_as_its_turn_comes_passes_the_lock_on(first: str) -> None:
    got: list[str] = []

    async def take(box: Box, name: str, scope: trio.CancelScope) -> None:
        with scope, await box.mutex.lock():
            got.append(name)

    async with captp.open_vat() as vat:
        box, scopes = Box(vat), [trio.CancelScope(), trio.CancelScope()]
        async with trio.open_nursery() as nursery:
            guard = await box.mutex.lock()
            for scope in scopes:
                nursery.start_soon(take, box, str(scopes.index(scope)), scope)
                await settle()
            if first == "cancel":
                scopes[0].cancel()
            guard.release()
            scopes[0].cancel()
        assert got == ["1"]
        await settle()
        box.check()


async def test_a_fiber_that_is_cancelled_while_it_waits_is_passed_over() -> None:
    async with captp.open_vat() as vat:
        adder = vat.export(Adder())
        box = BOXES[number := await adder.make()]
        guard = await box.mutex.lock()
        waiting, other = adder.add(number), vat.export(Adder()).add(number)
        await settle()
        del waiting
        # It is told so before the next call runs.
        await vat.export(Adder()).make()
        guard.release()

        assert await other == 1
        await settle()
        box.check()


async def test_within_gives_up_waiting_and_the_lock_is_passed_on() -> None:
    async with captp.open_vat() as vat:
        adder, other = vat.export(Adder()), vat.export(Adder())
        box = BOXES[number := await adder.make()]
        guard = await box.mutex.lock()
        patient = other.add_in_time(number, 60)
        with pytest.raises(captp.Timeout):
            await adder.add_in_time(number, 0.01)
        guard.release()

        assert await patient == 1
        with trio.fail_after(5):
            (await box.mutex.lock()).release()


async def test_a_method_that_is_cancelled_within_its_time_keeps_the_lock_from_nobody() -> None:
    async with captp.open_vat() as vat:
        adder = vat.export(Adder())
        box = BOXES[number := await adder.make()]
        guard = await box.mutex.lock()
        waiting = adder.add_in_time(number, 60)
        await settle()
        del waiting
        await vat.export(Adder()).make()
        guard.release()

        with trio.fail_after(5):
            (await box.mutex.lock()).release()
        await settle()
        box.check()


@pytest.mark.parametrize("where", ["here", "in a thread", "in a ring"])
async def test_a_guard_that_is_dropped_gives_the_lock_back(where: str) -> None:
    async with captp.open_vat() as vat:
        box = Box(vat)
        held = [await box.mutex.lock()]
        waiting = box.mutex.lock()
        if where == "in a thread":
            await trio.to_thread.run_sync(held.clear)
        else:
            if where == "in a ring":
                held.append(held)  # type: ignore[arg-type]
            del held
            gc.collect()

        with trio.fail_after(5):
            (await waiting).release()
        del waiting
        box.check()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let nothing go but what nobody holds."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_after_an_access_that_raised_a_dropped_guard_still_gives_the_lock_back() -> None:
    def takes(box: Box) -> None:
        guard = outcome(box.mutex.lock())
        with suppress(captp.Encapsulated):
            guard.access(box.add_and_fail)

    async with captp.open_vat() as vat:
        box = Box(vat)
        takes(box)
        box.mutex.heal()

        with trio.fail_after(5):
            (await box.mutex.lock()).release()


def test_as_many_wait_as_it_says_and_no_more() -> None:
    solo = Solo()
    box = Box(solo.vat, waiters=3)
    guard = outcome(box.mutex.lock())
    waiting = [box.mutex.lock() for _ in range(3)]

    with pytest.raises(captp.Overloaded, match="3 wait"):
        outcome(box.mutex.lock())
    del waiting[1]
    solo.run()
    waiting.append(box.mutex.lock())
    with pytest.raises(captp.Overloaded):
        outcome(box.mutex.lock())
    guard.release()
    solo.run()

    assert [promise.settled for promise in waiting] == [True, False, False]


def test_a_mutex_is_not_destroyed_while_it_is_used() -> None:
    solo = Solo()
    box = Box(solo.vat)
    guard = outcome(box.mutex.lock())
    waiting = box.mutex.lock()

    with pytest.raises(captp.Contended, match="1 hold this Mutex and 1 wait"):
        box.mutex.destroy()
    guard.release()
    with pytest.raises(captp.Contended):
        guard.release()
    with pytest.raises(captp.Contended, match="given back"):
        guard.access(box.add)
    with pytest.raises(captp.Contended, match="given back"), guard:
        pass
    del waiting, guard
    solo.run()

    box.mutex.destroy()


async def test_a_mutex_is_used_in_its_own_vat_and_thread() -> None:
    with pytest.raises(captp.UsageError, match="told its vat"):
        Mutex(Capsule.create())
    with pytest.raises(captp.UsageError, match="not a str"):
        Mutex(Capsule.create(), "vat")  # type: ignore[arg-type]
    with pytest.raises(captp.UsageError, match="waiters"):
        Mutex(Capsule.create(), Solo().vat, waiters=-1)
    with pytest.raises(captp.Frozen, match="needs no lock"):
        Mutex(Capsule.create().freeze(), Solo().vat)
    solo, other = Solo(), Solo(seed=1)
    box = Box(solo.vat)

    with pytest.raises(captp.Contended, match="belongs to a vat"):
        other.turn(box.mutex.lock)
    with pytest.raises(captp.Contended, match="belongs to a vat"):
        await trio.to_thread.run_sync(box.mutex.lock)
    assert solo.turn(box.mutex.lock).settled


async def test_a_durable_vat_tells_of_a_lock_when_what_led_to_it_is_stored(tmp_path: Any) -> None:
    from captp.model.keys import PrivateKey
    from captpd.store.sqlite import SqliteStore

    key = PrivateKey.from_seed(b"k" * 32)
    async with captp.open_vat(key=key, store=SqliteStore(tmp_path / "vat.db")) as vat:
        adder = vat.root("adder", Adder)
        box = BOXES[number := await adder.make()]
        guard = await box.mutex.lock()
        promise = adder.add(number)
        await settle()
        guard.release()
        assert await promise == 1
        with await box.mutex.lock() as guard:
            assert guard.access(box.add) == 2
        box.check()


async def test_the_end_of_a_vat_ends_its_locks_and_leaves_the_key() -> None:
    boxes: list[Any] = []

    async def waits(box: Box) -> None:
        with pytest.raises(captp.Closed):
            await box.mutex.lock()

    async with trio.open_nursery() as nursery:
        async with captp.open_vat() as vat:
            boxes += [Box(vat), await _held(vat)]
            nursery.start_soon(waits, boxes[1][0])
            await settle()
        boxes[1][1].release()

    assert boxes[1][0].mutex.destroy().access(boxes[1][0].add)[0] == 1


async def _held(vat: LiveVat) -> tuple[Box, Any]:
    box = Box(vat)
    return box, await box.mutex.lock()


def test_locks_and_guards_are_not_copied() -> None:
    import copy

    solo = Solo()
    box = Box(solo.vat)
    for thing in (box.mutex, outcome(box.mutex.lock())):
        with pytest.raises(TypeError, match="copied"):
            copy.copy(thing)


def _enter(guard: captp.Guard[Any], _: Any) -> None:
    with guard:
        raise AssertionError("it was entered")


@pytest.mark.parametrize(
    "give_back",
    [lambda guard, _: guard.release(), _enter, lambda guard, condition: condition.wait(guard)],
    ids=["release", "with", "wait"],
)
async def test_a_guard_is_not_given_back_within_an_access_that_writes(give_back: Any) -> None:
    async with captp.open_vat() as vat:
        box = Box(vat)
        condition = captp.Condition(box.mutex)
        guard = await box.mutex.lock()

        def within(access: captp.Access[Any]) -> int:
            with pytest.raises(captp.Contended, match="give the Mutex back after it"):
                give_back(guard, condition)
            with pytest.raises(captp.Contended, match="1 hold this Mutex and 0 wait"):
                box.mutex.destroy()
            return box.add(access, 1)

        assert guard.access(within) == 1
        guard.release()
        assert box.mutex.destroy().access(box.add, 1)[0] == 2


async def test_a_vat_that_has_ended_lets_nobody_in() -> None:
    async with captp.open_vat() as vat:
        box, guard = await _held(vat)
        waiting = box.mutex.lock()
    guard.release()

    assert "held" not in repr(box.mutex._line.dump())
    assert box.mutex.destroy().access(box.add)[0] == 1
    del waiting
