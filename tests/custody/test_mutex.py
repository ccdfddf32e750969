"""Mutexes: one holder at a time in order, whoever is cancelled, forgets, fails or is undone."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Capsule, Data, Mutex
from captp.run.live import LiveVat
from tests.custody.lock_model import walk
from tests.support import Solo, outcome


class Stock(captp.Brand):
    """Names the capsules of these tests."""


class Count(captp.Object):
    n: int = 0


class Odd(Exception):
    """Stays in its capsule."""


class Box:
    """A mutex over a capsule with one counter in it."""

    def __init__(self, vat: Any, **options: Any) -> None:
        key = Capsule.create(Stock)
        self.count, self.key = key.access(lambda access: Data.wrap(access, Count()))
        self.mutex = Mutex(self.key, vat, **options)

    def add(self, access: Any, by: int = 1) -> int:
        count = self.count.unwrap(access)
        count.n += by
        n: int = count.n
        return n

    def add_and_fail(self, access: Any) -> None:
        self.add(access)
        raise Odd

    def check(self) -> None:
        """Nobody holds it or waits, once whatever was dropped has been looked at."""
        line = self.mutex._line
        line.check()
        assert ([*line.held], [*line.waiting]) == ([], [])


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


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
        with pytest.warns(captp.AliasedKey, match=r"used by Mutex\(\) at test_mutex.py"):
            value, _ = box.key.access(lambda access: box.count.unwrap(access).n)
        assert value == 6


class Adder(captp.Object):
    """Adds in its fibers."""

    @captp.method
    async def add(self, number: int) -> int:
        box = BOXES[number]
        with await box.mutex.lock() as guard:
            before = guard.access(box.add, 0)
            await captp.sleep(0)
            return guard.access(box.add, before + 1 - guard.access(box.add, 0))

    @captp.method
    async def add_in_time(self, number: int, seconds: float) -> int:
        box = BOXES[number]
        with await captp.within(seconds, box.mutex.lock()) as guard:
            return guard.access(box.add)

    @captp.method
    async def fail(self, number: int, how: str) -> str:
        box = BOXES[number]
        guard = await box.mutex.lock()
        if how == "later":
            guard.access(box.add)
            await captp.sleep(0)
        if how == "caught":
            with pytest.raises(captp.Encapsulated):
                guard.access(box.add_and_fail)
            return "caught"
        if how == "in finally":
            try:
                guard.access(box.add_and_fail)
            finally:
                guard.release()
        with guard:
            guard.access(box.add_and_fail)
        return "never"

    @captp.method
    def make(self) -> int:
        BOXES.append(Box(None))
        return len(BOXES) - 1


BOXES: list[Box] = []


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


@pytest.mark.parametrize("how", ["access", "block"])
async def test_what_is_raised_poisons_whoever_waits_and_whoever_comes(how: str) -> None:
    async with captp.open_vat() as vat:
        box = Box(vat)
        guard, waiting = await box.mutex.lock(), box.mutex.lock()
        if how == "access":
            with pytest.raises(captp.Encapsulated), guard:
                guard.access(box.add_and_fail)
        else:
            with pytest.raises(Odd), guard:
                raise Odd

        for promise in (waiting, box.mutex.lock()):
            with pytest.raises(captp.Poisoned, match="heal"):
                await promise
        with pytest.raises(captp.Poisoned):
            box.mutex.destroy()
        box.mutex.heal()
        (await box.mutex.lock()).release()
        box.check()
        assert box.mutex.destroy().access(box.add, 0)[0] == (1 if how == "access" else 0)


async def test_poison_vs_rollback() -> None:
    async with captp.open_vat() as vat:
        adder = vat.export(Adder())

        async def after(how: str) -> tuple[int, str]:
            """Let a fiber fail; return what is in the capsule then, and whether the mutex is poisoned."""
            box = BOXES[number := await adder.make()]
            try:
                await adder.fail(number, how)
            except captp.Encapsulated:
                assert how != "caught"
            gc.collect()
            await settle()
            state = repr(box.mutex).split()[-1][:-1]
            box.mutex.heal()
            with trio.fail_after(5):
                guard = await box.mutex.lock()
            n = guard.access(box.add, 0)
            guard.release()
            box.check()
            return n, state

        # The turn is undone, with what it wrote and with the poison.
        assert await after("in a block") == (0, "open")
        assert await after("in finally") == (0, "open")
        # The turn commits, half done.
        assert await after("caught") == (1, "poisoned")
        # What the step before wrote is committed, and the step that fails is undone.
        assert await after("later") == (1, "poisoned")


async def test_what_a_failed_turn_did_with_the_lock_is_undone() -> None:
    solo = Solo()
    box = Box(solo.vat)
    guard = outcome(box.mutex.lock())
    waiting = box.mutex.lock()
    others: list[Any] = []

    def fails() -> None:
        guard.release()
        others.append(box.mutex.lock())
        raise Odd

    with pytest.raises(Odd):
        solo.turn(fails)
    assert "held" in repr(guard)
    assert not waiting.settled
    assert len(box.mutex._line.waiting) == 1

    def destroys() -> None:
        guard.release()
        box.mutex._line.waiting.clear()
        others.append(box.mutex.destroy())
        raise Odd

    del waiting
    with pytest.raises(Odd):
        solo.turn(destroys)
    with pytest.raises(captp.Contended, match="used by a turn that failed"):
        others[-1].access(box.add)
    assert guard.access(box.add) == 1
    guard.release()
    assert box.mutex.destroy().access(box.add)[0] == 2


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
