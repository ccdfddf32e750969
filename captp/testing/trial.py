"""What promises of a store are tried with: the store, and a dict for each table to compare it with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar, final

from captp.errors import Error, StoreError
from captp.run.store import TABLES, Change, Store, Verb

__all__ = ["SCAN", "StoreCheckFailed", "Trial", "scanned", "shown"]

P = ParamSpec("P")
T = TypeVar("T")
Rows = dict[bytes, bytes]

SCAN: Final = "scan gives the first limit rows by key, compared as bytes, that begin with prefix, past after"
_SHOWN: Final = 160
#: How many rows of a table are got one by one where all are compared.
_GOT: Final = 20


@final
class StoreCheckFailed(Error):
    """A store breaks a promise of the Store protocol; the text says which, and how that showed."""


class Trial:
    """A store, and what should be in it."""

    def __init__(self, make: Callable[[], Store]) -> None:
        self.make = make
        self.store = make()
        self.rows: dict[str, Rows] = {name: {} for name in TABLES}
        self.context = ""

    def does(self, promise: str, done: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call that must not raise; return what it returns."""
        try:
            return call(*args, **kwargs)
        except Exception as error:
            raise self.broken(promise, done, "that it returns", f"{type(error).__name__}: {error}") from error

    def refuses(
        self,
        kind: type[StoreError],
        promise: str,
        done: str,
        call: Callable[P, object],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Make a call that must raise ``kind``."""
        try:
            came = call(*args, **kwargs)
        except kind:
            return
        except Exception as error:
            raise self.broken(promise, done, kind.__name__, f"{type(error).__name__}: {error}") from error
        raise self.broken(promise, done, kind.__name__, f"it returned {shown(came)}")

    def expect(self, promise: str, done: str, expected: object, came: object) -> None:
        if came == expected:
            return
        if isinstance(expected, list) and isinstance(came, list):
            same = 0
            while same < min(len(expected), len(came)) and expected[same] == came[same]:
                same += 1
            done += f", item {same} (of {len(expected)} expected, {len(came)} came)"
            expected, came = (rows[same] if same < len(rows) else "no more" for rows in (expected, came))
        raise self.broken(promise, done, shown(expected), shown(came))

    def broken(self, promise: str, done: str, expected: str, came: str) -> StoreCheckFailed:
        return StoreCheckFailed(
            f"a promise is broken: {promise}; done: {done}{self.context}; expected: {expected}; came: {came}"
        )

    def insert(self, table: str, rows: Rows) -> None:
        self.commit(*(Change(Verb.INSERT, table, key, value) for key, value in rows.items()))

    def commit(self, *changes: Change) -> None:
        """Make changes that are right, here and there."""
        done = f"a commit of {len(changes)} changes"
        self.does("a commit whose verbs hold is made", done, self.store.commit, changes)
        for change in changes:
            if change.verb is Verb.DELETE:
                del self.rows[change.table][change.key]
            else:
                self.rows[change.table][change.key] = change.value

    def clear(self) -> None:
        """Delete every row."""
        self.commit(*(Change(Verb.DELETE, table, key) for table, rows in self.rows.items() for key in rows))
        self.compare("a row that is deleted is there no more", "DELETE of all rows")

    def reopen(self) -> None:
        """Close the store, and go on with another object."""
        self.does("close gives the store back", "close()", self.store.close)
        self.store = self.make()
        self.does("a store that was closed can be opened again", "open()", self.store.open)

    def compare(self, promise: str, done: str) -> None:
        """Read everything, and expect what should be there."""
        for table, rows in self.rows.items():
            found: list[tuple[bytes, bytes]] = []
            after: bytes | None = None
            while page := self.does(promise, f"{done}, scan({table!r})", self.store.scan, table, after=after):
                found += page
                if after is not None and page[-1][0] <= after:
                    break  # it goes in circles
                after = page[-1][0]
            blamed = SCAN if set(found) == set(rows.items()) else promise
            self.expect(blamed, f"{done}, scan({table!r})", sorted(rows.items()), found)
            count = self.does(promise, f"{done}, count({table!r})", self.store.count, table)
            self.expect("count tells how many rows there are", f"{done}, count({table!r})", len(rows), count)
            for key in list(rows)[:_GOT]:
                value = self.does(promise, f"{done}, get()", self.store.get, table, key)
                self.expect(promise, f"{done}, get({table!r}, {shown(key)})", rows[key], value)

    def scan(self, promise: str, table: str, prefix: bytes, after: bytes | None, limit: int) -> None:
        done = f"scan({table!r}, prefix={shown(prefix)}, after={shown(after)}, limit={limit})"
        came = self.does(promise, done, self.store.scan, table, prefix=prefix, after=after, limit=limit)
        self.expect(promise, done, scanned(self.rows[table], prefix, after, limit), came)


def scanned(rows: Rows, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
    """Return what a scan should, in the plainest way."""
    keys = [key for key in rows if key.startswith(prefix) and (after is None or key > after)]
    return [(key, rows[key]) for key in sorted(keys)[:limit]]


def shown(value: object) -> str:
    """Return a value as text, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
