"""Conditions: holders who wait without their mutex until somebody has changed what it guards."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Capsule, Condition, Data, Mutex
from tests.custody.lock_model import walk
from tests.custody.test_passwords import in_thread
from tests.support import Solo, outcome


class Shelf(captp.Object):
    items: captp.List[int]


class Store:
    """Items that some put and others take, when there are any."""

    def __init__(self, vat: Any = None) -> None:
        self.shelf, key = Capsule.create().access(lambda access: Data.wrap(access, Shelf()))
        self.mutex = Mutex(key, vat)
        self.condition = Condition(self.mutex)

    def put(self, access: Any, item: int) -> None:
        self.shelf.unwrap(access).items.append(item)

    def has_some(self, access: Any) -> bool:
        return bool(self.shelf.unwrap(access).items)

    def take(self, access: Any) -> int:
        item: int = self.shelf.unwrap(access).items.pop(0)
        return item

    async def taken(self) -> int:
        guard = await self.mutex.lock()
        while not guard.access(self.has_some):
            guard = await self.condition.wait(guard)
        with guard:
            return guard.access(self.take)

    async def given(self, item: int) -> None:
        with await self.mutex.lock() as guard:
            guard.access(self.put, item)
            self.condition.notify()


STORES: list[Store] = []


class Clerk(captp.Object):
    @captp.method
    def open(self) -> int:
        STORES.append(Store())
        return len(STORES) - 1

    @captp.method(latch=False)
    async def take(self, number: int) -> int:
        return await STORES[number].taken()

    @captp.method(latch=False)
    async def put(self, number: int, item: int) -> None:
        await STORES[number].given(item)


@pytest.mark.parametrize("seed", range(15))
def test_a_random_walk_agrees_with_the_model(seed: int) -> None:
    walk(seed, has_condition=True)


async def test_tasks_and_fibers_take_what_others_put() -> None:
    taken: list[int] = []

    async def takes(store: Store) -> None:
        for _ in range(10):
            taken.append(await store.taken())

    async def puts(store: Store, first: int) -> None:
        for i in range(10):
            await store.given(first + i)
            await trio.sleep(0)

    async with captp.open_vat() as vat:
        clerk = vat.export(Clerk())
        number = await clerk.open()
        store = STORES[number]
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(takes, store)
                nursery.start_soon(takes, store)
                promises = [clerk.take(number) for _ in range(10)]
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(puts, store, 0)
                nursery.start_soon(puts, store, 10)
                for item in range(20, 30):
                    await clerk.put(number, item)
            taken += [await promise for promise in promises]

        assert sorted(taken) == list(range(30))
        store.mutex._line.check()
        store.mutex.destroy()


def test_those_who_wait_are_notified_in_order_and_get_the_mutex_one_by_one() -> None:
    solo = Solo()
    store = Store(solo.vat)
    waiting = [store.condition.wait(outcome(store.mutex.lock())) for _ in range(4)]
    first = outcome(store.mutex.lock())
    store.condition.notify(2)
    store.condition.notify(0)
    late = store.mutex.lock()

    def there() -> list[int]:
        solo.run()
        store.mutex._line.check()
        return [i for i, promise in enumerate(waiting) if promise.settled]

    assert there() == [], "who notifies holds the mutex still"
    first.release()
    assert there() == [0]
    outcome(waiting[0]).release()
    assert there() == [0, 1]
    outcome(waiting[1]).release()
    assert there() == [0, 1]
    assert late.settled
    store.condition.notify_all()
    outcome(late).release()
    assert there() == [0, 1, 2]


def test_a_notification_goes_to_one_who_still_waits() -> None:
    solo = Solo()
    store = Store(solo.vat)
    waiting = [store.condition.wait(outcome(store.mutex.lock())) for _ in range(3)]
    del waiting[:2]

    store.condition.notify()
    solo.run()

    assert waiting[0].settled


def test_a_turn_that_fails_has_not_waited_and_not_notified() -> None:
    solo = Solo()
    store = Store(solo.vat)
    waiting = store.condition.wait(outcome(store.mutex.lock()))
    guard = outcome(store.mutex.lock())

    kept: list[Any] = []

    def fails() -> None:
        store.condition.notify()
        kept.append(store.condition.wait(guard))
        raise captp.Refused("no")

    with pytest.raises(captp.Refused):
        solo.turn(fails)

    assert "held" in repr(guard)
    assert (waiting.settled, "1 wait" in repr(store.condition)) == (False, True)
    with pytest.raises(captp.Contended, match="1 hold this Mutex and 1 wait"):
        store.mutex.destroy()
    guard.release()
    store.condition.notify()
    solo.run()
    assert waiting.settled


def test_those_who_are_notified_of_a_poisoned_mutex_hear_of_it() -> None:
    solo = Solo()
    store = Store(solo.vat)
    waiting = store.condition.wait(outcome(store.mutex.lock()))
    with pytest.raises(captp.Refused), outcome(store.mutex.lock()):
        raise captp.Refused("no")

    store.condition.notify_all()
    solo.run()

    with pytest.raises(captp.Poisoned):
        outcome(waiting)


def test_as_many_wait_as_it_says_and_one_more_keeps_its_guard() -> None:
    solo = Solo()
    store = Store(solo.vat)
    condition = Condition(store.mutex, waiters=2)
    waiting = [condition.wait(outcome(store.mutex.lock())) for _ in range(2)]
    guard = outcome(store.mutex.lock())

    with pytest.raises(captp.Overloaded, match="2 wait"):
        condition.wait(guard)
    assert guard.access(store.has_some) is False
    del waiting[1]
    waiting.append(condition.wait(guard))

    assert not waiting[1].settled


def test_what_is_no_use_of_a_condition_is_refused() -> None:
    solo = Solo()
    store, other = Store(solo.vat), Store(solo.vat)
    guard = outcome(other.mutex.lock())

    with pytest.raises(captp.UsageError, match="takes a Mutex"):
        Condition(captp.RwLock(Capsule.create(), solo.vat))  # type: ignore[arg-type]
    with pytest.raises(captp.UsageError, match="waiters"):
        Condition(store.mutex, waiters=-1)
    with pytest.raises(captp.UsageError, match="this guard is of Mutex"):
        store.condition.wait(guard)
    with pytest.raises(captp.UsageError, match="notify"):
        store.condition.notify(-1)
    assert isinstance(in_thread(other.condition.notify), captp.Contended)
    guard.release()
    with pytest.raises(captp.Contended, match="given back"):
        other.condition.wait(guard)
