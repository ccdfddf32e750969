"""Data across two vats over real sockets: frozen values by hash, and anything else as a reference."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import define

import captp
from captp.errors import BadArguments, Frozen, NoSuchMethod, NotDurable
from captp.net.tcp import TcpNetlayer
from captp.run.live import LiveVat
from tests.durability.memory_store import MemoryStore
from tests.unit.session.boxes import data

MIB = 1024 * 1024
KEY = captp.PrivateKey.from_seed(b"k" * 32)


def table() -> dict[str, Any]:
    """Return about ten megabytes of plain data."""
    rows = [{"id": i, "text": chr(97 + i % 26) * 480, "part": i / 7} for i in range(20_000)]
    return {"rows": rows, "raw": b"\0" * MIB, "none": None}


class Keeper(captp.Object):
    """Keeps data beside its state, which data cannot be."""

    __slots__ = ("had",)

    @captp.method
    def keep(self, what: Any) -> str:
        self.had = what
        return type(what).__name__

    @captp.method
    def keep_data(self, what: captp.Data[Any, Any]) -> Any:
        self.had = what
        return None

    @captp.method
    def keep_each(self, what: list[captp.Data[Any, Any] | int]) -> int:
        self.had = what
        return len(what)

    @captp.method
    def give(self) -> Any:
        return self.had

    @captp.method
    async def give_later(self, until: Any) -> Any:
        await until
        return self.had

    @captp.method
    async def wait(self, promise: Any) -> int:
        return len((await promise).project())

    @captp.method
    def length(self, what: captp.Data[Any, Any]) -> int:
        return len(what.project())


@define
class Two:
    """A client with a reference to what a host has, and the bytes that each has heard."""

    host: LiveVat
    client: LiveVat
    keeper: Keeper
    ref: Any

    def heard(self) -> tuple[int, int]:
        (client,), (host,) = (vat.peer.links for vat in (self.client, self.host))
        return host.received, client.received


@asynccontextmanager
async def two(**options: Any) -> AsyncIterator[Two]:
    with trio.fail_after(60):
        async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat(**options) as client:
            keeper = Keeper()
            keeper.had = None
            ref = await client.enliven(host.mint(keeper))
            yield Two(host, client, keeper, captp.E(ref))


async def test_second_send_of_ten_megabytes_of_frozen_data_takes_under_200_bytes() -> None:
    big = data(table())
    async with two() as it:
        before, _ = it.heard()
        assert await it.ref.keep(big) == "Data"
        between, answered = it.heard()
        assert await it.ref.keep(big) == "Data"
        after, _ = it.heard()
        assert between - before > 10 * MIB
        assert after - between < 200

        # And in answers, which have a table of their own.
        del answered
        _, before = it.heard()
        assert await it.ref.give() is big
        _, between = it.heard()
        assert await it.ref.give() is big
        _, after = it.heard()
        assert between - before > 10 * MIB
        assert after - between < 200


async def test_frozen_data_arrives_identical() -> None:
    big = data(table())
    async with two() as it:
        await it.ref.keep_data(big)
        there = it.keeper.had

        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(there.project()))
        thread.start()
        await trio.to_thread.run_sync(thread.join)

        assert there is not big
        assert seen == [big.project()]
        with pytest.raises(Frozen):
            captp.Data.inject(1, there)
        await it.ref.keep_data(big)
        assert it.keeper.had is there


async def test_data_that_is_not_frozen_stays_and_comes_back_as_itself() -> None:
    key = captp.Capsule.create()
    closed = captp.Data.inject([1, 2], key)
    async with two(listen=[TcpNetlayer()]) as it:
        own = Keeper()
        own.had = None
        back = captp.E(await it.host.enliven(it.client.mint(own)))

        assert await it.ref.keep(closed) == "Ref"
        far = it.keeper.had
        assert await it.ref.keep(closed) == "Ref"
        assert it.keeper.had is far
        with pytest.raises(BadArguments, match="expected Data, got Ref"):
            await it.ref.length(closed)
        with pytest.raises(NoSuchMethod):
            await captp.E(far).project()

        await back.keep_data(far)
        assert own.had is closed
        await back.keep_each([far, 3])
        assert own.had == (closed, 3)
        assert await back.keep(far) == "FaceRef"

        # What was frozen since travels itself.
        key.freeze()
        await it.ref.keep_data(closed)
        assert it.keeper.had.project() == (1, 2)


@pytest.mark.parametrize("value", [{1, 2}, [Keeper.__name__, {3}], {1: 2}], ids=repr)
async def test_frozen_data_that_is_not_plain_stays(value: Any) -> None:
    key = captp.Capsule.create()
    kept, key = key.access(lambda access: captp.Data.wrap(access, value))
    key.freeze()
    async with two() as it:
        assert await it.ref.keep(kept) == "Ref"


async def test_a_frozen_object_stays() -> None:
    key = captp.Capsule.create()
    kept, key = key.access(lambda access: captp.Data.wrap(access, [Keeper()]))
    key.freeze()
    async with two() as it:
        assert await it.ref.keep(kept) == "Ref"


async def test_batches_plans_and_promises_carry_frozen_data() -> None:
    one, other = data({"a": [1]}), data("b" * 5_000)
    async with two() as it:
        assert await it.ref.keep_each([one, 3, other] * 300) == 900
        assert {type(part) for part in it.keeper.had} == {captp.Data, int}
        promises = [it.ref.length(other) for _ in range(20)]
        assert [await promise for promise in promises] == [5_000] * 20
        promise, resolver = it.client.promise()
        later = it.ref.give_later(promise)
        resolver.fulfill(one)
        assert (await later)[:3] == (one, 3, other)
        assert await it.ref.wait(promise) == 1


async def test_a_plan_carries_frozen_data() -> None:
    one = data([1, 2, 3])
    async with two() as it:
        ref = await it.client.enliven(it.host.mint(it.keeper))
        assert await ref.apply(lambda keeper: keeper.length(one)) == 3


async def test_a_trustee_captures_data_and_gives_it_back() -> None:
    one = data([1, 2, 3])
    async with captp.open_vat() as vat, vat.trustee("thread") as trustee:
        trust = await trustee.entrust_new(list)
        assert await trust.apply(lambda had: len(one.project())) == 3
        assert await trust.apply(lambda had: one) is one


async def test_a_durable_call_takes_no_data() -> None:
    async with captp.open_vat(key=KEY, store=MemoryStore(), listen=[TcpNetlayer()]) as vat:
        nowhere = captp.PeerLocator.make("memory", KEY.public.designator)
        for given in (data(1), [{"a": data(1)}]):
            with pytest.raises(NotDurable, match="data of a capsule"):
                vat.send_durable(captp.SturdyRef(nowhere, b"s" * 32), "keep", given)
            with pytest.raises(NotDurable, match="data of a capsule"):
                vat.send_durable(captp.SturdyRef(nowhere, b"s" * 32), "keep", what=given)
