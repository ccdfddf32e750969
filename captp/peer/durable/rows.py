"""Rows and changes to them: what a commit consists of; it knows no object and no disk."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple, final

from captp.errors import InvariantBroken

__all__ = ["TABLES", "Change", "Verb", "coalesced"]

#: Every table there is. A store keeps each as rows in the order of their keys, compared as bytes.
TABLES: Final = ("meta", "object", "entry", "edge", "root", "swiss")


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
