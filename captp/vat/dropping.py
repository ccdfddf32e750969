"""What a vat does with what nobody holds any more: it stops fibers, and tells objects in a turn.

An object comes here once: its finalizer brought it back, see model/farewell.py. If Python's collector had
found it, in a cycle, the weak references to all of the cycle are gone, and are made again here.
"""

from __future__ import annotations

import weakref
from types import MethodType
from typing import Any, Final, final

from captp.errors import Broken
from captp.model.histogram import Histogram
from captp.model.interface import Row
from captp.model.object import Object, edges
from captp.model.promise import BROKEN, PENDING, Message, Promise, Reference
from captp.model.ref import HOLDS, Ref
from captp.vat.fiber import Fiber

__all__ = ["FAREWELL", "Reaped", "farewell_row", "went"]


@final
class Reaped:
    """How much went that nobody held any more, and how much of it together."""

    __slots__ = ("count", "sizes")

    def __init__(self) -> None:
        self.count = 0
        self.sizes = Histogram()

    def add(self, count: int) -> None:
        """Take note of what goes now."""
        self.count += count
        self.sizes.add(count)


class _Farewell:
    """The name of the last message to an object; no peer can spell it."""

    def __repr__(self) -> str:
        return "__dropped__"


FAREWELL: Final = _Farewell()


def farewell_row(_vat: Any, obj: Object, _message: Message) -> Row | None:
    """Return what an object does that nobody holds any more."""
    return type(obj)._captp_farewell


def went(vat: Any, what: Fiber | Object | MethodType) -> None:
    """Cancel a fiber whose result nobody holds any more; queue the last turn of an object; or call it."""
    if type(what) is Fiber:
        if what in vat.turns.fibers:
            vat.cancel(what)
    elif type(what) is MethodType:
        # What is no object of the vat has its own way to go.
        what()
    elif not vat.is_closed:
        assert isinstance(what, Object)
        _enter_again(vat, what)
        vat.admit(vat.local, Message(Ref(vat, what), FAREWELL, (), None, None))


def _enter_again(vat: Any, obj: Object) -> None:
    """Make the weak references to a cycle again; what is in the heap still was not in it."""
    found: list[Object | Reference] = [obj]
    while found:
        one = found.pop()
        if isinstance(one, Object):
            if one._home is vat.trustee and vat.heap.enter_again(one):
                found += edges(one)
        elif isinstance(one, Ref):
            _show_again(one)
            if isinstance(one._anchor, Object):
                found.append(one._anchor)
        elif isinstance(one, Promise):
            _break_lost(vat, one)
            if isinstance(one._value, Reference):
                found.append(one._value)


def _show_again(ref: Ref) -> None:
    """Let a reference be the one of its kind again."""
    known, cls = ref._anchor._views, type(ref)
    if type(ref._home) in HOLDS or ref._way is not None or known is None:
        return
    if type(known) is not dict:
        if known() is None:
            ref._anchor._views = weakref.ref(ref)
    elif cls in known and known[cls]() is None:
        known[cls] = weakref.ref(ref)


def _break_lost(vat: Any, promise: Promise[Any]) -> None:
    """Break a promise whose call was cancelled when the collector found it."""
    route = promise._route
    if promise._state == PENDING and route is not None and route() is None:
        problem = Broken("this call was cancelled: nobody held its promise but a cycle that was dropped")
        vat.settle_now(promise, BROKEN, problem)
