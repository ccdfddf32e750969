"""What is given away or lent to another process, which may be killed meanwhile: one owner, or none."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import trio
import trio.testing

import captp
from tests.e2e.owner_things import Doomed
from tests.unit.peer.owners import Clerk, Sheet


async def make(vat: captp.LiveVat) -> tuple[Any, weakref.ref[Any]]:
    """Return a unique reference to a sheet, and the sheet."""
    table = await captp.E(vat.export(Clerk())).make()
    sheets = [o for o in vat.peer.vat.heap.objects() if isinstance(o, Sheet)]
    return table, weakref.ref(sheets[-1])


@pytest.mark.parametrize("uses", [False, True])
async def test_an_object_that_was_given_to_a_process_goes_with_it(uses: bool) -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Doomed]) as trustee:
        doomed = await trustee.entrust_new(Doomed)
        table, sheet = await make(vat)
        with pytest.raises(captp.BrokenTrustee):
            await doomed.launch(Doomed.take, table, uses=uses)
        with pytest.raises(captp.Moved, match="may be there or gone"):
            table.total()
        await trio.testing.wait_all_tasks_blocked()
        # Its list leads back to it.
        gc.collect()

        assert sheet() is None


async def test_an_object_that_was_lent_to_a_process_is_still_its_owners() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Doomed]) as trustee:
        doomed = await trustee.entrust_new(Doomed)
        table, sheet = await make(vat)
        with pytest.raises(captp.BrokenTrustee):
            await doomed.launch(Doomed.borrow, captp.lend(table))

        assert await table.total() == 1
        assert sheet() is not None


async def test_an_object_goes_to_another_process_and_comes_back() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Doomed]) as trustee:
        doomed = await trustee.entrust_new(Doomed)
        table, sheet = await make(vat)
        for number in range(1, 4):
            assert await doomed.launch(Doomed.use, captp.lend(table)) == 2 * number - 1
            table = await doomed.launch(Doomed.give_back, table)
            assert await table.total() == 2 * number

        assert sheet() is not None


async def test_a_thousand_loans_to_another_process_are_released_by_nobody() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Doomed]) as trustee:
        doomed = await trustee.entrust_new(Doomed)
        table, _sheet = await make(vat)
        before = [(s.exports, s.imports) for s in vat.view().sessions]

        async with trio.open_nursery() as nursery:

            async def lend() -> None:
                for _ in range(50):
                    await doomed.launch(Doomed.use, captp.lend(table))

            for _ in range(20):
                nursery.start_soon(lend)

        assert await table.total() == 1000
        assert [(s.exports, s.imports) for s in vat.view().sessions] == before
