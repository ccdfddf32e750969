"""The driver's step: run the engine, write what it drained, wake who waited; the only such place.

``flush`` is synchronous: one engine run and at most one direct write per connection. A caller's await
flushes at once while few wait, so that one call is fast; with many, the pump task does it once a tick.
"""

from __future__ import annotations

import logging
import math
import types
from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import Context
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from trio.lowlevel import checkpoint, current_task, reschedule, wait_task_rescheduled

from captp.model.idents import ConnId
from captp.model.locator import PeerLocator
from captp.model.promise import BROKEN, PENDING, Promise, add_waiter
from captp.net.admission import HalfOpen
from captp.peer.load import Meter
from captp.peer.outputs import Batch, Call, Dial, Hangup, Trace, Woken, Write
from captp.peer.peer import Peer
from captp.run.awake import Awake
from captp.run.bracket import HiddenTask
from captp.run.connection import Connection
from captp.run.outside import run_outside
from captp.run.outside_call import OutsideCall, enter
from captp.run.serving import dial_and_serve
from captp.run.steps import AfterSteps, join, leave
from captp.run.waiter import TaskWaiter

if TYPE_CHECKING:
    from captp.run.sealed import Sealed
    from captp.run.storage import Storage

#: Deliveries between two writes: the other end works on the first while we go on.
SLICE: Final = 128
#: Slices before other tasks have their go, where no other connection waits for one.
SLICES: Final = 16
#: Deliveries before other connections have their go.
SHARE: Final = 32
#: How many tasks may wait before an await leaves the flush to the pump.
EAGER_WAITERS: Final = 2
#: Seconds between looks at quiet connections.
BEAT_S: Final = 0.25

log = logging.getLogger("captp")


class Pump:
    """Drives one peer on trio; owns its connections."""

    def __init__(
        self,
        peer: Peer,
        nursery: trio.Nursery,
        dial: Callable[[PeerLocator], Any],
        meter: Meter,
        sealed: Sealed | None = None,
    ) -> None:
        self.peer = peer
        self.nursery = nursery
        self._meter = meter
        self.dial_conduit = dial
        self.connections: dict[ConnId, Connection] = {}
        #: Held by a connection that goes on with what it has read.
        self.turn = trio.Lock()
        self.half_open = HalfOpen(peer.limits)
        self.awake = Awake(self._received)
        #: Tasks that wait, and for what.
        self._parked: dict[TaskWaiter, Promise[Any]] = {}
        #: Outside calls under way.
        self._outside: set[OutsideCall] = set()
        self._running = False
        self.is_closing = False
        self._task: trio.lowlevel.Task | None = None
        self.rung = False
        self._after_steps: AfterSteps | None = None
        self._failure: BaseException | None = None
        self._wake_at = math.inf
        self._sleeper: trio.CancelScope | None = None
        vat = peer.vat
        # It is a generator of the kind that may yield from a coroutine: one frame less each time.
        vat.parker = cast("Callable[[Promise[Any]], Generator[Any, Any, None]]", self._park)
        vat.pause = self._pause
        vat.doorbell = self.ring
        vat.flusher = self.flush
        vat.nudge = self._nudge
        vat.thread = get_ident()
        self._token = trio.lowlevel.current_trio_token()
        # What trio.current_time() asks, with two frames less.
        self._clock = trio.lowlevel.current_clock().current_time
        self._hidden = HiddenTask(vat)
        #: What a durable vat has besides.
        self.storage: Storage | None = None
        if sealed is not None:
            from captp.run.storage import Storage  # noqa: PLC0415 - most vats need none of it

            self.storage = Storage(self, sealed)

    @property
    def has_many(self) -> bool:
        """Whether connections share this vat, so that each has short turns."""
        return len(self.connections) > 1

    # Waiting for promises in trio tasks.

    @types.coroutine
    def _park(self, promise: Promise[Any]) -> Generator[Any, Any, None]:
        parked, storage, waiter = self._parked, self.storage, None
        looks = len(parked) < EAGER_WAITERS and bool(self.awake.conduits)
        if promise._state != PENDING:
            # It is settled in memory, in a durable vat.
            self.flush()
            if storage is None or storage.is_open:
                return
            waiter = TaskWaiter()
            storage.add(Woken([waiter]))
        elif not looks or promise._lazy or storage is not None:
            waiter = TaskWaiter()
            add_waiter(promise, waiter)
        if len(parked) < EAGER_WAITERS:
            self.flush()
            if looks:
                if self.awake.is_due():
                    yield from checkpoint()  # noqa: ASYNC105 - a generator cannot await
                if promise._state == PENDING:
                    self._look(promise)
            if promise._state != PENDING and (storage is None or storage.is_open):
                return
        if waiter is None:
            # Only now: nobody has to be woken for an answer that was there before this task sleeps.
            waiter = TaskWaiter()
            add_waiter(promise, waiter)
            if promise._value is not None:
                # It follows another by now, and nobody asked for that.
                self.peer.vat.want(promise)
                self.flush()
                if promise._state != PENDING:
                    return
        waiter.task = current_task()
        parked[waiter] = promise
        try:
            yield from wait_task_rescheduled(waiter.cancel)  # noqa: ASYNC105 - a generator cannot await
        finally:
            del parked[waiter]

    def _look(self, promise: Promise[Any]) -> None:
        route = promise._route
        link = None if route is None else self.peer.links.get(route.session)
        if link is not None:
            self.awake.look(link.conn, promise)

    def _received(self, conn: ConnId, data: bytes, promise: Promise[Any]) -> None:
        self.peer.received(conn, data, self._clock())
        if promise._state == PENDING:
            self.flush()
        else:
            # It goes with the next call, if that is made in the same step.
            self.ring()

    # The step.

    def flush(self) -> None:
        """Run the engine and act on what it drained; once the vat closes, what is left stays."""
        if self._running or self.is_closing:
            return
        storage = self.storage
        if storage is not None and storage.is_full:
            self.rung = False
            storage.stall()
            return
        self._running = True
        self.rung = False
        peer, meter = self.peer, self._meter
        began = peer.now = self._clock()
        meter.begin(began)
        try:
            if peer.vat.turns.count >= meter.sample_at:
                from captp.run.sample import sample  # noqa: PLC0415 - a vat that starts needs it later

                with self._hidden:
                    sample(peer, meter)
            slices, size = (1, SHARE) if self.has_many else (SLICES, SLICE)
            while True:
                with self._hidden:
                    peer.run(size)
                    batch = peer.drain()
                if storage is None:
                    self.act(batch)
                else:
                    storage.push(batch)
                slices -= 1
                if not slices or not batch.more:
                    break
        finally:
            self._running = False
        meter.end(began, self._clock())
        if batch.wake_at is not None and batch.wake_at < self._wake_at:
            self._wake_at = batch.wake_at
            if self._sleeper is not None:
                self._sleeper.cancel()
        if batch.more:
            peer.vat.ring()

    def act(self, batch: Batch) -> None:
        """Do what a batch asks for."""
        for output in batch.outputs:
            _ACTIONS[type(output)](self, output)

    async def _pause(self) -> None:
        self._meter.refills += 1
        await trio.lowlevel.checkpoint()

    def ring(self) -> None:
        """Have a flush after the task step that runs now, or with many waiters in the next tick."""
        self.rung = True
        if not self.is_closing:
            # What a connection left in the outbox goes before what is asked for from now on.
            self.peer.vat.awake = True
        if self._after_steps is None:
            self._wake_task()
        else:
            self._after_steps.rung.append(self)

    def _nudge(self) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._look_at_what_went, idempotent=True)

    def _look_at_what_went(self) -> None:
        vat = self.peer.vat
        if vat.let_go:
            vat.reaped.add(len(vat.let_go))
            vat.let_go.clear()
        if vat.dropped and not vat.is_closed:
            vat.ring()

    def _wake_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            reschedule(task)

    def stepped(self) -> None:
        """Flush what the task step that has just ended left behind."""
        if self._running:
            return
        if len(self._parked) < EAGER_WAITERS:
            try:
                self.flush()
                return
            except BaseException as problem:  # trio would only log it: the pump task raises it instead
                self._failure = problem
        self._wake_task()

    async def run(self) -> None:
        """Flush whenever many tasks have sent something; one task per vat."""

        def abort(_raise: Any) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            while True:
                self._look_after_steps(few=len(self._parked) < EAGER_WAITERS)
                if self._failure is not None:
                    raise self._failure
                if self.rung:
                    # There was more to do than one flush does: other tasks have their go between.
                    await trio.lowlevel.checkpoint()
                else:
                    self._task = current_task()
                    await wait_task_rescheduled(abort)
                if self.rung and self._failure is None:
                    self.flush()
        finally:
            self._look_after_steps(few=False)

    def _look_after_steps(self, *, few: bool) -> None:
        if few and self._after_steps is None:
            self._after_steps = join(self)
        elif not few and self._after_steps is not None:
            leave(self._after_steps)
            self._after_steps = None

    async def beat(self) -> None:
        """Let time pass for the engine: timers when due, a look at all connections now and then."""
        beat = min(BEAT_S, self.peer.cycle_settings.tick)
        while True:
            is_busy = self.connections or self.peer.is_holding or self.storage is not None
            pause = beat if is_busy else math.inf
            deadline = min(trio.current_time() + pause, self._wake_at)
            with trio.CancelScope(deadline=deadline) as self._sleeper:
                await trio.sleep_forever()
            self._sleeper = None
            self._wake_at = math.inf
            self.peer.tick(trio.current_time())
            self.flush()

    def sync(self) -> None:
        """Block until what has happened so far is stored, in a durable vat."""
        if self.storage is not None:
            self.storage.sync()

    def fail(self, problem: BaseException) -> None:
        """End the vat with an error that came from elsewhere."""
        self._failure = problem
        self._wake_task()

    def first_came(self) -> None:
        """Begin to look at connections now and then: there was none before."""
        if self._sleeper is not None:
            self._sleeper.cancel()

    # Actions.

    def _write(self, output: Write) -> None:
        connection = self.connections.get(output.conn)
        if connection is not None:
            connection.write(output.data)

    def _dial(self, output: Dial) -> None:
        self.nursery.start_soon(dial_and_serve, self, output)

    def _hangup(self, output: Hangup) -> None:
        connection = self.connections.pop(output.conn, None)
        if connection is not None:
            self.nursery.start_soon(connection.aclose)

    def _call(self, output: Call) -> None:
        vat, under_way = self.peer.vat, self._outside
        call = enter(vat, output, under_way)
        if call is not None:
            # Not in the context of whoever happens to flush: what that has bound is not the method's to find.
            Context().run(self.nursery.start_soon, run_outside, call, vat, under_way)

    def _wake(self, output: Woken) -> None:
        for waiter in output.waiters:
            waiter.wake()

    def _trace(self, output: Trace) -> None:
        level = logging.getLevelNamesMapping()[output.level.upper()]
        if log.isEnabledFor(level):
            fields = {"vat": self.peer.designator[:12], **output.fields}
            log.log(level, output.event, exc_info=output.error, extra={"captp": fields})

    async def close(self) -> None:
        """Send what is still to be sent, say goodbye on every connection and forget them."""
        if self._failure is None:
            self.flush()
        self.is_closing = True
        failure = None if self.storage is None else await self.storage.aclose()
        if failure is not None:
            # Nothing that is in memory may be told.
            self._failure = failure
            await self._close_connections()
            return
        now = trio.current_time()
        for link in list(self.peer.router.links.values()):
            link.session.abort("closed", "the vat is closing")
            self.peer.end(link, "closed: the vat is closing")
        self.peer.now = now
        batch = self.peer.drain()
        for output in batch.outputs:
            if type(output) in (Write, Woken):
                _ACTIONS[type(output)](self, output)
        with self._hidden:
            self.peer.vat.close()
        for waiter, promise in self._parked.items():
            # Nothing settles it any more.
            if promise._state == PENDING:
                self.peer.vat.settle_now(promise, BROKEN, self.peer.vat.closed())
            waiter.wake()
        await self._close_connections()

    async def _close_connections(self) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
            async with trio.open_nursery() as nursery:
                for connection in list(self.connections.values()):
                    nursery.start_soon(connection.aclose)


_ACTIONS: Final[dict[type, Callable[[Pump, Any], None]]] = {
    Write: Pump._write,
    Dial: Pump._dial,
    Hangup: Pump._hangup,
    Call: Pump._call,
    Woken: Pump._wake,
    Trace: Pump._trace,
}
