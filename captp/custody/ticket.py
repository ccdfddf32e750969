"""Tickets: one wish to have a lock, from when it is asked for until it is given back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any
from weakref import ref

from captp.model.promise import Kept

__all__ = ["Stage", "Ticket", "alive", "gone", "has_room", "skip_gone"]


class Stage(Enum):
    """See ``Ticket``."""

    WAITING = 0
    HELD = 1
    OVER = 2


class Ticket:
    """One wish to have a lock.

    waiting --its turn--> held --released | lost--> over
    waiting --its promise is let go of | is broken--> over
    The turn of a vat in which that happened takes it back when it fails, whatever it was. Each ticket is in
    one place: where it waits, or with those who hold, or in none.
    """

    __slots__ = ("accesses", "is_shared", "promise", "stage")

    def __init__(self, *, is_shared: bool) -> None:
        self.is_shared = is_shared
        self.stage = Stage.WAITING
        #: The promise of one that waits, which its waiter holds and nobody else.
        self.promise: Callable[[], Kept[Any] | None] = _nothing
        #: Accesses to write that no turn has taken back.
        self.accesses = 0

    def wait(self, promise: Kept[Any], on_drop: Callable[[Any], None]) -> None:
        """Wait by a promise; ``on_drop`` is called when nobody holds that, in whatever thread."""
        self.stage = Stage.WAITING
        self.promise = ref(promise, on_drop)

    def end_wait(self, stage: Stage) -> None:
        """Wait no more."""
        self.stage = stage
        self.promise = _nothing

    def count(self) -> None:
        """Note that the capsule is about to be written."""
        self.accesses += 1

    def uncount(self) -> None:
        """Forget one such, with the turn that has failed."""
        self.accesses -= 1


def _nothing() -> None:
    return None


def gone(ticket: Ticket) -> bool:
    """Whether nobody waits by a ticket any more."""
    return ticket.promise() is None


def skip_gone(waiting: deque[Ticket]) -> None:
    """Forget those first in a queue that nobody waits by."""
    while waiting and gone(waiting[0]):
        waiting.popleft().end_wait(Stage.OVER)


def alive(waiting: deque[Ticket]) -> int:
    """Count those who still wait."""
    return sum(not gone(ticket) for ticket in waiting)


def has_room(waiting: deque[Ticket], limit: int) -> bool:
    """Whether one more may wait; forgets those that nobody waits by where it seems not."""
    if len(waiting) >= limit:
        there = [ticket for ticket in waiting if not gone(ticket)]
        waiting.clear()
        waiting.extend(there)
    return len(waiting) < limit
