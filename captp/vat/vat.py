"""One vat: the home of references, the door for messages, the loop that runs turns.

A turn is one message to one object. Its sends collect in the outbox, its writes in the journal; both
are kept or both are dropped. What the outbox holds has left its turn; the peer routes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from captp.errors import (
    Broken,
    Cancelled,
    Closed,
    InvariantBroken,
    NoSuchMethod,
    NotNear,
    NotNow,
    Overloaded,
    UsageError,
)
from captp.limits import Limits
from captp.model.faults import portable
from captp.model.guards import as_interface, compile_thunk
from captp.model.interface import Row
from captp.model.object import Object
from captp.model.passable import ATOMS, freeze, freeze_args, freeze_kwargs
from captp.model.promise import (
    BROKEN,
    FULFILLED,
    PENDING,
    Message,
    Promise,
    Reference,
    Resolver,
    Select,
    Settlement,
    add_waiter,
    take_waiters,
)
from captp.model.ref import Far, Ref, settled
from captp.model.values import Symbol, Tagged
from captp.vat.effects import Want
from captp.vat.fiber import Fiber, foreign_await
from captp.vat.heap import Heap
from captp.vat.queues import Queues, Source
from captp.vat.trustee import Trustee


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


def _silent() -> None:
    """Ring no bell: whoever drives the vat looks by itself."""


class Vat:
    """Objects, promises and the turns that join them; fed by its peer, driven by nobody's clock."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.heap = Heap()
        self.trustee = Trustee(self, self.heap)
        self.queues = Queues()
        self.local = self.queues.open("vat")
        self.outbox: list[Any] = []
        self.woken: list[tuple[Any, Promise[Any]]] = []
        self.faults: list[tuple[str, BaseException]] = []
        self.fibers: dict[Fiber, None] = {}
        self.dropped_fibers: deque[Fiber] = deque()
        self.awake = False
        self.doorbell: Callable[[], None] = _silent
        self.parker: Callable[[Promise[Any]], Generator[Any, Any, None]] | None = None
        self._fiber_runs = False
        self._queued: dict[Promise[Any], None] = {}
        self._forwarded: deque[Message] = deque()

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
        for arg in args:
            if type(arg) not in ATOMS:
                args = freeze_args(args, self)
                break
        if kwargs is not None:
            kwargs = freeze_kwargs(kwargs, self)
        promise = promise_class(self)
        self.outbox.append(Message(target, selector, args, kwargs, promise))
        if not self.awake:
            self.ring()
        return promise

    def send_only(
        self,
        target: Reference,
        selector: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> None:
        """Queue a message whose result nobody wants."""
        args = freeze_args(args, self)
        kwargs = None if kwargs is None else freeze_kwargs(kwargs, self)
        self.emit(Message(target, selector, args, kwargs, None))

    def call_now(
        self,
        target: Reference,
        selector: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> Any:
        """Run a method of a near object at once, inside the running turn or as one of its own."""
        obj = getattr(settled(target), "_anchor", None)
        if not isinstance(obj, Object):
            raise NotNear(f"{target!r} is not near: send to it, and await the promise")
        row, args = self._find(obj, selector, freeze_args(args, self))
        if row.is_fiber:
            raise NotNow(f"{row.name}() is async: it may wait, so it can only be sent")
        if obj._latch is not None:
            raise NotNow(f"{type(obj).__name__} is busy: an async method of it has not finished")
        kwargs = None if kwargs is None else freeze_kwargs(kwargs, self)
        thunk = row.thunk or compile_thunk(row)
        if self.trustee.in_turn:
            return self._result(row, thunk(obj, args, kwargs))
        promise: Promise[Any] = Promise(self)
        self._turn(obj, row, Message(target, selector, args, kwargs, promise))
        if not self.awake:
            self.ring()
        if promise._state == BROKEN:
            raise promise._value
        return promise._value

    def park(self, promise: Promise[Any]) -> Generator[Any, Any, None]:
        """Suspend the caller, a fiber or a task of the driver, until ``promise`` is settled."""
        self.want(promise)
        if self._fiber_runs:
            yield promise
        elif self.parker is None or self.trustee.in_turn:
            raise UsageError("a promise is awaited in an async method, or in a task under open_vat()")
        else:
            yield from self.parker(promise)

    def settle(self, promise: Promise[Any], state: int, value: Any) -> None:
        """Queue the settlement of a local promise."""
        if state == FULFILLED:
            value = freeze(value, self)
        elif not isinstance(value, BaseException):
            value = Broken(f"broken: {value!r}", reason=freeze(value, self))
        self.emit(Settlement(promise, state, value))

    def want(self, promise: Promise[Any]) -> None:
        """Ask for the result of a lazy promise, once somebody waits for it."""
        while promise._state == PENDING and promise._value is not None:
            promise = promise._value
        route = promise._route
        if route is not None and promise._state == PENDING and not route.wanted:
            self.emit(Want(promise))

    def emit(self, effect: Any) -> None:
        """Add to the outbox; inside a turn it leaves with the commit."""
        self.outbox.append(effect)
        if not self.awake:
            self.ring()

    def ring(self) -> None:
        """Tell the driver that there is work."""
        self.awake = True
        self.doorbell()

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
        self.queues.admit(source, message)

    def run(self, budget: int) -> int:
        """Run at most ``budget`` deliveries, each source in its turn; return how many ran."""
        ran = 0
        ring, quantum = self.queues.ring, self.limits.quantum
        while self._forwarded:
            self._deliver(self._forwarded.popleft())
        while ring and ran < budget:
            source = ring.popleft()
            messages = source.messages
            count = min(len(messages), quantum, budget - ran)
            for _ in range(count):
                delivery = messages.popleft()
                if type(delivery) is Message:
                    self._deliver(delivery)
                else:
                    self._step(delivery)
                while self._forwarded:
                    self._deliver(self._forwarded.popleft())
            ran += count
            if messages and not source.held:
                ring.append(source)
            else:
                source.ready = False
        return ran

    def settle_now(self, promise: Promise[Any], state: int, value: Any) -> None:
        """Settle a promise, forward what waited on it, and note whom to tell; the first one wins."""
        if promise._state != PENDING:
            return
        if state == FULFILLED and type(value) not in ATOMS and isinstance(value, Promise):
            self._follow(promise, value)
            return
        promise._value = value
        promise._state = state
        if promise._waiters is not None:
            self._wake(promise)
        if promise._reported:
            self.outbox.append(promise)

    def queue_on(self, promise: Promise[Any], message: Message) -> None:
        """Keep a message until the local promise it is for is settled."""
        limit = self.limits.pipeline_queue
        if add_waiter(promise, message) > limit:
            promise._waiters.pop()
            full = Overloaded(f"{limit} calls already wait for this promise; wait for it yourself")
            if message.promise is not None:
                self.settle_now(message.promise, BROKEN, full)
            return
        # Nobody else may hold the promise now, and its queue must not die with it.
        self._queued[promise] = None

    @property
    def has_work(self) -> bool:
        """Whether there is anything to run or to route."""
        return bool(self.queues.ring or self.outbox or self._forwarded or self.dropped_fibers)

    def release(self, answer: Promise[Any]) -> None:
        """Let go of a result whose caller let go; what others still queue on it stays alive."""
        if answer._state == PENDING and answer._waiters is not None:
            self._queued[answer] = None

    def race(self, follower: Promise[Any], leader: Promise[Any]) -> None:
        """Let ``follower`` settle as ``leader`` does, unless something else settles it first."""
        if leader._state == PENDING:
            self.want(leader)
            add_waiter(leader, follower)
        else:
            self.emit(Settlement(follower, leader._state, leader._value))

    def take_queue(self, promise: Promise[Any]) -> list[Message]:
        """Remove and return the messages that wait for a promise which is about to get a route."""
        if promise not in self._queued:
            return []
        del self._queued[promise]
        waiters = take_waiters(promise)
        for waiter in waiters:
            if type(waiter) is not Message:
                add_waiter(promise, waiter)
        return [w for w in waiters if type(w) is Message]

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant does not hold."""
        self.queues.check()
        self.heap.check()
        if self.trustee.in_turn or self.trustee.journal:
            raise InvariantBroken("a turn was left open")
        for fiber in self.fibers:
            if fiber.waiting_for is None and fiber not in self.local.messages:
                raise InvariantBroken(f"{fiber!r} waits for nothing and will never run")

    def dump(self) -> dict[str, list[str]]:
        """Return one line per queue, fiber and object."""
        return {
            "queues": self.queues.dump(),
            "fibers": [repr(f) for f in self.fibers],
            "heap": self.heap.dump(),
        }

    def cancel_dropped(self) -> None:
        """Tell each fiber whose result nobody holds any more to stop."""
        while self.dropped_fibers:
            fiber = self.dropped_fibers.popleft()
            if fiber in self.fibers:
                self.cancel(fiber)

    def cancel(self, fiber: Fiber) -> None:
        """Throw Cancelled into a waiting fiber at its await, as its next step."""
        if fiber.waiting_for is not None:
            fiber.waiting_for = None
            fiber.thrown = Cancelled(f"{fiber.row.name}() was cancelled: nobody waits for its result")
            self.admit(self.local, fiber)

    def close(self) -> None:
        """Refuse new work for good."""

        def refuse() -> None:
            self.awake = False
            raise Closed("this vat is closed: its references work only inside its open_vat() block")

        self.doorbell = refuse
        self.awake = False

    # Turns.

    def _deliver(self, message: Message) -> None:
        target: Any = message.target
        try:
            obj = target._anchor
        except AttributeError:
            target = message.target = settled(target)
            if isinstance(target, Promise):
                self._deliver_to_promise(target, message)
                return
            obj = target._anchor
        if type(obj) is Far:
            self.outbox.append(message)
            return
        if obj._latch is not None:
            obj._latch.append(message)
            return
        try:
            row = obj._captp_rows[message.selector]
        except KeyError:
            try:
                row, message.args = self._find(obj, message.selector, message.args)
            except Broken as problem:
                if message.promise is not None:
                    self.settle_now(message.promise, BROKEN, problem)
                return
        self._turn(obj, row, message)

    def _deliver_to_promise(self, target: Promise[Any], message: Message) -> None:
        if target._state != PENDING:
            self.deliver_to_data(target, message)
        elif target._route is None and target._value is None:
            self.queue_on(target, message)
        else:
            self.outbox.append(message)

    def deliver_to_data(self, target: Promise[Any], message: Message) -> None:
        """Answer a message to a promise that is broken, or fulfilled with plain data."""
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

    def _find(self, obj: Object, selector: Any, args: tuple[Any, ...]) -> tuple[Row, tuple[Any, ...]]:
        """Look a method up; an object with a marked ``__call__`` takes the whole argument list."""
        rows = type(obj)._captp_rows
        row = rows.get(selector)
        if row is None:
            row = rows.get(None)
            if row is None or type(selector) is not str:
                raise NoSuchMethod("there is no such method")
            args = (Symbol(selector), *args)
        return row, args

    def _turn(self, obj: Object, row: Row, message: Message) -> None:
        outbox, trustee = self.outbox, self.trustee
        mark = len(outbox)
        trustee.in_turn = True
        try:
            value = (row.thunk or compile_thunk(row))(obj, message.args, message.kwargs)
            if row.is_fiber:
                trustee.in_turn = False
                self._start(value, obj, row, message.promise, mark)
                return
            if type(value) not in ATOMS:
                value = self._result(row, value)
            if len(outbox) - mark > self.limits.turn_sends:
                raise Overloaded(f"turn-limit: more than {self.limits.turn_sends} sends in one turn")
        except BaseException as problem:
            self._roll_back(mark, row, problem, message.promise)
            return
        finally:
            trustee.in_turn = False
        if trustee.journal:
            trustee.commit()
        promise = message.promise
        if promise is not None:
            self.settle_now(promise, FULFILLED, value)

    def _result(self, row: Row, value: Any) -> Any:
        if row.result is not None and isinstance(value, Object | Reference):
            if isinstance(value, Object):
                return self.reference(value, row.result)
            value = as_interface(value, row.result)
        return freeze(value, self)

    def _roll_back(self, mark: int, row: Row, problem: BaseException, promise: Promise[Any] | None) -> None:
        """Undo a turn; user code's errors break the promise, an interrupt goes on up."""
        del self.outbox[mark:]
        self.trustee.in_turn = False
        self.trustee.roll_back()
        if not isinstance(problem, Broken):
            self.faults.append((f"{row.owner.__name__}.{row.name}", problem))
        if not isinstance(problem, Exception):
            raise problem
        if promise is not None:
            self.settle_now(promise, BROKEN, portable(problem))

    # Fibers.

    def _start(self, coro: Any, obj: Object, row: Row, promise: Promise[Any] | None, mark: int) -> None:
        """Run the first step; only a fiber that waits becomes an entry of its own."""
        waits_for = self._advance(coro, row, promise, None, mark)
        if waits_for is None:
            return
        fiber = Fiber(coro, obj, row, promise, self.dropped_fibers.append)
        self.fibers[fiber] = None
        if row.latch:
            fiber.latched = True
            obj._latch = deque()
        fiber.waiting_for = waits_for
        add_waiter(waits_for, fiber)

    def _step(self, fiber: Fiber) -> None:
        promise = fiber.promise()
        thrown, fiber.thrown = fiber.thrown, None
        waits_for = self._advance(fiber.coro, fiber.row, promise, thrown, len(self.outbox))
        if waits_for is not None:
            fiber.waiting_for = waits_for
            add_waiter(waits_for, fiber)
            return
        del self.fibers[fiber]
        if fiber.latched:
            held, fiber.obj._latch = fiber.obj._latch, None
            self._forwarded.extend(held or ())

    def _advance(
        self,
        coro: Any,
        row: Row,
        promise: Promise[Any] | None,
        thrown: BaseException | None,
        mark: int,
    ) -> Promise[Any] | None:
        """Run one step as a turn; return the promise it waits for, None when it has finished."""
        trustee = self.trustee
        trustee.in_turn = self._fiber_runs = True
        try:
            while True:
                waits_for = coro.send(None) if thrown is None else coro.throw(thrown)
                if isinstance(waits_for, Promise) and waits_for._home is self:
                    break
                thrown = foreign_await(coro, row)
                del self.outbox[mark:]
                trustee.roll_back()
        except StopIteration as stop:
            try:
                value = self._result(row, stop.value)
            except Exception as problem:
                self._roll_back(mark, row, problem, promise)
                return None
            if trustee.journal:
                trustee.commit()
            if promise is not None:
                self.settle_now(promise, FULFILLED, value)
            return None
        except BaseException as problem:
            self._roll_back(mark, row, problem, promise)
            return None
        finally:
            trustee.in_turn = self._fiber_runs = False
        if trustee.journal:
            trustee.commit()
        return waits_for

    # Settlement.

    def _follow(self, promise: Promise[Any], leader: Promise[Any]) -> None:
        """Let ``promise`` become whatever ``leader`` becomes; a ring of promises breaks at once."""
        hops = 0
        while leader._state == PENDING and leader._value is not None:
            leader = leader._value
            hops += 1
        if leader is promise or hops > self.limits.pipeline_queue:
            self.settle_now(promise, BROKEN, Broken("promise-cycle: a promise resolved to itself"))
            return
        if leader._state != PENDING:
            self.settle_now(promise, leader._state, leader._value)
            return
        promise._value = leader
        waiters = take_waiters(promise)
        self._queued.pop(promise, None)
        for waiter in waiters:
            if type(waiter) is Message:
                self._forwarded.append(waiter)
            else:
                add_waiter(promise, waiter)
        add_waiter(leader, promise)
        if promise._waiters is not None or promise._reported:
            self.want(leader)

    def _wake(self, promise: Promise[Any]) -> None:
        self._queued.pop(promise, None)
        for waiter in take_waiters(promise):
            if type(waiter) is Message:
                self._forwarded.append(waiter)
            elif type(waiter) is Fiber:
                if waiter.waiting_for is promise:
                    waiter.waiting_for = None
                    self.admit(self.local, waiter)
            elif isinstance(waiter, Promise):
                if waiter._state == PENDING:
                    waiter._value = None
                self.outbox.append(Settlement(waiter, promise._state, promise._value))
            else:
                self.woken.append((waiter, promise))
