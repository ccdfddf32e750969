"""Circles of one vat: what only its own members hold is found and taken apart, a few objects at a time.

Python's collector does the same in one go through the whole process, when much was made: in a vat that is
quiet, or drops as much as it makes, never, and what a circle holds of other vats would stay for ever.

An object: held, or of a circle that nothing else holds --its vat has it told, once--> told --> taken apart.
What is larger than a look, holds something unknown or has a finalizer of its own is left to Python.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from captp.model.idents import Oid
from captp.model.object import Object
from captp.vat.reach import spread, surplus_of, trusted, without_collector
from captp.vat.walk import Walk, slots_of

#: Nodes that one look visits, and what it costs besides them, in nodes.
LIMIT: Final = 1000
TOLL: Final = 8

#: Objects that one step passes by which were looked at in this round together with others.
SKIPS: Final = 500


class Circles:
    """Goes round and round through the objects of a vat."""

    def __init__(self, vat: Any) -> None:
        self._vat = vat
        self._round: Iterator[Oid] = iter(())
        #: Its number: those that were looked at in it have that.
        self._number = 0
        #: Objects that were taken apart, ever.
        self.freed = 0

    def step(self, nodes: int) -> None:
        """Look at what so many nodes are enough for; called between turns."""
        if trusted():
            return
        for _ in range(SKIPS):
            if nodes <= 0:
                return
            oid = next(self._round, None)
            if oid is None:
                self._round = self._vat.heap.ids()
                self._number += 1
                return
            nodes -= self._look(oid)

    def _look(self, oid: Oid) -> int:
        """Free what is a circle of its own behind one object; return what that cost, in nodes."""
        with without_collector():
            # Nobody but this list is to hold it now, and a list is known to the walk.
            seeds = [self._vat.heap.find(oid)]
            if seeds[0] is None or seeds[0]._entry.looked == self._number:
                return 0
            walk = Walk(_by_nobody, LIMIT)
            # What is stored is there again when it is called.
            walk.keeps = False
            walk.start(seeds)
            walk.go()
            circle = circle_of(walk)
        for node in walk.nodes:
            if issubclass(type(node), Object) and node._entry is not None:
                node._entry.looked = self._number
        if circle and _may_go(circle):
            self.freed += len(circle)
            for obj in circle:
                take_apart(obj)
        return walk.cost + TOLL


def _by_nobody(_thing: Any) -> tuple[()]:
    """Say nothing of who holds something: so it is rooted if anybody does, peers included."""
    return ()


def circle_of(walk: Walk) -> list[Object]:
    """Return the objects that only such objects hold as are returned."""
    surplus = surplus_of(walk)
    if min(surplus) < 0:
        return []
    outer = (place for place, count in enumerate(surplus) if count)
    rooted = spread((*walk.rooted, *outer), walk.edges)
    return [
        node
        for place, node in enumerate(walk.nodes)
        if place and not rooted[place] and issubclass(type(node), Object)
    ]


def _may_go(circle: list[Object]) -> bool:
    """Have those told that want to be; return whether all have been, and none has a finalizer of its own."""
    ours = [obj for obj in circle if obj._entry.kept is None]
    wait = [obj for obj in ours if hasattr(type(obj), "__del__") and not gc.is_finalized(obj)]
    if any(type(obj)._captp_farewell is None for obj in wait):
        return False
    untold = [obj for obj in wait if not obj._entry.is_told]
    for obj in untold:
        obj._home.last_holder_went(obj)
        obj._entry.is_told = True
    return not untold


def take_apart(obj: Object) -> None:
    """Empty an object that nobody looks into any more."""
    for slot in slots_of(type(obj)):
        with suppress(AttributeError):  # one that was never set
            slot.__delete__(obj)
