"""What a store holds when nobody has it open: every row unseals, and the ledger is what it has to be."""

from __future__ import annotations

import ast
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

import captp
from captp.peer.durable.kept import edge_key
from captp.peer.durable.kinds import PREFIX, Kinds
from captp.run.sealed import HEAD, Sealed
from captp.run.store import TABLES
from captpd.config.places import StateFolder
from captpd.daemon.identity import read_identity, vat_key
from captpd.store.sqlite import SqliteStore
from tests.durability.kill.ledger import FORM_OF_ACCOUNTS, Account
from tests.e2e.daemons import LONGEST_S

__all__ = ["Rows", "copies", "form_of", "plain", "report_of", "walk"]

ROOT = Path(__file__).parents[3]
#: By table and key.
Rows = dict[str, dict[bytes, bytes]]


def _key(home: Path) -> captp.PrivateKey:
    return vat_key(read_identity(StateFolder(home).identity), "main")


def _store(home: Path) -> Path:
    return StateFolder(home).store("main")


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """Copy a store, with its log as the killed process left it; there need be none."""
    with TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        for suffix in ("", "-wal"):
            if (beside := path.with_name(path.name + suffix)).exists():
                shutil.copy(beside, copy.with_name(copy.name + suffix))
        yield copy


def _rows(home: Path, path: Path) -> Rows:
    """Return all rows of a store by table and key, unsealed."""
    sealed = Sealed(SqliteStore(path, reserve_bytes=4096), _key(home).seed())
    sealed.open(0.0)
    rows = {table: dict(sealed.rows(table)) for table in TABLES}
    sealed.close()
    return rows


def copies(home: Path) -> list[Path]:
    """Return the copies that were made before migrations."""
    path = _store(home)
    return [*path.parent.glob(f"{path.name}-before-upgrade-*")]


def plain(home: Path, path: Path | None = None) -> Rows:
    """Return all rows of a store, or of a copy of it, but the one that each opening changes."""
    with _copied(path or _store(home)) as copy:
        rows = _rows(home, copy)
    del rows["meta"][HEAD]
    return rows


def form_of(home: Path) -> int:
    """Return the version that the store has accounts in, 0 where it has none."""
    with _copied(_store(home)) as copy:
        if not copy.exists():
            return 0
        kinds = Kinds((k, v) for k, v in _rows(home, copy)["meta"].items() if k.startswith(PREFIX))
    name = Account._captp_kind
    return max((kind.version for kind in kinds.by_number.values() if kind.name == name), default=0)


def walk(home: Path) -> int:
    """Read all rows of a copy of the store; return how many there are."""
    with _copied(_store(home)) as copy:
        if not copy.exists():
            return 0
        rows = _rows(home, copy)
        with sqlite3.connect(copy) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()
    tables = ("object", "entry", "outbox", "inbox", "timer")
    owners = {edge_key(table, key) for table in tables for key in rows[table]}
    for where, packed in rows["edge"].items():
        assert where in owners, f"edges of {where.hex()}, which is not there"
        for at in range(0, len(packed), 8):
            oid = (int.from_bytes(packed[at : at + 8], "big") >> 1).to_bytes(8, "big")
            assert oid in rows["object"], f"{where.hex()} leads to {oid.hex()}, which is not there"
    return sum(map(len, rows.values()))


def report_of(home: Path) -> tuple[Any, ...]:
    """Return the ledger's report, as a process says it that opens the store with its classes."""
    command = [sys.executable, "-m", "tests.durability.kill.store", str(home)]
    environment = os.environ | {FORM_OF_ACCOUNTS: str(form_of(home))}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert done.returncode == 0, done.stderr
    report: tuple[Any, ...] = ast.literal_eval(done.stdout)
    return report


async def _report(home: Path) -> None:
    async with captp.open_vat(key=_key(home), store=SqliteStore(_store(home))) as vat:

        def make() -> captp.Object:
            raise AssertionError("there is no ledger in the store")

        report = await captp.E(vat.root("ledger", make)).report()
        vat.peer.check()
    print(repr(report))


if __name__ == "__main__":
    trio.run(_report, Path(sys.argv[1]))
