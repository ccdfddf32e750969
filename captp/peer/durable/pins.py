"""Stored objects whose state has what is live, of other vats or not settled yet: rows cannot say that.

loose --it is saved with something live in it--> pinned, and stays in memory --saved without--> loose.
A pin is no root: what pins alone hold may be swept. A promise in the state of a pinned object that has
settled since, or follows one that is stored, can be said by now, and its object is saved once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from captp.model.idents import Oid
from captp.model.object import Object, edges
from captp.model.promise import BROKEN, PENDING, Promise, Reference
from captp.model.ref import Ref
from captp.vat.circles import circle_of
from captp.vat.lasting import lasting
from captp.vat.reach import trusted, without_collector
from captp.vat.walk import Walk

if TYPE_CHECKING:
    from captp.vat.vat import Vat

__all__ = ["Pins", "is_loose"]

#: Nodes that are looked at for what nothing but pins holds.
LIMIT: Final = 20_000
#: Pinned objects that are looked at in one tick.
LOOKS: Final = 64


class Pins:
    """The pinned objects of one vat."""

    def __init__(self, vat: Vat) -> None:
        self._vat = vat
        self._objects: dict[Oid, Object] = {}
        self._round: Iterator[Oid] = iter(())
        #: Promises of which rows could say what they are when their objects were last looked at.
        self._known: WeakSet[Promise[Any]] = WeakSet()
        #: Ids of those that the sweep which goes on may have deleted already.
        self._free: set[int] = set()

    def __contains__(self, oid: Oid) -> bool:
        return oid in self._objects

    def look(self, obj: Object) -> None:
        """Pin an object that was saved just now, or let go of it."""
        if is_loose(obj):
            self._objects.pop(obj._entry.oid, None)
        else:
            self._objects[obj._entry.oid] = obj

    def unpin(self, oids: list[int]) -> None:
        """Let go of objects that are not stored any more."""
        self._free = set()
        for oid in map(Oid, oids):
            self._objects.pop(oid, None)
            obj = self._vat.heap.find(oid)
            if obj is not None:
                obj._entry.kept = None

    def settled(self) -> list[Object]:
        """Return some of those in which a promise has become a value, or one that outlives this run."""
        found = []
        for _ in range(min(LOOKS, len(self._objects))):
            oid = next(self._round, None)
            if oid is None:
                self._round = iter(list(self._objects))
                break
            obj = self._objects.get(oid)
            if obj is not None and oid not in self._free and self._has_news(obj):
                found.append(obj)
        return found

    def _has_news(self, obj: Object) -> bool:
        promises = [p for p in edges(obj) if isinstance(p, Promise) and p not in self._known]
        news = [p for p in promises if p._state != PENDING or lasting(p) is not None]
        self._known.update(news)
        return bool(news)

    def unheld(self) -> set[int]:
        """Return the ids of stored objects that nothing but pins holds, of what could be looked at."""
        if not self._objects or trusted():
            return set()
        with without_collector():
            pinned, self._objects = self._objects, {}
            oids, seeds = list(pinned), list(pinned.values())
            # Nothing but this list has them now.
            pinned.clear()
            walk = Walk(lambda _: (), LIMIT)
            walk.keeps = False
            walk.start(seeds)
            walk.go()
            free = {obj._entry.oid for obj in circle_of(walk) if obj._entry.kept is not None}
            self._objects = dict(zip(oids, seeds, strict=True))
        self._free = free
        return free


def is_loose(obj: Object) -> bool:
    """Whether rows say all that is in the state of an object."""
    return all(map(_is_sayable, edges(obj)))


def _is_sayable(part: object) -> bool:
    if isinstance(part, Promise):
        if part._state == PENDING:
            return lasting(part) is not None
        return part._state == BROKEN or not isinstance(part._value, Reference) or _is_sayable(part._value)
    obj = part._anchor if isinstance(part, Ref) else part
    return isinstance(obj, Object) and type(obj)._captp_is_durable
