"""Nothing is seen outside a durable vat's turns before what caused it is stored."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
import trio

import captp
from captp.net.memory import MemoryNetwork
from captp.run import gate
from captp.run.live import LiveVat
from captp.run.store import Change
from tests.durability.memory_store import MemoryStore

KEY = captp.PrivateKey.from_seed(b"g" * 32)


class Counter(captp.Interface):
    @captp.method
    def add(self, number: int) -> int: ...

    @captp.method
    def get(self) -> int: ...

    @captp.method
    def add_outside(self, number: int) -> None: ...


class TheCounter(captp.Object, Counter):
    total: int = 0

    @captp.method
    def add(self, number: int) -> int:
        self.total += number
        return self.total

    @captp.method
    def get(self) -> int:
        return self.total

    @captp.method
    def add_outside(self, number: int) -> None:
        self.total += number
        captp.outside(seen.append, self.total)


seen: list[int] = []


class SlowStore(MemoryStore):
    """Its commits wait while ``go`` is cleared."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def commit(self, changes: Sequence[Change]) -> None:
        assert self.go.wait(10)
        super().commit(changes)


@pytest.fixture
async def store() -> SlowStore:
    return SlowStore()


async def settle() -> None:
    """Let everything run that can: the store's thread has no more to do than to wait."""
    for _ in range(20):
        await trio.sleep(0.001)


async def open_counter(vat: LiveVat) -> Any:
    counter = vat.root("counter", TheCounter)
    await counter.add(1)
    return counter


async def test_a_result_waits_for_the_disk_and_so_does_whatever_saw_it(store: SlowStore) -> None:
    done: list[str] = []

    async def waits(name: str, promise: Any) -> None:
        await promise
        done.append(name)

    async with captp.open_vat(key=KEY, store=store) as vat, trio.open_nursery() as nursery:
        counter = await open_counter(vat)
        other = vat.export(TheCounter())
        store.go.clear()
        nursery.start_soon(waits, "write", counter.add(1))
        await settle()
        early = counter.get()
        nursery.start_soon(waits, "read", early)
        nursery.start_soon(waits, "another object", other.get())
        await settle()
        # It is settled in memory by now.
        nursery.start_soon(waits, "read again", early)
        await settle()
        before = list(done)
        store.go.set()

    assert before == []
    assert sorted(done) == ["another object", "read", "read again", "write"]


async def test_no_byte_leaves_before_the_disk_has_it(store: SlowStore) -> None:
    network = MemoryNetwork()
    layer = network.netlayer(KEY.public.designator)
    async with captp.open_vat(key=KEY, store=store, listen=[layer]) as vat:
        sturdyref = vat.mint(await open_counter(vat))
        client = captp.PrivateKey.from_seed(b"c" * 32)
        dialling = network.netlayer(client.public.designator)
        async with captp.open_vat(key=client, netlayers=[dialling]) as there:
            counter = there.enliven(sturdyref, Counter)
            assert await counter.get() == 1
            store.go.clear()
            promise = counter.add(1)
            await settle()
            before = promise.settled
            store.go.set()

            assert await promise == 2

    assert not before


async def test_the_outside_world_sees_no_turn_that_is_not_stored(store: SlowStore) -> None:
    seen.clear()
    async with captp.open_vat(key=KEY, store=store) as vat:
        counter = await open_counter(vat)
        store.go.clear()
        counter.add_outside.only(5)
        await settle()
        before = list(seen)
        store.go.set()
        await counter.get()
        await settle()

    assert (before, seen) == ([], [6])


async def test_immediate_calls_are_refused_and_a_handle_waits(store: SlowStore) -> None:
    results: list[int] = []

    def add(counter: TheCounter, number: int) -> int:
        return counter.add(number)

    async with captp.open_vat(key=KEY, store=store) as vat, trio.open_nursery() as nursery:
        counter = await open_counter(vat)
        handle = vat.entrust(TheCounter())
        with pytest.raises(captp.NotNow, match="durable"):
            counter.add.now(1)
        for one in (handle, handle.clone()):
            with pytest.raises(captp.NotNow, match="durable"):
                one.apply_now(add, 1)

        async def applies() -> None:
            results.append(await handle.clone().apply(add, 3))

        store.go.clear()
        counter.add.only(1)
        nursery.start_soon(applies)
        await settle()
        before = list(results)
        store.go.set()

    assert (before, results) == ([], [3])


async def test_what_a_commit_that_fails_was_to_cover_never_leaves(store: SlowStore) -> None:
    network = MemoryNetwork()
    layer = network.netlayer(KEY.public.designator)
    client = captp.PrivateKey.from_seed(b"c" * 32)
    dialling = network.netlayer(client.public.designator)
    async with captp.open_vat(key=client, netlayers=[dialling]) as there:
        with pytest.raises(captp.StoreFailed, match="the disk"):  # noqa: PT012
            async with captp.open_vat(key=KEY, store=store, listen=[layer]) as vat:
                counter = there.enliven(vat.mint(await open_counter(vat)), Counter)
                assert await counter.get() == 1
                store.refuse = captp.StoreFailed("the disk is gone")
                promise = counter.add(1)
                await trio.sleep_forever()
        with pytest.raises(captp.Disconnected):
            await promise

    assert not store.is_open
    store.refuse = None
    async with captp.open_vat(key=KEY, store=store) as vat:
        assert await vat.root("counter", TheCounter).get() == 1


async def test_a_full_disk_refuses_writes_and_lets_reads_live_until_there_is_room(store: SlowStore) -> None:
    class Full(SlowStore):
        room = True

        def has_room(self) -> bool:
            return self.room

    full = Full()
    async with captp.open_vat(key=KEY, store=full) as vat:
        counter = await open_counter(vat)
        full.room = False
        await counter.add(1)
        await settle()
        with pytest.raises(captp.Overloaded, match="storage-full"):
            await counter.add(1)
        assert await counter.get() == 2
        full.room = True
        with trio.fail_after(5):
            while True:
                try:
                    await counter.add(1)
                except captp.Overloaded:
                    await trio.sleep(0.05)
                else:
                    break
        assert await counter.get() == 3


async def test_a_commit_for_which_there_is_no_room_is_tried_until_there_is(store: SlowStore) -> None:
    async with captp.open_vat(key=KEY, store=store) as vat:
        counter = await open_counter(vat)
        store.refuse = captp.StoreFull("no room")
        promise = counter.add(1)
        await settle()
        before = promise.settled
        with trio.move_on_after(0.3) as scope:
            await promise
        store.refuse = None
        with trio.fail_after(5):
            assert await promise == 2

    assert before
    assert scope.cancelled_caught


async def test_a_sturdyref_is_not_waited_for_while_the_disk_is_full(store: SlowStore) -> None:
    layer = MemoryNetwork().netlayer(KEY.public.designator)
    async with captp.open_vat(key=KEY, store=store, listen=[layer]) as vat:
        counter = await open_counter(vat)
        store.refuse = captp.StoreFull("no room")
        with pytest.raises(captp.StoreFull, match="make room"):
            vat.mint(counter)
        store.refuse = None
        minted = None
        with trio.fail_after(10):
            # Whether there is room again is looked at now and then.
            while minted is None:
                with suppress(captp.StoreFull):
                    minted = vat.mint(counter)
                await trio.sleep(0)
        assert minted.reveal()


async def test_a_vat_whose_disk_is_slow_runs_no_further_than_the_gate_holds(
    store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MOST_BYTES", 10_000)
    async with captp.open_vat(key=KEY, store=store) as vat:
        counter = await open_counter(vat)
        store.go.clear()
        promises = []
        for _ in range(200):
            promises.append(counter.add(1))
            await trio.sleep(0)
        await settle()
        run = vat.peer.vat.turns.count
        store.go.set()
        for promise in promises:
            await promise
        assert await counter.get() == 201

    assert run < 60


async def test_objects_that_are_read_do_not_part_commits(store: SlowStore) -> None:
    names = [f"cold {number}" for number in range(8)]
    async with captp.open_vat(key=KEY, store=store) as vat:
        for number, name in enumerate(names):
            await vat.root(name, TheCounter).add(number)
    async with captp.open_vat(key=KEY, store=store) as vat:
        counter = await open_counter(vat)
        before = len(store.commits)
        store.go.clear()
        writes, reads = [counter.add(1)], []
        await settle()
        for name in names:
            reads.append(vat.root(name, TheCounter).get())
            await settle()
            writes.append(counter.add(1))
            await settle()
        store.go.set()

        assert [await promise for promise in reads] == list(range(8))
        assert [await promise for promise in writes] == list(range(2, 11))
        # The one that the disk was busy with, and the others together.
        assert len(store.commits) - before == 2


async def test_opening_without_the_key_or_with_another_is_refused(store: SlowStore) -> None:
    with pytest.raises(captp.UsageError, match="key="):
        async with captp.open_vat(store=store):
            pass
    async with captp.open_vat(key=KEY, store=store) as vat:
        await open_counter(vat)
    with pytest.raises(captp.StoreDamaged, match="another key"):
        async with captp.open_vat(key=captp.PrivateKey.from_seed(b"x" * 32), store=store):
            pass
    assert not store.is_open
    async with captp.open_vat(key=KEY, store=store) as vat:
        assert await vat.root("counter", TheCounter).get() == 1
