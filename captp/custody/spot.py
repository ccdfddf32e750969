"""Where something was made: in which task, thread or turn; and whether the code that runs now is there."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Final, final

from captp.custody import strand
from captp.custody.opening import turning_object

__all__ = ["Spot"]

#: Its value says nothing. What was set in one context can only be reset there, and each task and each thread
#: has a context of its own: that tells whether a spot is where it was made.
_HERE: Final[ContextVar[None]] = ContextVar("captp_here")


@final
class Spot:
    """A task, a thread, or the turns on one object."""

    __slots__ = ("_thread", "_token", "_turn")

    def __init__(self) -> None:
        self._thread = strand.get_ident()
        #: The object in whose turn it was made: a fiber's steps are turns on it, whichever task runs them.
        self._turn = turning_object()
        self._token: Token[None] = _HERE.set(None)

    def is_here(self) -> bool:
        """Whether the code that runs is in the task, the thread and the turn it was made in."""
        turn = turning_object()
        if turn is not self._turn:
            return False
        if turn is not None:
            return True
        if self._thread != strand.get_ident():
            return False
        try:
            _HERE.reset(self._token)
        except (ValueError, RuntimeError):
            return False
        self._token = _HERE.set(None)
        return True
