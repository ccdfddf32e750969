"""Promises in state that outlive their run: a stored object stands for each, and has its value in the end.

pending --what decides it is done--> settled; pending --nobody decides it any more--> lost, when it is read.
The row of what decides one leads to that object, so that it is there as long as either needs it.
Invariant: who is pending in memory is in ``pending``, under the id of that object.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakValueDictionary

from captp.errors import Disconnected, NotDurable
from captp.model.faults import portable
from captp.model.idents import Oid
from captp.model.interface import method
from captp.model.object import Object
from captp.model.promise import BROKEN, Message, Promise, broken, fulfilled
from captp.model.ref import HOLDS, Ref
from captp.peer.durable.kept import State
from captp.vat.lasting import Lasting
from captp.vat.written import DurableTrustee, Written

__all__ = ["Promises"]

LOST: Final = "what was to decide this promise had begun when its vat stopped, and what came of it is lost"


class Promised(Object, kind="captp:promised"):
    """Stands in a store for a promise; ``value`` is what it was fulfilled with, or a broken promise."""

    is_settled: bool = False
    value: Any = None

    @method
    def get(self) -> Any:
        """Return the value, for those who met this while it was not in memory."""
        return self.value if self.is_settled else broken(self._home.vat, Disconnected(LOST))


class Promises:
    """The promises of one vat that are in its state, and pending."""

    def __init__(self, vat: Any) -> None:
        assert isinstance(vat.trustee, DurableTrustee)
        self._vat = vat
        self._trustee = vat.trustee
        self.pending: WeakValueDictionary[Oid, Lasting] = WeakValueDictionary()
        #: Those that came into state, and whose deciders do not know it yet.
        self.fresh: list[Lasting] = []
        #: Those that were met before it is known which of them something stored decides; None from then on.
        self._met: list[Lasting] | None = []

    def holder(self, promise: Lasting) -> Object:
        """Return what stands for a promise that comes into state."""
        if promise.holder is None:
            promise.holder = Promised()
            self._vat.reference(promise.holder)
            self.pending[promise.holder._entry.oid] = promise
            self.fresh.append(promise)
        made: Object = promise.holder
        return made

    def of(self, obj: Object) -> Promise[Any]:
        """Return what an object that was met in a row stands for."""
        assert type(obj) is Promised
        promise = self.pending.get(obj._entry.oid)
        if promise is not None:
            return promise
        if obj._entry.kept.state in (State.LOADED, State.NEW):
            return _promise(self._vat, obj)
        promise = self._enter(obj)
        if self._met is None:
            self._read(promise)
        else:
            # Its decider may come behind it. Where stored objects are only brought to a new form, none does.
            self._met.append(promise)
        return promise

    def begin(self) -> None:
        """Have those read that were met so far and that nothing decides any more."""
        met, self._met = self._met or (), None
        for promise in met:
            if promise.holder._entry.kept.state is State.COLD:
                self._read(promise)

    def _read(self, promise: Lasting) -> None:
        obj = promise.holder
        self._vat.latches.wait(obj, Message(self._vat.reference(obj), "get", (), None, promise))
        self._vat.ring()

    def restored(self, ref: Ref | None) -> Lasting:
        """Return a promise for something that goes on in this run; ``ref`` leads to what stands for it."""
        if ref is None:
            return Lasting(self._vat)
        obj = ref._anchor
        assert type(obj) is Promised
        kept = obj._entry.kept
        if kept.state is State.COLD:
            # As long as it is not decided, what is stored of it is known.
            obj._f_is_settled, obj._f_value = False, None  # type: ignore[attr-defined]
            kept.state = State.LOADED
            self._vat.latches.release(obj)
        promise = self.pending.get(obj._entry.oid)
        return self._enter(obj) if promise is None else promise

    def _enter(self, obj: Object) -> Lasting:
        promise = self.pending[obj._entry.oid] = Lasting(self._vat)
        promise.holder = obj
        return promise

    def settled(self, promise: Lasting) -> None:
        """Store what a promise has become, if it is in state."""
        obj: Any = promise.holder
        promise.decider = None
        if obj is None:
            return
        self.pending.pop(obj._entry.oid, None)
        if obj._entry.kept.state is State.DAMAGED:
            # What it was is lost, and stays to be looked at.
            return
        if not obj._f_is_settled:
            obj._f_is_settled, obj._f_value = True, self._storable(promise)
            note = self._trustee.written.setdefault(obj._entry.oid, Written(obj))
            note.has_body = True

    def _storable(self, promise: Lasting) -> Any:
        value = promise._value
        if promise._state == BROKEN:
            return broken(self._vat, portable(value))
        if isinstance(value, Ref) and type(value._home) in HOLDS:
            return broken(self._vat, NotDurable("a unique or borrowed reference cannot be state: share it"))
        return value


def _promise(vat: Any, obj: Promised) -> Promise[Any]:
    value = obj.value if obj.is_settled else broken(vat, Disconnected(LOST))
    return value if isinstance(value, Promise) else fulfilled(vat, value)
