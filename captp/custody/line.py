"""Lines: who holds a lock and who waits for it, in order of arrival; a line knows no task and no fiber.

open --poison--> poisoned --heal--> open; open --close--> closed, for good.
Who waits is let in as soon as those who hold it leave room: one to write, or any number to read. Invariant:
whoever stands first could not be let in; those who hold are one writer, or readers.

A line belongs to a vat, whose outbox settles its promises. What a turn of that vat did with it is taken back
if the turn fails. What is lost elsewhere, a guard or a promise, is looked at between turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any
from weakref import WeakSet

from captp.custody import strand
from captp.custody.access import run_inside
from captp.custody.berth import Berth, be_here
from captp.custody.freezing import frozen
from captp.custody.guard import Guard
from captp.custody.home import HomeState
from captp.custody.key import Key, spend
from captp.custody.opening import turning_vat
from captp.custody.ticket import Stage, Ticket, alive, has_room, skip_gone
from captp.errors import Contended, Frozen, InvariantBroken, Overloaded, Poisoned, UsageError
from captp.model.promise import BROKEN, FULFILLED, Kept, Settlement

__all__ = ["Line", "LineState"]


class LineState(Enum):
    """See the module's text."""

    OPEN = 0
    POISONED = 1
    CLOSED = 2


class Line:
    """Those who hold one lock and those who wait for it."""

    __slots__ = (
        "__weakref__", "_failed", "_limit", "_lost", "_thread", "_what", "conditions", "held", "home",
        "state", "vat", "waiting",
    )  # fmt: skip

    def __init__(self, key: Key[Any], vat: Berth, *, limit: int, what: str) -> None:
        if type(limit) is not int or limit < 0:
            raise UsageError(f"waiters is how many may wait, an int from 0, not {limit!r}")
        home = spend(key, f"{what}()")
        if home.state is HomeState.FROZEN:
            raise Frozen(f"capsule {home} is frozen, and needs no lock: key.access() reads it, anywhere")
        self.home = home
        self.vat = vat
        self.state = LineState.OPEN
        self.held: dict[Ticket, None] = {}
        self.waiting: deque[Ticket] = deque()
        #: What else has tickets of this line that wait.
        self.conditions: WeakSet[Any] = WeakSet()
        #: Tickets whose guards are gone; appended by any thread.
        self._lost: deque[Ticket] = deque()
        #: Tickets of turns that failed, and poisoned the lock before they were undone.
        self._failed: deque[Ticket] = deque()
        self._limit = limit
        self._thread = strand.get_ident()
        self._what = what

    def __repr__(self) -> str:
        return f"{self._what} of {self.home}"

    # Asking and giving back.

    def ask(self, *, is_shared: bool) -> Kept[Any]:
        """Return a promise for a guard; it breaks as Poisoned, Frozen or Overloaded."""
        self.be_here()
        problem = self._refusal(is_shared)
        if problem is not None:
            return _settled(self.vat, BROKEN, problem)
        skip_gone(self.waiting)
        ticket = Ticket(is_shared=is_shared)
        if not self.waiting and self._admits(ticket):
            guard = self._hold(ticket)
            self.undo_with(self._unhold, guard, None)
            return _settled(self.vat, FULFILLED, guard)
        if not has_room(self.waiting, self._limit):
            problem = Overloaded(f"{self._limit} wait for this {self._what} already; try again later")
            return _settled(self.vat, BROKEN, problem)
        promise = self.promise(ticket)
        self.enter(ticket)
        return promise

    def promise(self, ticket: Ticket) -> Kept[Any]:
        """Return a promise that is settled when a ticket's turn has come."""
        promise: Kept[Any] = Kept(self.vat)
        ticket.wait(promise, self._waiter_went)
        return promise

    def enter(self, ticket: Ticket) -> None:
        """Put a ticket last among those that wait."""
        self.waiting.append(ticket)
        self.undo_with(self.take_out, self.waiting, ticket)
        self.let_in()

    def release(self, guard: Guard[Any]) -> None:
        """Take a guard back."""
        self.look_idle(guard)
        self._end(guard._ticket)
        self.undo_with(self._hold_again, guard)
        self.let_in()

    def leave(self, guard: Guard[Any], *, failed: bool) -> None:
        """Take a guard back at the end of its block, whatever becomes of the turn around that."""
        ticket = self.look_idle(guard)
        if failed and not ticket.is_shared:
            self._poison(ticket)
        self._end(ticket)
        self.undo_with(self._lose_again, guard)
        self.let_in()

    def let_in(self) -> None:
        """Let in those who stand first, as far as there is room, and refuse those who never will be."""
        # In a closed vat nothing is settled any more.
        while self.waiting and not self.vat.is_closed:
            ticket = self.waiting[0]
            promise = ticket.promise()
            if promise is None:
                skip_gone(self.waiting)
                continue
            problem = self._refusal(ticket.is_shared)
            if problem is None and not self._admits(ticket):
                break
            self.waiting.popleft()
            if problem is None:
                guard = self._hold(ticket)
                self.undo_with(self._unhold, guard, promise)
                self.vat.emit(Settlement(promise, FULFILLED, guard))
            else:
                ticket.end_wait(Stage.OVER)
                self.undo_with(self.put_back, self.waiting, ticket, promise)
                self.vat.emit(Settlement(promise, BROKEN, problem))

    def _admits(self, ticket: Ticket) -> bool:
        first = next(iter(self.held), None)
        return first is None or (first.is_shared and ticket.is_shared)

    def _refusal(self, is_shared: bool) -> Exception | None:
        """Return why nobody gets this lock to read or to write."""
        if self.state is LineState.CLOSED:
            return UsageError(f"this {self._what} was destroyed: its key is elsewhere")
        if self.state is LineState.POISONED:
            return Poisoned(
                f"what ran within capsule {self.home} under this {self._what} raised, and may have left it"
                " half done: look at it, and heal() the lock"
            )
        if not is_shared and self.home.state is HomeState.FROZEN:
            return Frozen(f"capsule {self.home} is frozen: everybody reads it, and nobody writes")
        return None

    # What guards do.

    def access(
        self,
        guard: Guard[Any],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Run a function within the capsule, as a guard allows."""
        ticket = self.look(guard)
        is_shared = ticket.is_shared or self.home.state is HomeState.FROZEN
        if not is_shared:
            ticket.count()
            self.undo_with(ticket.uncount)
        try:
            return run_inside(self.home, function, args, kwargs, frozen, is_shared=is_shared)
        except BaseException as problem:
            if not is_shared:
                self._poison(ticket)
            elif isinstance(problem, Exception):
                self._freeze()
            raise

    def look(self, guard: Guard[Any]) -> Ticket:
        """Return the ticket of a guard that is good here and now, or raise Contended."""
        self.be_here()
        if guard._ticket.stage is not Stage.HELD:
            raise Contended(f"this guard was given back: ask the {self._what} for another")
        return guard._ticket

    def look_idle(self, guard: Guard[Any]) -> Ticket:
        """Return the ticket of a guard that may be given back, or raise Contended."""
        ticket = self.look(guard)
        if self.home.is_written:
            raise Contended(
                f"an access with this guard writes in capsule {self.home}: give the {self._what} back after"
                " it"
            )
        return ticket

    def be_here(self) -> None:
        """Raise Contended where the lock is not to be used."""
        be_here(self.vat, self._thread, self._what)

    def _poison(self, ticket: Ticket) -> None:
        """Refuse everybody until ``heal``, as what ran under a ticket may have left things half done."""
        if self.state is LineState.OPEN and self.home.state is not HomeState.FROZEN:
            self._become(LineState.POISONED)
            self.undo_with(self._poison_soon, ticket)
            self.let_in()

    def _poison_soon(self, ticket: Ticket) -> None:
        # Its turn is undone; what earlier turns wrote under the same ticket is not.
        self._failed.append(ticket)
        self._look_soon()

    def heal(self) -> None:
        """Let others in again."""
        self.be_here()
        if self.state is LineState.POISONED:
            self._become(LineState.OPEN)

    def _freeze(self) -> None:
        self.home.freeze()
        self.let_in()

    # What is lost.

    def lose(self, ticket: Ticket) -> None:
        """Have the ticket of a guard that is gone given back soon; any thread, in the middle of anything."""
        self._lost.append(ticket)
        self._look_soon()

    def _waiter_went(self, _promise: Any) -> None:
        self._look_soon()

    def _look_soon(self) -> None:
        self.vat.dropped.append(self.tidy)
        self.vat.nudge()

    def tidy(self) -> None:
        """Give back what is lost, and let in who can be: between turns, as nothing brings that back."""
        while self._failed:
            ticket = self._failed.popleft()
            if ticket.accesses:
                self._poison(ticket)
        while self._lost:
            ticket = self._lost.popleft()
            if ticket.stage is Stage.HELD:
                self._end(ticket)
        self.let_in()

    # The end.

    def destroy(self) -> Key[Any]:
        """Close the line and return a key to the capsule; raises Contended while somebody holds or waits."""
        self._look_unused(self.held)
        self.state = LineState.CLOSED
        key: Key[Any] = Key(self.home)
        self.undo_with(self._reopen, key)
        return key

    def freeze(self) -> Key[Any]:
        """Freeze the capsule, and return a key to it; raises Contended while somebody writes or waits."""
        self._look_unused([ticket for ticket in self.held if not ticket.is_shared])
        self.home.freeze()
        return Key(self.home)

    def _look_unused(self, holders: Any) -> None:
        self.be_here()
        if turning_vat() is None:
            self.tidy()
        problem = self._refusal(is_shared=True)
        if problem is not None:
            raise problem
        queues = [] if self.vat.is_closed else [self.waiting, *(c._waiting for c in self.conditions)]
        waiting = sum(map(alive, queues))
        if holders or waiting:
            raise Contended(
                f"{len(holders)} hold this {self._what} and {waiting} wait: wait until it is given back"
            )

    # Changes, and their undoing when the turn that runs fails.

    def undo_with(self, undo: Callable[..., Any], *args: Any) -> None:
        """Have a change taken back with the turn that runs, if one does."""
        if turning_vat() is not None:
            self.vat.on_roll_back(undo, *args)

    def _become(self, state: LineState) -> None:
        self.undo_with(setattr, self, "state", self.state)
        self.state = state

    def _hold(self, ticket: Ticket) -> Guard[Any]:
        ticket.end_wait(Stage.HELD)
        self.held[ticket] = None
        self._mark()
        return Guard(self, ticket)

    def _end(self, ticket: Ticket) -> None:
        del self.held[ticket]
        ticket.stage = Stage.OVER
        self._mark()

    def _mark(self) -> None:
        """Have the capsule say that it is lent, so that a use of the spent key does not freeze it now."""
        if self.held:
            self.home.lend()
        else:
            self.home.take_back()

    def _unhold(self, guard: Guard[Any], promise: Kept[Any] | None) -> None:
        # It is given the guard so that this goes only now, when its ticket is not held any more.
        self._end(guard._ticket)
        if promise is not None:
            self.put_back(self.waiting, guard._ticket, promise)

    def put_back(self, queue: deque[Ticket], ticket: Ticket, promise: Kept[Any]) -> None:
        """Undo that the first was taken from a queue."""
        ticket.wait(promise, self._waiter_went)
        queue.appendleft(ticket)

    def take_out(self, queue: deque[Ticket], ticket: Ticket) -> None:
        """Undo that one was added to a queue."""
        if ticket in queue:
            queue.remove(ticket)
            ticket.end_wait(Stage.OVER)

    def _reopen(self, key: Key[Any]) -> None:
        # Where the key was used already, the capsule is with whoever did.
        if key._held:
            key._held.clear()
            key._spent_at = "a turn that failed"
            self.state = LineState.OPEN

    def _hold_again(self, guard: Guard[Any]) -> None:
        guard._ticket.stage = Stage.HELD
        self.held[guard._ticket] = None
        self._mark()

    def _lose_again(self, guard: Guard[Any]) -> None:
        # Its block is over, so that nobody gives it back.
        self._hold_again(guard)
        self.lose(guard._ticket)

    # What tests and tools ask.

    def check(self) -> None:
        """Raise InvariantBroken when what is counted does not hold."""
        waiting = [*self.waiting, *(ticket for c in self.conditions for ticket in c._waiting)]
        stray = [t for t in self.held if t.stage is not Stage.HELD]
        stray += [t for t in waiting if t.stage is not Stage.WAITING]
        if stray or len(set(waiting)) != len(waiting):
            raise InvariantBroken(f"{self!r}: {len(stray)} tickets are where they are not")
        if len(self.held) > 1 and not all(ticket.is_shared for ticket in self.held):
            raise InvariantBroken(f"{self!r}: a writer is not alone")
        first = next((t for t in self.waiting if t.promise() is not None), None)
        if (
            first is not None
            and not self.vat.dropped
            and self.state is LineState.OPEN
            and self._admits(first)
        ):
            raise InvariantBroken(f"{self!r}: one waits who could be let in")

    def dump(self) -> list[str]:
        """Return one line for the lock, one for each who holds it and one for those who wait."""
        held = [f"held to {'read' if ticket.is_shared else 'write'}" for ticket in self.held]
        return [f"{self!r}: {self.state.name.lower()}", *held, f"{alive(self.waiting)} wait"]


def _settled(vat: Berth, state: int, value: Any) -> Kept[Any]:
    promise: Kept[Any] = Kept(vat)
    promise._state, promise._value = state, value
    return promise
