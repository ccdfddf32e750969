"""The vat that a lock belongs to, as locks see it: it settles their promises, and undoes failed turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

from captp.custody import strand
from captp.custody.opening import turning_vat
from captp.errors import Contended, UsageError

__all__ = ["Berth", "Live", "be_here", "berth"]


class Berth(Protocol):
    """A vat; what it calls ``dropped`` it looks at between turns."""

    is_gated: bool
    is_closed: bool
    dropped: deque[Any]
    #: Has it look at what was dropped soon; fit for finalizers.
    nudge: Callable[[], None]

    def emit(self, effect: Any) -> None:
        """Have something done, when the turn that runs has committed."""
        ...

    def on_roll_back(self, undo: Callable[..., Any], *args: Any) -> None:
        """Have ``undo`` called when the turn that runs now, if any, is rolled back."""
        ...


class Live(Protocol):
    """An open vat, as ``open_vat`` gives it."""

    @property
    def peer(self) -> Any:
        """The engine underneath."""
        ...


def berth(vat: Live | Berth | None, what: str) -> Berth:
    """Return the vat that was given, or the one whose turn runs; raises UsageError if there is neither."""
    found: Any = turning_vat() if vat is None else vat
    if found is None:
        raise UsageError(f"outside the methods of a vat {what}() is told its vat: {what}(..., vat=vat)")
    peer = getattr(found, "peer", None)
    found = found if peer is None else peer.vat
    if not callable(getattr(found, "on_roll_back", None)):
        raise UsageError(f"{what}() takes the vat that open_vat() gives, not a {type(found).__name__}")
    return cast("Berth", found)


def be_here(vat: Berth, thread: int, what: str) -> None:
    """Raise Contended outside the thread of a vat, and in turns of another vat, which would not undo here."""
    running = turning_vat()
    if thread != strand.get_ident() or not (running is None or running is vat):
        raise Contended(f"this {what} belongs to a vat: use it in the tasks and methods of that one")
