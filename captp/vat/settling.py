"""How promises settle in a vat: who is told, what is forwarded, who follows whom; it runs no turn."""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from weakref import WeakKeyDictionary

from captp.errors import Broken, Cancelled, Overloaded
from captp.limits import Limits
from captp.model.guards import as_interface
from captp.model.own import Sole, give_back
from captp.model.passable import ATOMS
from captp.model.plan import MANY
from captp.model.promise import (
    BROKEN,
    ENDED,
    FULFILLED,
    PENDING,
    Message,
    Promise,
    Reference,
    Select,
    Settlement,
    add_waiter,
    take_waiters,
)
from captp.model.ref import Ref
from captp.model.values import Tagged
from captp.model.weight import SIZED, weight_of
from captp.vat.effects import Shortened, Want, Watch
from captp.vat.fiber import Fiber
from captp.vat.many import calls_in


class Leader:
    """Stands among the waiters of a promise for one that it races, so that it is held until one has won."""

    __slots__ = ("promise",)

    def __init__(self, promise: Promise[Any]) -> None:
        self.promise = promise


#: What may wait for a promise that is no promise, and not one waiter of the driver's either.
_SPECIAL: Final = ENDED
_SPECIAL.update((list, Message, Fiber, Watch, Leader))


class Settling:
    """The promises of one vat: settlement, queues on promises, and whom to tell.

    ``forwarded`` holds messages whose promise has just settled: they run before anything that came
    later. ``woken`` holds waiters that are not the vat's own, for the driver.
    """

    def __init__(self, vat: Any, limits: Limits) -> None:
        self.vat = vat
        self.limits = limits
        self.forwarded: deque[Message] = deque()
        self.woken: list[Any] = []
        #: By promise that calls wait for: how many; a batch is as many as it has.
        self.queued: dict[Promise[Any], int] = {}
        #: What the results weigh that were made since they were last routed.
        self.bulk = 0
        #: Answers to calls of peers that are not to run any more; some were answered otherwise since.
        self.called_off: set[Promise[Any]] = set()
        #: Results of peers' calls that waited for a promise: how many promises stood one behind the other.
        self._depths: WeakKeyDictionary[Promise[Any], int] = WeakKeyDictionary()

    def settle_now(self, promise: Promise[Any], state: int, value: Any, weight: int | None = None) -> None:
        """Settle a promise, forward what waited on it, and note whom to tell; the first one wins.

        Who knows what the value weighs saves looking through it.
        """
        if promise._state != PENDING:
            return
        if state == FULFILLED and type(value) not in ATOMS and isinstance(value, Promise):
            self._follow(promise, value)
            return
        promise._value = value
        promise._state = state
        route = promise._route
        if route is not None and route.unanswered:
            self._shorten(promise)
        if promise._waiters is not None:
            self._wake(promise)
        if promise._reported:
            self.vat.outbox.append(promise)
            if type(value) in SIZED:
                self.bulk += weight_of(value) if weight is None else weight

    def _shorten(self, promise: Promise[Any]) -> None:
        """Give a promise on whose way calls are not answered yet a reference of its own as its value.

        What awaiting it gives takes the same way until then; other references to the target do not.
        """
        value = promise._value
        if isinstance(value, Ref):
            promise._value = made = type(value)(value._home, value._anchor)
            made._way = promise._route
        self.vat.outbox.append(Shortened(promise))

    def _follow(self, promise: Promise[Any], leader: Promise[Any]) -> None:
        """Let ``promise`` become whatever ``leader`` becomes; a ring of promises breaks at once."""
        hops = 0
        while leader._state == PENDING and leader._value is not None:
            leader = leader._value
            hops += 1
        if leader is promise or hops > self.limits.resolution_chain:
            self.settle_now(promise, BROKEN, Broken("promise-cycle: a promise resolved to itself"))
            return
        if leader._state != PENDING:
            if promise._route is None or not promise._route.unanswered:
                _take_route(promise, leader)
            self.settle_now(promise, leader._state, _as_promised(promise, leader._value))
            return
        promise._value = leader
        waiters = take_waiters(promise)
        self.queued.pop(promise, None)
        for waiter in waiters:
            if type(waiter) is Message:
                self.forwarded.append(waiter)
            else:
                add_waiter(promise, waiter)
        add_waiter(leader, promise)
        if promise._waiters is not None or promise._reported:
            self.want(leader)

    def _wake(self, promise: Promise[Any]) -> None:
        """Tell everybody who waits, and settle whatever follows, in order and without recursion."""
        only = promise._waiters
        if not self.queued and type(only) not in _SPECIAL and not isinstance(only, Promise):
            promise._waiters = None
            self.woken.append(only)
            return
        settled = [promise]
        while settled:
            promise = settled.pop()
            self.queued.pop(promise, None)
            for waiter in take_waiters(promise):
                kind = type(waiter)
                if kind is Message:
                    self.forwarded.append(waiter)
                elif kind is Fiber:
                    if waiter.waiting_for is promise:
                        waiter.waiting_for = None
                        self.vat.admit(self.vat.local, waiter)
                elif kind is Watch:
                    self.vat.outbox.append(Watch(waiter.promise, promise))
                elif kind is Leader:
                    continue
                elif kind in ENDED:
                    waiter.end()
                elif not isinstance(waiter, Promise):
                    self.woken.append(waiter)
                elif waiter._state == PENDING:
                    waiter._value = _as_promised(waiter, promise._value)
                    waiter._state = promise._state
                    route = waiter._route
                    if route is not None and route.unanswered:
                        self._shorten(waiter)
                    else:
                        _take_route(waiter, promise)
                    if waiter._reported:
                        self.vat.outbox.append(waiter)
                        if type(waiter._value) in SIZED:
                            self.bulk += weight_of(waiter._value)
                    if waiter._waiters is not None:
                        settled.append(waiter)

    def want(self, promise: Promise[Any]) -> None:
        """Ask for the result of a lazy promise, once somebody waits for it."""
        while promise._state == PENDING and promise._value is not None:
            promise = promise._value
        route = promise._route
        if route is not None and promise._state == PENDING and not route.wanted:
            self.vat.emit(Want(promise))

    def race(self, follower: Promise[Any], leader: Promise[Any]) -> None:
        """Let ``follower`` settle as ``leader`` does, unless something else settles it first."""
        if leader._state == PENDING:
            self.want(leader)
            add_waiter(leader, follower)
            # Often nobody else does: a method's result that nobody holds cancels the method.
            add_waiter(follower, Leader(leader))
        else:
            self.vat.emit(Settlement(follower, leader._state, leader._value))

    def queue_on(self, promise: Promise[Any], message: Message) -> None:
        """Keep a message until the local promise it is for is settled."""
        limits = self.limits
        depth = self._depths.get(promise, 0) + 1 if message.sender is not None else 0
        if depth > limits.pipeline_depth:
            self._refuse(message, f"calls on results of calls that wait, {limits.pipeline_depth} deep")
            return
        calls = self.queued.get(promise, 0) + (1 if message.selector != MANY else calls_in(message.args))
        if calls > limits.pipeline_queue:
            self._refuse(message, f"{limits.pipeline_queue} calls already wait for this promise")
            return
        add_waiter(promise, message)
        if depth and message.promise is not None:
            self._depths[message.promise] = depth
        # Nobody else may hold the promise now, and its queue must not die with it.
        self.queued[promise] = calls

    def _refuse(self, message: Message, why: str) -> None:
        give_back(message)
        if message.promise is not None:
            self.settle_now(message.promise, BROKEN, Overloaded(f"{why}; wait for it yourself"))

    def skips(self, message: Message) -> bool:
        """Break a peer's call that was called off before its turn, and return True; leave any other."""
        promise = message.promise
        if promise is None or promise not in self.called_off:
            return False
        self.called_off.remove(promise)
        self.vat.turns.cancelled += 1
        give_back(message)
        self.settle_now(promise, BROKEN, Cancelled("its caller called this off before its turn"))
        return True

    def take_queue(self, promise: Promise[Any]) -> list[Message]:
        """Remove and return the messages that wait for a promise which is about to get a route."""
        if promise not in self.queued:
            return []
        del self.queued[promise]
        waiters = take_waiters(promise)
        for waiter in waiters:
            if type(waiter) is not Message:
                add_waiter(promise, waiter)
        return [w for w in waiters if type(w) is Message]

    def release(self, answer: Promise[Any]) -> None:
        """Let go of a result whose caller let go; what others still queue on it stays alive."""
        if answer._state == PENDING and answer._waiters is not None:
            self.queued.setdefault(answer, 0)

    def deliver_to_data(self, target: Promise[Any], message: Message) -> None:
        """Answer a message to a promise that is broken, or fulfilled with plain data."""
        give_back(message)
        promise, selector = message.promise, message.selector
        if promise is None:
            return
        if target._state == BROKEN:
            self.settle_now(promise, BROKEN, target._value)
        elif type(selector) is Select:
            state, value = select(target._value, selector)
            self.settle_now(promise, state, value)
        else:
            kind = type(target._value).__name__
            self.settle_now(promise, BROKEN, Broken(f"not-callable: the promise became a {kind}"))


def _as_promised(promise: Promise[Any], value: Any) -> Any:
    """Show what a promise has followed under the interface that it was promised with."""
    if promise._lazy and isinstance(value, Ref):
        value = as_interface(value, promise._captp_shows)  # type: ignore[attr-defined]
    return value


def _take_route(follower: Promise[Any], leader: Promise[Any]) -> None:
    """Let a promise that followed another keep its way too, while calls on it have not arrived."""
    route = leader._route
    if route is not None and route.unanswered:
        follower._route = route


def select(value: Any, step: Select) -> tuple[int, Any]:
    """Take one step into data; return how the promise for it settles."""
    key = step.key
    match step.op:
        case "get" if isinstance(value, dict) and key in value:
            return FULFILLED, value[key]
        case "index" if type(value) is tuple and 0 <= key < len(value):
            return FULFILLED, value[key]
        case "untag" if type(value) is Tagged and value.tag == key:
            return FULFILLED, value.value
    return BROKEN, Broken(f"bad-select: {step!r} does not fit a {type(value).__name__}")


def followed(promise: Promise[Any], sender: Any) -> Reference:
    """Return what a promise stands for, or the promise on the way there that calls still go through.

    By a promise that gave a unique reference away calls of ``sender`` reach it while that has it to itself.
    """
    target: Reference = promise
    while isinstance(target, Promise) and target._state != BROKEN and not is_under_way(target):
        value = target._value
        if not isinstance(value, Reference):
            return target
        target = value
    home: Any = target._home
    return home.promised_to(sender) if type(home) is Sole else target


def is_under_way(promise: Promise[Any]) -> bool:
    """Whether calls that went through a promise have not arrived, so that a later one may not overtake."""
    route = promise._route
    return route is not None and route.unanswered > 0
