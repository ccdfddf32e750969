"""What is stored is not unique: state that is not in memory leads to it, or a sturdyref does."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp import E
from captp.net.memory import MemoryNetwork
from tests.durability.memory_store import MemoryStore

KEY, OTHER = (captp.PrivateKey.from_seed(seed * 32) for seed in (b"u", b"o"))
FEW = captp.Limits(objects_in_memory=2)


class Purse(captp.Interface):
    @captp.method
    def put(self, coins: int) -> int: ...


class Leather(captp.Object, Purse):
    coins: int = 0

    @captp.method
    def put(self, coins: int) -> int:
        self.coins += coins
        return self.coins


class Shelf(captp.Object):
    purses: captp.Map[int, Purse]

    @captp.method
    def add(self, number: int) -> None:
        self.purses[number] = Leather()

    @captp.method
    def show(self, number: int) -> Purse:
        return self.purses[number]

    @captp.method
    def fresh(self) -> Purse:
        return Leather()


async def emptied(vat: captp.LiveVat) -> Any:
    """Return a purse that is on a shelf whose state is not in memory."""
    shelf: Any = vat.root("shelf", Shelf)
    await E(shelf).add(1)
    purse = await E(shelf).show(1)
    await E(vat.root("another", Shelf)).add(1)
    assert shelf._anchor._latch is not None
    return purse


async def test_what_state_on_disk_leads_to_is_not_given_out() -> None:
    async with captp.open_vat(key=KEY, store=MemoryStore(), limits=FEW) as vat:
        purse = await emptied(vat)
        with pytest.raises(captp.Refused, match="others have this Leather too"):
            await captp.make_unique(purse)

        again = await E(vat.root("shelf", Shelf)).show(1)
        assert captp.same(purse, again)
        assert await E(again).put(2) == 2


async def test_what_a_sturdyref_leads_to_is_not_given_out() -> None:
    network = MemoryNetwork()
    layers = [network.netlayer(key.public.designator) for key in (KEY, OTHER)]
    async with (
        captp.open_vat(key=KEY, store=MemoryStore(), listen=layers[:1]) as vat,
        captp.open_vat(key=OTHER, netlayers=layers[1:]) as there,
    ):
        purse = await E(vat.root("shelf", Shelf)).fresh()
        sturdyref = vat.mint(purse)
        assert await E(purse).put(1) == 1
        with pytest.raises(captp.Refused, match="others have this Leather too"):
            await captp.make_unique(purse)
        del purse

        assert await there.enliven(sturdyref, Purse).put(2) == 3
        with pytest.raises(captp.Refused, match="others have this Leather too"):
            await captp.make_unique(await there.enliven(sturdyref, Purse))
        assert await there.enliven(sturdyref, Purse).put(3) == 6


async def test_what_nothing_stored_leads_to_is_given_out_by_a_durable_vat_too() -> None:
    async with captp.open_vat(key=KEY, store=MemoryStore()) as vat:
        purse = await E(vat.root("shelf", Shelf)).fresh()
        unique = await captp.make_unique(purse)

        assert await E(unique).put(1) == 1
        with pytest.raises(captp.Moved, match="made unique"):
            E(purse).put(1)
