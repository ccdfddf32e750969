"""Rows and changes to them: what a commit consists of; it knows no object and no disk."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final, NamedTuple, final

import msgpack

from captp.errors import InvariantBroken, StoreDamaged

__all__ = ["TABLES", "Change", "Verb", "coalesced", "packed", "unpacked"]

#: Every table there is. A store keeps each as rows in the order of their keys, compared as bytes.
TABLES: Final = (
    "meta",
    "object",
    "entry",
    "edge",
    "root",
    "swiss",
    "channel",
    "outbox",
    "inbox",
    "timer",
    "dead",
)


@final
class Verb(IntEnum):
    """What a change does to one row: each says whether the row is there before."""

    INSERT = 1
    REPLACE = 2
    DELETE = 3


@final
class Change(NamedTuple):
    """One change to one row; ``value`` is empty for a DELETE."""

    verb: Verb
    table: str
    key: bytes
    value: bytes = b""


#: What two changes to one row are together; None for nothing at all.
_TOGETHER: Final[dict[tuple[Verb, Verb], Verb | None]] = {
    (Verb.INSERT, Verb.REPLACE): Verb.INSERT,
    (Verb.INSERT, Verb.DELETE): None,
    (Verb.REPLACE, Verb.REPLACE): Verb.REPLACE,
    (Verb.REPLACE, Verb.DELETE): Verb.DELETE,
    (Verb.DELETE, Verb.INSERT): Verb.REPLACE,
}


def packed(*parts: Any) -> bytes:
    """Return plain data as the value of a row."""
    data: Any = msgpack.packb(parts)
    return bytes(data)


def unpacked(data: bytes, count: int | None = None) -> list[Any]:
    """Return the parts of a row's value, of which there are ``count``; raises StoreDamaged."""
    try:
        parts = msgpack.unpackb(data)
    except (msgpack.UnpackException, ValueError):
        parts = None
    if type(parts) is not list or len(parts) != (len(parts) if count is None else count):
        raise StoreDamaged("a row of the store has another form than it was given: restore a backup")
    return parts


def coalesced(changes: Iterable[Change]) -> list[Change]:
    """Return changes with the same outcome that touch each row once, in the order of the first touches.

    Raises InvariantBroken for a row that is inserted where it is, or changed where it is not.
    """
    last: dict[tuple[str, bytes], Change] = {}
    for change in changes:
        where = (change.table, change.key)
        before = last.get(where)
        if before is None:
            last[where] = change
            continue
        try:
            verb = _TOGETHER[before.verb, change.verb]
        except KeyError:
            raise InvariantBroken(
                f"a row of {change.table} was to be {change.verb.name} after {before.verb.name}"
            ) from None
        if verb is None:
            del last[where]
        else:
            last[where] = Change(verb, change.table, change.key, change.value)
    return list(last.values())
