"""``__dropped__``, ``release`` and ``hold`` in open vats: handles, threads, and the end of the block."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp.net.tcp import TcpNetlayer

#: What was dropped, and in which thread.
LOG: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


class Item(captp.Interface):
    @captp.method
    def name_of(self) -> str: ...


class Shelf(captp.Interface):
    @captp.method
    def make(self, name: str) -> Item: ...


class Thing(captp.Object, Item):
    name: str

    @captp.method
    def name_of(self) -> str:
        return self.name

    def __dropped__(self) -> None:
        LOG.append((self.name, threading.get_ident()))


class Maker(captp.Object, Shelf):
    @captp.method
    def make(self, name: str) -> Item:
        return Thing(name=name)


async def told(count: int) -> None:
    """Wait until so many were told."""
    with trio.fail_after(5):
        while len(LOG) < count:
            await trio.sleep(0.001)


def told_here() -> list[str]:
    """Return what was dropped, in order; all of it in this thread."""
    assert {thread for _, thread in LOG} <= {threading.get_ident()}
    return [name for name, _ in LOG]


async def test_the_last_handle_of_an_entrusted_object_drops_it() -> None:
    async with captp.open_vat() as vat:
        handle = vat.entrust(Thing(name="x"))
        other = handle.clone()
        handle.drop()
        await trio.testing.wait_all_tasks_blocked()
        assert LOG == []
        other.drop()
        await told(1)

    assert told_here() == ["x"]


async def test_what_goes_in_another_thread_or_in_a_quiet_vat_is_told_in_the_vats_own() -> None:
    async with captp.open_vat() as vat:
        refs = [vat.export(Thing(name="thread"))]
        await trio.to_thread.run_sync(refs.clear)
        await told(1)
        refs.append(vat.export(Thing(name="quiet")))
        await trio.testing.wait_all_tasks_blocked()
        refs.clear()
        await told(2)

    assert told_here() == ["thread", "quiet"]


async def test_the_end_of_the_block_tells_nobody() -> None:
    async with captp.open_vat() as vat:
        refs: list[Any] = [vat.export(Thing(name="held")), vat.entrust(Thing(name="entrusted"))]
        await trio.lowlevel.checkpoint()
    refs.clear()
    gc.collect()

    assert LOG == []


async def test_over_a_connection_release_and_the_end_of_a_held_block_drop_it() -> None:
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as user:
        shelf = await user.enliven(host.mint(Maker()), Shelf)
        first: Any = await shelf.make("first")
        first.release()
        await told(1)
        with pytest.raises(captp.Dropped):
            first.name_of()
        second = await shelf.make("second")
        with user.hold(second) as held:
            del second
            assert await held.name_of() == "second"
        await told(2)

    assert told_here() == ["first", "second"]


async def test_a_client_that_goes_drops_what_it_had() -> None:
    async with captp.open_vat(listen=[TcpNetlayer()]) as host:
        sturdyref = host.mint(Maker())
        async with captp.open_vat() as user:
            shelf = await user.enliven(sturdyref, Shelf)
            item = await shelf.make("x")
            assert await item.name_of() == "x"
        await told(1)

    assert told_here() == ["x"]
