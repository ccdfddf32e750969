"""Records between a child's vat and its store in the parent: 4 bytes of length, then MessagePack; pure.

The child may be anybody's by now. What it says is taken apart by ``asked``, which lets through only what the
store's own code can read, whatever the rows are worth to the child; what it is told it takes on trust.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, final

import msgpack
from attrs import asdict, frozen

from captp.errors import RemoteProtocolError
from captp.model.idents import Oid
from captp.model.object import KINDS
from captp.peer.durable.kept import EDGE_BYTES, object_key
from captp.peer.durable.kinds import PREFIX, Kind, misfit
from captp.peer.durable.loading import Rows
from captp.peer.durable.stored import Image
from captp.peer.outputs import Commit, Load, Sweep
from captp.peer.rows import TABLES, Change, Verb

__all__ = [
    "MOST_RECORD",
    "Loaded",
    "RecordRefused",
    "Records",
    "Room",
    "StoredUpTo",
    "Swept",
    "asked",
    "encoded",
    "told",
]

#: Bytes of one record of a child: what its turns may have changed at once.
MOST_RECORD: Final = 32 * 1024 * 1024
#: Changes in it, whose small values take many times their bytes here.
MOST_CHANGES: Final = 1 << 18
#: Ids have 8 bytes in a row of edges, with one bit for something else, and are counted on.
MOST_ID: Final = 1 << 62
MOST_KEY: Final = 64
LENGTH: Final = 4


class RecordRefused(RemoteProtocolError):
    """What a child sent its store is no record, or one that no vat of captp sends."""


@frozen
class StoredUpTo:
    """All commits up to this number are on disk."""

    number: int


@frozen
class Loaded:
    """What is stored of an object and of its parts, None where that is damaged."""

    oid: Oid
    bundle: dict[int, Rows] | None


@frozen
class Swept:
    """How a sweep ended."""

    deleted: int
    floating: int
    freed: list[int]
    damage: str


@frozen
class Room:
    """Whether the store has room for more."""

    has_room: bool


@final
class _Tag(IntEnum):
    COMMIT = 1
    LOAD = 2
    SWEEP = 3
    STORED = 4
    LOADED = 5
    SWEPT = 6
    ROOM = 7
    IMAGE = 8


Asked = Commit | Load | Sweep
Told = StoredUpTo | Loaded | Swept | Room | Image

_TABLES: Final = {name: number for number, name in enumerate(TABLES)}


def encoded(record: Asked | Told) -> bytes:
    """Return a record as it is sent."""
    data: Any = msgpack.packb(_flat(record))
    return len(data).to_bytes(LENGTH, "big") + bytes(data)


def _flat(record: Asked | Told) -> list[Any]:
    match record:
        case Commit():
            parts: list[Any] = [_Tag.COMMIT, record.number, record.last_oid]
            for verb, table, key, value in record.changes:
                parts += (verb, _TABLES[table], key, value)
            return parts
        case Load():
            return [_Tag.LOAD, *record.oids]
        case Sweep():
            return [_Tag.SWEEP, len(record.held), *record.held, *record.free]
        case StoredUpTo():
            return [_Tag.STORED, record.number]
        case Loaded():
            bundle = None if record.bundle is None else [_rows(rows) for rows in record.bundle.values()]
            return [_Tag.LOADED, record.oid, bundle]
        case Swept():
            return [_Tag.SWEPT, record.deleted, record.floating, record.freed, record.damage]
        case Room():
            return [_Tag.ROOM, record.has_room]
        case Image():
            fields = asdict(record, recurse=False)
            return [_Tag.IMAGE, {n: v if type(v) in (int, float) else list(v) for n, v in fields.items()}]


def _rows(rows: Rows) -> list[Any]:
    return [rows.oid, rows.body, rows.entries, list(rows.edges.items())]


@final
class Records:
    """Joins what comes from a stream to whole records, of at most ``most`` bytes each where that is given."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the records that are whole with these bytes. Raises RecordRefused for too long a one."""
        buffer, at = self._buffer, 0
        buffer += data
        try:
            while len(buffer) >= at + LENGTH:
                size = int.from_bytes(buffer[at : at + LENGTH], "big")
                if self._most is not None and size > self._most:
                    # Before its bytes come: they are never held.
                    raise RecordRefused(f"a record of {size} bytes; expected at most {self._most}")
                end = at + LENGTH + size
                if len(buffer) < end:
                    break
                record = bytes(buffer[at + LENGTH : end])
                at = end
                yield record
        finally:
            del buffer[:at]


# What a child says.


def asked(data: bytes, most_changes: int = MOST_CHANGES) -> Asked:
    """Return what a child asks of its store. Raises RecordRefused."""
    try:
        parts = msgpack.unpackb(data, max_array_len=3 + 4 * most_changes, max_map_len=0)
    except (msgpack.UnpackException, ValueError) as problem:
        # It nests too deep, is cut off, or has something behind it.
        raise RecordRefused(f"what is no record, or of more than {most_changes} changes") from problem
    if type(parts) is not list or not parts:
        raise _unlike("a record")
    tag, *rest = parts
    if tag == _Tag.COMMIT:
        return _commit(rest)
    for oid in rest:
        _check_id(oid)
    if tag == _Tag.LOAD:
        return Load(tuple(rest))
    if tag == _Tag.SWEEP and rest and rest[0] < len(rest):
        held = rest[0] + 1
        return Sweep(tuple(rest[1:held]), frozenset(rest[held:]))
    raise _unlike("a record")


def _commit(parts: list[Any]) -> Commit:
    if len(parts) < 2 or len(parts) % 4 != 2:
        raise _unlike("a commit")
    number, last_oid = parts[:2]
    _check_id(number)
    _check_id(last_oid)
    return Commit(number, [_change(*parts[at : at + 4]) for at in range(2, len(parts), 4)], last_oid)


def _change(verb: Any, table: Any, key: Any, value: Any) -> Change:
    if not (type(verb) is int and verb in _VERBS and type(table) is int and 0 <= table < len(TABLES)):
        raise _unlike("a change")
    if type(key) is not bytes or not 0 < len(key) <= MOST_KEY or type(value) is not bytes:
        raise _unlike("a row")
    change = Change(Verb(verb), TABLES[table], key, value)
    if not _fits(change):
        raise _unlike(f"a row of {change.table}")
    return change


_VERBS: Final = frozenset(int(verb) for verb in Verb)


def _fits(change: Change) -> bool:
    """Whether the store's own code, which sweeps and counts, can read a row where it stands."""
    verb, table, key, value = change
    if table == "meta":
        # The head is the store's own, and kinds go when a store is migrated.
        return verb is Verb.INSERT and key.startswith(PREFIX) and _is_todays_kind(key, value)
    if table == "object" and len(key) != len(object_key(0)):
        return False
    if verb is Verb.DELETE:
        return not value
    if table == "edge":
        return len(value) % EDGE_BYTES == 0
    return table not in ("root", "swiss") or _leads_somewhere(value)


def _is_todays_kind(key: bytes, value: bytes) -> bool:
    """Whether a kind is what its class is now, if that is known here: or all would have to be migrated."""
    match _parts(value):
        case [str(name), int(version), list(fields)] if all(type(field) is str for field in fields):
            kind = Kind(int.from_bytes(key[len(PREFIX) :], "big"), name, version, tuple(fields))
            return name not in KINDS or not misfit(kind)
    return False


def _leads_somewhere(value: bytes) -> bool:
    match _parts(value):
        case [int(oid), *_] if type(oid) is int:
            return 0 < oid < MOST_ID
    return False


def _parts(value: bytes) -> Any:
    try:
        return msgpack.unpackb(value, max_map_len=0)
    except (msgpack.UnpackException, ValueError):
        return None


def _check_id(oid: Any) -> None:
    if type(oid) is not int or not 0 <= oid < MOST_ID:
        raise _unlike("an id")


def _unlike(what: str) -> RecordRefused:
    return RecordRefused(f"{what} that no vat of captp makes")


# What the store says.


def told(data: bytes) -> Told:
    """Return what a child is told of its store."""
    tag, *rest = msgpack.unpackb(data)
    if tag == _Tag.STORED:
        return StoredUpTo(*rest)
    if tag == _Tag.LOADED:
        oid, bundle = rest
        return Loaded(oid, None if bundle is None else {rows[0]: _as_rows(rows) for rows in bundle})
    if tag == _Tag.SWEPT:
        return Swept(*rest)
    if tag == _Tag.ROOM:
        return Room(*rest)
    return Image(**{name: _as_pairs(value) for name, value in rest[0].items()})


def _as_rows(rows: Sequence[Any]) -> Rows:
    oid, body, entries, edges = rows
    return Rows(oid, body, _as_pairs(entries), dict(edges))


def _as_pairs(value: Any) -> Any:
    return tuple([(key, row) for key, row in value]) if type(value) is list else value
