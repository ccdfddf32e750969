"""Tries what the Store protocol says on a store, and tells the first promise that it does not keep."""

from __future__ import annotations

import random
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

from captp.errors import StoreBusy, StoreDamaged, StoreError, StoreFailed
from captp.run.store import TABLES, Change, Store, Verb
from captp.testing.trial import SCAN, Trial, scanned, shown

__all__ = ["check_store"]

_MIB: Final = 2**20
#: How many rows ``scan`` gives when it is not told.
_PAGE: Final = 1000


def check_store(make: Callable[[], Store], *, commits: int = 3000, seed: int = 1) -> None:
    """Try every promise of the Store protocol; raises StoreCheckFailed for the first that is broken.

    ``make`` returns another Store at each call, not yet opened, over the same place, which has no rows.
    What it writes is deleted again. ``commits`` random commits follow those with a purpose.
    """
    check = _Check(make)
    try:
        check.opening()
        check.verbs()
        check.all_or_nothing()
        check.order()
        check.pages()
        check.values()
        check.copies()
        check.closing()
        check.at_random(random.Random(seed), commits, seed)  # noqa: S311 - what can be run again
    except BaseException:
        with suppress(Exception):  # what broke before matters more
            check.store.close()
        raise
    check.does("close gives the store back", "close()", check.store.close)


@final
class _Check(Trial):
    """The promises of the protocol, one by one."""

    # Promises, each beginning and ending with an open store that is empty.

    def opening(self) -> None:
        promise = "open takes the store for this process, and makes it where there is none"
        self.does(promise, "open()", self.store.open)
        self.compare("make returns stores over a place that has no rows yet", "the first open()")
        self.insert("meta", {b"first": b"1"})
        self.compare("a commit makes its changes, each in its table", "INSERT of a row of meta")
        second = self.make()
        promise = "a store that is open is taken: another Store over its place raises StoreBusy"
        self.refuses(StoreBusy, promise, "open() of a second one", second.open)
        self.insert("meta", {b"second": b"2"})
        self.compare("a second one that is refused changes nothing", "commit() after that")
        self.does("close gives the store back", "close()", self.store.close)
        self.does("close gives the store back", "open() of the second one", second.open)
        self.store, third = second, self.store
        self.refuses(StoreBusy, promise, "open() of the first one, after the second's", third.open)
        self.compare("what is committed is there for the next to open it", "open() of the second one")
        self.clear()

    def verbs(self) -> None:
        promise = "INSERT makes a row, REPLACE changes one, DELETE removes one"
        self.insert("object", {b"a": b"1", b"b": b"2"})
        self.compare(promise, "INSERT of a and b")
        self.commit(Change(Verb.REPLACE, "object", b"a", b"one"))
        self.compare(promise, "REPLACE of a")
        self.commit(Change(Verb.DELETE, "object", b"b"))
        self.compare(promise, "DELETE of b")
        self.reopen()
        self.compare("what is committed is there for the next to open it", "DELETE of b, close() and open()")
        for table in TABLES:
            if table != "object":
                self.insert(table, {b"a": table.encode()})
        self.compare("each table has rows of its own", "INSERT of a row a in each table")
        self.commit()
        self.compare("a commit of no changes changes nothing", "commit([])")
        promise = "a row that is not as its verb says is StoreDamaged"
        for wrong in (
            Change(Verb.INSERT, "object", b"a", b"2"),
            Change(Verb.INSERT, "object", b"a", b"one"),
            Change(Verb.REPLACE, "object", b"none", b"2"),
            Change(Verb.DELETE, "object", b"none"),
            Change(Verb.DELETE, "object", b"b"),
        ):
            what = f"{wrong.verb.name} of {shown(wrong.key)}, where there are {list(self.rows['object'])}"
            self.refuses(StoreDamaged, promise, what, self.store.commit, [wrong])
            self.compare("a commit that is refused changes nothing", what)
        self.clear()

    def all_or_nothing(self) -> None:
        promise = "a commit makes all of its changes, or none"
        self.insert("object", {b"kept": b"1", b"other": b"2"})
        good = [
            Change(Verb.INSERT, "object", b"new", b"3"),
            Change(Verb.REPLACE, "object", b"kept", b"4"),
            Change(Verb.DELETE, "object", b"other"),
            Change(Verb.INSERT, "root", b"new", b"5"),
        ]
        wrong = [
            Change(Verb.INSERT, "object", b"kept", b"6"),
            Change(Verb.REPLACE, "swiss", b"none", b"6"),
            Change(Verb.DELETE, "edge", b"none"),
        ]
        for last in wrong:
            changes = [change for change in good if (change.table, change.key) != (last.table, last.key)]
            for at in (len(changes), 0):
                tried = [*changes[:at], last, *changes[at:]]
                what = f"a commit of which change {at + 1} of {len(tried)}, {last.verb.name}, is wrong"
                self.refuses(StoreDamaged, promise, what, self.store.commit, tried)
                self.compare(promise, what)
                self.reopen()
                self.compare(promise, f"{what}, close() and open()")
        self.commit(*good)
        self.compare("after a commit that was refused others are made", "a commit that is right")
        self.clear()

    def order(self) -> None:
        keys = [
            b"\0",
            b"\0\0",
            b"\0\xff",
            b"\x7f",
            b"\x80",
            b"9",
            b"10",
            b"A",
            b"a",
            b"a\0",
            b"a\0\0",
            b"a\xff",
        ]
        keys += [b"a\xff\xff", b"a\xff\xff\0", b"b", b"\xfe", b"\xfe\xff", b"\xff", b"\xff\0", b"\xff\xff"]
        keys += [b"\xff" * 63, b"\xff" * 64, b"\xc3\xa4", b"aa", b"ab", b"B"]
        self.insert("edge", {key: key.hex().encode() for key in reversed(keys)})
        self.insert("root", {b"a": b"another table's"})
        prefixes = [
            b"",
            b"\0",
            b"9",
            b"a",
            b"a\0",
            b"a\xff",
            b"a\xff\xff",
            b"\xfe",
            b"\xff",
            b"\xff" * 64,
            b"x",
        ]
        for prefix in prefixes:
            for after in (None, b"", *keys, b"a\x01", b"x"):
                for limit in (1, 2, 3, len(keys), _PAGE):
                    self.scan(SCAN, "edge", prefix, after, limit)
        self.clear()

    def pages(self) -> None:
        promise = f"scan gives {_PAGE} rows where no limit is given, and the others past the last of those"
        self.insert("object", {key.to_bytes(8, "big"): b"row" for key in range(2 * _PAGE + 1)})
        for after in (None, (_PAGE - 1).to_bytes(8, "big"), (2 * _PAGE - 1).to_bytes(8, "big")):
            came = self.does(promise, "scan()", self.store.scan, "object", after=after)
            expected = scanned(self.rows["object"], b"", after, _PAGE)
            self.expect(promise, f"scan(after={shown(after)}) of {2 * _PAGE + 1} rows", expected, came)
        self.compare("a commit may have thousands of changes", f"a commit of {2 * _PAGE + 1}")
        self.clear()

    def values(self) -> None:
        promise = "keys and values are any bytes, and come back as they were"
        keys = [bytes([byte]) for byte in range(256)]
        keys += [b"\0\0", b"a\0b", b"a\0", b"\xff" * 64, b"\0" * 64, bytes(range(64)), b"'; --", b"%_\\"]
        self.insert("entry", {key: key[::-1] for key in keys})
        self.compare(promise, f"INSERT of {len(keys)} keys, of 1 to 64 bytes")
        odd = {b"empty": b"", b"zero": b"\0", b"every": bytes(range(256)), b"big": bytes(_MIB - 1) + b"\xff"}
        self.insert("object", odd)
        self.compare(promise, "INSERT of values of 0 to 1 MiB")
        self.reopen()
        self.compare(promise, "INSERT of values of 0 to 1 MiB, close() and open()")
        for table, key in (("object", b"empty"), ("entry", b"\xff" * 64)):
            value = self.does(promise, "get()", self.store.get, table, key)
            self.expect("get returns bytes", f"get({key!r})", bytes, type(value))
        rows = self.does(promise, "scan()", self.store.scan, "object", prefix=b"zero")
        self.expect("scan returns pairs of bytes", "scan()", [(bytes, bytes)], [_types(row) for row in rows])
        promise = "get of a row that is not there is None"
        self.expect(promise, "get()", None, self.does(promise, "get()", self.store.get, "object", b"em"))
        self.commit(Change(Verb.REPLACE, "object", b"every", b""))
        self.commit(Change(Verb.REPLACE, "object", b"empty", b"no more"))
        self.compare(promise, "REPLACE by and of an empty value")
        self.clear()

    def copies(self) -> None:
        self.insert("object", {b"a": b"1", b"b": b"2" * 1000})
        with TemporaryDirectory() as folder:
            promise = "copy writes a new file that only the owner can read"
            path = Path(folder, "copy")
            self.does(promise, "copy()", self.store.copy, path)
            mode = path.stat().st_mode if path.exists() else None
            self.expect(promise, "copy() to a new path", True, mode is not None and stat.S_ISREG(mode))
            self.expect(promise, "copy(): the mode for others", 0, stat.S_IMODE(mode or 0) & 0o077)
            before = path.read_bytes()
            what = "copy() to a file that is there"
            self.refuses(StoreError, promise, what, self.store.copy, path)
            self.expect(promise, f"{what}: is it as it was?", True, path.read_bytes() == before)
        self.copies_aside()
        self.compare("copy changes nothing", "copy() and copy_aside()")
        self.commit(Change(Verb.DELETE, "object", b"b"))
        self.does("compact gives room back", "compact()", self.store.compact)
        self.compare("compact changes no row", "DELETE of b and compact()")
        room = self.does("has_room tells whether there is room", "has_room()", self.store.has_room)
        self.expect("has_room tells whether there is room", "has_room() on a disk with room", True, room)
        self.clear()

    def copies_aside(self) -> None:
        promise = (
            "copy_aside writes a copy beside the store that only the owner can read, over one of its label"
        )
        paths: list[Path] = []
        for what in ("copy_aside('label')", "copy_aside('label') once more"):
            self.does(promise, what, lambda: paths.append(self.store.copy_aside("label")))
        first, path = paths
        mode = path.stat().st_mode if path.exists() else None
        path.unlink(missing_ok=True)
        self.expect(promise, "copy_aside() to a new path", True, mode is not None and stat.S_ISREG(mode))
        self.expect(promise, "copy_aside(): the mode for others", 0, stat.S_IMODE(mode or 0) & 0o077)
        self.expect(promise, "copy_aside() twice: is it one path?", True, first == path)

    def closing(self) -> None:
        self.insert("meta", {b"last": b"1"})
        promise = "close gives the store back, and does nothing a second time"
        self.does(promise, "close()", self.store.close)
        self.does(promise, "close() once more", self.store.close)
        change = Change(Verb.INSERT, "meta", b"late", b"2")
        promise = "a store that is not open raises StoreFailed for all but open and close"
        with TemporaryDirectory() as folder:
            closed: dict[str, Callable[[], object]] = {
                "commit": lambda: self.store.commit([change]),
                "get": lambda: self.store.get("meta", b"last"),
                "scan": lambda: self.store.scan("meta"),
                "count": lambda: self.store.count("meta"),
                "has_room": self.store.has_room,
                "copy": lambda: self.store.copy(Path(folder, "copy")),
                "copy_aside": lambda: self.store.copy_aside("label"),
                "compact": self.store.compact,
            }
            for name, call in closed.items():
                self.refuses(StoreFailed, promise, f"{name}() after close()", call)
        promise = "a store that was closed can be opened again, and has what was committed"
        self.does(promise, "open() after close()", self.store.open)
        self.compare(promise, "open() after close()")
        self.clear()
        self.reopen()
        self.compare("what is deleted stays so", "DELETE of all rows, close() and open()")

    def at_random(self, random: random.Random, commits: int, seed: int) -> None:
        promise = "a store does what a dict for each table does"
        for number in range(1, commits + 1):
            self.context = f" (seed {seed}, random commit {number})"
            changes = self._some_changes(random)
            if random.random() < 0.1:
                changes.insert(random.randint(0, len(changes)), self._wrong_change(random, changes))
                self.refuses(StoreDamaged, promise, "a wrong commit", self.store.commit, changes)
            else:
                self.commit(*changes)
            table = random.choice(TABLES)
            if random.random() < 0.02:
                self.reopen()
            if random.random() < 0.01:
                self.compare(promise, "what was said to it so far")
            for change in changes:
                value = self.does(promise, "get()", self.store.get, change.table, change.key)
                self.expect(promise, "get()", self.rows[change.table].get(change.key), value)
            prefix = random.choice((b"", _some_key(random)[:2]))
            after = random.choice((None, _some_key(random)))
            self.scan(promise, table, prefix, after, random.randint(1, 40))
        self.context = ""
        self.clear()

    def _some_changes(self, random: random.Random) -> list[Change]:
        """Return changes that can be made together, each to a row of its own."""
        found: dict[tuple[str, bytes], Change] = {}
        for _ in range(random.randint(1, 16)):
            table = random.choice(TABLES[:3])
            rows = self.rows[table]
            key = random.choice(list(rows)) if rows and random.random() < 0.4 else _some_key(random)
            value = random.randbytes(random.choice((0, 1, 8, 200, 5000)))
            if key not in rows:
                change = Change(Verb.INSERT, table, key, value)
            elif random.random() < 0.5:
                change = Change(Verb.REPLACE, table, key, value)
            else:
                change = Change(Verb.DELETE, table, key)
            found[table, key] = change
        return list(found.values())

    def _wrong_change(self, random: random.Random, others: list[Change]) -> Change:
        """Return a change that cannot be made, to a row that the others leave alone."""
        touched = {(change.table, change.key) for change in others}
        there = [key for key in self.rows["object"] if ("object", key) not in touched]
        if there and random.random() < 0.5:
            return Change(Verb.INSERT, "object", random.choice(there), b"")
        return Change(random.choice((Verb.REPLACE, Verb.DELETE)), "swiss", b"never there")


def _some_key(random: random.Random) -> bytes:
    """Return a key of bytes that are hard to order; short ones come again and again."""
    return bytes(random.choices(b"\0\x01a\x7f\x80\xfe\xff", k=random.choice((1, 2, 2, 3, 3, 3, 8, 64))))


def _types(row: tuple[bytes, bytes]) -> tuple[type, ...]:
    return tuple(type(item) for item in row)
