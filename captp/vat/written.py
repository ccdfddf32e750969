"""What turns wrote in a durable vat: read off the journal at each commit, collected once a batch.

A vat that is not durable has none of this. Nothing is compared or copied in a turn: the journal says which
objects and containers were touched, and a field that was assigned is found by its identity.
"""

from __future__ import annotations

from typing import Any

from captp.errors import Overloaded
from captp.model.containers import Map, Tracked
from captp.model.idents import Oid
from captp.model.object import Object
from captp.model.promise import Message
from captp.vat.arrivals import Arrival, put_back
from captp.vat.heap import Heap
from captp.vat.trustee import Trustee, restore

__all__ = ["DurableTrustee", "Written"]


class Written:
    """What was written of one object since it was last stored; holds it until then."""

    __slots__ = ("has_body", "has_inner", "maps", "obj")

    def __init__(self, obj: Object) -> None:
        self.obj = obj
        #: Whether a field was assigned, or a container changed that is part of the body.
        self.has_body = False
        #: Whether a container changed that lies in another.
        self.has_inner = False
        #: By ``id()`` of each Map in a field that changed: it, and its keys, with whether each was added
        #: at the end, in the order in which they were.
        self.maps: dict[int, tuple[Map[Any, Any], dict[Any, bool]]] = {}


class DurableTrustee(Trustee):
    """A loop trustee that remembers what its turns wrote, and can refuse that they write."""

    __slots__ = ("_postponed", "_warm", "begun", "has_room", "written")

    def __init__(self, vat: Any, heap: Heap) -> None:
        super().__init__(vat, heap)
        #: By object, in the order of the first write.
        self.written: dict[Oid, Written] = {}
        #: Durable calls whose turns have begun since the last batch.
        self.begun: list[Arrival] = []
        #: By an object that is read now: those whose turns wait for it.
        self._postponed: dict[Oid, list[Object]] = {}
        #: By one of those: what its turn has looked into so far, which stays in memory until that has run.
        self._warm: dict[Oid, list[Object]] = {}
        #: Whether the store has room for more.
        self.has_room = True

    def first_write(self, obj: Object) -> None:
        if not self.has_room and self.running is not None:
            raise Overloaded(
                "storage-full: the disk of this vat is full; nothing is written until there is room"
            )
        super().first_write(obj)

    def postpone(self, message: Message, obj: Object, cold: Object) -> None:
        """Run a turn again when an object that it looked into is in memory; ``obj`` waits with it."""
        put_back(self.begun, message)
        self.vat.latches.hold(obj)
        self.vat.latches.wait(obj, message)
        self._postponed.setdefault(cold._entry.oid, []).append(obj)
        self._warm.setdefault(obj._entry.oid, []).append(cold)
        self.warm(cold)

    def warm(self, cold: Object) -> None:
        """Have the state of an object read."""
        if cold._latch.on_wait is not None:
            on_wait, cold._latch.on_wait = cold._latch.on_wait, None
            on_wait(cold)
            self.vat.ring()

    def warmed(self, cold: Object) -> None:
        """Let the turns run that waited for an object."""
        for obj in self._postponed.pop(cold._entry.oid, ()):
            self.vat.latches.release(obj)

    def cool(self) -> None:
        """Let go of what turns looked into that have run by now; called after each batch."""
        if self._warm:
            waiting = {obj._entry.oid for objects in self._postponed.values() for obj in objects}
            self._warm = {oid: objects for oid, objects in self._warm.items() if oid in waiting}

    def commit(self) -> None:
        written = self.written
        for undo, args in self.journal:
            if undo is restore:
                obj, saved = args[0], args[1]
                note = written.get(obj._entry.oid)
                if note is None:
                    note = written[obj._entry.oid] = Written(obj)
                if not note.has_body:
                    for old, new in zip(saved, obj._captp_snap(), strict=True):
                        if old is not new:
                            note.has_body = True
                            break
            elif args and isinstance(args[0], Tracked):
                obj = args[0]._owner()
                if obj is not None:
                    _note(written[obj._entry.oid], obj, undo, args)
        super().commit()


def _note(note: Written, obj: Object, undo: Any, args: tuple[Any, ...]) -> None:
    container = args[0]
    if not any(value is container for value in obj._captp_snap()):  # type: ignore[attr-defined]
        note.has_inner = True
    elif type(container) is not Map:
        note.has_body = True
    else:
        keys = note.maps.setdefault(id(container), (container, {}))[1]
        what = args[1]
        if type(what) is dict:
            # All of them went.
            keys |= dict.fromkeys(what, False)
        elif undo is dict.pop:
            keys.pop(what, None)
            keys[what] = True
        else:
            keys.setdefault(what, False)
