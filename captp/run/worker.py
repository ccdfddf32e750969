"""The thread that owns plain objects and blocks in turns on them; it knows clients, and no trio.

Each client has a queue, and one more queue holds the clients that became ready: between them the thread
goes round robin, within one in order.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Final
from weakref import WeakSet

from attrs import frozen

from captp.errors import Closed, UsageError
from captp.model.faults import described, rebuilt
from captp.model.histogram import Histogram
from captp.model.object import Object
from captp.model.promise import Reference, Resolver
from captp.run.credit import Credit
from captp.run.jobs import OPEN, Hold, Job, Keep, State, Turnstile, without_locals
from captp.vat.delegation import LoopTrust
from captp.vat.remote import FarTrust

__all__ = ["LOOP_KINDS", "Client", "TrusteeStats", "TrusteeThread", "Worker"]

log = logging.getLogger("captp")

#: What belongs to a vat's loop, so that no other thread may have it.
LOOP_KINDS: Final = (Object, Reference, Resolver, LoopTrust, FarTrust)


#: Seconds after which threads that have their answers and do not go on are looked at.
LOST_S: Final = 0.05


@frozen
class TrusteeStats:
    """What a thread trustee has done so far, and what it has before it."""

    #: Calls that had their turn, and visits to clients that had some.
    turns: int
    batches: int
    #: Calls handed over and unanswered: now, and at most so far.
    depth: int
    high_water: int
    #: Calls whose callers went before their turn.
    cancelled: int
    #: Calls refused because too many were unanswered.
    overloads: int
    #: Calls nobody waits for that raised.
    unheard: int
    #: Objects that a handle or a call holds, and those that none did any more.
    live: int
    reaped: int
    #: Times that the trio loop was woken with answers.
    wakes: int
    #: Seconds spent in turns, and the longest that a client with calls waited for the thread.
    busy_s: float
    longest_wait_s: float
    #: Batches by how many calls had their turn in them, and by how many microseconds their clients had
    #: waited: those at index i by fewer than 2**i, and not fewer than half of that.
    sizes: tuple[int, ...]
    waits: tuple[int, ...]
    #: In the same way, how often objects went, by how many did together.
    reaps: tuple[int, ...]
    #: Seconds since it was opened.
    age_s: float


class Client:
    """Whoever hands jobs to a worker, in order; ``armed`` says that it is among the ready ones.

    It is set after something was queued, and cleared before the queue is looked at: none is missed.
    """

    __slots__ = ("armed", "queue", "since", "unanswered", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.queue: deque[Job] = deque()
        self.unanswered = bytearray()
        self.armed = False
        #: When it was armed.
        self.since = 0.0

    def arm(self) -> None:
        """Have its queue visited."""
        if not self.armed:
            self.armed = True
            self.since = perf_counter()
            self.worker.ready.put(self)

    def ring(self) -> None:
        """Something was queued."""
        self.arm()

    def take(self, job: Job) -> None:
        """Queue a job that was held, in any thread."""
        self.queue.append(job)
        self.arm()

    def answer(self, job: Job) -> None:
        """Bring the end of a job to whoever waits for it, who may hand over the next at once."""
        self.worker.give_back(self, job.size)
        if job.heard is not None:
            job.heard(job)


class TrusteeThread(threading.Thread):
    """The thread of some trustee: what runs in it is a turn, and must not wait."""


class Worker:
    """The thread of one trustee, and what it shares with its clients."""

    def __init__(self, quota: int, window: int, max_inflight: int, on_end: Callable[[], object]) -> None:
        self.quota = quota
        self.state = OPEN
        self.cause: BaseException | None = None
        #: The clients that became ready; None wakes the thread for other reasons.
        self.ready: SimpleQueue[Client | None] = SimpleQueue()
        #: Objects that nobody holds any more; those that somebody does.
        self.gone: deque[Any] = deque()
        self.keeps: WeakSet[Keep] = WeakSet()
        #: Each OS thread's client, and where they wait for their answers.
        self.mine = threading.local()
        self.turnstile = Turnstile()
        #: The job that runs, the client that is visited, and one whose jobs may lie there before it is ready.
        self.running: Job | None = None
        self.visited: Client | None = None
        self.resident: Client | None = None
        self._on_end = on_end
        #: Guards what waits for credit, and the end of OPEN; re-entrant, as finalizers may hand jobs over.
        self.lock = threading.RLock()
        self.credit = Credit(window, max_inflight)
        self.home = threading.get_ident()
        self.ident = 0
        self.turns = self.batches = self.cancelled = self.unheard = self.wakes = self.reaped = 0
        self.busy_s = self.longest_wait_s = 0.0
        self.sizes, self.waits, self.reaps = Histogram(), Histogram(), Histogram()
        self._opened_at = perf_counter()
        self.thread = TrusteeThread(target=self._main, name="captp trustee", daemon=True)

    # What clients call, in any thread.

    def entrust(self, target: Any, *, poisons: bool = False) -> Hold:
        """Take an object over; raises UsageError for one that belongs to a loop, or Closed."""
        if isinstance(target, LOOP_KINDS):
            raise UsageError(
                f"a {type(target).__name__} belongs to a vat's loop, and no thread may have it:"
                " entrust plain data or a plain object, or use vat.entrust()"
            )
        with self.lock:
            if self.state is not OPEN:
                raise self.closed()
            keep = Keep(self, target, poisons=poisons)
            self.keeps.add(keep)
            return Hold(keep)

    def keep(self, problem: BaseException) -> tuple[str, int]:
        """Keep what a turn raised for other turns of the thread; return the brand and the number."""
        # Late, as most trustees have no faults like that.
        from captp.custody.home import thread_home  # noqa: PLC0415

        return thread_home().keep(problem)

    def let_go(self, target: Any) -> None:
        """Drop an object in the thread; fit for finalizers."""
        if self.state is not State.ENDED:
            self.gone.append(target)
            self.ready.put(None)

    def post(self, job: Job, *, waits: bool = True) -> None:
        """Queue a job, or hold it back if it waits while too much is unanswered; else raises Overloaded.

        A job that is refused keeps no object, however long the exception keeps the job.
        """
        client: Client = job.client  # type: ignore[assignment]
        if self.credit.take(job):
            client.queue.append(job)
            if not client.armed:
                client.ring()
            # Behind that, as what closes looks at the queues behind its word.
            if self.state is not OPEN:
                self._withdraw(job)
            return
        with self.lock:
            if self.state is OPEN:
                self.credit.hold(job, waits)
                return
        del job.keep
        raise self.closed()

    def _withdraw(self, job: Job) -> None:
        """Take a job back that came too late, unless what closes has found it; raises Closed."""
        client: Client = job.client  # type: ignore[assignment]
        try:
            client.queue.remove(job)
        except ValueError:
            return
        self.give_back(client, job.size)
        del job.keep
        raise self.closed()

    def give_back(self, client: Client, count: int) -> None:
        """So many calls more of a client are answered; hand over what was held back for them."""
        if self.credit.give_back(client, count):
            with self.lock:
                self.credit.go_on(client)

    def closed(self, ran: str = "did not run") -> Closed:
        """Make the error for calls that come too late."""
        why = "its block has ended" if self.cause is None else f"a turn ended it with {described(self.cause)}"
        problem = Closed(f"the thread trustee is closed, {why}; this call {ran}: open another trustee")
        # Made anew for each: callers on several threads must not meet in it.
        problem.__cause__ = None if self.cause is None else rebuilt(self.cause, self)
        return problem

    def stats(self) -> TrusteeStats:
        """Return the figures as they are now."""
        return TrusteeStats(
            turns=self.turns,
            batches=self.batches,
            depth=self.credit.depth,
            high_water=self.credit.high_water,
            cancelled=self.cancelled,
            overloads=self.credit.overloads,
            unheard=self.unheard,
            live=len(self.keeps),
            reaped=self.reaped,
            wakes=self.wakes,
            busy_s=self.busy_s,
            longest_wait_s=self.longest_wait_s,
            sizes=self.sizes.counts,
            waits=self.waits.counts,
            reaps=self.reaps.counts,
            age_s=perf_counter() - self._opened_at,
        )

    # The end.

    def close(self, cause: BaseException | None = None) -> None:
        """Run no turn more and break what has not begun; the thread ends after the turn under way."""
        with self.lock:
            if self.state is not OPEN:
                return
            self.cause = cause
            self.state = State.CLOSING
        # The thread notes what it runs before it looks at the state.
        running = self.running
        if running is not None:
            running.is_off = True
        self._break_queued()
        self.ready.put(None)

    def _break_queued(self) -> None:
        # The thread may be doing the same: each job belongs to who takes it from its queue.
        with self.lock:
            held = deque(self.credit.empty())
        clients = [c for c in (self.visited, self.resident) if c is not None]
        with suppress(Empty):
            while True:
                client = self.ready.get_nowait()
                if client is not None:
                    clients.append(client)
        for queue in (*(c.queue for c in clients), held):
            with suppress(IndexError):
                while True:
                    self._finish(queue.popleft())

    # What the thread does.

    def _main(self) -> None:
        self.ident = threading.get_ident()
        try:
            while self.state is OPEN:
                try:
                    client = self.ready.get(timeout=LOST_S if self.turnstile.waiting else None)
                except Empty:
                    # The thread that was to move it was interrupted in the middle of that.
                    self.turnstile.move()
                    continue
                if self.gone:
                    self._reap()
                if client is not None:
                    self._visit(client)
        except BaseException as problem:  # whatever it is, nobody may wait for this thread for ever
            log.critical("a turn ended its thread trustee", exc_info=problem)
            self.close(self.cause or rebuilt(problem, self))
        self._break_queued()
        for keep in list(self.keeps):
            keep.target = None
        self.keeps.clear()
        while self.gone:
            self._reap()
        while self.turnstile.waiting:
            self.turnstile.move()
        self.state = State.ENDED
        # The system may give it to another thread from now on.
        self.ident = 0
        self._on_end()

    def _reap(self) -> None:
        """Let go of what nobody holds any more."""
        count = len(self.gone)
        self.reaped += count
        self.reaps.add(count)
        # Others may add to it meanwhile.
        for _ in range(count):
            self.gone.popleft()

    def _visit(self, client: Client) -> None:
        begun = perf_counter()
        waited = begun - client.since
        if waited > self.longest_wait_s:  # noqa: PLR1730 - for every visit
            self.longest_wait_s = waited
        client.armed = False
        self.visited = client
        if client.queue:
            self.batches += 1
            self.waits.add(int(waited * 1e6))
        before = self.turns
        try:
            self._run(client)
        finally:
            self.running = None
            self.busy_s += perf_counter() - begun
            if self.turns != before:
                self.sizes.add(self.turns - before)

    def _run(self, client: Client) -> None:
        queue, left, spent, gone = client.queue, self.quota, 0, self.gone
        while queue:
            if left <= 0:
                client.arm()
                break
            try:
                job = queue.popleft()
            except IndexError:
                break  # closing took it
            self.running = job
            if gone:
                # What is dropped goes before the next turn; the last job may have held a handle.
                self._reap()
            if self.state is OPEN and not job.is_off:
                try:
                    done = job.run(left)
                except BaseException as problem:
                    self.cause = rebuilt(without_locals(problem), self)
                    job.break_off(self.closed("had begun"))
                    self._finish(job)
                    raise
                left -= done
                self.turns += done
                if job.rest and not job.is_off:
                    queue.appendleft(job)
                    continue
                if job.heard is None and job.error is None:
                    spent += 1
                    # The exception of another turn may keep this frame, and must not keep the object.
                    del job.keep
                    continue
            if spent:
                # Before an answer: who has it may hand over the next calls.
                self.give_back(client, spent)
                spent = 0
            self._finish(job)
        if spent:
            self.give_back(client, spent)

    def _finish(self, job: Job) -> None:
        """Answer a job that has ended, or never will begin."""
        if job.rest:
            if job.is_off and self.state is OPEN:
                self.cancelled += job.rest
            job.break_off(self.closed())
        kind = job.keep.kind
        del job.keep
        if job.heard is not None:
            job.client.answer(job)
            return
        self.give_back(job.client, job.size)  # type: ignore[arg-type]
        if job.error is not None:
            with self.lock:
                self.unheard += 1
            fields = {"function": getattr(job.fn, "__qualname__", "?"), "object": kind}
            log.error("a call that nobody waits for failed", exc_info=job.error, extra={"captp": fields})
