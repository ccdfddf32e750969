"""Process trustees: objects in a child process that may crash, and is then started anew.

For processor-bound Python, which gets a core of its own, and for code that must not take this process
along. A handle is an ordinary reference to an object in an ordinary vat; what is lost stays lost.
"""

from __future__ import annotations

import logging
import platform
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
from attrs import frozen

from captp.custody.strand import is_child
from captp.errors import Broken, BrokenTrustee, Closed, StoreFull, UsageError
from captp.limits import MIB
from captp.model.object import Object
from captp.model.promise import Reference
from captp.model.send import E
from captp.model.trust import Trust
from captp.net.base import Netlayer
from captp.net.seqpacket import ChildNetlayer
from captp.peer.load import LoopStats
from captp.peer.peer import Peer
from captp.run.child_opening import TRANSPORT
from captp.run.process_child import ChildProcess, Plan
from captp.run.process_figures import figures_heard
from captp.run.process_roots import RootTrust, check_root, sent_again
from captp.run.unwrapped import unwrapped
from captp.vat.remote import FarTrust

if TYPE_CHECKING:
    from captp.run.process_store import ProcessStore
    from captp.run.store import Store

T = TypeVar("T", bound=Object)

__all__ = ["ProcessStats", "ProcessTrustee", "State", "open_process_trustee"]

#: Seconds before a process is started again: the first time, and at most, doubling from end to end.
FIRST_REST_S: Final = 0.05
LONGEST_REST_S: Final = 5.0
#: Ends in so many seconds that are one too many; who lived as long begins with the first rest again.
MOST_ENDS: Final = 5
WINDOW_S: Final = 60.0
#: Seconds between two looks whether a full disk has room for the next process.
ROOM_S: Final = 0.2
#: What a kernel's limits and timers can hold, and nobody means.
MOST_BYTES: Final = 1 << 50
MOST_S: Final = 1e6

log = logging.getLogger("captp")


class State(Enum):
    """Where a process trustee is in its life.

    starting --its workshop answers--> up --the process ends, however--> down;
    starting --it ends before--> down --a rest, longer each time--> starting;
    down --more than MOST_ENDS ends in WINDOW_S--> failed, for good; any --its block ends--> closed.
    """

    STARTING = "starting"
    UP = "up"
    DOWN = "down"
    FAILED = "failed"
    CLOSED = "closed"


@frozen
class ProcessStats:
    """What is known of a process trustee from outside."""

    state: str
    #: The number of its process, None while there is none.
    pid: int | None
    #: How many processes have ended under it.
    restarts: int
    #: Whether it has a store.
    is_durable: bool
    #: Objects there that this vat has references to.
    live: int
    #: Calls that are not answered yet.
    waiting: int
    #: Processor time of this process in seconds, and its memory in bytes.
    cpu_s: float
    memory_bytes: int


class ProcessTrustee:
    """Objects in a child process of their own; opened by ``open_process_trustee``."""

    def __init__(self, plan: Plan, classes: Sequence[type[Object]], store: Store | None) -> None:
        self._plan = plan
        self._store = store
        self._classes = list(classes)
        self._state = State.STARTING
        self._changed = trio.Event()
        self._child: ChildProcess | None = None
        self._workshop: Any = None
        self._why: str | None = None
        #: Why no other process is started, once none is.
        self._verdict = ""
        #: What the store raised before there was any process.
        self._first: BaseException | None = None
        self._ends = 0

    async def entrust_new(self, cls: type[T], /, *args: Any, **kwargs: Any) -> Trust[T]:
        """Make a ``cls(*args, **kwargs)`` in the process and return a handle on it.

        Waits while the process is being started again. Raises UsageError for a class that this trustee
        was not opened with, and BrokenTrustee when its processes end too often.
        """
        child, reference = await self._new(cls, args, kwargs)
        return FarTrust(reference, cls, child.explain)

    async def root(self, name: str, cls: type[T], /, *args: Any, **kwargs: Any) -> Trust[T]:
        """Return a handle on the object that has a name in the trustee's store.

        The first time it is made there, ``cls(*args, **kwargs)``; from then on it is there again, as it
        was, in every process of this trustee. Waits while the process is being started again. Raises
        UsageError where the trustee has no store, or the class none of its own state, and as
        ``entrust_new``. A handle goes with its process; a call of an idempotent method goes on to the next.
        """
        check_root(name, cls, has_store=self._store is not None)

        async def find(given: tuple[Any, ...] | None, named: dict[str, Any] | None) -> FarTrust[T]:
            child, reference = await sent_again(lambda: self._new(cls, given, named, name))
            return FarTrust(reference, cls, child.explain_root)

        # From then on it is there: what it was made of is given once.
        return RootTrust(await find(args, kwargs), partial(find, None, None))

    async def _new(
        self,
        cls: type[Object],
        args: tuple[Any, ...] | None,
        kwargs: dict[str, Any] | None,
        root: str | None = None,
    ) -> tuple[ChildProcess, Reference]:
        if cls not in self._classes:
            known = ", ".join(c.__name__ for c in self._classes)
            raise UsageError(
                f"{cls.__name__} is none of this trustee's classes ({known}): name it when you open it"
            )
        child, workshop = await self._up()
        given = (self._classes.index(cls), args, kwargs)
        try:
            made = await (E(workshop).make(*given) if root is None else E(workshop).root(root, *given))
        except Broken as problem:
            explained = child.explain(problem)
            if explained is problem:
                raise
            raise explained from None
        assert isinstance(made, Reference)
        return child, made

    async def _up(self) -> tuple[ChildProcess, Any]:
        # Callers learn that a session is broken before the process is reaped.
        while self._state is not State.UP or self._workshop._anchor.broken is not None:
            if self._state is State.FAILED:
                raise BrokenTrustee(self._verdict, may_have_run=False)
            if self._state is State.CLOSED:
                raise Closed("this process trustee is closed: it works only inside its block")
            await self._changed.wait()
        assert self._child is not None
        return self._child, self._workshop

    def why_broken(self) -> str | None:
        """Return how the last process ended, None while one is up or none has ended."""
        return None if self._state is State.UP else self._why

    def stats(self) -> ProcessStats:
        """Return the figures as they are now."""
        child = None if self._child is None or self._child.gone.is_set() else self._child
        live, waiting = (0, 0) if child is None else child.load()
        cpu_s, memory_bytes = (0.0, 0) if child is None else child.usage()
        return ProcessStats(
            state=self._state.value,
            pid=None if child is None else child.pid,
            restarts=self._ends,
            is_durable=self._store is not None,
            live=live,
            waiting=waiting,
            cpu_s=cpu_s,
            memory_bytes=memory_bytes,
        )

    async def figures(self, within: float = 1.0) -> LoopStats | None:
        """Ask the process how busy its own loop is.

        Returns None where there is no process, or it does not say within so many seconds, as in a turn
        that takes longer, or says what is no figures.
        """
        if self._state is not State.UP:
            return None
        with trio.move_on_after(within), suppress(Broken):
            return figures_heard(await E(self._workshop).figures())
        return None

    # The supervisor.

    async def supervise(self) -> None:
        """Keep a process alive, until there is no sense in it."""
        recent: deque[float] = deque()
        rest = FIRST_REST_S
        while True:
            began = trio.current_time()
            await self._live()
            if self._state is State.CLOSED:
                return
            if self._verdict:
                self._enter(State.FAILED)
                return
            now = trio.current_time()
            recent.append(now)
            while recent[0] <= now - WINDOW_S:
                recent.popleft()
            self._ends += 1
            if len(recent) > MOST_ENDS:
                self._verdict = (
                    f"this trustee's process ended more than {MOST_ENDS} times in {WINDOW_S:g} s and is not"
                    f" started again; the last one {self._why}: mend its classes, and open another trustee"
                )
                self._enter(State.FAILED)
                return
            self._enter(State.DOWN)
            if now - began >= WINDOW_S:
                rest = FIRST_REST_S
            await trio.sleep(rest)
            rest = min(2 * rest, LONGEST_REST_S)
            self._enter(State.STARTING)

    async def _live(self) -> None:
        """Start a process, with the store if there is one, and stay with it to its end."""
        if self._store is None:
            await self._live_with(None)
            return
        try:
            storage = await self._open(self._store)
        except Exception as problem:  # what is stored may be the work of anybody's process
            self._fail(problem)
            return
        try:
            await self._live_with(storage)
        finally:
            with trio.CancelScope(shield=True):
                await storage.aclose()
        if storage.failure is not None:
            self._fail(storage.failure)

    async def _open(self, store: Store) -> ProcessStore:
        from captp.run.process_store import ProcessStore  # noqa: PLC0415 - most trustees need none of it

        while True:
            try:
                return await ProcessStore.open(store, self._plan.peer.key, self._plan.memory_bytes)
            except StoreFull as problem:
                if not self._ends:
                    raise
                self._why = str(problem)
                await trio.sleep(ROOM_S)

    def _fail(self, problem: BaseException) -> None:
        log.error("the store of a trustee has failed", extra={"captp": {"why": str(problem)}})
        self._first = problem
        self._why = self._verdict = (
            f"the store of this trustee cannot be used any more, and no other process is started: {problem}"
        )

    async def _live_with(self, storage: ProcessStore | None) -> None:
        try:
            child = await ChildProcess.start(self._plan, None if storage is None else storage.theirs)
        except BrokenTrustee as problem:
            self._why = str(problem)
            return
        self._child = child
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child.watch)
                if storage is not None:
                    nursery.start_soon(storage.serve, child)
                await self._serve(child, nursery)
                await child.parted()
                nursery.cancel_scope.cancel()
        finally:
            self._child = None
        self._why = child.end
        if self._state is not State.CLOSED:
            fields = {"pid": child.pid, "end": child.end, "stderr": child.tail}
            log.warning("the process of a trustee has ended", extra={"captp": fields})

    async def _serve(self, child: ChildProcess, nursery: trio.Nursery) -> None:
        try:
            self._workshop = await child.open()
        except BrokenTrustee:
            return
        if self._state is State.STARTING:
            self._enter(State.UP)
        nursery.start_soon(child.follow)

    def _enter(self, state: State) -> None:
        self._state = state
        self._changed.set()
        self._changed = trio.Event()

    async def started(self) -> None:
        """Wait for the first process; raises BrokenTrustee when it does not come up, or a StoreError."""
        if self._state is State.STARTING:
            await self._changed.wait()
        if self._state is State.FAILED and self._first is not None:
            raise self._first
        if self._state is not State.UP:
            raise BrokenTrustee(f"the process of this trustee {self._why}", may_have_run=False)

    async def close(self) -> None:
        """End the process, by force if it is busy, and start no other."""
        self._enter(State.CLOSED)
        if self._child is not None:
            await self._child.close()


@asynccontextmanager
async def open_process_trustee(
    peer: Peer,
    netlayers: dict[str, Netlayer],
    classes: Sequence[type[Object]],
    *,
    memory_bytes: int = 512 * MIB,
    turn_s: float = 5.0,
    store: Store | None = None,
) -> AsyncIterator[ProcessTrustee]:
    """Open a trustee whose objects, of these classes, live in a child process; it ends with the block.

    The process may take ``memory_bytes`` more than it starts with, and is killed when one turn takes
    longer than ``turn_s`` seconds, also inside C code. It inherits sockets, no environment and no
    files, and writes none. When it ends its objects are lost, and another one is started.
    With a ``store``, which this process writes, what its roots lead to is there again in the next one.
    """
    if platform.system() != "Linux":
        raise UsageError("process trustees need Linux: use vat.entrust(), or a thread trustee")
    if is_child():
        # Each child would start the next, without end.
        raise UsageError(
            "a process trustee opens none itself: its classes are imported from a module that opens one when"
            " it is imported; put that under if __name__ == '__main__'"
        )
    if not 0 < memory_bytes < MOST_BYTES or not 0 < turn_s < MOST_S:
        raise UsageError(
            f"memory_bytes is between 0 and {MOST_BYTES}, turn_s between 0 and {MOST_S:g} seconds; got"
            f" {memory_bytes} and {turn_s}"
        )
    layer: Any = netlayers.setdefault(TRANSPORT, ChildNetlayer())
    plan = Plan(peer, layer, [_path_of(cls) for cls in classes], memory_bytes, turn_s)
    trustee = ProcessTrustee(plan, classes, store)
    with unwrapped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trustee.supervise)
            try:
                await trustee.started()
                yield trustee
            finally:
                with trio.CancelScope(shield=True):
                    await trustee.close()
                nursery.cancel_scope.cancel()


def _path_of(cls: type[Object]) -> str:
    """Return how a child process imports a class; raises UsageError where it could not."""
    if not (isinstance(cls, type) and issubclass(cls, Object)):
        raise UsageError(f"{cls!r} is no class of captp.Object")
    module, name = cls.__module__, cls.__qualname__
    try:
        found = attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError):
        found = None
    if module == "__main__" or found is not cls:
        raise UsageError(
            f"{module}:{name} cannot be imported by another process: put the class at the top of a module"
            " that is imported by its name"
        )
    return f"{module}:{name}"
