"""The gate of a durable vat: batches wait here, in order, until what they changed is stored.

One thread writes. While it does, the vat goes on, and what collects meanwhile is the next commit: how many
batches go together follows from how long the disk takes. What is to be read parts no commits: it waits for
all that have collected, and is read behind them.

open --a commit is pushed--> waiting --all are stored--> open; waiting --a commit fails--> failed, for good.
Invariant: a batch is released only when no commit of it or of an earlier one is missing on disk.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, TypeVar, final

import outcome
import trio

from captp.errors import Closed, StoreDamaged, StoreFull
from captp.model.idents import Oid
from captp.peer.durable.loading import Rows
from captp.peer.outputs import Batch, Commit, Sweep
from captp.peer.rows import coalesced
from captp.run.sealed import Overread, Sealed
from captp.run.store import Store
from captp.run.sweeper import Sweeper

T = TypeVar("T")

__all__ = ["Gate"]

#: Bytes of changes on their way to the disk above which the vat waits.
MOST_BYTES: Final = 4 * 1024 * 1024
#: What a change counts for besides its value.
CHANGE_BYTES: Final = 200
#: Seconds between two tries of a commit for which there was no room.
RETRY_S: Final = 0.2
#: Rows that a sweep looks at in one go, and the seconds in between, which others have.
SWEEP_ROWS: Final = 200
SWEEP_S: Final = 0.005
#: Seconds between two looks whether the thread still lives.
LOOK_S: Final = 0.1


class Listener(Protocol):
    """Whom a gate tells what has come of things, in the vat's thread."""

    def released(self, batch: Batch) -> None:
        """Let a batch leave."""
        ...

    def loaded(self, oid: Oid, bundle: dict[int, Rows] | None) -> None:
        """Take what was read of an object, None where that is damaged."""
        ...

    def swept(self, deleted: int, floating: int, freed: list[int], damage: str) -> None:
        """Take note of how many objects a sweep deleted, how many float, and which memory still has."""
        ...

    def has_room(self, has_room: bool) -> None:
        """Take note whether the store has room for more."""
        ...

    def failed(self, problem: BaseException) -> None:
        """Take note that nothing more can be stored."""
        ...


@final
class _Errand:
    """Something else to do with the store, and who waits for it."""

    def __init__(self, job: Callable[[Store], Any]) -> None:
        self.job = job
        self.is_done = trio.Event()
        self.result: outcome.Maybe[Any] = outcome.Error(Closed("the vat ended before its store was free"))


@final
class Gate:
    """Holds what leaves a durable vat; all but ``_main`` runs in the vat's thread."""

    def __init__(self, sealed: Sealed, listener: Listener) -> None:
        self._sealed = sealed
        self._listener = listener
        self._token = trio.lowlevel.current_trio_token()
        #: Commits to make, objects to read, sweeps to begin, and who waits until all before them is done.
        self._jobs: SimpleQueue[Commit | Oid | Sweep | threading.Event | _Errand | None] = SimpleQueue()
        self._errands: set[_Errand] = set()
        #: Batches that wait, oldest first, and the bytes of their changes.
        self._held: deque[tuple[Batch, int]] = deque()
        self._bytes = 0
        self._free: trio.Event | None = None
        self.failure: BaseException | None = None
        #: What the thread knows: whether the store had room, and whether it is to try no more.
        self._has_room = True
        self._sweeper: Sweeper | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._main, name="captp store", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether nothing waits, so that what has happened may be seen."""
        return not self._held and self.failure is None

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that nothing more is to run."""
        return self._bytes > MOST_BYTES or self.failure is not None

    def push(self, batch: Batch) -> None:
        """Release a batch when what it changed is stored, and all before it."""
        commit = batch.commit
        if commit is None:
            if self.is_open:
                self._listener.released(batch)
            elif self.failure is None:
                self._held.append((batch, 0))
            return
        size = sum(len(change.value) + CHANGE_BYTES for change in commit.changes)
        self._bytes += size
        self._held.append((batch, size))
        self._jobs.put(commit)

    def load(self, oid: Oid) -> None:
        """Have an object read, after all commits so far and maybe later ones, and given to ``loaded``."""
        self._jobs.put(oid)

    def sweep(self, sweep: Sweep) -> None:
        """Begin to delete what nothing leads to any more."""
        self._jobs.put(sweep)

    def add(self, output: Any) -> None:
        """Add an output to the newest batch that waits; there has to be one."""
        self._held[-1][0].outputs.append(output)

    async def room(self) -> None:
        """Wait until less waits for the disk."""
        if self._free is None:
            self._free = trio.Event()
        await self._free.wait()

    def wait(self) -> None:
        """Block this thread until all that was pushed is stored; raises what made that impossible."""
        done = threading.Event()
        self._jobs.put(done)
        while not done.wait(LOOK_S):
            if not self._thread.is_alive():
                break
            if not self._has_room:
                # It may take until somebody makes room, and nothing else would run in this thread.
                raise StoreFull("the disk is full, and this is stored only when there is room: make room")
        if self.failure is not None:
            raise self.failure

    async def with_store(self, job: Callable[[Store], T]) -> T:
        """Run a job with the store, after all commits so far; nothing else is stored meanwhile."""
        errand = _Errand(job)
        if self._closing.is_set() or self.failure is not None:
            errand.result.unwrap()
        self._errands.add(errand)
        self._jobs.put(errand)
        # What it does cannot be called off.
        with trio.CancelScope(shield=True):
            await errand.is_done.wait()
        result: T = errand.result.unwrap()
        return result

    async def aclose(self) -> None:
        """Store what is under way, release it and close the store; it does not return before."""
        self._jobs.put(None)
        self._closing.set()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join)
            self._end_errands()
            # The thread's last words run before this task does.
            await trio.lowlevel.checkpoint()

    # What the thread has done.

    def _committed(self, number: int) -> None:
        held = self._held
        try:
            while held and (held[0][0].commit is None or held[0][0].number <= number):
                batch, size = held.popleft()
                self._bytes -= size
                self._listener.released(batch)
        except BaseException as problem:  # trio would end the whole run for it
            self._fail(problem)
        if self._free is not None and not self.is_full:
            self._free.set()
            self._free = None

    def _fail(self, problem: BaseException) -> None:
        self.failure = problem
        # What waits never leaves: it tells of what is not stored.
        self._held.clear()
        self._end_errands()
        self._listener.failed(problem)

    def _end_errands(self) -> None:
        for errand in self._errands:
            errand.is_done.set()
        self._errands.clear()

    def _ran(self, errand: _Errand, result: outcome.Maybe[Any]) -> None:
        if errand in self._errands:
            self._errands.remove(errand)
            errand.result = result
            errand.is_done.set()

    # The thread.

    def _main(self) -> None:
        try:
            self._serve()
        except BaseException as problem:  # whatever it is, nothing may leave after it
            self._tell(self._fail, problem)
        finally:
            self._sealed.close()

    def _serve(self) -> None:
        job = self._next()
        while job is not None:
            following: Any = Empty
            if type(job) is Commit:
                group: list[Commit] = [job]
                reads: list[Oid] = []
                while (kind := type(following := self._at_once())) is Commit or kind is int:
                    (group if kind is Commit else reads).append(following)
                self._write(group)
                for oid in reads:
                    self._read(oid)
            elif type(job) is threading.Event:
                job.set()
            elif type(job) is Sweep:
                self._sweeper = Sweeper(self._sealed, job.held, job.free)
            elif type(job) is _Errand:
                self._tell(self._ran, job, outcome.capture(job.job, self._sealed.store))
            else:
                self._read(Oid(job))
            job = self._next() if following is Empty else following

    def _next(self) -> Any:
        while True:
            pause = SWEEP_S if self._sweeper is not None else None if self._has_room else RETRY_S
            try:
                return self._jobs.get(timeout=pause)
            except Empty:
                self._look_for_room()
                if self._sweeper is not None:
                    self._sweep(lambda sweeper: sweeper.step(SWEEP_ROWS))

    def _at_once(self) -> Any:
        try:
            return self._jobs.get_nowait()
        except Empty:
            return Empty

    def _sweep(self, go_on: Callable[[Sweeper], bool | None]) -> None:
        assert self._sweeper is not None
        damage = ""
        try:
            if go_on(self._sweeper) is not False:
                return
        except (StoreDamaged, Overread) as problem:
            # What is damaged harms only those who call it, and what is too much stays.
            damage = str(problem)
        except StoreFull:
            # A sweep can wait.
            pass
        sweeper, self._sweeper = self._sweeper, None
        self._tell(self._listener.swept, sweeper.deleted, sweeper.floating, sweeper.freed, damage)

    def _write(self, group: list[Commit]) -> None:
        changes = coalesced(change for commit in group for change in commit.changes)
        if self._sweeper is not None:
            self._sweep(lambda sweeper: sweeper.before(changes))
        while True:
            try:
                self._sealed.commit(changes, group[-1].last_oid)
            except StoreFull:
                # Nothing has left that depends on it: it can wait for room.
                self._set_room(has_room=False)
                if self._closing.wait(RETRY_S):
                    raise
            else:
                break
        self._tell(self._committed, group[-1].number)
        self._look_for_room()

    def _look_for_room(self) -> None:
        self._set_room(has_room=self._sealed.store.has_room())

    def _set_room(self, *, has_room: bool) -> None:
        if has_room != self._has_room:
            self._has_room = has_room
            self._tell(self._listener.has_room, has_room)

    def _read(self, oid: Oid) -> None:
        try:
            bundle = self._sealed.bundle(oid)
        except StoreDamaged:
            bundle = None
        self._tell(self._listener.loaded, oid, bundle)

    def _tell(self, function: Callable[..., None], *args: Any) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *args)
