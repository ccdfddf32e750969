"""Timed calls run exactly once, whenever the vat stops, and at their time."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio

import captp
from captp import E
from tests.durability.memory_store import MemoryStore
from tests.durability.test_survey import surveyed

KEY = captp.PrivateKey.from_seed(b"s" * 32)
#: Seconds that are over soon, and such that are not over while a test runs.
SOON, LONG = 0.02, 3600.0


class Closing(captp.Interface):
    @captp.method
    def close(self, why: str, by: int) -> str: ...


class Auction(captp.Object, Closing):
    bids: captp.List[Any]
    other: Closing | None = None
    answer: captp.Promise[Any] | None = None

    @captp.method
    def open(self, seconds: float) -> None:
        captp.later(seconds, self.close, "sold", by=3)

    @captp.method
    def close(self, why: str, by: int) -> str:
        self.bids.append((why, by))
        return why

    @captp.method
    def shown(self) -> Any:
        return tuple(self.bids)

    @captp.method
    def answered(self) -> Any:
        return self.answer

    @captp.method
    def refuse(self) -> None:
        self.bids.append("refused")
        raise captp.Refused("no")

    @captp.method
    def pend(self) -> Any:
        self.bids.append("pends")
        return captp.sleep(LONG)

    @captp.method
    def take(self, what: Any) -> None: ...

    @captp.method
    def rest_and_pass_on(self) -> None:
        self.answer = captp.sleep(5 * SOON)
        captp.later(10 * SOON, self.take, self.answer)

    @captp.method(latch=True)
    async def busy(self) -> None:
        await captp.sleep(4 * SOON)

    @captp.method
    def rest(self, seconds: float) -> None:
        self.answer = captp.sleep(seconds)

    @captp.method
    async def wait(self) -> None: ...

    def unmarked(self) -> None: ...

    @captp.method
    def call(self, seconds: float, method: str) -> None:
        self.answer = captp.later(seconds, getattr(self, method))

    @captp.method
    def call_it(self, what: Any) -> Any:
        return captp.later(SOON, what)

    @captp.method
    def call_other(self) -> Any:
        assert self.other is not None
        return captp.later(SOON, self.other.close, "other", by=1)

    @captp.method
    def grow(self) -> None:
        self.other = Auction()

    @captp.method
    def close_other(self, seconds: float) -> None:
        captp.later(seconds, captp.near(self.other, Auction).close, "other", by=2)

    @captp.method
    def look(self) -> None:
        self.bids.append(len(captp.near(self.other, Auction).bids))

    @captp.method
    def others(self) -> Closing | None:
        return self.other

    @captp.method
    def many(self, count: int) -> None:
        for number in range(count):
            captp.later(LONG, self.close, "many", number)

    @captp.method
    def in_order(self) -> None:
        for seconds in (2, 1, 2, 1):
            captp.later(seconds * SOON, self.close, "timed", seconds)


def opened(store: MemoryStore, **limits: Any) -> Any:
    return captp.open_vat(key=KEY, store=store, limits=captp.Limits(**limits))


async def shown(auction: Any, count: int) -> Any:
    """Return the bids, once there are so many."""
    with trio.fail_after(10):
        while len(bids := await E(auction).shown()) < count:
            await trio.sleep(0.002)
    return bids


async def test_a_timed_call_runs_in_the_run_that_made_it_and_is_forgotten() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        auction = vat.root("auction", Auction)
        await E(auction).open(SOON)
        assert await shown(auction, 1) == (("sold", 3),)
        vat.peer.check()
    assert not store.tables["timer"]
    assert not [key for key in store.tables["edge"] if key.startswith(b"t")]


async def test_a_timed_call_whose_time_came_meanwhile_runs_once_at_the_start() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).open(SOON)
        assert len(store.tables["timer"]) == 1
    assert surveyed(store).problems == []
    await trio.sleep(2 * SOON)
    for _ in range(2):
        async with opened(store) as vat:
            assert await shown(vat.root("auction", Auction), 1) == (("sold", 3),)
    assert not store.tables["timer"]


async def test_a_timed_call_waits_for_the_rest_of_its_time() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).open(LONG)
    async with opened(store) as vat:
        (at, _, _), *none = vat.peer.timers.waiting
        assert not none
        assert LONG - 60 < at - trio.current_time() <= LONG
        assert await E(vat.root("auction", Auction)).shown() == ()


async def test_a_wall_clock_that_was_set_back_makes_nobody_wait_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).open(SOON)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 10 * 365 * 86_400)
    async with opened(store) as vat:
        assert await shown(vat.root("auction", Auction), 1) == (("sold", 3),)


async def test_timed_calls_come_in_the_order_of_their_times_and_then_of_their_making() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).in_order()
    async with opened(store) as vat:
        bids = await shown(vat.root("auction", Auction), 4)
    assert bids == tuple(("timed", seconds) for seconds in (1, 1, 2, 2))


async def test_a_call_that_is_killed_between_its_time_and_its_commit_comes_again() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).open(SOON)
        before = {name: dict(rows) for name, rows in store.tables.items()}
        await shown(vat.root("auction", Auction), 1)
        done = {name: dict(rows) for name, rows in store.tables.items()}
    for tables in (before, done):
        again = MemoryStore()
        again.tables = tables
        async with opened(again) as vat:
            assert await shown(vat.root("auction", Auction), 1) == (("sold", 3),)
        assert not again.tables["timer"]


async def test_a_timed_call_that_raises_is_rolled_back_and_is_not_made_again() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).call(SOON, "refuse")
        with pytest.raises(captp.Refused):
            await E(vat.root("auction", Auction)).answered()
    assert not store.tables["timer"]
    async with opened(store) as vat:
        with pytest.raises(captp.Refused, match="no"):
            await E(vat.root("auction", Auction)).answered()
        assert await E(vat.root("auction", Auction)).shown() == ()


async def test_a_result_that_was_not_there_when_the_vat_stopped_is_lost() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).call(SOON, "pend")
        await shown(vat.root("auction", Auction), 1)
    for _ in range(2):
        async with opened(store) as vat:
            with pytest.raises(captp.Disconnected, match="is lost"):
                await E(vat.root("auction", Auction)).answered()
            assert await E(vat.root("auction", Auction)).shown() == ("pends",)


async def test_a_sleep_in_state_goes_on_after_a_restart() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).rest(10 * SOON)
        assert len(store.tables["timer"]) == 1
    async with opened(store) as vat:
        with trio.fail_after(10):
            assert await E(vat.root("auction", Auction)).answered() is None
        assert not store.tables["timer"]
    async with opened(store) as vat:
        assert await E(vat.root("auction", Auction)).answered() is None
    assert surveyed(store).problems == []


async def test_a_sleep_that_is_not_in_state_is_not_stored() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        before = len(store.commits)
        called = E(vat.root("auction", Auction)).pend()
        await shown(vat.root("auction", Auction), 1)
        assert not called.settled
        assert all(change.table != "timer" for commit in store.commits[before:] for change in commit)


async def test_a_timed_call_keeps_its_object_and_reads_it_when_its_time_comes() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).grow()
        await E(vat.root("auction", Auction)).close_other(10 * SOON)
    async with opened(store, objects_in_memory=1) as vat:
        # Nothing of it is in memory when its time comes.
        with trio.fail_after(10):
            while store.tables["timer"]:
                await trio.sleep(0.002)
        other = await E(vat.root("auction", Auction)).others()
        assert await E(other).shown() == (("other", 2),)


async def test_a_timed_call_that_looks_into_what_is_not_in_memory_runs_once() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).grow()
        await E(vat.root("auction", Auction)).call(SOON, "look")
    async with opened(store) as vat:
        assert await shown(vat.root("auction", Auction), 1) == (0,)
    assert not store.tables["timer"]
    async with opened(store) as vat:
        assert await E(vat.root("auction", Auction)).shown() == (0,)


async def test_a_vat_that_is_not_durable_makes_timed_calls_too() -> None:
    async with captp.open_vat() as vat:
        auction = vat.export(Auction())
        await E(auction).open(SOON)
        assert await shown(auction, 1) == (("sold", 3),)
        await E(auction).call(SOON, "refuse")
        with pytest.raises(captp.Refused):
            await E(auction).answered()
        assert not vat.peer.timers.waiting


async def test_a_promise_is_in_state_and_in_the_arguments_of_a_timed_call() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).rest_and_pass_on()
    for _ in range(2):
        async with opened(store) as vat:
            with trio.fail_after(10):
                assert await E(vat.root("auction", Auction)).answered() is None
                while store.tables["timer"]:
                    await trio.sleep(0.002)
