"""A process trustee is a vat of its own to the collector: a circle through it goes as any other does."""

from __future__ import annotations

import gc
import weakref

import trio

import captp
from tests.e2e.process_things import Keeper


async def test_a_circle_through_a_process_of_ones_own_is_freed() -> None:
    quick = captp.Cycles(age=0.1, tick=0.05)
    async with captp.open_vat(cycles=quick) as vat, vat.trustee("process", [Keeper]) as trustee:
        theirs = await trustee.entrust_new(Keeper)
        mine = Keeper()
        reference = vat.export(mine)
        await theirs.apply(Keeper.keep, reference)
        await captp.E(reference).keep(theirs.reference)
        gone = trio.Event()
        watch = weakref.ref(mine, lambda _: gone.set())

        theirs.drop()
        del theirs, mine, reference
        gc.collect()

        assert watch() is not None
        with trio.fail_after(20):
            await gone.wait()
