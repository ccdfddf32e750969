"""Knows of each thing that is exported which sessions name it, so that nobody has to search them all.

It stands at the thing: nowhere, one session's tables, or a set of them. Promises are not looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captp.errors import InvariantBroken
from captp.model.ref import Far

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from captp.session.tables import Tables


def record(anchor: Any) -> Any:
    """Return where it is kept what was given of an object, or of what is itself imported."""
    return anchor if type(anchor) is Far else anchor._entry


def enter(at: Any, tables: Tables) -> None:
    """Note that a session names it from now on."""
    where = at.where
    if where is None:
        at.where = tables
    elif type(where) is set:
        where.add(tables)
    else:
        at.where = {where, tables}


def leave(at: Any, tables: Tables) -> None:
    """Note that a session names it no more."""
    where = at.where
    if where is tables:
        at.where = None
    elif type(where) is set:
        where.discard(tables)


def holders(anchor: Any) -> Collection[Tables]:
    """Return the tables that name it, in no order."""
    where = record(anchor).where
    if where is None:
        return ()
    return where if type(where) is set else (where,)


def check_holders(anchors: Iterable[Any]) -> None:
    """Raise InvariantBroken where a session is said to name something that it does not."""
    for anchor in anchors:
        for tables in holders(anchor):
            if id(anchor) not in tables.by_anchor:
                raise InvariantBroken(f"{anchor!r} is named by fewer sessions than it says")
