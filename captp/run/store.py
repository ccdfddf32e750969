"""The Store protocol: where a durable vat's rows lie, as little as a database must promise for it.

All of it is synchronous and used by one thread, one call at a time. A store sees sealed rows: it can lose
them, and that is noticed, but it cannot read them. ``captp.testing.check_store`` tries what is said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from captp.peer.rows import TABLES, Change, Verb

__all__ = ["TABLES", "Change", "Store", "Verb"]


@runtime_checkable
class Store(Protocol):
    """Tables of rows, each a key and a value of bytes, changed by commits that are whole or not at all.

    Closed --open--> open --close, or StoreFailed--> closed. What is closed can be opened again, and raises
    StoreFailed for all but ``open`` and ``close``. Keys are compared as bytes and have 1 to 64 of them;
    values may be empty and have at most 64 MiB.
    """

    def open(self) -> None:
        """Take the store for this process; make it, with the tables of ``TABLES``, where there is none.

        Raises StoreBusy, naming the process that has it; StoreTooNew for a format of a later version;
        StoreUnusable, with the fix, where it cannot be written or others could read it; StoreDamaged.
        """
        ...

    def close(self) -> None:
        """Give the store back; a second time it does nothing."""
        ...

    def commit(self, changes: Sequence[Change]) -> None:
        """Make all changes, or none; on return they outlast a power cut. No row is touched twice.

        Raises StoreDamaged when a row is inserted that is there, or replaced or deleted that is not;
        StoreFull when there is no room, after which the same commit may be tried again; StoreFailed when
        it is not known what is on disk: the store is closed then, and has to be opened anew.
        """
        ...

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a row; None where there is none. Raises StoreDamaged, StoreFailed."""
        ...

    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes | None = None, limit: int = 1000
    ) -> list[tuple[bytes, bytes]]:
        """Return rows by key, at most ``limit``, of those with ``prefix`` the first after ``after``."""
        ...

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        ...

    def has_room(self) -> bool:
        """Return whether there is room for more than what is under way; tries to make it where it is gone.

        A store holds some room back (``StoreFull`` comes only when that is used up too). It is called
        often: while there is room it costs next to nothing.
        """
        ...

    def copy(self, path: Path) -> None:
        """Write a whole copy, as of the last commit, to a new file that only the owner can read."""
        ...

    def copy_aside(self, label: str) -> Path:
        """Write such a copy beside the store, over one of the same label, and return where it is.

        It is there whole or not at all. A label has letters, digits and ``-``, at most 64.
        """
        ...

    def compact(self) -> None:
        """Give back to the system what deleted rows took."""
        ...
