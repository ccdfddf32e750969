"""Fibers: ``async def`` methods that wait for promises and nothing else, one turn per step.

running --yields a promise--> waiting --it settles--> ready --step--> running;
running --returns | raises--> done; waiting --nobody wants the result--> cancelled --step--> running.
A fiber holds its result promise weakly: when the last holder drops it, the fiber is told to stop.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from inspect import unwrap
from typing import Any, Final, TypeVar

from captp.errors import ForeignAwait
from captp.model.interface import Row
from captp.model.object import Object
from captp.model.promise import PENDING, Promise

Problem = TypeVar("Problem", bound=BaseException)

#: What trio raises where the driver hides its task: in methods that open cancel scopes or nurseries.
_NO_TASK: Final = "must be called from async context"


def hand_over(promise: Promise[Any]) -> Iterator[Any]:
    """Tell the vat, which drives the fiber that runs, what it waits for."""
    yield promise


class Fiber:
    """One run of an ``async def`` method that has waited at least once."""

    __slots__ = (
        "__weakref__",
        "cancelled",
        "context",
        "coro",
        "held_since",
        "latched",
        "obj",
        "result",
        "result_id",
        "row",
        "waiting_for",
    )

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        obj: Object,
        row: Row,
        promise: Promise[Any] | None,
        dropped: Callable[[Fiber], None],
    ) -> None:
        self.coro = coro
        self.obj = obj
        self.row = row
        #: What its steps run in; None where it began before there was any contextual capability.
        self.context: Context | None = None
        self.result_id = id(promise)
        self.result = None if promise is None else _watch(promise, self, dropped)
        self.latched = False
        #: When it got its object to itself, if it did.
        self.held_since = 0.0
        self.cancelled = False
        self.waiting_for: Promise[Any] | None = None

    def promise(self) -> Promise[Any] | None:
        """Return the promise that the result settles, while somebody still holds it."""
        return None if self.result is None else self.result()

    def __repr__(self) -> str:
        return f"<fiber {type(self.obj).__name__}.{self.row.name}>"


def _watch(
    promise: Promise[Any], fiber: Fiber, dropped: Callable[[Fiber], None]
) -> weakref.ref[Promise[Any]]:
    mine = weakref.ref(fiber)

    def gone(_ref: Any) -> None:
        still = mine()
        if still is not None:
            dropped(still)

    return weakref.ref(promise, gone)


def followed_by(fiber: Fiber) -> Promise[Any] | None:
    """Return the promise whose settlement wakes a fiber; None for one that waits for nothing."""
    promise = fiber.waiting_for
    while promise is not None and promise._state == PENDING and isinstance(promise._value, Promise):
        promise = promise._value
    return promise if promise is not None and promise._state == PENDING else None


def foreign_await(row: Any, line: int | None) -> ForeignAwait:
    """Return the error for a method that used an event loop, which no vat method may touch."""
    where = f", line {line}" if line is not None else ""
    return ForeignAwait(
        f"{row.owner.__name__}.{row.name}(){where}: a vat method awaits promises only; for trio, files"
        " or threads use `await captp.outside(fn, ...)`, for time captp.sleep() and captp.within()"
    )


def line_of(coro: Coroutine[Any, Any, Any], row: Row) -> int | None:
    """Return the line where a suspended method stands, behind what is around it."""
    code = _code_of(row)
    within: Any = coro
    while within is not None:
        frame = getattr(within, "cr_frame", None)
        if frame is not None and frame.f_code is code:
            return frame.f_lineno  # type: ignore[no-any-return]
        within = getattr(within, "cr_await", None)
    return None


def explained(problem: Problem, row: Any) -> Problem | ForeignAwait:
    """Return ``problem``, or what it means when trio said that there is no task here.

    ``row`` is the row of a method, or a delegated call.
    """
    # Its text may be made by user code, which may raise: here that would end the vat.
    said = problem.args[0] if type(problem) is RuntimeError and len(problem.args) == 1 else None
    if type(said) is not str or said != _NO_TASK:
        return problem
    try:
        code = _code_of(row)
        trace, line = problem.__traceback__, None
        while trace is not None:
            if trace.tb_frame.f_code is code:
                line = trace.tb_lineno
            trace = trace.tb_next
        error = foreign_await(row, line)
    except Exception:  # a delegated function of another kind, which was asked for its code and its name
        return problem
    error.__cause__ = problem
    return error


def _code_of(row: Any) -> Any:
    # A delegated function may be none of Python's.
    return getattr(unwrap(row.function), "__code__", None)
