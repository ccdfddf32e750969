"""Capsules and durable vats: what is merged is stored; what stays in its capsule is not, and does no harm."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

import captp
from tests.custody.boxes import Account, holding
from tests.durability.memory_store import MemoryStore

KEY = captp.PrivateKey.from_seed(b"c" * 32)


class Teller(captp.Object):
    """A durable object that looks into a capsule."""

    total: int = 0
    merged: Account | None = None
    capsule: ClassVar[list[Any]] = []

    @captp.method
    def add(self, amount: int, *, is_refused: bool) -> int:
        data, key = self.capsule
        with key.password() as password:
            self.total = data.extract(password, lambda account: account.add(amount))
        if is_refused:
            raise captp.Refused("no")
        return self.total

    @captp.method
    def merge(self) -> None:
        data, key = self.capsule
        self.merged = data.unwrap(key.destroy())

    @captp.method
    def look(self) -> tuple[Any, ...]:
        merged = self.merged
        return (self.total, None if merged is None else (merged.total, tuple(merged.log)))


async def test_a_durable_vat_works_in_a_capsule_and_stores_what_is_merged() -> None:
    store = MemoryStore()
    Teller.capsule = [*holding()]
    async with captp.open_vat(key=KEY, store=store) as vat:
        teller = vat.root("teller", Teller)
        assert await captp.E(teller).add(2, is_refused=False) == 2
        with pytest.raises(captp.Refused):
            await captp.E(teller).add(50, is_refused=True)
        assert await captp.E(teller).add(3, is_refused=False) == 5
        await captp.E(teller).merge()
        assert await captp.E(teller).look() == (5, (5, (2, 3)))

    async with captp.open_vat(key=KEY, store=store) as vat:
        assert await captp.E(vat.root("teller", Teller)).look() == (5, (5, (2, 3)))


class Valued(captp.Interface):
    @captp.method
    def get(self) -> int: ...


class Cell(captp.Object, Valued):
    value: int = 0

    @captp.method
    def get(self) -> int:
        return self.value


class Reader(captp.Object):
    """A durable object that looks into another within an access."""

    cell: Valued | None = None
    capsule: ClassVar[list[Any]] = []

    @captp.method
    def fill(self) -> None:
        self.cell = Cell(value=3)

    @captp.method
    def add(self) -> int:
        data, key = self.capsule

        def add_what_is_there(account: Account) -> int:
            account.add(1)
            return account.add(captp.near(self.cell, Cell).value)

        with key.password() as password:
            return data.extract(password, add_what_is_there)  # type: ignore[no-any-return]


async def test_a_turn_that_finds_within_an_access_that_something_is_not_in_memory_runs_when_it_is() -> None:
    store = MemoryStore()
    Reader.capsule = [*holding()]
    async with captp.open_vat(key=KEY, store=store) as vat:
        await captp.E(vat.root("reader", Reader)).fill()
    async with captp.open_vat(key=KEY, store=store) as vat:
        assert await captp.E(vat.root("reader", Reader)).add() == 4

    data, key = Reader.capsule
    assert key.access(lambda access: data.unwrap(access).log)[0] == (1, 3)
