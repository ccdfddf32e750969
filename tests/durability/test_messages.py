"""Durable calls run exactly once, whichever vat ends in between, and in order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.net.memory import MemoryNetwork
from captp.peer.durable.outbox import Outbox
from captp.run.live import LiveVat
from captp.run.store import Store
from tests.durability.memory_store import MemoryStore


class Ledger(captp.Object):
    seen: captp.List[int]

    @captp.method
    def note(self, number: int) -> int:
        self.seen.append(number)
        return len(self.seen)

    @captp.method
    def fail(self, number: int) -> None:
        self.seen.append(number)
        raise captp.Refused(f"not {number}")

    @captp.method
    async def wait(self) -> None:
        await captp.sleep(0.01)

    @captp.method
    def all(self) -> Any:
        return tuple(self.seen)


class Clerk(captp.Object):
    there: captp.SturdyRef | None = None
    sent: int = 0

    @captp.method
    def meet(self, there: captp.SturdyRef) -> None:
        self.there = there

    @captp.method
    def send(self, count: int) -> None:
        assert self.there is not None
        for _ in range(count):
            self.sent += 1
            captp.send_durable(self.there, "note", self.sent)

    @captp.method
    def send_and_fail(self) -> None:
        self.send(1)
        raise captp.Refused("no")

    @captp.method
    def how_many(self) -> int:
        return self.sent


class Host:
    """One durable vat that can be opened again and again at the same address."""

    def __init__(self, net: MemoryNetwork, seed: int) -> None:
        self.key = captp.PrivateKey.from_seed(bytes([seed]) * 32)
        self.store = MemoryStore()
        self._net = net

    def open(self, store: Store | None = None, **settings: Any) -> Any:
        layer = self._net.netlayer(self.key.public.designator)
        return captp.open_vat(key=self.key, store=store or self.store, listen=[layer], **settings)


@pytest.fixture
def hosts() -> tuple[Host, Host]:
    net = MemoryNetwork()
    return Host(net, 1), Host(net, 2)


async def eventually(ask: Callable[[], Any], wanted: Any) -> None:
    with trio.fail_after(10):
        while await ask() != wanted:
            await trio.sleep(0.005)


def seen(vat: LiveVat) -> Callable[[], Any]:
    return lambda: E(vat.root("ledger", Ledger)).all()


async def test_a_durable_call_is_answered_and_nothing_is_left_of_it(hosts: tuple[Host, Host]) -> None:
    a, b = hosts
    async with b.open() as there, a.open() as here:
        ledger = there.mint(there.root("ledger", Ledger))
        results = [await here.send_durable(ledger, "note", number) for number in (7, 8)]
        with pytest.raises(captp.Refused, match="not 9"):
            await here.send_durable(ledger, "fail", 9)
        with pytest.raises(captp.NoSuchMethod):
            await here.send_durable(ledger, "missing")
        with pytest.raises(captp.NotDurable, match="async"):
            await here.send_durable(ledger, "wait")
        assert await seen(there)() == (7, 8)
        await eventually_empty(b.store, "inbox")

    assert results == [1, 2]
    assert a.store.count("outbox") == 0
    assert b.store.count("inbox") == 0


async def eventually_empty(store: MemoryStore, table: str) -> None:
    async def count() -> int:
        return store.count(table)

    await eventually(count, 0)


async def test_calls_wait_for_a_peer_that_is_not_there_and_outlive_their_vat(
    hosts: tuple[Host, Host],
) -> None:
    a, b = hosts
    async with b.open() as there:
        ledger = there.mint(there.root("ledger", Ledger))
    async with a.open() as here:
        clerk = E(here.root("clerk", Clerk))
        await clerk.meet(ledger)
        await clerk.send(3)
        with pytest.raises(captp.Refused):
            await clerk.send_and_fail()
        assert a.store.count("outbox") == 3
    async with a.open() as here, b.open() as there:
        await E(here.root("clerk", Clerk)).send(2)
        await eventually(seen(there), (1, 2, 3, 4, 5))


@pytest.mark.parametrize("how", ["send_durable", "enliven"])
async def test_a_call_that_waits_for_its_peer_does_not_make_new_ones_wait_as_long(
    hosts: tuple[Host, Host], how: str
) -> None:
    a, b = hosts
    async with b.open() as there:
        ledger = there.mint(there.root("ledger", Ledger))
    async with a.open() as here:
        waiting = here.send_durable(ledger, "note", 1)
        router = here.peer.router
        with trio.fail_after(5):
            while not (attempt := router.attempts.get(ledger.peer.peer)) or not attempt.failures:
                await trio.sleep(0.005)
        # As after many dials that failed.
        attempt.due += 30
        async with b.open():
            with trio.fail_after(5):
                if how == "enliven":
                    await E(await here.enliven(ledger)).all()
                else:
                    assert await here.send_durable(ledger, "note", 2) == 2
                assert await waiting == 1


async def test_a_sender_restored_from_its_old_store_makes_no_call_twice(hosts: tuple[Host, Host]) -> None:
    a, b = hosts
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(b.open())
        ledger = there.mint(there.root("ledger", Ledger))
        async with a.open() as here:
            assert await here.send_durable(ledger, "note", 1) == 1
            before = dict(a.store.tables)
            assert await here.send_durable(ledger, "note", 2) == 2
        a.store.tables = before
        async with a.open() as here:
            with pytest.raises(captp.Broken, match="peer-rolled-back"):
                await here.send_durable(ledger, "note", 3)
            with trio.fail_after(5):
                assert await here.send_durable(ledger, "note", 4) == 3
        assert await seen(there)() == (1, 2, 4)


async def test_a_receiver_restored_from_its_old_store_is_told_and_goes_on(hosts: tuple[Host, Host]) -> None:
    a, b = hosts
    async with a.open() as here:
        async with b.open() as there:
            ledger = there.mint(there.root("ledger", Ledger))
            assert await here.send_durable(ledger, "note", 1) == 1
            before = dict(b.store.tables)
            assert await here.send_durable(ledger, "note", 2) == 2
            assert await here.send_durable(ledger, "note", 3) == 3
        b.store.tables = before
        async with b.open() as there:
            with pytest.raises(captp.Broken, match="peer-rolled-back"):
                await here.send_durable(ledger, "note", 4)
            with trio.fail_after(5):
                assert await here.send_durable(ledger, "note", 5) == 2
            assert await seen(there)() == (1, 5)


@pytest.mark.parametrize("victim", [0, 1], ids=["sender", "receiver"])
async def test_each_call_runs_once_whoever_crashes_when(hosts: tuple[Host, Host], victim: int) -> None:
    """Cut the power at every commit of either side: the store is as it was then."""
    a, b = hosts
    async with b.open() as there:
        ledger = there.mint(there.root("ledger", Ledger))
    async with a.open() as here:
        await E(here.root("clerk", Clerk)).meet(ledger)
    start = (dict(a.store.tables), dict(b.store.tables))
    for at in range(1, 100):
        a.store.tables, b.store.tables = start
        acknowledged: list[int] = []
        is_over = await crashed_at(a, b, hosts[victim], at, acknowledged)
        async with a.open() as here, b.open() as there:
            clerk = E(here.root("clerk", Clerk))
            sent = await clerk.how_many()
            await clerk.send(1)
            assert sent >= len(acknowledged)
            await eventually(seen(there), tuple(range(1, sent + 2)))
            await eventually_empty(a.store, "outbox")
        if is_over:
            break
    assert 3 <= at < 99


async def crashed_at(a: Host, b: Host, victim: Host, at: int, acknowledged: list[int]) -> bool:
    """Run both vats until a commit of one of them fails, its number ``at``; return whether none did."""
    store = victim.store
    left = at

    class Failing(MemoryStore):
        def commit(self, changes: Any) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                raise captp.StoreFailed("the power is gone")
            super().commit(changes)

    failing = Failing()
    failing.tables = store.tables
    try:
        async with (
            a.open(failing if victim is a else None) as here,
            b.open(failing if victim is b else None) as there,
        ):
            clerk = E(here.root("clerk", Clerk))
            for number in range(4):
                await clerk.send(1)
                acknowledged.append(number)
            await eventually(seen(there), (1, 2, 3, 4))
            await eventually_empty(a.store if victim is b else failing, "outbox")
            await eventually_empty(b.store if victim is a else failing, "inbox")
            return True
    except captp.StoreFailed:
        return False
    finally:
        store.tables = failing.tables


async def test_results_are_forgotten_though_what_says_that_they_came_was_lost(
    hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = hosts
    async with there.open() as vat:
        sturdyref = vat.mint(vat.root("ledger", Ledger))
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "_say_done", lambda *_: None)
        async with there.open(), here.open() as vat:
            assert await vat.send_durable(sturdyref, "note", 1) == 1
    assert len(there.store.tables["inbox"]) == 1
    async with there.open(), here.open() as vat:
        # Whatever the session is for.
        await E(vat.enliven(sturdyref)).all()
        with trio.fail_after(10):
            while there.store.tables["inbox"]:
                await trio.sleep(0.002)


async def test_who_says_at_once_that_it_has_a_result_leaves_no_row() -> None:
    here = Host(MemoryNetwork(), 1)
    async with here.open() as vat:
        swiss, stored = vat.mint(vat.root("ledger", Ledger)).swiss, vat.peer.stored
        assert stored is not None
        for number in range(1, 21):
            stored.inbox.came("x" * 52, number, 1, number, (swiss, "note", (number,), None))
            stored.inbox.done("x" * 52, number + 1)
            vat.peer.vat.ring()
            await trio.sleep(0.001)
        assert len(await E(vat.root("ledger", Ledger)).all()) == 20
        assert not here.store.tables["inbox"]
