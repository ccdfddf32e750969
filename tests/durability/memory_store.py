"""A store in memory, for tests: it keeps its rows while the test has it, and can be made to fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captp.errors import StoreBusy, StoreDamaged
from captp.run.store import TABLES, Change, Verb


class MemoryStore:
    """Rows in dicts; ``refuse`` is raised by commits while it is set."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[bytes, bytes]] = {table: {} for table in TABLES}
        self.commits: list[list[Change]] = []
        self.is_open = False
        self.refuse: Exception | None = None

    def open(self) -> None:
        if self.is_open:
            raise StoreBusy("this store is open")
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def commit(self, changes: Sequence[Change]) -> None:
        if self.refuse is not None:
            raise self.refuse
        made = {table: dict(rows) for table, rows in self.tables.items()}
        for change in changes:
            rows = made[change.table]
            if (change.key in rows) == (change.verb is Verb.INSERT):
                raise StoreDamaged(f"{change.verb.name} {change.table} {change.key!r}")
            if change.verb is Verb.DELETE:
                del rows[change.key]
            else:
                rows[change.key] = change.value
        self.tables = made
        self.commits.append(list(changes))

    def get(self, table: str, key: bytes) -> bytes | None:
        return self.tables[table].get(key)

    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes | None = None, limit: int = 1000
    ) -> list[tuple[bytes, bytes]]:
        rows = sorted(self.tables[table].items())
        return [(k, v) for k, v in rows if k.startswith(prefix) and (after is None or k > after)][:limit]

    def count(self, table: str) -> int:
        return len(self.tables[table])

    def has_room(self) -> bool:
        return self.refuse is None

    def copy(self, path: Path) -> None:
        raise NotImplementedError

    def copy_aside(self, label: str) -> Path:
        raise NotImplementedError

    def compact(self) -> None:
        pass
