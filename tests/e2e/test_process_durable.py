"""What a durable process trustee answered is there again, however its process and its program end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp.errors import BrokenTrustee, UsageError
from captpd.store.sqlite import SqliteStore
from tests.e2e.held_store import HeldStore
from tests.e2e.ledgers import kill, opened
from tests.e2e.process_ledger import Ledger, Shelf
from tests.e2e.process_ledger_parent import KEY


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "ledger.store")


async def test_a_root_is_there_again_in_the_next_process_and_in_the_next_program(store: SqliteStore) -> None:
    async with opened(store) as trustee:
        ledger = await trustee.root("tills", Ledger)
        assert [await ledger.apply(Ledger.pay, n) for n in (1, 2, 3)] == [1, 3, 6]
        first = kill(trustee)
        with pytest.raises(BrokenTrustee, match=f"{first} .*root\\(\\) is there again") as caught:
            await ledger.apply(Ledger.pay, 10)
        again = await trustee.root("tills", Ledger)
        assert await again.apply(Ledger.read) == (6, 3)
        # A handle goes with its process.
        with pytest.raises(BrokenTrustee):
            await ledger.apply(Ledger.read)
        assert await again.apply(Ledger.pay, 4) == 10
        stats = trustee.stats()
    async with opened(store) as trustee:
        assert await (await trustee.root("tills", Ledger)).apply(Ledger.read) == (10, 4)
        assert await (await trustee.root("other", Ledger)).apply(Ledger.read) == (0, 0)

    assert caught.value.may_have_run
    assert (stats.is_durable, stats.restarts) == (True, 1)


async def test_nothing_is_answered_before_it_is_stored_and_stored_it_outlives_the_process() -> None:
    """Killed between commit and answer, a turn is whole in the next process, and nobody was told."""
    store = HeldStore()
    async with opened(store) as trustee, trio.open_nursery() as nursery:
        ledger = await trustee.root("tills", Ledger)
        await ledger.apply(Ledger.pay, 1)
        told: list[Any] = []
        read: list[Any] = []

        async def pay() -> None:
            try:
                told.append(await ledger.apply(Ledger.pay, 2))
            except BrokenTrustee as problem:
                told.append(problem.may_have_run)

        async def look() -> None:
            # It sees what is not stored, so nobody may see it.
            with pytest.raises(BrokenTrustee):
                read.append(await ledger.apply(Ledger.read))

        store.hold()
        nursery.start_soon(pay)
        await store.entered()
        nursery.start_soon(look)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (told, read) == ([], [])
        kill(trustee)
        with trio.move_on_after(0.05):
            # The store is not opened anew before what was sent to it is done.
            await trustee.root("tills", Ledger)
        store.go.set()
        again = await trustee.root("tills", Ledger)
        assert await again.apply(Ledger.read) == (3, 2)

    assert (told, read) == ([True], [])


@pytest.mark.parametrize("method", [Ledger.set_to, Ledger.set_slowly])
async def test_an_idempotent_call_goes_on_to_the_next_process(method: Any) -> None:
    store = HeldStore()
    async with opened(store) as trustee, trio.open_nursery() as nursery:
        ledger = await trustee.root("tills", Ledger)
        ran_in: list[int] = []

        async def set_to() -> None:
            ran_in.append(await ledger.apply(method, 9))

        store.hold()
        nursery.start_soon(set_to)
        await store.entered()
        first = kill(trustee)
        store.go.set()
        while not ran_in:
            await trio.sleep(0.01)
        again = await trustee.root("tills", Ledger)
        assert await again.apply(Ledger.read) == (9, 2)

    assert len(ran_in) == 1
    assert ran_in[0] != first


async def test_a_root_needs_a_store_a_key_a_name_and_a_class_that_is_only_state(store: SqliteStore) -> None:
    async with captp.open_vat() as vat:
        with pytest.raises(UsageError, match=r"pass open_vat\(key=\.\.\.\)"):
            vat.trustee("process", [Ledger], store=store)
        async with vat.trustee("process", [Ledger]) as trustee:
            assert not trustee.stats().is_durable
            with pytest.raises(UsageError, match="open it with a store"):
                await trustee.root("tills", Ledger)
    async with (
        captp.open_vat(key=KEY) as vat,
        vat.trustee("process", [Ledger, Shelf], store=store) as trustee,
    ):
        with pytest.raises(UsageError, match="declares __slots__"):
            await trustee.root("shelf", Shelf)
        for name in ("", "n" * 65, "é" * 33, 5):
            with pytest.raises(UsageError, match="a name is a string of 1 to 64 bytes"):
                await trustee.root(name, Ledger)  # type: ignore[arg-type]
        await trustee.root("n" * 64, Ledger)
        await trustee.root("é" * 32, Ledger)
