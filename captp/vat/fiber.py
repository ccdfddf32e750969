"""Fibers: ``async def`` methods that wait for promises and nothing else, one turn per step.

running --yields a promise--> waiting --it settles--> ready --step--> running;
running --returns | raises--> done; waiting --nobody wants the result--> cancelled --step--> running.
A fiber holds its result promise weakly: when the last holder drops it, the fiber is told to stop.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from captp.errors import ForeignAwait
from captp.model.interface import Row
from captp.model.object import Object
from captp.model.promise import Promise


class Fiber:
    """One run of an ``async def`` method that has waited at least once."""

    __slots__ = ("coro", "latched", "obj", "result", "row", "thrown", "waiting_for")

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
        self.result = None if promise is None else _watch(promise, self, dropped)
        self.latched = False
        self.thrown: BaseException | None = None
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


def foreign_await(coro: Coroutine[Any, Any, Any], row: Row) -> ForeignAwait:
    """Return the error for a coroutine that yielded something that is no promise of this vat."""
    frame = getattr(coro, "cr_frame", None)
    line = f", line {frame.f_lineno}" if frame is not None else ""
    return ForeignAwait(
        f"{row.owner.__name__}.{row.name}(){line}: a vat method awaits promises only; for trio, files"
        " or threads use `await captp.outside(fn, ...)`, for time captp.sleep() and captp.within()"
    )
