"""Rows of a damaged store that are not what, or where, they were are noticed before they are used."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import captp
from captp import E
from captp.net.memory import MemoryNetwork
from captp.run.store import Change, Verb
from captpd.store.sqlite import SqliteStore
from tests.durability.memory_store import MemoryStore

KEY = captp.PrivateKey.from_seed(b"m" * 32)


class Card(captp.Object):
    rows: captp.Map[Any, Any]

    @captp.method
    def shown(self) -> Any:
        return tuple(self.rows.items())


class Astray(MemoryStore):
    """Gives the row before in the place of the last of a table, as an index does whose row number is hit."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self.table = table
        self.is_astray = False

    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes | None = None, limit: int = 1000
    ) -> list[tuple[bytes, bytes]]:
        rows = super().scan(table, prefix=prefix, after=after, limit=limit)
        if self.is_astray and table == self.table and rows:
            every = super().scan(table, limit=10**6)
            rows[-1] = every[every.index(rows[-1]) - 1]
        return rows


def listening() -> Any:
    return MemoryNetwork().netlayer(KEY.public.designator)


@pytest.mark.parametrize("table", ["meta", "root", "swiss"])
async def test_a_row_in_the_place_of_another_is_noticed_when_the_vat_is_opened(table: str) -> None:
    store = Astray(table)
    async with captp.open_vat(key=KEY, store=store, listen=[listening()]) as vat:
        for name in ("one", "two"):
            vat.mint(vat.root(name, Card))
    store.is_astray = True
    with pytest.raises(captp.StoreDamaged, match="not in their order"):
        async with captp.open_vat(key=KEY, store=store):
            pass


async def test_an_entry_in_the_place_of_another_is_noticed_when_its_object_is_called() -> None:
    store = Astray("entry")
    async with captp.open_vat(key=KEY, store=store) as vat:
        # One entry each: that of the second is of the same form in the place where the first's is.
        for name in ("one", "two"):
            await E(vat.root(name, lambda name=name: Card(rows={1: name}))).shown()
    store.is_astray = True
    async with captp.open_vat(key=KEY, store=store) as vat:
        with pytest.raises(captp.RemoteFault, match="damaged"):
            await E(vat.root("two", Card)).shown()


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    tmp_path.chmod(0o700)
    store = SqliteStore(tmp_path / "main.db", reserve_bytes=1)
    store.open()
    store.commit([Change(Verb.INSERT, "object", b"key", b"value")])
    store.close()
    return store


@pytest.mark.parametrize("form", ["'text'", "CAST(x'ff' AS TEXT)", "7", "1.5"])
def test_a_row_that_has_become_of_another_type_is_damaged(
    store: SqliteStore, form: str, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "main.db") as database:
        database.execute(f"UPDATE object SET value = {form}")
    database.close()
    store.open()
    for read in (lambda: store.get("object", b"key"), lambda: store.scan("object")):
        with pytest.raises(captp.StoreDamaged, match="restore it from a copy"):
            read()

    assert store.count("object") == 1
    store.close()


def test_a_file_whose_names_are_damaged_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    path, chance = tmp_path / "main.db", random.Random(3)
    whole = path.read_bytes()
    names = [at for at in range(100, 4096) if whole[at : at + 6] in (b"object", b"sqlite", b"CREATE")]
    for at in [*names, *(chance.randrange(100, 4096) for _ in range(20))]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :])
        try:
            store.open()
        except captp.StoreError:
            continue
        assert store.get("object", b"key") == b"value"
        store.close()


async def test_calls_of_a_damaged_object_that_somebody_holds_leave_nothing() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        oid = vat.root("hit", Card)._anchor._entry.oid
    rows, key = store.tables["object"], oid.to_bytes(8, "big")
    rows[key] = rows[key][:-1] + bytes([rows[key][-1] ^ 1])
    async with captp.open_vat(key=KEY, store=store) as vat:
        held = vat.root("hit", Card)
        for _ in range(5):
            with pytest.raises(captp.RemoteFault, match="damaged"):
                await E(held).shown()
        vat.peer.check()
        assert not vat.peer.vat.latches.waiting
