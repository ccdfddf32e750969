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
from typing import Any, Final

from attrs import frozen

from captp.errors import Closed, Overloaded, UsageError
from captp.model.object import Object
from captp.model.promise import Reference
from captp.run.jobs import OPEN, Cell, Client, Hold, Job, State, without_locals
from captp.vat.delegation import LoopTrust

__all__ = ["LOOP_KINDS", "TrusteeStats", "TrusteeThread", "Worker"]

log = logging.getLogger("captp")

#: What belongs to a vat's loop, so that no other thread may have it.
LOOP_KINDS: Final = (Object, Reference, LoopTrust)


@frozen
class TrusteeStats:
    """What a trustee has done so far, and what it has before it."""

    #: Calls that ran, and visits to clients that had some.
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
    #: Objects with a handle.
    live: int


class TrusteeThread(threading.Thread):
    """The thread of some trustee: what runs in it is a turn, and must not wait."""


class Worker:
    """The thread of one trustee, and what it shares with its clients."""

    def __init__(self, quota: int, max_inflight: int, on_end: Callable[[], object]) -> None:
        self.quota = quota
        self.max_inflight = max_inflight
        self.state = OPEN
        self.cause: BaseException | None = None
        #: The clients that became ready; None wakes the thread for other reasons.
        self.ready: SimpleQueue[Client | None] = SimpleQueue()
        self.counts: deque[tuple[Cell, int]] = deque()
        self.cells: set[Cell] = set()
        #: Each OS thread's client.
        self.mine = threading.local()
        #: The client that is visited, and the one whose jobs may lie there before it is ready.
        self.visited: Client | None = None
        self.resident: Client | None = None
        self._on_end = on_end
        #: Guards ``free``, ``held`` and the end of OPEN; re-entrant, as finalizers may hand jobs over.
        self.lock = threading.RLock()
        self.free = max_inflight
        #: Jobs that wait until earlier ones are answered.
        self.held: deque[Job] = deque()
        self.home = threading.get_ident()
        self.ident = 0
        self.turns = self.batches = self.high_water = self.cancelled = self.overloads = self.unheard = 0
        self._is_reaping = False
        self.thread = TrusteeThread(target=self._main, name="captp trustee", daemon=True)

    # What clients call, in any thread.

    def entrust(self, target: Any) -> Hold:
        """Take an object over; raises UsageError for one that belongs to a loop, or Closed."""
        if isinstance(target, LOOP_KINDS):
            raise UsageError(
                f"a {type(target).__name__} belongs to a vat's loop, and no thread may have it:"
                " entrust plain data or a plain object, or use vat.entrust()"
            )
        with self.lock:
            if self.state is not OPEN:
                raise self.closed()
            return self.adopt(target)

    def adopt(self, target: Any) -> Hold:
        """Make the cell for an object, and its first hold."""
        cell = Cell(self, target)
        self.cells.add(cell)
        return Hold(cell)

    def uncount(self, cell: Cell) -> None:
        """Count a cell once less, and have the thread see to it; fit for finalizers."""
        if self.state is State.ENDED:
            return
        self.counts.append((cell, -1))
        if not self._is_reaping:
            self._is_reaping = True
            self.ready.put(None)

    def post(self, job: Job, *, waits: bool) -> None:
        """Queue a job, or hold it back if it waits while too much is unanswered; else raises Overloaded."""
        with self.lock:
            if self.state is not OPEN:
                raise self.closed()
            if self.held or self.free < job.size:
                if job.size > self.max_inflight or not waits:
                    self.overloads += job.size
                    raise Overloaded(
                        f"{self.max_inflight - self.free} calls are unanswered and this has {job.size}, with"
                        f" max_inflight={self.max_inflight}: await one with apply, or hand over fewer"
                    )
                self.held.append(job)
                return
            self._hand_over(job)
            if not job.client.armed:
                job.client.ring()

    def _hand_over(self, job: Job) -> None:
        self.free -= job.size
        used = self.max_inflight - self.free
        if used > self.high_water:  # noqa: PLR1730 - for every call
            self.high_water = used
        job.client.queue.append(job)

    def give_back(self, count: int) -> None:
        """So many calls more are answered; hand over what was held back for them."""
        with self.lock:
            self.free += count
            while self.held and self.free >= self.held[0].size:
                job = self.held.popleft()
                self._hand_over(job)
                job.client.arm()

    def make_ready(self, client: Client) -> None:
        """Have the queue of a client visited."""
        self.ready.put(client)

    def closed(self, ran: str = "did not run") -> Closed:
        """Make the error for calls that come too late."""
        why = "its block has ended" if self.cause is None else f"a turn ended it with {self.cause!r}"
        problem = Closed(f"the thread trustee is closed, {why}; this call {ran}: open another trustee")
        problem.__cause__ = self.cause
        return problem

    def stats(self) -> TrusteeStats:
        """Return the figures as they are now."""
        return TrusteeStats(
            turns=self.turns,
            batches=self.batches,
            depth=self.max_inflight - self.free,
            high_water=self.high_water,
            cancelled=self.cancelled,
            overloads=self.overloads,
            unheard=self.unheard,
            live=len(self.cells),
        )

    # The end.

    def close(self, cause: BaseException | None = None) -> None:
        """Run no turn more and break what has not begun; the thread ends after the turn under way."""
        with self.lock:
            if self.state is not OPEN:
                return
            self.cause = cause
            self.state = State.CLOSING
        self._break_queued()
        self.ready.put(None)

    def _break_queued(self) -> None:
        # The thread may be doing the same: each job belongs to who takes it from its queue.
        with self.lock:
            held, self.held = self.held, deque()
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
                client = self.ready.get()
                # Cleared before ``counts`` is looked at: what is appended after rings again.
                self._is_reaping = False
                self._reap()
                if client is not None:
                    self._visit(client)
                    self._reap()
        except BaseException as problem:  # whatever it is, nobody may wait for this thread for ever
            log.critical("a turn ended its thread trustee", exc_info=problem)
            self.close(problem)
        self._break_queued()
        self._reap()
        for cell in self.cells:
            cell.target = None
        self.cells.clear()
        self.state = State.ENDED
        # The system may give it to another thread from now on.
        self.ident = 0
        self._on_end()

    def _reap(self) -> None:
        counts = self.counts
        while counts:
            cell, change = counts.popleft()
            cell.handles += change
            if not cell.handles:
                self.cells.discard(cell)
                cell.target = None

    def _visit(self, client: Client) -> None:
        client.armed = False
        self.visited = client
        queue, left, spent = client.queue, self.quota, 0
        self.batches += bool(queue)
        while queue:
            if left <= 0:
                client.arm()
                break
            try:
                job = queue.popleft()
            except IndexError:
                break  # closing took it
            if self.state is OPEN and not job.is_off:
                try:
                    done = job.run(left)
                except BaseException as problem:
                    self.cause = without_locals(problem)
                    job.break_off(self.closed("had begun"))
                    self._finish(job)
                    raise
                left -= done
                self.turns += done
                if job.rest:
                    queue.appendleft(job)
                    continue
                if job.heard is None and job.error is None:
                    spent += 1
                    self.counts.append((job.cell, -1))
                    continue
            if spent:
                # Before an answer: who has it may hand over the next calls.
                self.give_back(spent)
                spent = 0
            self._finish(job)
        if spent:
            self.give_back(spent)

    def _finish(self, job: Job) -> None:
        """Answer a job that has ended, or never will begin."""
        if job.rest:
            if job.is_off:
                with self.lock:
                    self.cancelled += job.rest
            job.break_off(self.closed())
        self.counts.append((job.cell, -1))
        if job.heard is not None:
            job.client.answer(job)
            return
        self.give_back(job.size)
        if job.error is not None and not job.is_off:
            with self.lock:
                self.unheard += 1
            fields = {"function": getattr(job.fn, "__qualname__", "?"), "object": job.cell.kind}
            log.error("a call that nobody waits for failed", exc_info=job.error, extra={"captp": fields})
