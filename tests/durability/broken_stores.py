"""Stores that break one promise each, and which the checker says that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from captp.errors import StoreDamaged, StoreError
from captp.run.store import Change, Verb
from tests.durability.right_store import RightStore, Rows, Tables


class LosesTheLastCommit(RightStore):
    def close(self) -> None:
        if self.memory.holder is self:
            self.memory.tables = self.memory.before
        super().close()


class HalfApplies(RightStore):
    def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.make(self.opened()[change.table], change)


class KeepsAWrongCommitsOtherChanges(RightStore):
    def commit(self, changes: Sequence[Change]) -> None:
        wrong = None
        for change in changes:
            try:
                super().commit([change])
            except StoreDamaged as error:
                wrong = error
        if wrong is not None:
            raise wrong


class KeepsAWrongCommitUntilItIsOpenedAgain(RightStore):
    """Its tables in memory are rolled back, and its log is not."""

    late: Tables | None = None

    def commit(self, changes: Sequence[Change]) -> None:
        self.late = None
        try:
            super().commit(changes)
        except StoreDamaged:
            self.late = {name: dict(rows) for name, rows in self.opened().items()}
            self.late["meta"][b"late"] = b""
            raise

    def close(self) -> None:
        self.memory.tables = self.late or self.memory.tables
        super().close()


class IgnoresVerbs(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        if change.verb is Verb.DELETE:
            rows.pop(change.key, None)
        else:
            rows[change.key] = change.value


class InsertsOver(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        if change.verb is Verb.INSERT:
            rows[change.key] = change.value
        else:
            super().make(rows, change)


class InsertsTheSameOver(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        if not (change.verb is Verb.INSERT and rows.get(change.key) == change.value):
            super().make(rows, change)


class ReplacesWhatIsNotThere(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        if change.verb is Verb.REPLACE:
            rows[change.key] = change.value
        else:
            super().make(rows, change)


class DeletesWhatIsNotThere(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        if change.verb is not Verb.DELETE or change.key in rows:
            super().make(rows, change)


class SaysNothingButStoreError(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        try:
            super().make(rows, change)
        except StoreDamaged as error:
            raise StoreError(str(error)) from None


class ScansAsInserted(RightStore):
    def sorted(self, keys: Iterable[bytes]) -> list[bytes]:
        return list(keys)


class ScansAsText(RightStore):
    def sorted(self, keys: Iterable[bytes]) -> list[bytes]:
        return sorted(keys, key=lambda key: (key.lower(), key))


class ScansAsSignedBytes(RightStore):
    def sorted(self, keys: Iterable[bytes]) -> list[bytes]:
        return sorted(keys, key=lambda key: [byte ^ 0x80 for byte in key])


class ScansShortKeysFirst(RightStore):
    def sorted(self, keys: Iterable[bytes]) -> list[bytes]:
        return sorted(keys, key=lambda key: (len(key), key))


class ScansOneMore(RightStore):
    def scan(self, table: str, *, limit: int = 1000, **more: Any) -> list[tuple[bytes, bytes]]:
        return super().scan(table, limit=limit + 1, **more)


class ScansOneLess(RightStore):
    def scan(self, table: str, *, limit: int = 1000, **more: Any) -> list[tuple[bytes, bytes]]:
        return super().scan(table, limit=max(1, limit - 1), **more)


class ScansAllWhenNotTold(RightStore):
    def scan(self, table: str, *, limit: int = 10**9, **more: Any) -> list[tuple[bytes, bytes]]:
        return super().scan(table, limit=limit, **more)


class ScansFromAfter(RightStore):
    def is_past(self, key: bytes, after: bytes) -> bool:
        return key >= after


class ScansPastWhatBeginsWithAfter(RightStore):
    def is_past(self, key: bytes, after: bytes) -> bool:
        return key > after and not key.startswith(after + b"\0")


class ForgetsThePrefixWhenAfterIsGiven(RightStore):
    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes | None = None, limit: int = 1000
    ) -> list[tuple[bytes, bytes]]:
        return super().scan(table, prefix=prefix if after is None else b"", after=after, limit=limit)


class TakesAnEmptyAfterForNone(RightStore):
    def is_past(self, key: bytes, after: bytes) -> bool:
        return key > after if after else key == key[:1]


class CountsTheLastByteOfAPrefixUp(RightStore):
    """As one does for an upper bound, and goes wrong where the byte is 0xff."""

    def begins(self, key: bytes, prefix: bytes) -> bool:
        return not prefix or prefix <= key < prefix[:-1] + bytes([(prefix[-1] + 1) % 256])


class EndsAPrefixWithOneFF(RightStore):
    def begins(self, key: bytes, prefix: bytes) -> bool:
        return prefix <= key <= prefix + b"\xff"


class CountsWithoutTheFirst(RightStore):
    def count(self, table: str) -> int:
        return max(0, super().count(table) - 1)


class CountsAllTables(RightStore):
    def count(self, table: str) -> int:
        return sum(len(rows) for rows in self.opened().values())


class OpensTwice(RightStore):
    def open(self) -> None:
        self.memory.holder = None
        super().open()

    def opened(self) -> Tables:
        return self.memory.tables if self.memory.holder else super().opened()


class StaysTaken(RightStore):
    def close(self) -> None:
        pass


class ClosesOnce(RightStore):
    def close(self) -> None:
        self.opened()
        super().close()


class WorksWhenClosed(RightStore):
    def opened(self) -> Tables:
        return self.memory.tables


class HasRoomWhenClosed(RightStore):
    def has_room(self) -> bool:
        return True


class NeverHasRoom(RightStore):
    def has_room(self) -> bool:
        return not self.opened()


class LosesEmptyValues(RightStore):
    def get(self, table: str, key: bytes) -> bytes | None:
        return super().get(table, key) or None


class GetsEmptyForNone(RightStore):
    def get(self, table: str, key: bytes) -> bytes | None:
        return super().get(table, key) or b""


class GetsViews(RightStore):
    def get(self, table: str, key: bytes) -> Any:
        value = super().get(table, key)
        return None if value is None else memoryview(value)


class ScansViews(RightStore):
    def scan(self, table: str, **more: Any) -> Any:
        return [(key, memoryview(value)) for key, value in super().scan(table, **more)]


class EndsValuesAtZero(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        super().make(rows, change._replace(value=change.value.partition(b"\0")[0]))


class EndsKeysAtZero(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        super().make(rows, change._replace(key=change.key.partition(b"\0")[0]))


class CutsKeys(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        super().make(rows, change._replace(key=change.key[:63]))


class CutsValues(RightStore):
    def make(self, rows: Rows, change: Change) -> None:
        super().make(rows, change._replace(value=change.value[: 2**16]))


class HasOneTable(RightStore):
    def commit(self, changes: Sequence[Change]) -> None:
        super().commit([change._replace(table="meta") for change in changes])

    def opened(self) -> Tables:
        return dict.fromkeys(super().opened(), super().opened()["meta"])


class ForgetsDeletions(RightStore):
    """What was deleted is there again after the next opening."""

    gone: dict[tuple[str, bytes], bytes]

    def open(self) -> None:
        super().open()
        self.gone = {}

    def commit(self, changes: Sequence[Change]) -> None:
        before = self.opened()
        super().commit(changes)
        for verb, table, key, _ in changes:
            if verb is Verb.DELETE:
                self.gone[table, key] = before[table][key]

    def close(self) -> None:
        if self.memory.holder is self:
            for (table, key), value in self.gone.items():
                self.memory.tables[table].setdefault(key, value)
        super().close()


class RaisesOthersErrors(RightStore):
    def get(self, table: str, key: bytes) -> bytes | None:
        return self.opened()[table][key]


class ForgetsUnderLoad(RightStore):
    """Only what comes by chance finds it."""

    commits = 0

    def commit(self, changes: Sequence[Change]) -> None:
        self.commits += 1
        changes = changes[1:] if self.commits == 50 else changes
        super().commit(changes)


class CopiesForAll(RightStore):
    def copy(self, path: Path) -> None:
        super().copy(path)
        path.chmod(0o644)


class CopiesOver(RightStore):
    def copy(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().copy(path)


class CopiesNothing(RightStore):
    def copy(self, path: Path) -> None:
        self.opened()


class CopiesAsideForAll(RightStore):
    def copy_aside(self, label: str) -> Path:
        path = super().copy_aside(label)
        path.chmod(0o644)
        return path


class CopiesAsideOnce(RightStore):
    labels = 0

    def copy_aside(self, label: str) -> Path:
        path = super().copy_aside(label)
        self.labels += 1
        return path.rename(f"{path}-{self.labels}")


class CopiesNothingAside(RightStore):
    def copy_aside(self, label: str) -> Path:
        path = super().copy_aside(label)
        path.unlink()
        return path


class CopiesAsideWhenClosed(RightStore):
    def copy_aside(self, label: str) -> Path:
        path = self.memory.folder / label
        path.unlink(missing_ok=True)
        path.touch(0o600)
        return path


class CompactsRowsAway(RightStore):
    def compact(self) -> None:
        self.opened()["object"].clear()


#: Each broken store, and a word of the promise that the checker says it breaks.
BROKEN: dict[type[RightStore], str] = {
    LosesTheLastCommit: "what is committed is there for the next",
    HalfApplies: "a commit makes all of its changes, or none",
    KeepsAWrongCommitsOtherChanges: "a commit makes all of its changes, or none",
    KeepsAWrongCommitUntilItIsOpenedAgain: "a commit makes all of its changes, or none",
    IgnoresVerbs: "a row that is not as its verb says",
    InsertsOver: "a row that is not as its verb says",
    InsertsTheSameOver: "a row that is not as its verb says",
    ReplacesWhatIsNotThere: "a row that is not as its verb says",
    DeletesWhatIsNotThere: "a row that is not as its verb says",
    SaysNothingButStoreError: "a row that is not as its verb says",
    ScansAsInserted: "past after",
    ScansAsText: "past after",
    ScansAsSignedBytes: "past after",
    ScansShortKeysFirst: "past after",
    ScansOneMore: "limit",
    ScansOneLess: "limit",
    ScansAllWhenNotTold: "no limit is given",
    ScansFromAfter: "past after",
    ScansPastWhatBeginsWithAfter: "past after",
    ForgetsThePrefixWhenAfterIsGiven: "past after",
    TakesAnEmptyAfterForNone: "past after",
    CountsTheLastByteOfAPrefixUp: "past after",
    EndsAPrefixWithOneFF: "past after",
    CountsWithoutTheFirst: "count tells",
    CountsAllTables: "count tells",
    OpensTwice: "raises StoreBusy",
    StaysTaken: "close gives the store back",
    ClosesOnce: "does nothing a second time",
    WorksWhenClosed: "is not open raises StoreFailed",
    HasRoomWhenClosed: "is not open raises StoreFailed",
    NeverHasRoom: "has_room tells",
    LosesEmptyValues: "come back as they were",
    GetsEmptyForNone: "get",
    GetsViews: "get returns bytes",
    ScansViews: "scan returns pairs of bytes",
    EndsValuesAtZero: "come back as they were",
    EndsKeysAtZero: "a commit whose verbs hold",
    CutsKeys: "a commit whose verbs hold",
    CutsValues: "come back as they were",
    HasOneTable: "each in its table",
    ForgetsDeletions: "what is committed is there for the next",
    RaisesOthersErrors: "get",
    ForgetsUnderLoad: "a dict for each table",
    CopiesForAll: "only the owner can read",
    CopiesOver: "only the owner can read",
    CopiesNothing: "only the owner can read",
    CopiesAsideForAll: "over one of its label",
    CopiesAsideOnce: "over one of its label",
    CopiesNothingAside: "over one of its label",
    CopiesAsideWhenClosed: "is not open raises StoreFailed",
    CompactsRowsAway: "compact",
}
