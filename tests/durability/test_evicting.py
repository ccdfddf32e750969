"""The state of stored objects leaves memory when there are many, and is there again when they are called."""

from __future__ import annotations

from typing import Any

import captp
from captp import E
from captp.run.live import LiveVat
from tests.durability.memory_store import MemoryStore
from tests.durability.test_state import Box

KEY = captp.PrivateKey.from_seed(b"e" * 32)
FEW = captp.Limits(objects_in_memory=10)


def loaded(vat: LiveVat) -> int:
    return sum(obj._latch is None for obj in vat.peer.vat.heap.objects())


async def many(vat: LiveVat, count: int) -> Any:
    box = E(vat.root("box", Box))
    for i in range(count):
        last = vat.export(Box(value=i))
        await box.change("set", i, last)
    return box


async def test_what_is_too_much_leaves_memory_and_comes_again() -> None:
    async with captp.open_vat(key=KEY, store=MemoryStore(), limits=FEW) as vat:
        box = await many(vat, 40)
        rows = dict((await box.shown()).value[1])
        await box.put(1)
        before = loaded(vat)
        for _ in range(2):
            for i, one in rows.items():
                await E(one).put(await E(one).get() + 1000 * i)
        found = [await E(one).get() for one in rows.values()]

        assert before < 20
        assert found == [i + 2000 * i for i in range(40)]
        assert all(
            captp.same(one, other)
            for one, other in zip(rows.values(), dict((await box.shown()).value[1]).values(), strict=True)
        )


async def test_what_somebody_has_or_what_is_live_stays() -> None:
    async with captp.open_vat() as elsewhere, captp.open_vat(key=KEY, store=MemoryStore(), limits=FEW) as vat:
        assert elsewhere is not vat
        box = E(vat.root("box", Box))
        mine = Box(value="mine")
        await box.change("set", "mine", vat.export(mine))
        promise, resolver = vat.promise()
        pending = vat.export(Box(value=promise))
        await box.change("set", "pending", pending)
        await many(vat, 40)
        await box.put(1)

        assert loaded(vat) < 20
        assert mine._latch is None
        assert mine.value == "mine"
        resolver.fulfill("there")
        assert await E(pending).get() == "there"


async def test_parts_stay_with_the_object_that_has_them() -> None:
    async with captp.open_vat(key=KEY, store=MemoryStore(), limits=FEW) as vat:
        box = await many(vat, 40)
        rows = dict((await box.shown()).value[1])
        for one in rows.values():
            await E(one).part_of(1)
        assert [await E(one).part_of(1) for one in rows.values()] == [2] * 40
        vat.peer.check()
