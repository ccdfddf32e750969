"""Objects that are held, by a fiber or a load, and who waits for whom there; it runs no turn.

free --hold--> held, by one or more --the last release--> free; what waited then runs before what came
later. A message that would wait for itself breaks with Deadlock instead: the newest gives way.
Invariant: ``waiting`` names exactly the results of the messages that stand in a latch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from captp.errors import Deadlock, InvariantBroken, Overloaded
from captp.model.object import Object
from captp.model.own import give_back
from captp.model.plan import MANY
from captp.model.promise import BROKEN, Message, Promise
from captp.vat.fiber import Fiber, followed_by
from captp.vat.many import calls_in

#: Waits behind one another that are followed: a peer could make one long chain, and have it walked often.
DEEPEST: Final = 256


class Latch(deque[Message]):
    """The messages to one object that is held, how many calls they are, and who holds it."""

    __slots__ = ("calls", "fiber", "holders", "is_cold", "on_wait")

    def __init__(self) -> None:
        super().__init__()
        #: A batch is as many as it has.
        self.calls = 0
        self.holders = 0
        self.fiber: Fiber | None = None
        #: Who is to know, once, that a message waits: it brings the object.
        self.on_wait: Callable[[Object], None] | None = None
        #: Whether the state of the object is not in memory.
        self.is_cold = False


class Latches:
    """All latches of one vat."""

    __slots__ = ("_vat", "deadlocks", "hold_s", "longest_hold_s", "now", "waited", "waiting")

    def __init__(self, vat: Any) -> None:
        self._vat = vat
        #: For the result of each message that waits: at which object.
        self.waiting: dict[Promise[Any], Object] = {}
        #: Calls that have had to wait for a busy object, and those refused as they would have for ever.
        self.waited = self.deadlocks = 0
        #: The time as the driver has it, who sets it now and then; how long fibers had objects to themselves.
        self.now = self.hold_s = self.longest_hold_s = 0.0

    def hold(self, obj: Object, fiber: Fiber | None = None) -> None:
        """Let messages to one object wait, in order: a fiber has it to itself, or it is not loaded yet."""
        latch = obj._latch
        if latch is None:
            latch = obj._latch = Latch()
        latch.holders += 1
        if fiber is not None:
            latch.fiber = fiber
            fiber.held_since = self.now

    def release(self, obj: Object, fiber: Fiber | None = None) -> None:
        """Let go of an object; with the last holder, what waited runs before anything that came later."""
        latch = obj._latch
        if latch is None:
            return
        latch.holders -= 1
        if latch.fiber is fiber:
            latch.fiber = None
        if fiber is not None:
            took = self.now - fiber.held_since
            self.hold_s += took
            self.longest_hold_s = max(self.longest_hold_s, took)
        if latch.holders == 0:
            obj._latch = None
            for message in latch:
                self.waiting.pop(message.promise, None)
            self._vat.settling.forwarded.extend(latch)

    def wait(self, obj: Object, message: Message) -> None:
        """Keep a message until its object is free, unless too many wait or it would for ever."""
        latch, promise, limit = obj._latch, message.promise, self._vat.limits.latch_queue
        calls = latch.calls + _calls(message)
        if calls > limit:
            problem = f"{limit} calls already wait for this object, which is busy; try again later"
            self._refuse(message, Overloaded(problem))
            return
        # Most results have nobody yet who waits for them, and are of no ring.
        if promise is not None and promise._waiters is not None and self._leads_to(latch.fiber, promise):
            self.deadlocks += 1
            self._refuse(message, _deadlock(obj))
            return
        self.waited += calls - latch.calls
        latch.append(message)
        latch.calls = calls
        if promise is not None:
            self.waiting[promise] = obj
        if latch.on_wait is not None:
            # It may refuse the message at once.
            on_wait, latch.on_wait = latch.on_wait, None
            on_wait(obj)

    def parked(self, fiber: Fiber) -> None:
        """Look whether a fiber that begins to wait does so for itself; its call breaks then."""
        first: tuple[Promise[Any], Object] | None = None
        other: Fiber | None = fiber
        for _ in range(DEEPEST if self.waiting else 0):
            promise = None if other is None else followed_by(other)
            if promise is None:
                return
            obj = self.waiting.get(promise)
            first = first if obj is None else first or (promise, obj)
            other = self._vat.turns.fiber_of(promise) if obj is None else obj._latch.fiber
            if other is fiber:
                break
        if other is fiber and first is not None:
            promise, obj = first
            message = next(m for m in obj._latch if m.promise is promise)
            obj._latch.remove(message)
            obj._latch.calls -= _calls(message)
            del self.waiting[promise]
            self.deadlocks += 1
            self._refuse(message, _deadlock(obj))

    def _refuse(self, message: Message, problem: Overloaded | Deadlock) -> None:
        give_back(message)
        if message.promise is not None:
            self._vat.settle_now(message.promise, BROKEN, problem)

    def _leads_to(self, fiber: Fiber | None, promise: Promise[Any]) -> bool:
        """Whether a fiber waits, over others, for a result."""
        for _ in range(DEEPEST):
            awaited = None if fiber is None else followed_by(fiber)
            if awaited is None or awaited is promise:
                return awaited is promise
            obj = self.waiting.get(awaited)
            fiber = self._vat.turns.fiber_of(awaited) if obj is None else obj._latch.fiber
        return False

    def check(self) -> None:
        """Raise InvariantBroken unless each message that waits is known at its object."""
        for promise, obj in self.waiting.items():
            if obj._latch is None or all(m.promise is not promise for m in obj._latch):
                raise InvariantBroken(f"{promise!r} is said to wait for a {type(obj).__name__}, and does not")
            if sum(map(_calls, obj._latch)) != obj._latch.calls:
                raise InvariantBroken(f"{obj._latch.calls} calls are said to wait for a {type(obj).__name__}")

    def dump(self) -> list[str]:
        """Return one line per object that messages wait for."""
        objects = {id(obj): obj for obj in self.waiting.values()}
        return [f"{type(obj).__name__}: {len(obj._latch)} wait" for obj in objects.values()]


def _calls(message: Message) -> int:
    return 1 if message.selector != MANY else calls_in(message.args)


def _deadlock(obj: Object) -> Deadlock:
    kind = getattr(obj, "kind", type(obj).__name__)
    return Deadlock(
        f"this call would wait for ever: what has the {kind} to itself waits for it in turn;"
        " call before or after the await, or mark the method latch=False"
    )
