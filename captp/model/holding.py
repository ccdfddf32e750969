"""References given back early, and references of one's own that are given back when a block ends.

A reference is one Python object for all in a vat who have it. Released it refuses its users at once; it
lets go of what it stands for after what was sent with it has left, unless something else here, a variable,
a field, a promise or a table, has that very object still: then when that goes.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from captp.errors import Broken, Dropped, UsageError
from captp.model.own import Hold, Lent
from captp.model.promise import Reference
from captp.model.ref import HOLDS, Far, Ref, settled, view

T = TypeVar("T")

__all__ = ["LetGo", "Released", "hold", "let_go", "release"]

_RELEASED: Final = (
    "this reference was released here: ask for it again, or take one of your own with vat.hold() before"
)


class Released(Hold):
    """The home of a reference that was released."""

    __slots__ = ("_before",)

    kind = "released"

    def __init__(self, ref: Ref) -> None:
        self._before: Any = ref._home
        self.vat = self._before.vat if isinstance(self._before, Hold) else self._before

    def look(self) -> None:
        raise Dropped(_RELEASED)

    def cross(self, ref: Ref) -> Ref:  # noqa: ARG002 - it refuses all
        raise Dropped(_RELEASED)

    def stored(self, where: str) -> Exception:
        return Dropped(f"{where}: {_RELEASED}")

    def undo(self, ref: Ref) -> None:
        """Give the reference back to its user: the turn that released it was rolled back."""
        ref._home = self._before

    def forget(self) -> None:
        """Let go of the terms that it was held on."""
        self._before = None


class Held(Hold):
    """The home of a reference that one block has to itself."""

    __slots__ = ()

    kind = "held"

    def look(self) -> None:
        """Allow all: released, it has another home."""

    def cross(self, ref: Ref) -> Ref:
        return view(self.vat, ref._anchor, type(ref))

    def stored(self, where: str) -> Exception:
        return UsageError(f"{where}: a held reference ends with its block: store the one it was made of")


HOLDS.update((Released, Held))


class LetGo:
    """A released reference, to be emptied once what was sent with it has left."""

    __slots__ = ("home", "is_due", "ref")

    def __init__(self, home: Released, ref: Ref) -> None:
        self.home = home
        #: Weakly: if it goes by itself, all is done.
        self.ref = weakref.ref(ref)
        #: Whether what was sent before it has left, and holds nothing any more.
        self.is_due = False


def release(ref: Ref) -> None:
    """Give a reference back; see Reference.release."""
    home: Any = ref._home
    if type(home) is Released:
        return
    if type(home) is Lent:
        raise UsageError("a borrowed reference is not released: it goes back when its call is over")
    if isinstance(home, Hold):
        home.look()
    released = Released(ref)
    _forget(ref)
    target: Any = ref
    target._home = released
    if not released.vat.is_closed:
        released.vat.on_roll_back(released.undo, ref)
        released.vat.emit(LetGo(released, ref))


def _forget(ref: Ref) -> None:
    """Let the next reference of its kind to the same object be another one."""
    anchor, cls = ref._anchor, type(ref)
    known = anchor._views
    if type(known) is dict:
        if cls in known and known[cls]() is ref:
            del known[cls]
    elif known is not None and known() is ref:
        anchor._views = None


def let_go(effect: LetGo) -> None:
    """Empty a released reference, unless more than one variable or the like has it."""
    effect.home.forget()
    ref = effect.ref()
    if ref is not None and sys.getrefcount(ref) <= _ONE:
        ref._anchor = gone = Far(None, None)
        gone.broken = Broken(_RELEASED)


def _held_by_one() -> int:
    ref = Ref(None, Far(None, None))
    return _count(LetGo(Released(ref), ref))


def _count(effect: LetGo) -> int:
    ref = effect.ref()
    return sys.getrefcount(ref)


#: The references to a released one that one variable has, in this Python.
_ONE: Final = _held_by_one()


@contextmanager
def hold(vat: Any, reference: T) -> Iterator[T]:
    """Give a reference of one's own to what ``reference`` reaches, and release it when the block ends.

    Whatever others in the vat do, it works inside the block. Raises UsageError for a pending promise.
    """
    found: Any = settled(reference) if isinstance(reference, Reference) else reference
    if not isinstance(found, Ref):
        raise UsageError(f"a {type(found).__name__} cannot be held: await it, or export the object first")
    home: Any = found._home
    if type(home) is Released:
        home.look()
    if isinstance(home, Hold) and type(home) is not Held:
        raise UsageError(f"a {home.kind} reference has one holder already, and ends on its own terms")
    own = Held(home.vat if isinstance(home, Hold) else home, found._anchor)
    if own.vat is not vat:
        raise UsageError("a reference of another vat: references belong to one open_vat()")
    held: Any = type(found)(own, found._anchor)
    held._way = own.plain._way = found._way
    # Who released it meanwhile would find it held here.
    del reference, found
    try:
        yield held
    finally:
        held.release()
