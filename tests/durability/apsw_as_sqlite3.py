"""An apsw connection that looks like one of `sqlite3`, as far as `SqliteStore` uses that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw


class Connection:
    def __init__(self, path: Path, vfs: str, *, timeout: float, **_: Any) -> None:
        with _errors():
            self._real = apsw.Connection(str(path), vfs=vfs)
        self._real.set_busy_timeout(int(timeout * 1000))

    @property
    def in_transaction(self) -> bool:
        return self._real.in_transaction

    def execute(self, sql: str, values: Sequence[Any] = ()) -> _Cursor:
        with _errors():
            return _Cursor(self._real.execute(sql, values))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> SimpleNamespace:
        before = self._real.total_changes()
        with _errors():
            self._real.executemany(sql, rows)
        return SimpleNamespace(rowcount=self._real.total_changes() - before)

    def close(self) -> None:
        # SQLite itself says nothing of what fails when a database is closed.
        try:
            self._real.close()
        except apsw.Error:
            self._real.close(True)


class _Cursor:
    def __init__(self, real: apsw.Cursor) -> None:
        self._real = real

    def fetchone(self) -> Any:
        with _errors():
            return self._real.fetchone()

    def fetchall(self) -> list[Any]:
        with _errors():
            return self._real.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        same = sqlite3.DatabaseError(str(error))
        same.sqlite_errorcode = error.extendedresult
        same.sqlite_errorname = apsw.mapping_extended_result_codes.get(
            error.extendedresult, apsw.mapping_result_codes.get(error.result, "SQLITE_UNKNOWN")
        )
        raise same from error
