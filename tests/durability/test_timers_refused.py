"""Timed calls that are refused: by what was asked for, for want of room, or by their object."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.peer.durable import stored, timers
from tests.durability.memory_store import MemoryStore
from tests.durability.test_survey import surveyed
from tests.durability.test_timers import LONG, SOON, Auction, opened, shown


async def test_a_call_that_is_refused_is_logged_and_made_again_at_the_next_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def made(*, has_close: bool) -> type[captp.Object]:
        async def shut(self: Any) -> None: ...

        def close(self: Any) -> None:
            self.bids += 1

        def call(self: Any, seconds: float) -> None:
            captp.later(seconds, self.close)

        body = {"__annotations__": {"bids": "int"}, "bids": 0, "call": captp.method(call)}
        if has_close:
            body["close"] = captp.method(close)
        return type(captp.Object)("Auction", (captp.Object,), body, kind="timers:Auction")

    store = MemoryStore()
    whole, without = made(has_close=True), made(has_close=False)
    captp.model.object.KINDS["timers:Auction"] = whole  # type: ignore[attr-defined]
    async with opened(store) as vat:
        await E(vat.root("auction", whole)).call(SOON)
    captp.model.object.KINDS["timers:Auction"] = without  # type: ignore[attr-defined]
    with caplog.at_level(logging.ERROR, "captp"):
        async with opened(store) as vat:
            with trio.fail_after(10):
                while "timed call refused" not in caplog.text:
                    await trio.sleep(0.002)
    assert len(store.tables["timer"]) == 1
    captp.model.object.KINDS["timers:Auction"] = whole  # type: ignore[attr-defined]
    async with opened(store) as vat:
        with trio.fail_after(10):
            while store.tables["timer"]:
                await trio.sleep(0.002)


async def test_on_a_full_disk_a_timed_call_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "AGAIN_S", SOON)
    async with opened(MemoryStore()) as vat:
        trustee: Any = vat.peer.vat.trustee
        auction = vat.root("auction", Auction)
        await E(auction).open(SOON)
        trustee.has_room = False
        await trio.sleep(4 * SOON)
        assert await E(auction).shown() == ()
        trustee.has_room = True
        assert await shown(auction, 1) == (("sold", 3),)


async def test_so_many_timers_wait_and_no_more() -> None:
    async with opened(MemoryStore(), timers=3) as vat:
        auction = vat.root("auction", Auction)
        await E(auction).many(2)
        await E(auction).call(LONG, "refuse")
        assert len(vat.peer.timers.waiting) == 3
        await E(auction).call(LONG, "refuse")
        with trio.fail_after(10), pytest.raises(captp.Overloaded, match="timers-full: 3 timers"):
            await E(auction).answered()


@pytest.mark.parametrize("is_durable", [True, False])
async def test_only_a_def_method_of_an_own_object_is_called_later(is_durable: bool) -> None:
    opening: Any = opened(MemoryStore()) if is_durable else captp.open_vat()
    async with opening as vat:
        auction = E(vat.export(Auction()))
        await auction.grow()
        with pytest.raises(captp.RemoteFault, match="async"):
            await auction.call(SOON, "wait")
        wrong = [auction.call(SOON, "unmarked"), auction.call_other()]
        wrong += [auction.call_it(what) for what in (5, "close", vat.export(Auction()))]
        for call in wrong:
            with pytest.raises(captp.RemoteFault, match="takes a marked method of an object of this vat"):
                await call


async def test_what_has_more_than_state_is_not_called_later_by_a_durable_vat() -> None:
    class Handle(captp.Object):
        __slots__ = ("opened",)

        @captp.method
        def call(self) -> Any:
            return captp.later(SOON, self.close)

        @captp.method
        def close(self) -> int:
            return 5

    async with opened(MemoryStore()) as vat, captp.open_vat() as other:
        with pytest.raises(captp.NotDurable, match="has more than state"):
            await E(vat.export(Handle())).call()
        with trio.fail_after(10):
            assert await E(other.export(Handle())).call() == 5


async def test_a_timed_call_finds_room_at_its_object_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "AGAIN_S", SOON)
    async with opened(MemoryStore(), latch_queue=5) as vat:
        auction = E(vat.root("auction", Auction))
        await auction.open(SOON)
        busy, flood = auction.busy(), [auction.answered() for _ in range(5)]
        with trio.fail_after(10):
            await busy
            for call in flood:
                await call
        assert await shown(vat.root("auction", Auction), 1) == (("sold", 3),)


async def test_the_promise_of_a_call_that_is_refused_stays_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).call(10 * SOON, "refuse")
    async with opened(store) as vat:
        with monkeypatch.context() as patch:
            patch.delitem(Auction._captp_rows, "refuse")
            with trio.fail_after(10), pytest.raises(captp.NoSuchMethod):
                await E(vat.root("auction", Auction)).answered()
    for _ in range(2):
        async with opened(store) as vat:
            with pytest.raises(captp.NoSuchMethod):
                await E(vat.root("auction", Auction)).answered()
            with trio.fail_after(10):
                while store.tables["timer"]:
                    await trio.sleep(0.002)
    assert surveyed(store).problems == []


async def test_the_disk_may_be_full_when_the_object_of_a_timed_call_has_been_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("auction", Auction)).open(SOON)
    await trio.sleep(2 * SOON)
    of_old, read = stored.Stored.loaded, []

    def loaded(self: Any, *args: Any) -> None:
        self._trustee.has_room = False
        of_old(self, *args)
        read.append(args)

    with monkeypatch.context() as patch:
        patch.setattr(stored.Stored, "loaded", loaded)
        async with opened(store) as vat:
            with trio.fail_after(10):
                while not read:
                    await trio.sleep(0.002)
                await trio.sleep(0.01)
    async with opened(store) as vat:
        assert await shown(vat.root("auction", Auction), 1) == (("sold", 3),)
