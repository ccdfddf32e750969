"""One vat: the home of references, the door for messages, the loop that runs turns.

A turn is one message to one object. Its sends collect in the outbox, its writes in the journal; both
are kept or both are dropped. What the outbox holds has left its turn; the peer routes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from typing import Any, Final

from captp.errors import Broken, Closed, InvariantBroken, UsageError
from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.faults import portable
from captp.model.holding import release
from captp.model.object import Object
from captp.model.own import give_back, look
from captp.model.passable import ATOMS
from captp.model.plan import PLAN, record
from captp.model.promise import (
    BROKEN,
    FULFILLED,
    PENDING,
    Message,
    Promise,
    Reference,
    Resolver,
    Settlement,
)
from captp.model.ref import Far, Ref
from captp.vat.delegation import BUDGET, Delegated
from captp.vat.dropping import Reaped, went
from captp.vat.ending import end
from captp.vat.fiber import Fiber, hand_over
from captp.vat.heap import Heap
from captp.vat.immediate import call_now
from captp.vat.latches import Latches
from captp.vat.owning import Owning
from captp.vat.queues import Queues, Source
from captp.vat.settling import Settling, followed, is_under_way
from captp.vat.specials import SPECIALS
from captp.vat.trustee import Trustee
from captp.vat.turns import Turns, find
from captp.vat.written import DurableTrustee

#: Messages that a caller may collect before a part of them is sent.
SPILL: Final = 64


async def _no_pause() -> None:
    """Let nobody else run: whoever drives the vat has no other tasks."""


def _silent() -> None:
    """Ring no bell: whoever drives the vat looks by itself."""


class Vat:
    """Objects, promises and the turns that join them; fed by its peer, driven by nobody's clock."""

    def __init__(self, limits: Limits, *, is_durable: bool = False) -> None:
        self.limits = limits
        self.heap = Heap()
        self.trustee = DurableTrustee(self, self.heap) if is_durable else Trustee(self, self.heap)
        #: Whether results are seen outside turns only when what caused them is stored.
        self.is_gated = is_durable
        self.queues = Queues()
        self.local = self.queues.open("vat")
        self.outbox: list[Any] = []
        #: Messages that waited for a promise and are to be routed before the outbox, which is younger.
        self.ahead: list[Message] = []
        #: Messages that waited for a promise and are to run before what is queued, which is younger.
        self.waited: deque[Message] = deque()
        #: Fibers whose results nobody holds, objects that nobody does, what locks do then: vat/dropping.py.
        self.dropped: deque[Any] = deque()
        #: What entrusted objects leave when their last handle goes, in whatever thread that is.
        self.let_go: deque[Any] = deque()
        self.reaped = Reaped()
        #: Who waits for the outcome of a call that nobody awaits, and is held by nothing else.
        self.unheard: set[Any] = set()
        #: Homes of unique and borrowed references that stand in the message which is being made.
        self.crossed: list[Any] = []
        self.owning = Owning(self)
        #: Turns beyond one that the deliveries since the last look had.
        self.also_ran = 0
        self.awake = False
        #: Whether the engine runs now; its outbox is then being emptied anyway.
        self.runs = False
        self.flusher: Callable[[], None] = _silent
        self.doorbell: Callable[[], None] = _silent
        #: Has the driver look at what went in its own thread soon; fit for finalizers.
        self.nudge: Callable[[], None] = self.let_go.clear
        self.parker: Callable[[Promise[Any]], Iterable[Any]] | None = None
        #: Delegated calls that may still run at once before a checkpoint, and how a driver makes one.
        self.budget = BUDGET
        self.is_closed = False
        #: Empty but for the vat: where there are contextual capabilities, each turn runs in a copy of it.
        self.context = Context()
        self.context.run(CURRENT_VAT.set, self)
        #: The thread that drives it, as its driver says; 0 where there is but one.
        self.thread = 0
        self.pause: Callable[[], Awaitable[None]] = _no_pause
        self.settling = settling = Settling(self, limits)
        self.turns = Turns(self, self.trustee, limits)
        self.latches = Latches(self)
        # The hot path calls these by the vat's own name, without a hop.
        self.settle_now = settling.settle_now
        self.want = settling.want
        self.release = release

    # What references and promises call.

    def send(
        self,
        target: Reference,
        selector: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        promise_class: type[Promise[Any]],
    ) -> Promise[Any]:
        """Queue a message and return the promise for its result; raises Unpassable with the path."""
        if target._state == FULFILLED:
            look(target)
        for arg in args:
            kind = type(arg)
            if kind not in ATOMS and (kind is not tuple or not ATOMS.issuperset(map(type, arg))):
                args, kwargs = self.owning.frozen(args, kwargs)
                break
        else:
            if kwargs is not None:
                args, kwargs = self.owning.frozen(args, kwargs)
        promise = promise_class(self)
        if self.crossed:
            self.owning.bind(promise)
        outbox = self.outbox
        outbox.append(Message(target, selector, args, kwargs, promise))
        if not self.awake:
            self.ring()
        elif len(outbox) >= SPILL:
            self.spill()
        return promise

    def delegate(self, target: Reference, function: Any, args: tuple[Any, ...]) -> Promise[Any]:
        """Have what ``function`` does with its first argument done at the target, in one turn."""
        return self.send(target, PLAN, (record(function, *args),), None, Promise)

    def send_only(
        self,
        target: Reference,
        selector: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> None:
        """Queue a message whose result nobody wants."""
        look(target)
        args, kwargs = self.owning.frozen(args, kwargs)
        # What is lent comes back with the result, even if nobody waits for it.
        promise = self.owning.unasked() if self.crossed else None
        self.emit(Message(target, selector, args, kwargs, promise))

    def call_now(
        self,
        target: Reference,
        selector: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> Any:
        """Run a method of a near object at once, inside the running turn or as one of its own."""
        return call_now(self, target, selector, args, kwargs)

    def park(self, promise: Promise[Any]) -> Iterable[Any]:
        """Suspend the caller, a fiber or a task of the driver, until ``promise`` is settled."""
        if promise._state != PENDING and self.turns.fiber_runs:
            return ()
        route = promise._route
        if promise._value is not None or route is None or not route.wanted:
            self.want(promise)
        if self.turns.fiber_runs:
            return hand_over(promise)
        if self.parker is None or self.trustee.running is not None:
            raise UsageError("a promise is awaited in an async method, or in a task under open_vat()")
        return self.parker(promise)

    def settle(self, promise: Promise[Any], state: int, value: Any) -> None:
        """Queue the settlement of a local promise."""
        if state == FULFILLED:
            value = self.owning.passed_on(value)
        elif isinstance(value, BaseException):
            value = portable(value, self.trustee)
        else:
            value = Broken(f"broken: {value!r}", reason=self.owning.passed_on(value))
        self.emit(Settlement(promise, state, value))

    def on_roll_back(self, undo: Callable[..., Any], *args: Any) -> None:
        """Have ``undo`` called when the turn that runs now, if any, is rolled back."""
        self.trustee.on_roll_back(undo, *args)

    def emit(self, effect: Any) -> None:
        """Add to the outbox; inside a turn it leaves with the commit."""
        self.outbox.append(effect)
        if not self.awake:
            self.ring()

    def ring(self) -> None:
        """Tell the driver that there is work."""
        self.awake = True
        self.doorbell()

    def spill(self) -> None:
        """Let a caller outside any turn that sends a lot send a part now, so that both ends work."""
        if not self.runs and self.trustee.running is None:
            self.flusher()

    def reference(self, obj: Object, interface: type | None = None) -> Ref:
        """Return the one reference to ``obj`` under ``interface``."""
        return self.trustee.reference(obj, interface)

    def promise(self) -> tuple[Promise[Any], Resolver]:
        """Return a new promise and the resolver that settles it."""
        promise: Promise[Any] = Promise(self)
        return promise, Resolver(promise)

    # What the peer calls.

    def admit(self, source: Source, message: Any) -> None:
        """Queue a delivery: the one door for everything that runs here."""
        source.messages.append(message)
        self.admitted(source)

    def admitted(self, source: Source) -> None:
        """Have a source run whose messages were put into it, a batch at a time."""
        if not source.ready and not source.held:
            source.ready = True
            self.queues.ring.append(source)

    def run(self, budget: int) -> int:
        """Run at most ``budget`` deliveries, each source in its turn; return how many ran."""
        ring, quantum, settling = self.queues.ring, self.limits.quantum, self.settling
        forwarded, most = settling.forwarded, self.limits.send_buffer // 2
        while forwarded or self.waited:
            self.deliver(forwarded.popleft() if forwarded else self.waited.popleft())
        ran, self.also_ran = self.also_ran, 0
        while ring and ran < budget and settling.bulk < most:
            source = ring.popleft()
            messages = source.messages
            left = min(quantum, budget - ran)
            try:
                while left > 0 and messages and not source.held:
                    left -= 1
                    ran += 1
                    delivery = messages.popleft()
                    if type(delivery) is Message:
                        self.deliver(delivery)
                    elif type(delivery) is Fiber:
                        self.turns.step(delivery)
                    else:
                        delivery.run(self, source)
                    while forwarded:
                        self.deliver(forwarded.popleft())
                    if self.also_ran:
                        left -= self.also_ran
                        ran += self.also_ran
                        self.also_ran = 0
                    if settling.bulk >= most:
                        # Large results leave before more are made.
                        break
            finally:
                # Also when an interrupt flies through: the source must have its next go.
                source.ready = bool(messages) and not source.held
                if source.ready:
                    ring.append(source)
        return ran

    @property
    def has_work(self) -> bool:
        """Whether there is anything to run or to route."""
        if self.outbox or self.queues.ring:
            return True
        return bool(self.ahead or self.waited or self.dropped or self.settling.forwarded)

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant does not hold."""
        self.queues.check()
        self.heap.check()
        self.latches.check()
        if self.trustee.running is not None or self.trustee.journal:
            raise InvariantBroken("a turn was left open")
        for fiber in self.turns.fibers:
            if fiber.waiting_for is None and fiber not in self.local.messages:
                raise InvariantBroken(f"{fiber!r} waits for nothing and will never run")

    def dump(self) -> dict[str, list[str]]:
        """Return one line per queue, fiber and object."""
        return {
            "queues": self.queues.dump(),
            "latches": self.latches.dump(),
            "fibers": [repr(f) for f in self.turns.fibers],
            "heap": self.heap.dump(),
        }

    def cancel_dropped(self) -> None:
        """Tell each fiber whose result nobody holds any more to stop, and each object that it was dropped."""
        if self.dropped:
            self.reaped.add(len(self.dropped))
            while self.dropped:
                went(self, self.dropped.popleft())

    def cancel(self, fiber: Fiber) -> None:
        """Throw Cancelled into a fiber at the await where it stands, or at its next one."""
        fiber.cancelled = True
        if fiber.waiting_for is not None:
            fiber.waiting_for = None
            self.admit(self.local, fiber)

    def close(self) -> None:
        """End all fibers and refuse new work for good."""
        end(self)

    def closed(self) -> Closed:
        """Return the error for what comes after the end."""
        return Closed("this vat is closed: its references work only inside its open_vat() block")

    # Turns.

    def deliver(self, message: Message) -> None:
        """Run a message whose turn it is, or let it wait for its object, or pass it on."""
        if self.settling.called_off and self.settling.skips(message):
            return
        target: Any = message.target
        if isinstance(target, Promise):
            target = message.target = followed(target, message.sender)
            if isinstance(target, Promise):
                self._deliver_to_promise(target, message)
                return
        obj = target._anchor
        if type(obj) is Far:
            self.ahead.append(message)
            return
        if obj._latch is not None:
            self.latches.wait(obj, message)
            return
        row: Any = obj._captp_rows.get(message.selector)
        if row is None:
            try:
                if type(message.selector) is Delegated:
                    row = message.selector
                elif message.selector in SPECIALS:
                    row = SPECIALS[message.selector](self, obj, message)
                    if row is None:
                        return
                else:
                    row, args = find(obj, message.selector, message.args)
                    if args is not message.args:  # as it would be called now: it may have to run again
                        message.selector, message.args = None, args
            except Broken as problem:
                give_back(message)
                if message.promise is not None:
                    self.settle_now(message.promise, BROKEN, portable(problem))
                return
        self.turns.run(obj, row, message)

    def _deliver_to_promise(self, target: Promise[Any], message: Message) -> None:
        if is_under_way(target):
            self.ahead.append(message)
        elif target._state != PENDING:
            self.settling.deliver_to_data(target, message)
        elif target._route is None and target._value is None:
            self.settling.queue_on(target, message)
        else:
            self.ahead.append(message)
