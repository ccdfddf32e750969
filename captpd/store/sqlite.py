"""A store in one SQLite file: each commit is one transaction that was synced before it returned."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from captp.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFailed,
    StoreFull,
    StoreTooNew,
    StoreUnusable,
    UsageError,
)
from captp.run.store import TABLES, Change, Verb
from captpd.config.lock import let_go
from captpd.store.place import NO_ROOM, Place, Reserve, new_file, sync_folder

__all__ = ["FORMAT", "SqliteStore"]

#: The format that this version writes.
FORMAT: Final = 2
#: The tables that each later format has more than the one before.
_ADDED: Final = {2: ("timer",)}
#: "ctps": tells the file from another program's.
APPLICATION: Final = 0x63747073
RESERVE_BYTES: Final = 16 * 2**20
#: After as many pages of changes, about, what is in the log moves into the database.
LOG_PAGES: Final = 1000
PAGE_BYTES: Final = 4096
#: Greater than every key, which has at most 64 bytes.
PAST_ALL: Final = b"\xff" * 65
#: Nobody but a stranger's tool can have the file, and not for long.
BUSY_S: Final = 0.2

_SETTINGS: Final = (
    "synchronous = FULL",
    "secure_delete = ON",
    "cell_size_check = ON",
    # SQLite passes over what fails in its own checkpoints.
    "wal_autocheckpoint = 0",
    f"journal_size_limit = {4 * LOG_PAGES * PAGE_BYTES}",
)
#: Each makes one row of what was to be one row, and none where the verb does not hold.
_VERBS: Final = {
    Verb.INSERT: "INSERT OR IGNORE INTO {} VALUES (?1, ?2)",
    Verb.REPLACE: "UPDATE {} SET value = ?2 WHERE key = ?1",
    Verb.DELETE: "DELETE FROM {} WHERE key = ?1",
}
_CHANGE: Final = {(verb, name): sql.format(name) for verb, sql in _VERBS.items() for name in TABLES}
_GET: Final = {name: f"SELECT value FROM {name} WHERE key = ?" for name in TABLES}  # noqa: S608
_SCAN: Final = {
    name: f"SELECT key, value FROM {name} WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"  # noqa: S608
    for name in TABLES
}
_COUNT: Final = {name: f"SELECT count(*) FROM {name}" for name in TABLES}  # noqa: S608

_Groups = Mapping[tuple[Verb, str], Sequence[tuple[object, ...]]]


@final
class SqliteStore:
    """A `captp.run.store.Store` in the file ``path``, with a few files beside it, all mode 0600.

    ``reserve_bytes`` are held back on the disk for when it is full: as much as what is under way may need.
    """

    def __init__(self, path: Path, *, reserve_bytes: int = RESERVE_BYTES) -> None:
        if reserve_bytes < 1:
            raise UsageError(f"reserve_bytes is {reserve_bytes}; hold at least one byte back")
        self._path = path.absolute()
        self._place = Place(self._path)
        self._reserve = Reserve(self._place.beside("-reserve"), reserve_bytes)
        self._database: sqlite3.Connection | None = None
        self._lock = -1
        self._unmoved = 0
        self._why_closed = "is not open; open it"

    def open(self) -> None:
        lock = self._place.take()
        try:
            # The engine uses the store from one thread at a time, and not always from the same.
            database = sqlite3.connect(
                self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(database, self._path)
                # A damaged row may have text, and no row else: it is not to be decoded.
                database.text_factory = bytearray
                sync_folder(self._path.parent)
            except BaseException:
                database.close()
                raise
        except BaseException as error:
            let_go(lock)
            # The last is of the names in a damaged file.
            if isinstance(error, sqlite3.Error | OSError | UnicodeDecodeError):
                raise _at_open(error, self._path) from error
            raise
        self._database, self._lock = database, lock
        # All that may be in the log of one that was killed.
        self._unmoved = LOG_PAGES
        self._reserve.make()

    def close(self) -> None:
        self._close("is closed; open it")

    def commit(self, changes: Sequence[Change]) -> None:
        database = self._opened()
        groups: dict[tuple[Verb, str], list[tuple[object, ...]]] = {}
        pages = len(changes)
        for change in changes:
            verb, table, _, value = change
            row = change[2:3] if verb is Verb.DELETE else change[2:]
            groups.setdefault((verb, table), []).append(row)
            pages += len(value) // PAGE_BYTES
        try:
            self._commit(database, groups)
        except StoreFull:
            if not self._reserve.give_up():
                raise
            self._commit(database, groups)
        self._unmoved += pages
        if self._unmoved >= LOG_PAGES:
            self._move_log(database)

    def get(self, table: str, key: bytes) -> bytes | None:
        try:
            row = self._opened().execute(_GET[table], (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return None if row is None else self._as_written(table, [row])[0][0]

    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes | None = None, limit: int = 1000
    ) -> list[tuple[bytes, bytes]]:
        # Nothing lies between a key and the same with a zero behind it.
        least = prefix if after is None else max(prefix, after + b"\0")
        try:
            rows = self._opened().execute(_SCAN[table], (least, _past(prefix), limit)).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return self._as_written(table, rows)

    def count(self, table: str) -> int:
        try:
            (rows,) = self._opened().execute(_COUNT[table]).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return int(rows)

    def has_room(self) -> bool:
        return self._reserve.is_there or (self._opened() is not None and self._reserve.make())

    def copy(self, path: Path) -> None:
        """Write a whole copy: by VACUUM INTO, which reads every row, so that damage is not copied along."""
        database = self._opened()
        path = path.absolute()
        descriptor = new_file(path)
        try:
            database.execute("VACUUM INTO ?", (os.fspath(path),))
            os.fsync(descriptor)
            sync_folder(path.parent)
        except (sqlite3.Error, OSError) as error:
            path.unlink(missing_ok=True)
            raise self._copy_failure(error, path) from error
        finally:
            os.close(descriptor)

    def copy_aside(self, label: str) -> Path:
        # What is left of one that was killed goes with the next.
        draft, path = self._place.beside("-copying"), self._place.beside(f"-{label}")
        draft.unlink(missing_ok=True)
        self.copy(draft)
        try:
            draft.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise self._copy_failure(error, path) from error
        return path

    def compact(self) -> None:
        database = self._opened()
        try:
            database.execute("VACUUM")
        except sqlite3.Error as error:
            raise self._failure(error) from error
        self._move_log(database, "TRUNCATE")

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreFailed(f"{self._path} {self._why_closed}")
        return self._database

    def _close(self, why: str) -> None:
        database, self._database = self._database, None
        if database is None:
            return
        self._why_closed = why
        self._reserve.is_there = False  # the file stays, for the next to open
        try:
            database.close()  # this moves the log into the database, and removes it
        finally:
            let_go(self._lock)

    def _commit(self, database: sqlite3.Connection, groups: _Groups) -> None:
        """Make the changes in one transaction; nothing of it is left when this raises."""
        try:
            database.execute("BEGIN IMMEDIATE")
            try:
                for (verb, table), rows in groups.items():
                    made = database.executemany(_CHANGE[verb, table], rows).rowcount
                    if made != len(rows):
                        raise self._violated(verb, table, len(rows) - made)
                database.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has done it by itself.
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _move_log(self, database: sqlite3.Connection, how: str = "PASSIVE") -> None:
        """Move what is committed from the log into the database, so that the log can begin anew."""
        self._unmoved = 0
        while True:
            try:
                database.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
            except sqlite3.Error as error:
                failure = self._failure(error)
                if not isinstance(failure, StoreFull):
                    raise failure from error
                # What is committed is safe in the log, so there is nothing to tell.
                if self._reserve.give_up():
                    continue
            return

    def _as_written(self, table: str, rows: list[Any]) -> list[Any]:
        """Return rows of bytes; SQLite itself takes whatever type is in a damaged one."""
        if any(type(part) is not bytes for row in rows for part in row):
            raise StoreDamaged(f"{self._path}: a row of {table} is not of bytes; restore it from a copy")
        return rows

    def _violated(self, verb: Verb, table: str, rows: int) -> StoreDamaged:
        there = "there already" if verb is Verb.INSERT else "not there"
        return StoreDamaged(
            f"{self._path} does not hold what was written: {rows} rows of {table} for {verb.name} are"
            f" {there}; restore it from a copy"
        )

    def _failure(self, error: sqlite3.Error) -> StoreError:
        """Return what an error in use means; one that leaves the disk in doubt closes the store."""
        text = f"{self._path}: {error}"
        match _code(error):
            case sqlite3.SQLITE_FULL:
                return StoreFull(f"{text}; nothing was changed; make room on its disk")
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return StoreDamaged(f"{text}; restore it from a copy")
        # Never once more: an fsync that failed may have dropped what it was to write, and the next
        # one would say that all is well.
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        self._close(f"was closed when its disk failed ({name}); see to the disk, then open it anew")
        return StoreFailed(
            f"{text} ({name}); see to the disk, then open the store anew: what was committed is there"
        )

    def _copy_failure(self, error: sqlite3.Error | OSError, path: Path) -> StoreError:
        if isinstance(error, sqlite3.Error):
            read = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_READ
            if read or _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                return self._failure(error)
            is_full = _code(error) == sqlite3.SQLITE_FULL
        else:
            is_full = error.errno in NO_ROOM
        why = StoreFull if is_full else StoreUnusable
        return why(f"cannot write the copy {path}: {error}; nothing of it was left")


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Check whose file it is, and make the tables in an empty one."""
    # Others are kept out also by another name of the file; and there is no shared memory to lose.
    database.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    application, version = _number(database, "application_id"), _number(database, "user_version")
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    is_new = not (names or application or version)
    if not is_new:
        if application != APPLICATION:
            raise StoreUnusable(
                f"{path} belongs to another application (id {application:#x}, expected {APPLICATION:#x});"
                " choose another place for the store"
            )
        if version > FORMAT:
            raise StoreTooNew(
                f"{path} has format {version}, this version writes {FORMAT}; use the version that wrote it"
            )
        wanted = set(TABLES).difference(*(names for added, names in _ADDED.items() if added > version))
        if version < 1 or names != wanted:
            raise StoreDamaged(
                f"{path} has format {version} and tables {' '.join(sorted(names))}, expected"
                f" {' '.join(sorted(wanted))}; restore it from a copy"
            )
    if database.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise StoreUnusable(f"{path} lies where SQLite can keep no log; choose another place for the store")
    for setting in _SETTINGS:
        database.execute(f"PRAGMA {setting}").fetchall()
    if version < FORMAT:
        # In one transaction: a process that is killed here leaves an empty file, or one of the older format.
        database.execute("BEGIN IMMEDIATE")
        for name in TABLES:
            if name not in names:
                database.execute(f"CREATE TABLE {name} (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)")
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("COMMIT")


def _at_open(error: sqlite3.Error | OSError | UnicodeDecodeError, path: Path) -> StoreError:
    """Return what an error of opening means."""
    text = f"{path}: {error}"
    if isinstance(error, UnicodeDecodeError):
        return StoreDamaged(f"{text}; restore it from a copy")
    if isinstance(error, OSError):
        return StoreUnusable(f"cannot use {text}")
    match _code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy(f"{text}: another program has it open; stop that one")
        case sqlite3.SQLITE_NOTADB:
            return StoreDamaged(
                f"{text}: it is no store, or its beginning is damaged; restore it from a copy, or choose"
                " another place for the store"
            )
        case sqlite3.SQLITE_CORRUPT:
            return StoreDamaged(f"{text}; restore it from a copy")
        case sqlite3.SQLITE_FULL:
            return StoreFull(f"{text}; make room on its disk")
        case sqlite3.SQLITE_IOERR:
            return StoreFailed(f"{text}; see to the disk, then open the store anew")
    return StoreUnusable(f"cannot use {text}; see to the file and its folder")


def _code(error: sqlite3.Error) -> int:
    """Return the primary code of an error, 0 for one of the module's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _number(database: sqlite3.Connection, pragma: str) -> int:
    (number,) = database.execute(f"PRAGMA {pragma}").fetchone()
    return int(number)


def _past(prefix: bytes) -> bytes:
    """Return the least bytes that are greater than every key that begins with ``prefix``."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else PAST_ALL
