"""What OS threads do with a handle on an entrusted object: the verbs that block; it knows no trio."""

from __future__ import annotations

import logging
import threading
from _thread import allocate_lock
from collections.abc import Callable, Iterable
from functools import partial
from types import FunctionType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from captp.errors import NestedDelegation, Reentrant, Unpassable, UsageError
from captp.model.captures import check_captures
from captp.model.current import CURRENT_VAT
from captp.model.object import Object
from captp.model.passable import ATOMS, freeze
from captp.model.promise import Reference
from captp.model.trust import Call, Outcome, functions_of
from captp.run.jobs import Hold, Job, Many, Outcomes
from captp.run.worker import LOOP_KINDS, Client, TrusteeThread, Worker

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

__all__ = ["Blocking", "check", "check_calls", "checked", "frozen", "job_then", "reentrant"]

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

        Interrupted before its turn, it never runs. Raises NestedDelegation in another trustee's turn.
        """
        check(fn, args, kwargs)
        job = Job(self._hold.get(), self._client(waits=True), fn, args, kwargs)
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
        check(fn, args, {})
        self._worker.post(job_then(self._hold, self._client(waits=False), fn, args, then), waits=False)

    def apply_with(self, fn: Callable[..., R], payload: Any, /, *args: Any) -> R:
        """Apply ``fn(object, payload, ...)`` with a frozen copy of the payload; see ThreadTrust."""
        return self.apply(fn, frozen(payload), *args)

    def apply_many(self, calls: Iterable[Call[R]]) -> Outcomes[R]:
        """Apply each call as a turn of its own, handed over together; return how each ended, in order."""
        client, handed = self._client(waits=True), check_calls(calls)
        job = Many(self._hold.get(), client, handed)
        if handed:
            self._wait(job)
        return job.result()

    def heal(self) -> None:
        """Let a poisoned object be used again."""
        self._hold.get().error = None

    def clone(self) -> Blocking[T]:
        """Return another handle on the same object. Raises Dropped when this one was given back."""
        return Blocking(self._worker, Hold(self._hold.get()))

    def drop(self) -> None:
        """Give this handle back, which is the one that it was taken from, too."""
        self._hold.drop()

    def _wait(self, job: Job) -> None:
        lock = job.waiter = allocate_lock()
        lock.acquire()
        turnstile = self._worker.turnstile
        job.heard = turnstile.admit
        try:
            self._worker.post(job)
            lock.acquire()
        except BaseException:
            job.is_off = True
            raise
        finally:
            turnstile.move()

    def _client(self, *, waits: bool) -> ThreadClient:
        client: ThreadClient | None = getattr(self._worker.mine, "client", None)
        if client is None:
            client = self._first_time()
        if waits and not client.may_wait:
            raise _nested()
        return client

    def _first_time(self) -> ThreadClient:
        worker = self._worker
        ident = threading.get_ident()
        if ident == worker.ident:
            raise reentrant()
        if ident == worker.home:
            vat = CURRENT_VAT.get(None)
            if vat is not None and vat.trustee.in_turn is not None:
                raise _nested()
            raise UsageError("this would stop the trio loop: `await trust.apply(...)`, without `blocking`")
        client = worker.mine.client = ThreadClient(worker)
        return client


def _nested() -> NestedDelegation:
    return NestedDelegation(
        "a turn must not wait for another trustee: use apply_then, or await the call in an async def method"
        " or between two turns"
    )


def job_then(
    hold: Hold,
    client: Client,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    then: Callable[[Outcome[Any]], None] | None,
) -> Job:
    """Make a call that nobody waits for; ``then`` gets its outcome where the client has its answers."""
    job = Job(hold.get(), client, fn, args, {})
    if then is not None:
        job.heard = partial(_tell, then)
    return job


def check(fn: Any, args: Iterable[Any], kwargs: dict[str, Any]) -> None:
    """Raise CaptureError or UsageError for what no thread may get, as an argument or captured."""
    if type(fn) is not FunctionType or fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__:
        _check_function(fn)
    for value in args:
        if type(value) not in ATOMS:
            checked(value)
    if kwargs:
        for value in kwargs.values():
            checked(value)


def _check_function(fn: Any) -> None:
    check_captures(fn)
    for cell in getattr(fn, "__closure__", None) or ():
        try:
            checked(cell.cell_contents)
        except ValueError:
            continue  # it is not assigned yet
    defaults, more = getattr(fn, "__defaults__", None) or (), getattr(fn, "__kwdefaults__", None) or {}
    for value in (*defaults, *more.values()):
        checked(value)


def check_calls(calls: Iterable[Call[R]]) -> list[Call[R]]:
    """Return the calls as a list, once all they bring may go to a thread."""
    handed = list(calls)
    last: Call[R] | None = None
    # One call over and over is counted faster than gone through.
    is_one = bool(handed) and handed[0] is handed[-1] and handed.count(handed[0]) == len(handed)
    some = handed[:1] if is_one else handed
    for fn, call in zip(functions_of(some), some, strict=True):
        if call is not last:
            check(fn, call.args, call.kwargs)
            last = call
    return handed


def checked(value: T) -> T:
    """Return a value; raises UsageError for what belongs to a vat's loop."""
    if isinstance(value, LOOP_KINDS):
        raise UsageError(
            f"a {type(value).__name__} belongs to a vat's loop, and no thread may have it: pass the plain"
            " data that the function needs, and send to the object when the result is here"
        )
    return value


def frozen(payload: Any) -> Any:
    """Return a frozen copy of a payload; raises Unpassable, and UsageError for what belongs to a loop."""
    return freeze(checked(payload), _NoVat())


class _NoVat:
    """Stands for the home of references, where there is none."""

    def reference(self, obj: Object) -> Reference:
        raise Unpassable(
            f"a {type(obj).__name__} belongs to a vat's loop, and no thread may have it: pass plain data"
        )


def reentrant() -> Reentrant:
    """Make the error for a verb used on the trustee's own thread."""
    return Reentrant("this is a turn of the trustee itself: call the function with the object that you have")


def _tell(then: Callable[[Outcome[Any]], None], job: Job) -> None:
    try:
        then(Outcome(job.value, job.error))
    except Exception as problem:  # on the loop it would end the run, on the thread the trustee
        log.error("the `then` of a delegated call raised", exc_info=problem)
