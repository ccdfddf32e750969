"""Trustees with a thread of their own: handles for trio and for OS threads; it knows no vat.

Calls of trio tasks are handed over once per scheduling batch, and answered with one wake for all that
ended meanwhile. The life of a trustee is ``captp.run.jobs.State``.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Concatenate, Final, Literal, ParamSpec, TypeVar

import trio

from captp.errors import NotNow, UsageError
from captp.model.trust import Call, Outcome, Trust
from captp.run.blocking import Blocking, check, check_calls, frozen, job_then, reentrant
from captp.run.jobs import OPEN, Hold, Job, Many
from captp.run.worker import Client, TrusteeStats, Worker

if TYPE_CHECKING:
    from captp.custody.access import Brand
    from captp.custody.adopted import CapsuleTrust
    from captp.custody.key import Key

P = ParamSpec("P")
K = TypeVar("K", bound="Brand")
R = TypeVar("R")
T = TypeVar("T")

__all__ = ["Blocking", "ThreadTrust", "ThreadTrustee", "TrusteeStats", "open_thread_trustee"]

#: Seconds that the turn under way when the block ends has to finish.
GRACE_S: Final = 10.0
LAST_S: Final = 0.1

log = logging.getLogger("captp")


class LoopClient(Client):
    """A trio loop as a client: all its tasks together."""

    __slots__ = ("_answered", "_flusher", "_is_waking", "_token")

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._token = trio.lowlevel.current_trio_token()
        self._flusher: trio.lowlevel.Task | None = None
        self._answered: deque[Job] = deque()
        #: Set before the loop is woken, cleared before it looks at what was answered: none is missed.
        self._is_waking = False

    def ring(self) -> None:
        """Have the flusher run after all tasks that are runnable now have posted theirs."""
        if not self.armed:
            self.wake_flusher()

    def wake_flusher(self) -> None:
        """Let the flusher run, if it is parked."""
        task, self._flusher = self._flusher, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def flush(self) -> None:
        """Hand over what tasks have posted, until the trustee closes."""

        def abort(_raise: Any) -> trio.lowlevel.Abort:
            self._flusher = None
            return trio.lowlevel.Abort.SUCCEEDED

        while self.worker.state is OPEN:
            if self.queue:
                self.arm()
            self._flusher = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(abort)

    def answer(self, job: Job) -> None:
        """Wake the loop, unless it is being woken already."""
        self._answered.append(job)
        if not self._is_waking:
            self._is_waking = True
            self.worker.wakes += 1
            try:
                self._token.run_sync_soon(self._deliver)
            except trio.RunFinishedError:
                self.worker.close()

    def _deliver(self) -> None:
        self._is_waking = False
        jobs = [self._answered.popleft() for _ in range(len(self._answered))]
        self.worker.give_back(self, sum([job.size for job in jobs]))
        for job in jobs:
            if job.heard is not None:
                job.heard(job)


def _wake(job: Job) -> None:
    """Let the task go on that waits, if it still does: no other may be woken by a late answer."""
    task, job.waiter = job.waiter, None
    if task is None:
        job.value = job.error = None
    else:
        trio.lowlevel.reschedule(task)


class ThreadTrust(Trust[T]):
    """A handle on an object that a thread owns; its verbs are for the loop that opened the trustee.

    Arguments go there as they are: keep no mutable one. Objects, references and handles of a vat's loop
    among them raise UsageError; those inside containers are yours to find.
    """

    __slots__ = ("_hold", "_trustee")

    def __init__(self, trustee: ThreadTrustee, hold: Hold) -> None:
        self._trustee = trustee
        self._hold = hold

    def __repr__(self) -> str:
        return f"<Trust of a {self._hold.kind}>" if self._hold.is_held else "<Trust, dropped>"

    @property
    def blocking(self) -> Blocking[T]:
        """The handle for OS threads; it is the same one, and is dropped with this one."""
        return Blocking(self._trustee._worker, self._hold)

    async def apply(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn(object, ...)`` as one turn and return its result, or raise its exception.

        Cancelled before its turn, it never runs; cancelled later, its outcome is dropped. It waits while
        ``window`` calls of this loop are unanswered, or ``max_inflight`` of all clients.
        """
        check(fn, args, kwargs)
        carried: Any = getattr(fn, "_captp_carried", None)
        if carried is None:
            return await self._run(fn, args, kwargs)  # type: ignore[no-any-return]
        # Copies, as this side goes on while the thread runs, also where it is called off.
        with carried.given(fn, copies=True) as given:
            return await self._run(given, args, kwargs)  # type: ignore[no-any-return]

    async def _run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        job = Job(self._hold.get(), self._trustee._client(), fn, args, kwargs)
        await self._wait(job)
        return job.result()

    def apply_now(
        self,
        fn: Callable[Concatenate[T, P], R],  # noqa: ARG002 - it is never called
        /,
        *args: P.args,  # noqa: ARG002
        **kwargs: P.kwargs,  # noqa: ARG002
    ) -> R:
        """Raise NotNow: its turns are on another thread."""
        raise NotNow("a thread trustee has its turns on its own thread: use apply, or apply_then")

    def apply_then(
        self,
        fn: Callable[Concatenate[T, P], R],
        /,
        *args: Any,
        then: Callable[[Outcome[R]], None] | None = None,
    ) -> None:
        """Have ``fn`` run without waiting for it; ``then`` gets the outcome, on the loop.

        Without ``then`` an exception is logged. Raises Overloaded when too much waits already.
        """
        check(fn, args, {})
        job = job_then(self._hold, self._trustee._client(), fn, args, then)
        self._trustee._worker.post(job, waits=False)

    async def apply_with(self, fn: Callable[..., R], payload: Any, /, *args: Any) -> R:
        """Apply ``fn(object, payload, ...)`` with a frozen copy of the payload as it is now.

        It is copied by the rules for what crosses borders: lists arrive as tuples, dicts as FrozenMaps.
        Raises Unpassable for anything else, which here are Objects and references too.
        """
        return await self.apply(fn, frozen(payload), *args)

    async def apply_many(self, calls: Iterable[Call[R]]) -> list[Outcome[R]]:
        client, handed, keep = self._trustee._client(), check_calls(calls), self._hold.get()
        if not handed:
            await trio.lowlevel.checkpoint()
            return []
        job = Many(keep, client, handed)
        await self._wait(job)
        return list(job.result())

    async def launch(
        self,
        fn: Callable[Concatenate[T, P], Awaitable[R]],  # noqa: ARG002 - it is never called
        /,
        *args: P.args,  # noqa: ARG002
        **kwargs: P.kwargs,  # noqa: ARG002
    ) -> R:
        """Raise UsageError: a thread runs no fibers."""
        raise UsageError(
            "a thread trustee runs no async functions: await outside, and apply a plain function before and"
            " after, or entrust the object to the vat's loop with vat.entrust()"
        )

    def heal(self) -> None:
        """Let a poisoned object be used again, by calls that wait already too."""
        self._hold.get().error = None

    def clone(self) -> ThreadTrust[T]:
        return ThreadTrust(self._trustee, Hold(self._hold.get()))

    def drop(self) -> None:
        """Give this handle back, from any thread; the object goes on the trustee's."""
        self._hold.drop()

    async def _wait(self, job: Job) -> None:
        """Park until the job is answered; cancelled before its turn it never has one."""

        def abort(_raise: Any) -> trio.lowlevel.Abort:
            job.waiter = None
            job.is_off = True
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            job.waiter = trio.lowlevel.current_task()
        except RuntimeError as problem:
            raise UsageError(
                "only trio tasks can wait for a thread trustee: in a method of an Object await"
                " captp.outside(trust.apply, ...), or use apply_then"
            ) from problem
        job.heard = _wake
        self._trustee._worker.post(job)
        await trio.lowlevel.wait_task_rescheduled(abort)


class ThreadTrustee:
    """One OS thread that owns plain Python objects, for work that blocks in C or in the OS.

    Its clients are the trio loop that opened it and OS threads. What one client asks is done in the
    order it was asked; between them it goes round robin. CPU-bound Python is not for it: threads share
    one interpreter lock.
    """

    __slots__ = ("_loop", "_root", "_worker")

    def __init__(self, worker: Worker, loop: LoopClient) -> None:
        self._worker = worker
        self._loop = loop
        self._root = ThreadTrust[object](self, worker.entrust(object()))

    def entrust(self, obj: T, *, on_error: Literal["keep", "poison"] = "keep") -> ThreadTrust[T]:
        """Give an object to the thread, and keep no reference to it: it is used through the handle alone.

        With ``on_error="poison"`` calls raise Poisoned after a turn raised, until ``heal()``. Raises
        UsageError for an Object or a reference, which belong to a vat's loop.
        """
        return ThreadTrust(self, self._worker.entrust(obj, poisons=on_error == "poison"))

    def adopt(self, key: Key[K]) -> CapsuleTrust[K]:
        """Spend the key of a capsule; return a handle whose functions run within it, in the thread.

        They get an ``Access``; ``await handle.give_back()`` returns a fresh key.
        """
        from captp.custody.adopted import adopted  # noqa: PLC0415 - a program without capsules loads none

        return adopted(self.entrust, key)

    async def entrust_new(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ThreadTrust[T]:
        """Make the object in a turn of its own, for what must be made in the thread that uses it."""
        is_wanted = True

        def make(_: object) -> ThreadTrust[T] | None:
            made = cls(*args, **kwargs)
            # Nobody takes it: it goes with this frame.
            return ThreadTrust(self, self._worker.entrust(made)) if is_wanted else None

        check(cls, args, kwargs)
        try:
            return await self._root._run(make, (), {})  # type: ignore[no-any-return]
        except BaseException:
            is_wanted = False
            raise

    def stats(self) -> TrusteeStats:
        """Return what it has done so far, and what waits."""
        return self._worker.stats()

    def _client(self) -> LoopClient:
        ident = threading.get_ident()
        if ident != self._worker.home:
            if ident == self._worker.ident:
                raise reentrant()
            raise UsageError("this handle is for the trio loop that opened the trustee: use trust.blocking")
        return self._loop


@asynccontextmanager
async def open_thread_trustee(
    *, quota: int = 64, window: int = 256, max_inflight: int = 4096
) -> AsyncIterator[ThreadTrustee]:
    """Open a thread trustee, in a trio program.

    ``quota`` is how many calls of one client run while others wait, ``window`` how many of one client may
    be handed over and unanswered, ``max_inflight`` how many of all. When the block ends, calls that have
    not begun break as Closed, the one that runs finishes, and the thread ends.
    """
    ended = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def on_end() -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(ended.set)

    worker = Worker(quota, window, max_inflight, on_end)
    loop = worker.resident = LoopClient(worker)
    worker.thread.start()
    trio.lowlevel.spawn_system_task(loop.flush)
    try:
        yield ThreadTrustee(worker, loop)
    finally:
        worker.close()
        loop.wake_flusher()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GRACE_S):
            await ended.wait()
        # It has nothing left to do but to go; a clock that jumps may have left it less time than that.
        worker.thread.join(GRACE_S if ended.is_set() else LAST_S)
        if worker.thread.is_alive():
            log.error("a turn of a thread trustee still runs after %g s: its thread is left to it", GRACE_S)
