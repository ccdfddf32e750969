"""The state of stored objects leaves memory when there are many, and is there again when they are called."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.net.memory import MemoryNetwork
from captp.run.live import LiveVat
from tests.durability.memory_store import MemoryStore
from tests.durability.test_state import Box, Cell

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


class Pair(captp.Object):
    one: Cell | None = None
    other: Cell | None = None
    runs: int = 0

    @captp.method
    def fill(self) -> None:
        self.one, self.other = Box(value=1), Box(value=2)

    @captp.method
    def sum(self) -> int:
        """Look into both, after a change that is undone each time that one of them is not there."""
        self.runs += 1
        return captp.near(self.one, Box).value + captp.near(self.other, Box).value  # type: ignore[no-any-return]

    @captp.method
    def swap(self) -> Any:
        one, other = captp.near(self.one, Box), captp.near(self.other, Box)
        one.value, other.value = other.value, one.value
        return self.runs, one.value, other.value

    @captp.method
    async def wait_and_look(self) -> Any:
        await captp.sleep(0)
        return captp.near(self.one, Box).value

    @captp.method
    def get(self) -> Any:
        return self.one


async def test_a_turn_that_looks_into_what_is_not_in_memory_runs_when_it_is() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        await E(vat.root("pair", Pair)).fill()
    for wanted in (1, 2):
        async with captp.open_vat(key=KEY, store=store) as vat:
            pair = E(vat.root("pair", Pair))
            first, second = pair.sum(), pair.swap()

            assert await first == 3
            assert await second == (wanted, *((2, 1) if wanted == 1 else (1, 2)))


async def test_a_batch_waits_where_it_looks_into_what_is_not_in_memory_and_goes_on_there() -> None:
    store, net = MemoryStore(), MemoryNetwork()
    calls = [captp.Call(Pair.sum), captp.Call(Pair.fill), captp.Call(Pair.swap), captp.Call(Pair.sum)]

    def opened(**settings: Any) -> Any:
        layer = net.netlayer(KEY.public.designator)
        return captp.open_vat(key=KEY, store=store, listen=[layer], **settings)

    async with opened() as vat:
        await E(vat.root("pair", Pair)).fill()
        sturdyref = vat.mint(vat.root("pair", Pair))
    for limits in (captp.Limits(), captp.Limits(objects_in_memory=1)):
        async with opened(limits=limits) as vat, captp.open_vat(netlayers=[net.netlayer("client")]) as client:
            pair = captp.trust(await client.enliven(sturdyref), Pair)
            with trio.fail_after(10):
                first, _, swapped, last = [o.unwrap() for o in await pair.apply_many(calls)]
            # Each has run once: what was undone has left nothing.
            assert (first, swapped[1:], last) == (3, (2, 1), 3)
            assert await E(vat.root("pair", Pair)).swap() == (swapped[0] + 1, 1, 2)
            vat.peer.check()


async def test_a_turn_may_look_into_more_than_memory_has_room_for() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        await many(vat, 40)
    async with captp.open_vat(key=KEY, store=store, limits=captp.Limits(objects_in_memory=3)) as vat:
        with trio.fail_after(20):
            assert await E(vat.root("box", Box)).sum_of_rows() == sum(range(40))
        await E(vat.root("other", Box)).put(1)
        assert loaded(vat) < 10


async def test_a_plan_that_touches_what_is_not_in_memory_runs_when_it_is() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        await E(vat.root("pair", Pair)).fill()
    async with captp.open_vat(key=KEY, store=store) as vat:
        pair = vat.root("pair", Pair)
        box = await E(pair).get()
        assert box._anchor._latch.is_cold

        assert await pair.apply(lambda p: p.get().get() + 10) == 11


async def test_an_async_method_is_told_that_it_cannot_begin_anew() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        await E(vat.root("pair", Pair)).fill()
    async with captp.open_vat(key=KEY, store=store) as vat:
        pair = E(vat.root("pair", Pair))
        with pytest.raises(captp.RemoteFault, match="not in memory"):
            await pair.wait_and_look()
        assert await pair.sum() == 3
        assert await pair.wait_and_look() == 1


async def test_a_durable_call_that_looks_into_what_is_not_in_memory_runs_once() -> None:
    store = MemoryStore()
    net = MemoryNetwork()
    async with captp.open_vat(key=KEY, store=store, listen=[net.netlayer(KEY.public.designator)]) as vat:
        pair = vat.root("pair", Pair)
        await E(pair).fill()
        sturdyref = vat.mint(pair)
    async with captp.open_vat(key=KEY, store=store, listen=[net.netlayer(KEY.public.designator)]) as vat:
        assert await vat.send_durable(sturdyref, "sum") == 3
        runs, *_ = await E(vat.root("pair", Pair)).swap()

        assert runs == 1
