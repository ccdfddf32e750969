"""A store in memory that keeps every promise, with the steps apart that a broken one gets wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from captp.errors import StoreBusy, StoreDamaged, StoreFailed, StoreUnusable
from captp.run.store import TABLES, Change, Verb

Rows = dict[bytes, bytes]
Tables = dict[str, Rows]


class Memory:
    """The place of a store: what outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: Tables = {name: {} for name in TABLES}
        self.holder: object = None
        #: What was there before the last commit.
        self.before: Tables = self.tables


class RightStore:
    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def open(self) -> None:
        if self.memory.holder is not None:
            raise StoreBusy("this process has it")
        self.memory.holder = self

    def close(self) -> None:
        if self.memory.holder is self:
            self.memory.holder = None

    def commit(self, changes: Sequence[Change]) -> None:
        tables = {name: dict(rows) for name, rows in self.opened().items()}
        for change in changes:
            self.make(tables[change.table], change)
        self.memory.before, self.memory.tables = self.memory.tables, tables

    def make(self, rows: Rows, change: Change) -> None:
        if (change.key in rows) == (change.verb is Verb.INSERT):
            raise StoreDamaged(f"cannot {change.verb.name} {change.key!r}")
        if change.verb is Verb.DELETE:
            del rows[change.key]
        else:
            rows[change.key] = change.value

    def get(self, table: str, key: bytes) -> bytes | None:
        return self.opened()[table].get(key)

    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes | None = None, limit: int = 1000
    ) -> list[tuple[bytes, bytes]]:
        rows = self.opened()[table]
        found = (k for k in rows if self.begins(k, prefix) and (after is None or self.is_past(k, after)))
        return [(key, rows[key]) for key in self.sorted(found)[:limit]]

    def begins(self, key: bytes, prefix: bytes) -> bool:
        return key.startswith(prefix)

    def is_past(self, key: bytes, after: bytes) -> bool:
        return key > after

    def sorted(self, keys: Iterable[bytes]) -> list[bytes]:
        return sorted(keys)

    def count(self, table: str) -> int:
        return len(self.opened()[table])

    def has_room(self) -> bool:
        self.opened()
        return True

    def copy(self, path: Path) -> None:
        text = repr(self.opened())
        try:
            path.touch(0o600, exist_ok=False)
        except FileExistsError:
            raise StoreUnusable(f"{path} is there") from None
        path.write_text(text)

    def copy_aside(self, label: str) -> Path:
        path = self.memory.folder / label
        self.opened()
        path.unlink(missing_ok=True)
        self.copy(path)
        return path

    def compact(self) -> None:
        self.opened()

    def opened(self) -> Tables:
        if self.memory.holder is not self:
            raise StoreFailed("not open")
        return self.memory.tables
