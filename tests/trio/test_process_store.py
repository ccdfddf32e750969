"""How much a process may have its store hold and read, by a socket whose other end is spoken here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from captp.model.idents import Oid
from captp.model.keys import PrivateKey
from captp.net.seqpacket_socket import PACKET, PacketSocket
from captp.peer.durable import records
from captp.peer.durable.records import Loaded, Records, StoredUpTo, Swept, encoded, told
from captp.peer.durable.stored import Image
from captp.peer.outputs import Commit, Load, Sweep
from captp.peer.rows import Change, Verb, packed
from captp.run import gate, process_store
from captp.run.process_store import LARGE, MOST_READS, SHARE, ProcessStore
from captp.run.sealed import ROW_BYTES
from captp.run.store import Store
from tests.durability.memory_store import MemoryStore
from tests.e2e.held_store import HeldStore

KEY = PrivateKey.from_seed(b"s" * 32)


class Far:
    """The process: what it says and hears, and whether it was killed."""

    def __init__(self, storage: ProcessStore) -> None:
        self.gone = trio.Event()
        self.killed: list[str] = []
        self._packets = PacketSocket(storage.theirs.dup())
        self._records = Records()
        self._heard: list[Any] = []

    def kill(self, why: str) -> None:
        self.killed.append(why)
        self.gone.set()

    def say(self, *said: Any) -> None:
        self.send(b"".join(map(encoded, said)))

    def send(self, data: bytes) -> None:
        self._packets.send(data)

    async def send_on(self) -> None:
        while self._packets.pending:
            await trio.lowlevel.wait_writable(self._packets.sock)
            self._packets.push()

    async def hear(self) -> Any:
        while not self._heard:
            await trio.lowlevel.wait_readable(self._packets.sock)
            for record in self._records.feed(self._packets.receive() or b""):
                self._heard.append(told(record))
        return self._heard.pop(0)

    def close(self) -> None:
        self._packets.close()


@asynccontextmanager
async def serving(store: Store, memory_bytes: int = 1 << 30) -> AsyncIterator[tuple[ProcessStore, Far]]:
    storage = await ProcessStore.open(store, KEY, memory_bytes)
    far = Far(storage)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage.serve, far)
            assert isinstance(await far.hear(), Image)
            with trio.fail_after(10):
                yield storage, far
            nursery.cancel_scope.cancel()
    finally:
        await storage.aclose()
        far.close()


def body(oid: int, size: int = 10) -> Change:
    return Change(Verb.INSERT, "object", oid.to_bytes(8, "big"), bytes(size))


async def test_commits_are_told_in_their_order_and_what_was_sent_last_is_stored_all_the_same() -> None:
    store = MemoryStore()
    async with serving(store) as (_, far):
        far.say(*[Commit(n, [body(n)], n) for n in (1, 2, 3)])
        numbers = []
        while numbers[-1:] != [3]:
            numbers.append((await far.hear()).number)
        # Nobody reads this while the process is there.
        far.say(Commit(4, [body(4)], 4))

    assert numbers == [1, 2, 3]
    assert [int.from_bytes(key, "big") for key in store.tables["object"]] == [1, 2, 3, 4]


async def test_a_part_of_a_record_is_nothing() -> None:
    store = MemoryStore()
    async with serving(store) as (_, far):
        far.say(Commit(1, [body(1)], 1))
        assert await far.hear() == StoredUpTo(1)
        far.send(encoded(Commit(2, [body(2)], 2))[:-1])

    assert len(store.tables["object"]) == 1


async def test_what_collects_while_the_disk_is_busy_is_one_commit() -> None:
    store = HeldStore()
    async with serving(store) as (_, far):
        before = len(store.commits)
        store.hold()
        far.say(Commit(1, [body(1)], 1))
        await store.entered()
        far.say(*[Commit(n, [body(n)], n) for n in range(2, 50)])
        await trio.testing.wait_all_tasks_blocked(0.01)
        store.go.set()
        while (await far.hear()).number < 49:
            pass

    assert len(store.commits) - before == 2


@pytest.mark.parametrize("extra", [0, 1])
async def test_so_many_bytes_wait_for_the_disk_and_then_nothing_more_is_read(extra: int) -> None:
    store = HeldStore()
    async with serving(store) as (storage, far):
        store.hold()
        far.say(Commit(1, [body(1, gate.MOST_BYTES - gate.CHANGE_BYTES + extra)], 1))
        await far.send_on()
        await store.entered()
        await trio.testing.wait_all_tasks_blocked(0.01)
        far.say(Commit(2, [body(2)], 2))
        await trio.testing.wait_all_tasks_blocked(0.01)
        waiting = storage._gate._bytes
        is_full = storage._gate.is_full
        store.go.set()
        numbers = [(await far.hear()).number for _ in range(2)]

    first = gate.MOST_BYTES + extra
    assert (waiting, is_full) == ((first, True) if extra else (first + 10 + gate.CHANGE_BYTES, True))
    assert numbers == [1, 2]
    assert len(store.tables["object"]) == 2


@pytest.mark.parametrize("short", [0, 1])
async def test_so_many_bytes_are_read_for_a_process_at_once(short: int) -> None:
    count, size = MOST_READS, 1000
    most = count * (size + ROW_BYTES)
    async with serving(MemoryStore(), SHARE * most - short) as (_, far):
        far.say(Commit(1, [body(n, size) for n in range(1, count + 1)], count))
        assert await far.hear() == StoredUpTo(1)
        far.say(Load(tuple(map(Oid, range(1, count + 1)))))
        if short:
            await far.gone.wait()
        else:
            # And then the next ones.
            far.say(Load(tuple(map(Oid, range(1, count + 1)))))
            loaded = [await far.hear() for _ in range(2 * count)]
            assert [one.oid for one in loaded] == [*range(1, count + 1)] * 2
            assert {one.bundle[one.oid].body for one in loaded} == {bytes(size)}

    words = f"it sent its store for objects of more than {most - 1} bytes at once"
    assert far.killed == ([words] if short else [])


async def test_what_it_does_not_take_is_not_read_on() -> None:
    count = 3 * MOST_READS
    async with serving(MemoryStore()) as (storage, far):
        far.say(*[Commit(n, [body(n, 100_000)], n) for n in range(1, count + 1)])
        await far.send_on()
        while (await far.hear()).number < count:
            pass
        far.say(Load(tuple(map(Oid, range(1, count + 1)))))
        far.say(*[Commit(count + 1, [body(count + 1)], count + 1)])
        await trio.testing.wait_all_tasks_blocked(0.05)
        unsent, waiting = storage._packets.pending, len(storage._wanted)
        heard = [await far.hear() for _ in range(count + 1)]

    assert waiting == count - MOST_READS
    assert unsent <= MOST_READS * 110_000
    assert [type(one) for one in heard] == [Loaded] * count + [StoredUpTo]


async def test_one_high_id_takes_no_memory_for_all_below_it() -> None:
    far_away = records.MOST_ID - 1
    key = far_away.to_bytes(8, "big")
    changes = [
        body(far_away),
        body(far_away - 5),
        Change(Verb.INSERT, "edge", key, (far_away << 1).to_bytes(8, "big")),
        Change(Verb.INSERT, "root", b"far", packed(far_away, 1)),
        Change(Verb.INSERT, "root", b"nowhere", packed(far_away - 1, 1)),
    ]
    store = MemoryStore()
    async with serving(store) as (_, far):
        far.say(Commit(1, changes, far_away), Sweep((far_away - 3,)))
        assert await far.hear() == StoredUpTo(1)
        assert await far.hear() == Swept(1, 1, [], "")

    assert list(store.tables["object"]) == [key]


async def test_a_damaged_object_is_said_to_be_and_the_next_is_read() -> None:
    store = MemoryStore()
    async with serving(store) as (_, far):
        far.say(Commit(1, [body(1), body(2)], 2))
        assert await far.hear() == StoredUpTo(1)
        store.tables["object"][(1).to_bytes(8, "big")] = b"rubbish"
        far.say(Load((Oid(1), Oid(2), Oid(3))))
        loaded = [await far.hear() for _ in range(3)]

    assert [(one.oid, one.bundle is None) for one in loaded] == [(1, True), (2, False), (3, True)]


async def test_what_a_vat_has_to_have_at_once_is_no_more_than_its_process_may_have() -> None:
    store = MemoryStore()
    async with serving(store) as (_, far):
        far.say(Commit(1, [Change(Verb.INSERT, "timer", bytes([n]), bytes(1000)) for n in range(8)], 1))
        assert await far.hear() == StoredUpTo(1)
    most = 8 * (1000 + ROW_BYTES)
    for short in (0, 1):
        if short:
            with pytest.raises(Exception, match="more has to be read at once"):
                await ProcessStore.open(store, KEY, SHARE * most - short)
        else:
            async with serving(store, SHARE * (most + 1000)):
                pass
    assert not store.is_open


def test_a_packet_holds_less_than_a_record_may() -> None:
    assert PACKET < records.MOST_RECORD


async def test_a_large_record_is_not_left_out_when_the_process_is_gone_meanwhile() -> None:
    store = MemoryStore()
    async with serving(store) as (_, far):
        many = [body(n) for n in range(100, 100 + LARGE // 20)]
        far.say(Commit(1, many, 1), Commit(2, [body(1)], 2))
        await far.send_on()

    assert len(store.tables["object"]) == len(many) + 1


async def test_a_sweep_that_is_too_large_is_given_up_and_the_process_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_store, "MOST_SWEPT", 10)
    store = MemoryStore()
    async with serving(store) as (_, far):
        ends = b"".join((n << 20).to_bytes(8, "big") for n in range(1, 20))
        changes = [body(1), Change(Verb.INSERT, "edge", (1).to_bytes(8, "big"), ends)]
        far.say(Commit(1, [*changes, Change(Verb.INSERT, "root", b"a", packed(1, 1))], 1), Sweep(()))
        assert await far.hear() == StoredUpTo(1)
        swept = await far.hear()
        far.say(Commit(2, [body(2)], 2))
        assert await far.hear() == StoredUpTo(2)

    assert (swept.deleted, swept.damage) == (0, "more ids are to be looked at than there may be in memory")
    assert far.killed == []
