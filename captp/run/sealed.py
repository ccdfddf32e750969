"""A store as its vat sees it: every row sealed and bound to its place, and every row counted.

A row's value is the number of its commit (8 bytes), a nonce (12), and what ChaCha20-Poly1305 made of it with
table, key and number as associated data: nobody can read it, change it or put it elsewhere unnoticed. What
is missing is noticed by the counts in the head, a row of ``meta`` that every commit replaces.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar, final

import trio
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from captp.errors import StoreDamaged, StoreError, StoreTooNew
from captp.model.keys import PrivateKey, derive
from captp.peer.durable.kept import ends, object_key
from captp.peer.durable.kinds import PREFIX
from captp.peer.durable.loading import Rows
from captp.peer.durable.stored import Image
from captp.peer.rows import TABLES, Change, Verb, packed, unpacked
from captp.run.evolving import evolved
from captp.run.store import Store

T = TypeVar("T")

__all__ = ["Overread", "Sealed", "open_sealed"]

#: The form of what is in the rows; a later one cannot be read.
FORMAT: Final = 1
HEAD: Final = b"head"
NONCE_BYTES: Final = 12
#: What a row takes in memory besides its value.
ROW_BYTES: Final = 200
#: Rows that one scan asks for.
PAGE: Final = 1000


class Overread(StoreError):
    """Somebody asked for more of a store than there may be in memory."""


@final
class Sealed:
    """One open store and the key to it; used by one thread at a time."""

    def __init__(self, store: Store, seed: bytes) -> None:
        self.store = store
        self._cipher = ChaCha20Poly1305(derive(seed, b"captp store seal"))
        self._head: dict[str, Any] = {}
        self._counts: Counter[str] = Counter()
        #: Bytes that may still be read to be in memory at once.
        self._allowed = math.inf
        #: How many ids a sweep may have in memory, and how many rows it may delete at once.
        self.most_swept = math.inf

    def allow(self, most: float) -> None:
        """Have so many bytes read of objects, or of what a vat has to have at once, before Overread."""
        self._allowed = most

    def open(self, wall_ahead: float) -> Image:
        """Open the store and return what is in it; nothing is written before ``begin``.

        ``wall_ahead`` is by how many seconds the wall clock is ahead of the driver's. Raises what
        ``Store.open`` does, and StoreDamaged for another key too.
        """
        self.store.open()
        try:
            self.read_head()
            return self._image(wall_ahead)
        except BaseException:
            self.store.close()
            raise

    def read_head(self) -> None:
        """Learn what the head of the open store says. Raises StoreDamaged, StoreTooNew."""
        sealed = self.store.get("meta", HEAD)
        if sealed is None:
            self._check_empty()
            self._head = {"format": FORMAT, "incarnation": 0, "commit": 0, "last_oid": 0}
        else:
            (self._head,) = unpacked(self.unseal("meta", HEAD, sealed), 1)
            if self._head["format"] > FORMAT:
                raise StoreTooNew(
                    f"the store has format {self._head['format']}, and this captp reads up to {FORMAT}: use"
                    " the captp that wrote it"
                )
            self._counts = Counter(self._head["counts"])
            self._check_counts()

    def _image(self, wall_ahead: float) -> Image:
        def held(table: str) -> list[tuple[bytes, bytes]]:
            return list(self._counted(self.every(table)))

        return Image(
            incarnation=self._head["incarnation"] + 1,
            last_oid=self._head["last_oid"],
            wall_ahead=wall_ahead,
            kinds=[row for row in held("meta") if row[0].startswith(PREFIX)],
            roots=held("root"),
            swiss=held("swiss"),
            channels=held("channel"),
            outbox=held("outbox"),
            inbox=held("inbox"),
            timers=held("timer"),
        )

    def begin(self) -> None:
        """Begin the incarnation that ``open`` has told of."""
        self._head["incarnation"] += 1
        is_new = not self._counts
        if is_new:
            self._counts["meta"] = 1
        self._write([], Verb.INSERT if is_new else Verb.REPLACE)

    def _check_empty(self) -> None:
        if any(self.store.count(table) for table in TABLES):
            raise StoreDamaged("the store has rows and no head: restore a backup")

    def _check_counts(self) -> None:
        for table in TABLES:
            found = self.store.count(table)
            if found != self._counts[table]:
                raise self._miscounted(table, found)

    def _miscounted(self, table: str, found: int) -> StoreDamaged:
        wanted = self._counts[table]
        return StoreDamaged(
            f"the store has {found} rows of {table} and should have {wanted}: restore a backup"
        )

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    @property
    def commits(self) -> int:
        """How many commits the store has had."""
        return int(self._head["commit"])

    @property
    def incarnation(self) -> int:
        """How often the store was opened by a vat, or a later number if it was restored."""
        return int(self._head["incarnation"])

    def renew(self, incarnation: int) -> None:
        """Count incarnations from a number on that is later than any that peers have seen."""
        self._head["incarnation"] = max(incarnation, self.incarnation + 1)
        self._write([], Verb.REPLACE)

    def commit(self, changes: list[Change], last_oid: int) -> None:
        """Make changes, none twice to one row, and the head with them; raises what ``Store.commit`` does."""
        self._head["last_oid"] = max(last_oid, self._head["last_oid"])
        self._write(changes, Verb.REPLACE)

    def _write(self, changes: list[Change], verb: Verb) -> None:
        number = self._head["commit"] + 1
        counts = Counter(self._counts)
        sealed = []
        for change in changes:
            if change.verb is Verb.DELETE:
                counts[change.table] -= 1
                sealed.append(change)
                continue
            if change.verb is Verb.INSERT:
                counts[change.table] += 1
            sealed.append(self._seal(change, number))
        head = packed(self._head | {"commit": number, "counts": dict(counts)})
        sealed.append(self._seal(Change(verb, "meta", HEAD, head), number))
        self.store.commit(sealed)
        # Only now: the same commit may be tried again when there was no room.
        self._head["commit"] = number
        self._counts = counts

    def bundle(self, oid: int) -> dict[int, Rows]:
        """Return what is stored of an object and of those that it holds itself, however deep."""
        found: dict[int, Rows] = {}
        wanted: list[Iterator[int]] = [iter((oid,))]
        while wanted:
            one = next(wanted[-1], None)
            if one is None:
                wanted.pop()
            elif one not in found:
                found[one] = rows = self.rows_of(one)
                wanted += map(_parts, rows.edges.values())
        return found

    def rows_of(self, oid: int) -> Rows:
        """Return what is stored of an object alone. Raises StoreDamaged."""
        key = object_key(oid)
        ((_, body),) = self._counted([(key, self._get("object", key))])
        entries = tuple(self._counted(self.rows("entry", key)))
        return Rows(oid, body, entries, dict(self._counted(self.rows("edge", key))))

    def _counted(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for row in rows:
            self._allowed -= len(row[1]) + ROW_BYTES
            if self._allowed < 0:
                raise Overread("more has to be read at once than there may be in memory")
            yield row

    # What a sweep needs.

    def roots(self) -> Iterator[int | None]:
        """Yield the ids that roots, sturdyrefs and durable calls lead to, None for a row that is no root.

        Rows may change meanwhile. All edges are read: one that is not in its place would be missed later, and
        what it leads to be taken for dead.
        """
        for table in ("root", "swiss"):
            for _, value in self.rows(table):
                yield _place(value)
        for key, value in self.rows("edge"):
            # Those of objects begin with zeros, for a long time to come.
            if key > b"\x01":
                yield from _ids(value)
            else:
                yield None

    def root(self, table: str, key: bytes) -> int:
        """Return the id that one root leads to."""
        return _place(self._get(table, key))

    def targets(self, prefix: bytes) -> Iterator[int]:
        """Yield the ids that rows with such keys lead to."""
        for _, value in self.rows("edge", prefix):
            yield from _ids(value)

    def objects(self) -> Iterator[int]:
        """Yield the ids of all objects; rows may change meanwhile."""
        for key, _ in self.scan("object"):
            yield int.from_bytes(key, "big")

    def delete(self, objects: list[bytes]) -> None:
        """Delete objects, with all their rows."""
        changes = [Change(Verb.DELETE, "object", key) for key in objects]
        for key in objects:
            for table in ("entry", "edge"):
                for row, _ in self.rows(table, key):
                    changes.append(Change(Verb.DELETE, table, row))
                    if len(changes) > self.most_swept:
                        raise Overread("more rows are to go at once than there may be in memory")
        self._write(changes, Verb.REPLACE)

    # Rows.

    def _get(self, table: str, key: bytes) -> bytes:
        sealed = self.store.get(table, key)
        if sealed is None:
            raise StoreDamaged(f"a row of {table} is missing: restore a backup")
        return self.unseal(table, key, sealed)

    def every(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield all rows of a table by key. Raises StoreDamaged, in the end also where they are too few."""
        found = 0
        for row in self.rows(table):
            found += 1
            yield row
        if found != self._counts[table]:
            raise self._miscounted(table, found)

    def rows(
        self, table: str, prefix: bytes = b"", after: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield by key the rows past ``after`` that begin with ``prefix``. Raises StoreDamaged."""
        for key, sealed in self.scan(table, prefix, after):
            yield key, self.unseal(table, key, sealed)

    def scan(
        self, table: str, prefix: bytes = b"", after: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield such rows as the store has them. Raises StoreDamaged."""
        while True:
            page = self.store.scan(table, prefix=prefix, after=after, limit=PAGE)
            for key, sealed in page:
                # An index that is damaged may lead to another's row, or to one row twice.
                if not key.startswith(prefix) or (after is not None and key <= after):
                    raise StoreDamaged(f"the rows of {table} are not in their order: restore a backup")
                after = key
                yield key, sealed
            if len(page) < PAGE:
                return

    def _seal(self, change: Change, number: int) -> Change:
        version, nonce = number.to_bytes(8, "big"), os.urandom(NONCE_BYTES)
        place = b"%s\0%s%s" % (change.table.encode(), change.key, version)
        value = version + nonce + self._cipher.encrypt(nonce, change.value, place)
        return Change(change.verb, change.table, change.key, value)

    def unseal(self, table: str, key: bytes, value: bytes) -> bytes:
        """Return what a row was given, from what the store has. Raises StoreDamaged."""
        version, nonce, sealed = value[:8], value[8 : 8 + NONCE_BYTES], value[8 + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, b"%s\0%s%s" % (table.encode(), key, version))
        except (InvalidTag, ValueError):
            raise StoreDamaged(
                f"a row of {table} is not what was written there, or the store belongs to another key:"
                " restore a backup"
            ) from None


def _ids(value: bytes) -> Iterator[int]:
    return (oid for oid, _ in ends(value))


def _parts(value: bytes) -> Iterator[int]:
    return (oid for oid, is_part in ends(value) if is_part)


def _place(value: bytes) -> int:
    oid: int = unpacked(value)[0]
    return oid


async def open_sealed(
    store: Store, key: PrivateKey, make: Callable[..., T], most: float = math.inf
) -> tuple[T, Sealed]:
    """Return the vat that a store holds, and its store, open; ``make`` makes it from what was in it.

    Raises a StoreError, also where that is more than ``most`` bytes, or UsageError where a class or a
    migration is missing. Nothing is changed then.
    """
    sealed = Sealed(store, key.seed())
    sealed.allow(most)
    image = await trio.to_thread.run_sync(sealed.open, time.time() - trio.current_time())
    sealed.allow(math.inf)
    try:
        image = await trio.to_thread.run_sync(evolved, sealed, image)
        made = make(durable=image)
        await trio.to_thread.run_sync(sealed.begin)
    except BaseException:
        sealed.close()
        raise
    return made, sealed
