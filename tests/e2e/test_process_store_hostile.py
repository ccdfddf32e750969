"""What a process says to the store of its trustee harms its own rows alone; and what a store's end means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.errors import BrokenTrustee, StoreDamaged, StoreFailed, StoreFull
from captp.net.seqpacket_socket import PACKET
from captp.peer.durable import records
from captp.peer.outputs import Commit, Sweep
from captp.peer.rows import Change, Verb, packed
from captp.run.live import LiveVat
from captp.run.process import ProcessTrustee
from captp.run.store import Store
from tests.durability.memory_store import MemoryStore
from tests.e2e.process_ledger import Intruder, Ledger
from tests.e2e.process_ledger_parent import KEY

HELD = 7


class FailsOnce(MemoryStore):
    def commit(self, changes: Sequence[Change]) -> None:
        problem, self.refuse = self.refuse, None
        if problem is not None:
            raise problem
        super().commit(changes)


class LowStore(MemoryStore):
    """It takes what is under way, and has no room for more."""

    is_low = False

    def has_room(self) -> bool:
        return not self.is_low


@asynccontextmanager
async def opened(store: Store, **more: Any) -> AsyncIterator[tuple[LiveVat, ProcessTrustee]]:
    classes = [Ledger, Intruder]
    async with (
        captp.open_vat(key=KEY) as vat,
        vat.trustee("process", classes, store=store, turn_s=60, **more) as trustee,
    ):
        yield vat, trustee


def commit(*changes: Change, number: int = 1 << 40, last_oid: int = 1 << 40) -> bytes:
    return records.encoded(Commit(number, list(changes), last_oid))


def framed(*parts: Any) -> bytes:
    record = packed(*parts)
    return len(record).to_bytes(records.LENGTH, "big") + record


OBJECT = Change(Verb.INSERT, "object", (1 << 39).to_bytes(8, "big"), b"body")


SAID = [
    ([framed("rubbish")], "a record that no vat of captp makes"),
    ([b"\0\0\0\x05\xc1\xc1\xc1\xc1\xc1"], "what is no record"),
    ([(records.MOST_RECORD + 1).to_bytes(4, "big")], "a record of 33554433 bytes"),
    ([bytes(PACKET + 1)], f"a packet of {PACKET + 1} bytes"),
    ([commit(OBJECT, number=0)], "commit 0 after"),
    ([commit(Change(Verb.REPLACE, "meta", b"head", b""))], "a row of meta that no vat"),
    ([commit(OBJECT), commit(OBJECT, number=(1 << 40) + 1)], "INSERT after INSERT|INSERT object"),
    ([commit(OBJECT._replace(verb=Verb.REPLACE))], "does not fit what is there: REPLACE object"),
    ([commit(Change(Verb.DELETE, "root", b"nobody"))], "does not fit what is there: DELETE root"),
    ([2 * records.encoded(Sweep(()))], "a sweep before the last one"),
]


@pytest.mark.parametrize(
    ("packets", "words"),
    [SAID[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in SAID[1:])],
    ids=range(len(SAID)),
)
async def test_what_no_vat_says_ends_the_process_and_changes_nothing(
    packets: list[bytes], words: str
) -> None:
    store = MemoryStore()
    async with opened(store) as (vat, trustee):
        bystander = vat.export(Ledger())
        intruder = await trustee.root("intruder", Intruder)
        assert await intruder.apply(Intruder.hold, HELD) == HELD
        with pytest.raises(BrokenTrustee, match=f"was killed: it sent its store .*({words})"):
            await intruder.apply(Intruder.say, packets)
        assert await (await trustee.root("intruder", Intruder)).apply(Intruder.hold, 1) == 1
        assert await E(bystander).pay(3) == 3
        assert trustee.stats().restarts == 1


@pytest.mark.slow
async def test_rows_that_no_next_process_can_read_end_the_trustee_and_not_the_vat() -> None:
    async with opened(MemoryStore()) as (vat, trustee):
        bystander = vat.export(Ledger())
        intruder = await trustee.root("intruder", Intruder)
        rubbish = commit(Change(Verb.INSERT, "timer", bytes(8), b"rubbish"))
        with pytest.raises(BrokenTrustee):
            await intruder.apply(Intruder.say, [rubbish, framed("rubbish")])
        with pytest.raises(
            BrokenTrustee, match="the last one could not read its store: StoreDamaged"
        ) as caught:
            await trustee.root("intruder", Intruder)
        assert await E(bystander).pay(1) == 1

    assert not caught.value.may_have_run


@pytest.mark.slow
async def test_what_turns_may_change_at_once_has_a_limit() -> None:
    async with opened(MemoryStore()) as (_, trustee):
        ledger = await trustee.root("tills", Ledger)
        await ledger.apply(Ledger.write, 1, records.MOST_RECORD // 2)
        with pytest.raises(BrokenTrustee, match=r"a record of .* bytes; expected at most 33554432"):
            await ledger.apply(Ledger.write, 2, records.MOST_RECORD)
        again = await trustee.root("tills", Ledger)
        assert await again.apply(Ledger.page, 1) == records.MOST_RECORD // 2
        with pytest.raises(captp.RemoteFault):
            await again.apply(Ledger.page, 2)


@pytest.mark.slow
async def test_a_process_that_closes_its_storage_socket_is_killed() -> None:
    async with opened(MemoryStore()) as (_, trustee):
        intruder = await trustee.root("intruder", Intruder)
        with pytest.raises(BrokenTrustee, match="was killed: it closed the socket of its store"):
            await intruder.apply(Intruder.hang_up)


@pytest.mark.slow
async def test_a_full_disk_is_waited_for_and_nothing_is_lost() -> None:
    store = MemoryStore()
    async with opened(store) as (_, trustee), trio.open_nursery() as nursery:
        ledger = await trustee.root("tills", Ledger)
        paid: list[int] = []

        async def pay(amount: int) -> None:
            paid.append(await ledger.apply(Ledger.pay, amount))

        store.refuse = StoreFull("the disk is full")
        nursery.start_soon(pay, 2)
        with trio.move_on_after(0.5):
            # It sees what is not stored, and so does not answer.
            await ledger.apply(Ledger.read)
        before = list(paid)
        store.refuse = None
        with trio.fail_after(10):
            while not paid:
                await trio.sleep(0.01)
        assert await ledger.apply(Ledger.read) == (2, 1)

    assert (before, paid) == ([], [2])


@pytest.mark.slow
async def test_without_room_for_more_what_writes_is_refused_and_what_reads_is_answered() -> None:
    store = LowStore()
    async with opened(store) as (_, trustee):
        ledger = await trustee.root("tills", Ledger)
        store.is_low = True
        # The process hears of it with a commit.
        total = 0

        async def pay_on() -> None:
            nonlocal total
            while True:
                total = await ledger.apply(Ledger.pay, 1)

        with pytest.raises(captp.Overloaded, match="storage-full"):
            await pay_on()
        assert await ledger.apply(Ledger.read) == (total, total)
        store.is_low = False
        with trio.fail_after(10):
            while True:
                try:
                    assert await ledger.apply(Ledger.pay, 1) == total + 1
                    break
                except captp.Overloaded:
                    await trio.sleep(0.01)


@pytest.mark.slow
async def test_a_process_that_ends_while_the_disk_is_full_is_followed_by_one_when_there_is_room() -> None:
    store = MemoryStore()
    async with opened(store) as (_, trustee):
        ledger = await trustee.root("tills", Ledger)
        assert await ledger.apply(Ledger.pay, 5) == 5
        store.refuse = StoreFull("the disk is full")
        with pytest.raises(BrokenTrustee):
            await ledger.apply(Ledger.pay_and_die, 1)
        with trio.move_on_after(0.5):
            await trustee.root("tills", Ledger)
        assert trustee.why_broken() == "the disk is full"
        store.refuse = None
        assert await (await trustee.root("tills", Ledger)).apply(Ledger.read) == (5, 1)


async def test_a_store_that_fails_ends_its_trustee_for_good_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where it could be opened again by now: it is not known what is on the disk."""
    store = FailsOnce()
    async with opened(store) as (vat, trustee):
        bystander = vat.export(Ledger())
        ledger = await trustee.root("tills", Ledger)
        assert await ledger.apply(Ledger.pay, 5) == 5
        store.refuse = StoreFailed("the disk is gone")
        with pytest.raises(BrokenTrustee, match="was killed: its store failed: the disk is gone") as caught:
            await ledger.apply(Ledger.pay, 1)
        for call in (trustee.root("tills", Ledger), trustee.entrust_new(Ledger)):
            with pytest.raises(BrokenTrustee, match="no other process is started: the disk is gone") as then:
                await call
            assert not then.value.may_have_run
        assert "the disk is gone" in (trustee.why_broken() or "")
        assert trustee.stats().state == "failed"
        assert await E(bystander).pay(1) == 1
    assert caught.value.may_have_run
    assert [r.captp for r in caplog.records if r.levelname == "ERROR"] == [{"why": "the disk is gone"}]  # type: ignore[attr-defined]
    async with opened(store) as (_, trustee):
        assert await (await trustee.root("tills", Ledger)).apply(Ledger.read) == (5, 1)


@pytest.mark.slow
async def test_a_store_that_cannot_be_opened_is_said_so_at_once_or_ends_the_trustee() -> None:
    store = MemoryStore()
    async with opened(store) as (_, trustee):
        ledger = await trustee.root("tills", Ledger)
        head = store.tables["meta"].pop(b"head")
        with pytest.raises(BrokenTrustee):
            await ledger.apply(Ledger.pay_and_die, 1)
        with pytest.raises(BrokenTrustee, match="the store has rows and no head"):
            await trustee.root("tills", Ledger)
    with pytest.raises(StoreDamaged, match="the store has rows and no head"):
        async with opened(store):
            pass
    assert not store.is_open
    store.tables["meta"][b"head"] = head
    other = captp.PrivateKey.from_seed(b"o" * 32)
    with pytest.raises(StoreDamaged, match="belongs to another key"):
        async with captp.open_vat(key=other) as vat, vat.trustee("process", [Ledger], store=store):
            pass
