"""Which objects a vat owns: one entry each, weak, so that the heap itself keeps nothing alive."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

from attrs import define

from captp.errors import InvariantBroken
from captp.model.idents import Oid
from captp.model.object import Object, edges
from captp.model.promise import Reference


@define(eq=False, weakref_slot=False)
class HeapEntry:
    """What the vat knows of one object."""

    oid: Oid
    trustee: Any
    capsule: int = 0
    #: Whether one unique reference is all that leads to it.
    sole: bool = False
    #: Whether it was told already that nobody holds it.
    is_told: bool = False
    #: The last round in which it was looked at whether only a circle holds it.
    looked: int = 0
    #: How often a reference to it was given to a peer, whichever.
    given: int = 0
    #: The tables of the sessions that name it now.
    where: Any = None
    #: How it is stored, in a durable vat, if it is.
    kept: Any = None


class Heap:
    """Every object that a vat owns, by an id that is never used twice."""

    def __init__(self) -> None:
        self._objects: dict[Oid, weakref.ref[Object]] = {}
        #: The newest id.
        self.last = 0
        self._gone: list[Oid] = []

    def add(self, obj: Object, trustee: Any) -> None:
        """Enter ``obj``; it leaves by itself when nobody holds it any more."""
        self.last = number = self.last + 1
        oid = Oid(number)
        obj._entry = HeapEntry(oid, trustee)
        self._enter(oid, obj)

    def enter(self, obj: Object, entry: HeapEntry) -> None:
        """Enter an object that was stored, under the id that it has had."""
        obj._entry = entry
        self._enter(entry.oid, obj)

    def _enter(self, oid: Oid, obj: Object) -> None:
        gone = self._gone
        self._objects[oid] = weakref.ref(obj, lambda _r: gone.append(oid))

    def enter_again(self, obj: Object) -> bool:
        """Enter an object that Python's collector had found and that lives on; return whether it was out."""
        oid = obj._entry.oid
        is_out = self.find(oid) is None
        if is_out:
            self._enter(oid, obj)
        return is_out

    def sweep(self) -> None:
        """Forget the entries of objects that are gone; called at batch borders."""
        while self._gone:
            oid = self._gone.pop()
            if self.find(oid) is None:
                self._objects.pop(oid, None)

    @property
    def size(self) -> int:
        """How many objects there are, about: some may be gone."""
        return len(self._objects)

    def ids(self) -> Iterator[Oid]:
        """Yield the ids of the objects, oldest first; some may be gone by then."""
        return iter(list(self._objects))

    def objects(self) -> Iterator[Object]:
        """Yield the live objects, oldest first."""
        for ref in list(self._objects.values()):
            obj = ref()
            if obj is not None:
                yield obj

    def find(self, oid: Oid) -> Object | None:
        """Return the object with an id, while it lives."""
        ref = self._objects.get(oid)
        return None if ref is None else ref()

    def edges(self, obj: Object) -> Iterator[Object | Reference]:
        """Yield what ``obj`` holds in its state."""
        return edges(obj)

    def check(self) -> None:
        """Raise InvariantBroken unless every entry names its object and its trustee."""
        for oid, ref in self._objects.items():
            obj = ref()
            if obj is not None and (obj._entry is None or obj._entry.oid != oid):
                raise InvariantBroken(f"heap entry {oid} does not name its object")

    def dump(self) -> list[str]:
        """Return one line per live object."""
        return [f"o{o._entry.oid} {type(o).__name__}" for o in self.objects()]
