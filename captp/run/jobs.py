"""Calls on their way to a thread trustee and back, and counted holds of its objects; they know no trio.

Whatever needs an object holds a count of it: each handle, each call. Counts are changed by the trustee's
thread alone; all others append to its ``counts``, where each count given back comes after its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from typing import Any, Final, Protocol, TypeVar

from captp.errors import Closed, Dropped, LeakedObject
from captp.model.trust import Call, Outcome

E = TypeVar("E", bound=BaseException)

__all__ = ["OPEN", "Cell", "Client", "Hold", "Job", "Many", "Owner", "State", "without_locals"]

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


class Owner(Protocol):
    """The worker, as its jobs and clients see it."""

    state: State
    counts: deque[tuple[Cell, int]]

    def uncount(self, cell: Cell) -> None:
        """Count a cell once less."""
        ...

    def post(self, job: Job, *, waits: bool) -> None:
        """Queue a job that has a count."""
        ...

    def give_back(self, count: int) -> None:
        """So many calls more are answered."""
        ...

    def closed(self) -> Closed:
        """Make the error for what comes too late."""
        ...

    def close(self) -> None:
        """Run no turn more."""
        ...

    def make_ready(self, client: Client) -> None:
        """Have the queue of a client visited."""
        ...


class Cell:
    """One entrusted object: held --last count given back--> released."""

    __slots__ = ("handles", "kind", "target", "worker")

    def __init__(self, worker: Owner, target: Any) -> None:
        self.worker = worker
        self.target = target
        self.kind = type(target).__name__
        #: The first handle's.
        self.handles = 1


class Hold:
    """One counted hold of a cell, until dropped or collected; any thread may do either."""

    __slots__ = ("_left", "cell")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        # Who pops it drops the hold: of two threads one.
        self._left = [True]

    def __del__(self) -> None:
        self.drop()

    @property
    def is_held(self) -> bool:
        """Whether it was not dropped."""
        return bool(self._left)

    def claim(self) -> None:
        """Count the cell once more; raises Dropped or Closed."""
        if self.cell.worker.state is not OPEN:
            raise self.cell.worker.closed()
        # Counted first, looked at then: a drop in between comes after in ``counts``, never before.
        self.cell.worker.counts.append((self.cell, 1))
        if not self._left:
            self.cell.worker.uncount(self.cell)
            raise Dropped("this handle was given back: clone it before, for whoever needs it longer")

    def drop(self) -> None:
        """Give the count back. A finalizer calls this, so it must do no more than append."""
        with suppress(IndexError):
            self._left.pop()
            self.cell.worker.uncount(self.cell)

    def send(self, job: Job, *, waits: bool = True) -> None:
        """Hand a job over, which has a count of its own; raises Dropped, Closed or Overloaded."""
        self.claim()
        try:
            self.cell.worker.post(job, waits=waits)
        except BaseException:
            self.cell.worker.uncount(self.cell)
            raise


class Job:
    """One call on its way to its turn, and back with its end.

    queued --is_off, closing--> answered; queued --begun--> running --ended--> answered.
    """

    __slots__ = (
        "args",
        "cell",
        "client",
        "error",
        "fn",
        "heard",
        "is_off",
        "kwargs",
        "rest",
        "size",
        "value",
    )

    def __init__(
        self,
        cell: Cell,
        client: Client,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.cell = cell
        self.client = client
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.value: Any = None
        self.error: BaseException | None = None
        #: Calls in it, and those of them that have not begun.
        self.size = self.rest = 1
        #: Whether whoever asked for it has gone.
        self.is_off = False
        #: Tells whoever waits that it is answered; None where nobody does.
        self.heard: Callable[[], None] | None = None

    def run(self, most: int) -> int:  # noqa: ARG002 - a turn is not divided
        """Run what has not begun, at most as many turns; return how many."""
        self.rest = 0
        try:
            # The object is in no local of ours: a traceback may keep this frame.
            self.value = self.fn(self.cell.target, *self.args, **self.kwargs)
            if self.value is self.cell.target:
                self.value = None
                _leaked()
        except Exception as problem:  # it is the caller's
            self.error = without_locals(problem)
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

    def tell(self) -> None:
        """Let whoever waits know, once."""
        heard, self.heard = self.heard, None
        if heard is not None:
            heard()


class Many(Job):
    """Calls that are handed over together and answered together; each is a turn of its own."""

    __slots__ = ("calls", "outcomes")

    def __init__(self, cell: Cell, client: Client, calls: list[Call[Any]]) -> None:
        super().__init__(cell, client, _leaked, (), {})
        self.calls = calls
        self.outcomes: list[Outcome[Any]] = []
        self.size = self.rest = len(calls)

    def run(self, most: int) -> int:
        cell, worker, outcomes = self.cell, self.cell.worker, self.outcomes
        begun = self.size - self.rest
        calls = self.calls[begun : begun + most]
        done = 0
        for call in calls:
            if self.is_off or worker.state is not OPEN:
                break
            done += 1
            try:
                outcomes.append(Outcome(call.fn(cell.target, *call.args, **call.kwargs)))
                if outcomes[-1].value is cell.target:
                    del outcomes[-1]
                    _leaked()
            except Exception as problem:  # it is that call's outcome
                outcomes.append(Outcome(None, without_locals(problem)))
        self.rest -= done
        return done

    def break_off(self, error: BaseException) -> None:
        outcomes = self.outcomes
        outcomes.extend(Outcome(None, error) for _ in range(self.size - len(outcomes)))
        self.rest = 0


class Client:
    """Whoever hands jobs to a worker, in order; ``armed`` says that it is among the ready ones.

    It is set after something was queued, and cleared before the queue is looked at: none is missed.
    """

    __slots__ = ("armed", "queue", "worker")

    def __init__(self, worker: Owner) -> None:
        self.worker = worker
        self.queue: deque[Job] = deque()
        self.armed = False

    def arm(self) -> None:
        """Have its queue visited."""
        if not self.armed:
            self.armed = True
            self.worker.make_ready(self)

    def ring(self) -> None:
        """Something was queued."""
        self.arm()

    def answer(self, job: Job) -> None:
        """Bring the end of a job to whoever waits for it, who may hand over the next at once."""
        self.worker.give_back(job.size)
        job.tell()


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
