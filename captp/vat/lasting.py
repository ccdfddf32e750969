"""Promises that something stored decides: in state they outlive this run of their vat, and stay pending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from captp.model.promise import PENDING, Promise

__all__ = ["Lasting", "lasting"]


class Lasting(Promise[Any]):
    """The promise for a durable call, a timed call or a time, in a durable vat.

    ``holder`` is the stored object that stands for it where it is in state, and None while it is not.
    ``decider`` has what decides it say in its row that there is such an object; nobody does any more when it
    is None.
    """

    __slots__ = ("decider", "holder")

    _reported: ClassVar[bool] = True

    def __init__(self, home: Any) -> None:
        super().__init__(home)
        self.holder: Any = None
        self.decider: Callable[[Lasting], None] | None = None


def lasting(promise: Promise[Any]) -> Lasting | None:
    """Return what a pending promise is or follows that outlives this run, if it does."""
    while promise._state == PENDING and isinstance(promise._value, Promise):
        promise = promise._value
    return promise if type(promise) is Lasting and (promise.decider or promise.holder) else None
