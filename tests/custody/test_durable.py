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
