"""What OS threads do with a handle on an entrusted object: the verbs that block; it knows no trio."""

from __future__ import annotations

import logging
import threading
from _thread import allocate_lock
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from captp.errors import NotNow, Reentrant, UsageError
from captp.model.passable import ATOMS
from captp.model.trust import Call, Outcome
from captp.run.jobs import Client, Hold, Job, Many
from captp.run.worker import LOOP_KINDS, TrusteeThread, Worker

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

__all__ = ["Blocking", "check", "checked", "reentrant", "send_then"]

log = logging.getLogger("captp")


class ThreadClient(Client):
    """An OS thread as a client, where ``may_wait`` says that it is no trustee's.

    Each call waits on a lock of its own: with one for all, an interrupted call would leave its answer
    to the next one.
    """

    __slots__ = ("may_wait",)

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.may_wait = not isinstance(threading.current_thread(), TrusteeThread)


class Blocking(Generic[T]):
    """What an OS thread does with a handle: the same verbs, which block it. Each thread is one client."""

    __slots__ = ("_hold", "_worker")

    def __init__(self, worker: Worker, hold: Hold) -> None:
        self._worker = worker
        self._hold = hold

    def apply(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn(object, ...)`` as one turn, and wait for its result or its exception.

        Interrupted before its turn, it never runs. Raises NotNow in another trustee's turn.
        """
        check(args)
        check(kwargs.values())
        job = Job(self._hold.cell, self._client(waits=True), fn, args, kwargs)
        self._wait(job)
        return job.result()  # type: ignore[no-any-return]

    def apply_then(
        self,
        fn: Callable[Concatenate[T, P], R],
        /,
        *args: Any,
        then: Callable[[Outcome[R]], None] | None = None,
    ) -> None:
        """Have ``fn`` run without waiting for it; ``then`` gets the outcome on the trustee's thread.

        What its closing breaks is told where it is closed.
        """
        check(args)
        send_then(self._hold, self._client(waits=False), fn, args, then)

    def apply_many(self, calls: Iterable[Call[R]]) -> list[Outcome[R]]:
        """Apply each call as a turn of its own, handed over together; return how each ended, in order."""
        client, handed = self._client(waits=True), checked(calls)
        if not handed:
            return []
        job = Many(self._hold.cell, client, handed)
        self._wait(job)
        return job.outcomes

    def _wait(self, job: Job) -> None:
        lock = allocate_lock()
        lock.acquire()
        job.heard = lock.release
        try:
            self._hold.send(job)
            lock.acquire()
        except BaseException:
            job.is_off = True
            raise

    def _client(self, *, waits: bool) -> ThreadClient:
        worker = self._worker
        ident = threading.get_ident()
        if ident == worker.ident:
            raise reentrant()
        if ident == worker.home:
            raise UsageError("this would stop the trio loop: `await trust.apply(...)`, without `blocking`")
        client: ThreadClient | None = getattr(worker.mine, "client", None)
        if client is None:
            client = worker.mine.client = ThreadClient(worker)
        if waits and not client.may_wait:
            raise NotNow("a turn must not wait for another trustee: use apply_then")
        return client


def send_then(
    hold: Hold,
    client: Client,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    then: Callable[[Outcome[Any]], None] | None,
) -> None:
    """Hand over a call that nobody waits for; ``then`` gets its outcome where the client has its answers."""
    job = Job(hold.cell, client, fn, args, {})
    if then is not None:
        job.heard = partial(_tell, job, then)
    hold.send(job, waits=False)


def checked(calls: Iterable[Call[R]]) -> list[Call[R]]:
    """Return the calls as a list, once all they pass may go to a thread."""
    handed = list(calls)
    for call in handed:
        for value in call.args:
            if type(value) not in ATOMS:
                check((value,))
        if call.kwargs:
            check(call.kwargs.values())
    return handed


def reentrant() -> Reentrant:
    """Make the error for a verb used on the trustee's own thread."""
    return Reentrant("this is a turn of the trustee itself: call the function with the object that you have")


def _tell(job: Job, then: Callable[[Outcome[Any]], None]) -> None:
    try:
        then(Outcome(job.value, job.error))
    except Exception as problem:  # on the loop it would end the run, on the thread the trustee
        log.error("the `then` of a delegated call raised", exc_info=problem)


def check(values: Iterable[Any]) -> None:
    """Raise UsageError for what belongs to a vat's loop."""
    for value in values:
        if type(value) not in ATOMS and isinstance(value, LOOP_KINDS):
            raise UsageError(
                f"a {type(value).__name__} belongs to a vat's loop, and no thread may have it: pass the plain"
                " data that the function needs, and send to the object when the result is here"
            )
