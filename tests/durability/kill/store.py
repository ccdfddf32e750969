"""What a store holds when nobody has it open: every row unseals, and the ledger is what it has to be."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import captp
from captp.run.sealed import Sealed
from captp.run.store import TABLES
from captpd.config.places import StateFolder
from captpd.daemon.identity import read_identity, vat_key
from captpd.store.sqlite import SqliteStore

__all__ = ["report_of", "walk"]

#: Whose rows may lead to objects.
EDGED = ("object", "entry", "inbox", "outbox")


def _key(home: Path) -> captp.PrivateKey:
    return vat_key(read_identity(StateFolder(home).identity), "main")


def walk(home: Path) -> int:
    """Read all rows of a copy, with its log as the killed process left it; return how many there are."""
    path = StateFolder(home).store("main")
    with TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        for suffix in ("", "-wal"):
            if (beside := path.with_name(path.name + suffix)).exists():
                shutil.copy(beside, copy.with_name(copy.name + suffix))
        if not copy.exists():
            return 0
        sealed = Sealed(SqliteStore(copy, reserve_bytes=4096), _key(home).seed())
        sealed.open(0.0)
        rows = {table: dict(sealed.rows(table)) for table in TABLES}
        sealed.close()
        with sqlite3.connect(copy) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()
    for where, packed in rows["edge"].items():
        assert where in rows["object"] or where in rows["entry"], (
            f"edges of {where.hex()}, which is not there"
        )
        for at in range(0, len(packed), 8):
            oid = (int.from_bytes(packed[at : at + 8], "big") >> 1).to_bytes(8, "big")
            assert oid in rows["object"], f"{where.hex()} leads to {oid.hex()}, which is not there"
    return sum(map(len, rows.values()))


async def report_of(home: Path) -> tuple[Any, ...]:
    """Open the store as its vat does, and return the ledger's report."""
    store = SqliteStore(StateFolder(home).store("main"))
    async with captp.open_vat(key=_key(home), store=store) as vat:

        def make() -> captp.Object:
            raise AssertionError("there is no ledger in the store")

        report: tuple[Any, ...] = await captp.E(vat.root("ledger", make)).report()
        vat.peer.check()
    return report
