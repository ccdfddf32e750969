"""Settled references: one Python object per target and interface; they know a home and an anchor.

An anchor is what all views of one target share: the near object itself, or the ``Far`` that stands
for one import of one session. A reference keeps its anchor alive, never the other way round.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator
from typing import Any, Final, TypeVar

from captp.errors import Broken
from captp.model.fresh import fresh
from captp.model.promise import FULFILLED, Promise, Reference

RefT = TypeVar("RefT", bound="Ref")

#: Classes of homes that hold one reference each; see model/own.py.
HOLDS: Final[set[type]] = set()


class Ref(Reference):
    """A settled reference, near or far; ``E(ref)`` sends anything, typed views have their methods."""

    __slots__ = ("__weakref__", "_anchor", "_home", "_way")

    #: None of those of a promise, so that who has either need not ask which.
    _state = -1

    def __init__(self, home: Any, anchor: Any) -> None:
        self._home = home
        self._anchor = anchor
        #: The route of the promise that this was the value of, while calls on it may be under way.
        self._way: Any = None

    def __await__(self) -> Generator[Any, Any, Any]:
        broken = getattr(self._anchor, "broken", None)
        if broken is not None:
            raise fresh(broken)
        yield from ()
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other._anchor is self._anchor

    def __hash__(self) -> int:
        return id(self._anchor) >> 4

    def __repr__(self) -> str:
        anchor = self._anchor
        where = repr(anchor) if type(anchor) is Far else f"near {type(anchor).__name__}"
        return f"<{type(self).__name__} to {where}>"

    def __reduce__(self) -> Any:
        raise TypeError("a reference cannot be copied or serialised: pass it, or mint a sturdyref")

    def release(self) -> None:
        self._home.release(self)


class Far:
    """One imported object of one session, shared by all references to it.

    live --session ends--> broken; ``broken`` then holds the error that every send to it meets.
    """

    __slots__ = ("__weakref__", "_views", "broken", "desc", "entry", "given", "session", "watchers", "where")

    def __init__(self, session: Any, desc: Any) -> None:
        self._views: Any = None
        self.session = session
        self.desc = desc
        self.entry: Any = None
        self.broken: Broken | None = None
        self.watchers: Any = None
        #: How often a reference to it was given to another peer.
        self.given = 0
        #: The tables of the other sessions that name it now.
        self.where: Any = None

    def __del__(self) -> None:
        entry = self.entry
        if entry is not None and entry() is None and self.broken is None:
            # Python's collector found it in a cycle. A finalizer there may bring it back, and its entry
            # has been told that it is gone.
            self.session.found(self)

    def __repr__(self) -> str:
        state = "broken" if self.broken is not None else "far"
        return f"{state} {self.entry!r}"


def shown(ref: Ref, cls: type[RefT]) -> RefT:
    """Return ``ref`` under another interface; one that takes a detour keeps it, and is not shared."""
    way = ref._way
    if (way is None or not way.unanswered) and type(ref._home) not in HOLDS:
        return view(ref._home, ref._anchor, cls)
    made = cls(ref._home, ref._anchor)
    made._way = way
    return made


def view(home: Any, anchor: Any, cls: type[RefT]) -> RefT:
    """Return the one reference of class ``cls`` to ``anchor``; make it when there is none."""
    known = anchor._views
    if known is None:
        made = cls(home, anchor)
        anchor._views = weakref.ref(made)
        return made
    if type(known) is not dict:
        found = known()
        if type(found) is cls:
            return found
        made = cls(home, anchor)
        if found is None:
            anchor._views = weakref.ref(made)
        else:
            anchor._views = {type(found): known, cls: weakref.ref(made)}
        return made
    slot = known.get(cls)
    found = slot() if slot is not None else None
    if found is None:
        made = cls(home, anchor)
        known[cls] = weakref.ref(made)
        return made
    return found  # type: ignore[no-any-return]


def settled(reference: Reference) -> Reference:
    """Follow fulfilled promises to what they stand for; stops at anything that is not a reference."""
    while isinstance(reference, Promise) and reference._state == FULFILLED:
        value = reference._value
        if not isinstance(value, Reference):
            return reference
        reference = value
    return reference


def same(one: Any, other: Any) -> bool | None:
    """Tell whether two references reach one object; None while either is not settled."""
    one, other = settled(one), settled(other)
    if isinstance(one, Ref) and isinstance(other, Ref):
        return one._anchor is other._anchor
    if one is other:
        return True
    return None
