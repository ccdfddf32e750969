"""Conditions: holders of a mutex who wait until others have changed what it guards."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, NoReturn, TypeVar, final

from captp.custody.access import Brand
from captp.custody.guard import Guard
from captp.custody.mutex import Mutex
from captp.custody.ticket import Stage, Ticket, alive, has_room, skip_gone
from captp.errors import Overloaded, UsageError
from captp.model.promise import Kept, Promise

__all__ = ["Condition"]

K = TypeVar("K", bound=Brand)


@final
class Condition(Generic[K]):
    """Lets holders of one mutex wait, without it, until they are notified, first come first.

    waiting here --notify--> waiting for the mutex --its turn--> held; waiting here --let go of--> over.
    Each ticket is here or with the mutex. At most ``waiters`` wait here.
    """

    __slots__ = ("__weakref__", "_limit", "_line", "_waiting")

    def __init__(self, mutex: Mutex[K], *, waiters: int = 10_000) -> None:
        if not isinstance(mutex, Mutex):
            raise UsageError(f"Condition() takes a Mutex, not a {type(mutex).__name__}")
        if type(waiters) is not int or waiters < 0:
            raise UsageError(f"waiters is how many may wait, an int from 0, not {waiters!r}")
        self._line = mutex._line
        self._limit = waiters
        self._waiting: deque[Ticket] = deque()
        self._line.conditions.add(self)

    def wait(self, guard: Guard[K]) -> Promise[Guard[K]]:
        """Give a guard back, and return a promise for a new one, after a notification.

        Others may have held the mutex in between: look again at what was waited for. Raises Overloaded, and
        the guard stays good, where too many wait.
        """
        line = self._line
        if guard._line is not line:
            raise UsageError(f"this guard is of {guard._line}, and the condition of {line}")
        line.look_idle(guard)
        skip_gone(self._waiting)
        if not has_room(self._waiting, self._limit):
            raise Overloaded(f"{self._limit} wait for this condition already; try again later")
        ticket = Ticket(is_shared=False)
        promise: Kept[Any] = line.promise(ticket)
        self._waiting.append(ticket)
        line.undo_with(line.take_out, self._waiting, ticket)
        line.release(guard)
        return promise

    def notify(self, n: int = 1) -> None:
        """Have the first ``n`` who wait get the mutex, as if they asked for it now."""
        if type(n) is not int or n < 0:
            raise UsageError(f"notify() takes how many to notify, an int from 0, not {n!r}")
        line = self._line
        line.be_here()
        while n and self._waiting:
            ticket = self._waiting.popleft()
            promise = ticket.promise()
            if promise is None:
                ticket.end_wait(Stage.OVER)
                continue
            n -= 1
            line.undo_with(line.put_back, self._waiting, ticket, promise)
            line.enter(ticket)

    def notify_all(self) -> None:
        """Have all who wait now get the mutex, one after the other."""
        self.notify(len(self._waiting))

    def __repr__(self) -> str:
        return f"<Condition of {self._line}, {alive(self._waiting)} wait>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Condition cannot be copied or serialised: it is of one mutex")
