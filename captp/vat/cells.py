"""Entrusted objects: what stands for each in its vat, what a turn is given, and when it may have one."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from captp.errors import Poisoned
from captp.model.captures import check_captures
from captp.model.faults import described, left
from captp.model.object import Object
from captp.model.ref import Ref

__all__ = ["Cell", "Holder"]


class Holder(Object):
    """Stands in the vat for an entrusted object that is no Object; nothing of it can be called."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        #: What it stands for, in words.
        self.kind = kind


class Shut:
    """Stands in the door of a poisoned object, as busy as a latched one."""

    _latch = ()


class Cell:
    """One entrusted object: what stands for it in the vat, and what a turn is given; its handles hold it.

    held --the last handle goes--> left in ``vat.let_go`` --driver--> gone. Handles are counted by the
    interpreter, exactly, in whatever thread they are made and go.
    sound --a turn raises, if it ``poisons``--> poisoned --heal--> sound. While it is poisoned ``door`` is
    a latched object, so that no call runs at once, and ``error`` is what those raise that ask for one.
    """

    __slots__ = ("checked", "door", "error", "obj", "poisons", "ref", "target", "trustee", "vat")

    def __init__(self, vat: Any, target: Any, obj: Object, ref: Ref, *, poisons: bool) -> None:
        self.vat = vat
        self.trustee = vat.trustee
        self.obj = obj
        self.door: Any = obj
        self.target = target
        self.poisons = poisons
        #: The function that was found to capture nothing, last.
        self.checked: Any = None
        #: What poisoned it, in words.
        self.error: str | None = None
        #: Keeps the object alive, and is what queued calls are sent to.
        self.ref = ref

    def check(self, fn: Callable[..., Any]) -> bool:
        """Return whether a function can run as it is, with no steps around it and no context of its caller's.

        Raises CaptureError for one that brings along what others may change.
        """
        check_captures(fn)
        if self.trustee.steps:
            return False
        if type(fn) is FunctionType and not fn.__closure__:
            # It captures nothing, now and ever: what a closure has may be another thing next time.
            self.checked = fn
        return not hasattr(fn, "_captp_carried")

    def fail(self, problem: Exception, mark: int) -> BaseException:
        """Undo the turn that raised, and return what its caller may have of that."""
        self.undo(mark)
        return self.told(problem)

    def undo(self, mark: int) -> None:
        """Undo the turn under way, and what it sent since the outbox had ``mark`` effects."""
        del self.vat.outbox[mark:]
        self.trustee.in_turn = None
        self.trustee.roll_back()

    def told(self, problem: Exception) -> BaseException:
        """Return what the caller of a turn may have of what it raised; nobody uses a poisoned object then."""
        error = left(problem, self.trustee)
        if self.poisons and type(problem) is not Poisoned:
            self.poison(described(error))
        return error

    def poison(self, error: str) -> None:
        """Let nobody use the object until it is healed."""
        self.error = error
        self.door = Shut

    def heal(self) -> None:
        """Let the object be used again."""
        self.error = None
        self.door = self.obj

    def look(self) -> None:
        """Raise Poisoned if the object is."""
        if self.error is not None:
            raise Poisoned(
                f"a turn on this {type(self.target).__name__} raised {self.error} and may have left it"
                " half done: look at it with heal() and apply(), or drop it"
            )

    def __del__(self) -> None:
        # It may be any thread, in the middle of any turn: the driver lets the object go in its own.
        self.vat.let_go.append((self.ref, self.target))
        self.vat.nudge()
