"""A sweep while what it deletes is still in memory, held by pins alone."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
import trio

import captp
from captp.peer.durable import stored
from captp.run.live import LiveVat
from captp.run.sweeper import Sweeper
from tests.durability.memory_store import MemoryStore
from tests.durability.test_sweep import KEY, eventually, swift

__all__ = ["swift"]


class Live(captp.Object):
    other: Any = None
    pending: Any = None

    @captp.method
    def put(self, other: Any, pending: Any) -> None:
        self.other, self.pending = other, pending

    @captp.method
    def grow(self) -> Any:
        self.other = Live()
        return self.other

    @captp.method
    def ping(self) -> int:
        return 1


async def test_what_was_swept_and_is_still_in_memory_is_not_given_back() -> None:
    store, limits = MemoryStore(), captp.Limits(objects_in_memory=1)
    cycles = captp.Cycles(tick=1000.0)
    async with captp.open_vat(key=KEY, store=store, limits=limits, cycles=cycles) as vat:
        root = captp.E(vat.root("root", Live))
        promise, _ = vat.promise()
        one = await root.grow()
        other = await captp.E(one).grow()
        await captp.E(other).put(one, promise)
        await captp.E(one).put(other, promise)
        await root.put(None, None)
        gc.disable()
        try:
            del one, other
            await eventually(lambda: store.count("object") == 1)
            for _ in range(20):
                assert await root.ping() == 1
                await trio.sleep(0.005)
        finally:
            gc.enable()


async def test_a_promise_that_settles_when_its_object_was_just_swept_is_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swept, go_on, step = threading.Event(), threading.Event(), Sweeper.step

    def slow(self: Sweeper, rows: int) -> bool:
        more = step(self, rows)
        if self.freed and not swept.is_set():
            swept.set()
            go_on.wait(10)
        return more

    monkeypatch.setattr(Sweeper, "step", slow)
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        root = captp.E(vat.root("root", Live))
        promise, resolver = vat.promise()
        one = await root.grow()
        await captp.E(one).put(None, promise)
        await root.put(None, None)
        del one
        await eventually(swept.is_set)
        resolver.fulfill(5)
        await promise_is_looked_at(vat)
        go_on.set()
        assert await root.ping() == 1
        await eventually(lambda: store.count("object") == 1)


async def promise_is_looked_at(vat: LiveVat) -> None:
    """Wait until every pinned object was looked at twice: settled promises are looked for in each beat."""
    looks, look = [], stored.Pins.settled

    def counted(self: Any) -> Any:
        looks.append(1)
        return look(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored.Pins, "settled", counted)
        await eventually(lambda: len(looks) >= 4)
