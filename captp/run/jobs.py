"""Calls on their way to a thread trustee and back, and what keeps its objects; they know no trio.

Whoever needs an object holds its ``Keep``: each handle, each call. With the last of them it goes, in the
trustee's thread, so that the interpreter's own counts are the counts of handles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from typing import Any, Final, Protocol, TypeVar, overload

from captp.errors import Dropped, LeakedObject, Poisoned
from captp.model import faults
from captp.model.current import CAPS, alone
from captp.model.faults import described, left
from captp.model.trust import Call, Outcome

E = TypeVar("E", bound=BaseException)
R = TypeVar("R")

__all__ = [
    "OPEN",
    "Hold",
    "Job",
    "Keep",
    "Many",
    "Outcomes",
    "Owner",
    "Speaker",
    "State",
    "Turnstile",
    "without_locals",
]

SUSPENDABLE: Final = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR


class State(Enum):
    """The life of a trustee: its thread runs turns only while it is open.

    open --closed, or a turn raised no Exception--> closing --the turn under way is done--> ended.
    On the way to closing every call that has not begun breaks as Closed, and none can be handed over
    from then on; on the way to ended the thread lets go of all objects.
    """

    OPEN = 0
    CLOSING = 1
    ENDED = 2


OPEN: Final = State.OPEN


class Owner(faults.Owner, Protocol):
    """The worker, as what keeps its objects sees it."""

    def let_go(self, target: Any) -> None:
        """Drop an object in the trustee's thread."""
        ...


class Speaker(Protocol):
    """A client, as its jobs see it."""

    #: One byte for each of its calls that is handed over and unanswered; the credit's.
    unanswered: bytearray

    def take(self, job: Job) -> None:
        """Queue a job that was held, in any thread."""
        ...

    def answer(self, job: Job) -> None:
        """Bring the end of a job to whoever waits for it."""
        ...


class Keep:
    """One entrusted object: kept --nobody holds this any more--> let go.

    sound --a turn raises, if it ``poisons``--> poisoned --heal--> sound.
    """

    __slots__ = ("__weakref__", "error", "kind", "owner", "poisons", "target")

    def __init__(self, owner: Owner, target: Any, *, poisons: bool = False) -> None:
        self.owner = owner
        self.target = target
        self.kind = type(target).__name__
        self.poisons = poisons
        #: What poisoned it, in words.
        self.error: str | None = None

    def __del__(self) -> None:
        # It may be any thread, in the middle of anything.
        self.owner.let_go(self.target)

    def failed(self, problem: Exception) -> BaseException:
        """Return what the caller of a turn may have of what it raised; nobody uses a poisoned object then."""
        error = left(problem, self.owner)
        if self.poisons and self.error is None:
            self.error = described(error)
        without_locals(problem)
        return error

    def poisoned(self) -> Poisoned:
        """Make the error for a call on a poisoned object."""
        return Poisoned(
            f"a turn on this {self.kind} raised {self.error} and may have left it half done: look at it"
            " with heal() and apply(), or drop it"
        )


class Hold:
    """What one handle has of a keep, until it is dropped."""

    __slots__ = ("_keep", "kind")

    def __init__(self, keep: Keep) -> None:
        self._keep: Keep | None = keep
        self.kind = keep.kind

    @property
    def is_held(self) -> bool:
        """Whether it was not dropped."""
        return self._keep is not None

    def get(self) -> Keep:
        """Return the keep; raises Dropped."""
        keep = self._keep
        if keep is None:
            raise Dropped("this handle was given back: clone it before, for whoever needs it longer")
        return keep

    def drop(self) -> None:
        """Give it back; again is the same as once."""
        self._keep = None


class Job:
    """One call on its way to its turn, and back with its end.

    queued --is_off, closing--> answered; queued --begun--> running --ended--> answered.
    """

    __slots__ = (
        "args", "client", "error", "fn", "heard", "is_off",
        "keep", "kwargs", "rest", "size", "value", "waiter",
    )  # fmt: skip

    def __init__(
        self,
        keep: Keep,
        client: Speaker,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.keep = keep
        self.client = client
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.value: Any = None
        self.error: BaseException | None = None
        #: Calls in it, and those of them that have not begun.
        self.size = self.rest = 1
        #: Whether what has not begun must not, as whoever asked for it has gone.
        self.is_off = False
        #: Gets the job when it is answered; None where nobody waits. It must not lead to the job itself:
        #: what is in a cycle goes when the collector comes, and objects and handles with it.
        self.heard: Callable[[Job], None] | None = None
        #: The task or the lock of who waits.
        self.waiter: Any = None

    def run(self, most: int) -> int:  # noqa: ARG002 - a turn is not divided
        """Run what has not begun, at most as many turns; return how many."""
        self.rest = 0
        keep = self.keep
        if keep.error is not None:
            self.error = keep.poisoned()
            return 1
        try:
            fn = alone(self.fn) if CAPS else self.fn
            self.value = fn(keep.target, *self.args, **self.kwargs)
            if self.value is keep.target:
                self.value = None
                _leaked()
        except Exception as problem:  # it is the caller's
            error = keep.failed(problem)
            # Where nobody hears of it, it is logged here, with its lines.
            self.error = problem if self.heard is None else error
        # The exception keeps this frame, behind that of the function.
        del keep
        return 1

    def break_off(self, error: BaseException) -> None:
        """End it with an error, as far as it has not ended."""
        self.rest = 0
        self.error = error

    def result(self) -> Any:
        """Return the value or raise the error, and keep neither."""
        error, self.error = self.error, None
        if error is None:
            return self.value
        try:
            raise error
        finally:
            del error  # this frame is in its traceback


class Outcomes(Sequence[Outcome[R]]):
    """How many calls ended, in order; each outcome is made when it is looked at, as few ever are."""

    __slots__ = ("_errors", "_values")

    def __init__(self, values: list[R], errors: dict[int, BaseException]) -> None:
        self._values = values
        self._errors = errors

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, at: int) -> Outcome[R]: ...

    @overload
    def __getitem__(self, at: slice) -> list[Outcome[R]]: ...

    def __getitem__(self, at: int | slice) -> Outcome[R] | list[Outcome[R]]:
        if isinstance(at, slice):
            return list(self)[at]
        return Outcome(self._values[at], self._errors.get(at if at >= 0 else at + len(self)))

    def __iter__(self) -> Iterator[Outcome[R]]:
        if not self._errors:
            return map(Outcome, self._values)
        return map(Outcome, self._values, map(self._errors.get, range(len(self))))

    def __repr__(self) -> str:
        return repr(list(self))


class Many(Job):
    """Calls that are handed over together and answered together; each is a turn of its own."""

    __slots__ = ("_calls", "_errors", "_values")

    def __init__(self, keep: Keep, client: Speaker, calls: list[Call[Any]]) -> None:
        super().__init__(keep, client, _leaked, (), {})
        self._calls = calls
        self._values: list[Any] = []
        self._errors: dict[int, BaseException] = {}
        self.size = self.rest = len(calls)

    def run(self, most: int) -> int:
        keep, values = self.keep, self._values
        target, begun = keep.target, len(values)
        calls = self._calls[begun : begun + most] if begun or most < self.size else self._calls
        last, fn, args, kwargs, count, argument = None, self.fn, self.args, self.kwargs, 0, None
        for call in calls if keep.error is None else ():
            if self.is_off:
                break
            if call is not last:
                last, args, kwargs = call, call.args, call.kwargs
                fn = alone(call.fn) if CAPS else call.fn
                count = 2 if kwargs else len(args)
                if count == 1:
                    argument = args[0]
            try:
                # What is called with plain arguments is called faster.
                if count == 1:
                    value = fn(target, argument)
                elif count == 0:
                    value = fn(target)
                else:
                    value = fn(target, *args, **kwargs)
                if value is target:
                    value = None
                    _leaked()
            except Exception as problem:  # it is that call's outcome
                self._fail(1, keep.failed(problem))
                if keep.error is not None:
                    break
            else:
                values.append(value)
        if keep.error is not None and not self.is_off:
            self._fail(begun + len(calls) - len(values), keep.poisoned())
        self.rest = self.size - len(values)
        del keep, target
        return len(values) - begun

    def _fail(self, count: int, error: BaseException) -> None:
        for _ in range(count):
            self._errors[len(self._values)] = error
            self._values.append(None)

    def break_off(self, error: BaseException) -> None:
        self._fail(self.size - len(self._values), error)
        self.rest = 0

    def result(self) -> Outcomes[Any]:
        return Outcomes(self._values, self._errors)


class Turnstile:
    """Lets threads whose calls are answered go on: each that was woken ``move``s it, and wakes the next.

    All at once they would wait for the interpreter's lock, and take the trustee's thread off its core.
    What waits without ``_is_moving`` moves when the next comes.
    """

    __slots__ = ("_is_moving", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Job] = deque()
        self._is_moving = False

    def admit(self, job: Job) -> None:
        """Wake the thread of an answered job when it is its turn."""
        self.waiting.append(job)
        if not self._is_moving:
            self.move()

    def move(self) -> None:
        """Wake the next one, if it still waits."""
        while True:
            try:
                job = self.waiting.popleft()
            except IndexError:
                self._is_moving = False
                if not self.waiting:
                    return
            else:
                self._is_moving = True
                job.waiter.release()
                # Who was interrupted moves it after saying so: either sees the other.
                if not job.is_off:
                    return


def without_locals(problem: E) -> E:
    """Empty the frames of a failed turn: they hold the object, which would go with them in any thread."""
    assert problem.__traceback__ is not None
    problem.__traceback__ = problem.__traceback__.tb_next
    seen: set[int] = set()
    chain: list[BaseException | None] = [problem]
    while chain:
        link = chain.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        step = link.__traceback__
        while step is not None:
            # An exception raised once before leads to its callers' frames too; a suspended one would end.
            if not step.tb_frame.f_code.co_flags & SUSPENDABLE:
                with suppress(RuntimeError):  # it is running
                    step.tb_frame.clear()
            step = step.tb_next
        chain += (link.__cause__, link.__context__)
    return problem


def _leaked() -> None:
    raise LeakedObject("a turn must not give out the object itself: return what is to be known of it")
