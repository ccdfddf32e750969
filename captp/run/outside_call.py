"""What ``captp.outside`` asked for, on its way: a function and who waits for it. Whoever runs it has trio."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Any

from captp.errors import Overloaded
from captp.model.promise import BROKEN, Promise
from captp.peer.outputs import Call
from captp.vat.vat import Vat

__all__ = ["OutsideCall", "enter"]

log = logging.getLogger("captp")


class OutsideCall:
    """A function that runs for a promise, which it does not keep alive.

    asked --its loop takes it--> running --the function ends--> over;
    asked, running --whoever held the promise lets go--> dropped --the function ends--> over.
    """

    def __init__(self, asked: Call) -> None:
        self.function = asked.function
        self.args = asked.args
        #: What cancels it, once its loop has taken it.
        self.scope: Any = None
        self._promise: weakref.ref[Promise[Any]] = weakref.ref(asked.promise)
        self._watch: weakref.ref[Promise[Any]] | None = None

    def watch(self, dropped: Callable[[], None]) -> None:
        """Have ``dropped`` called, in any thread, when whoever holds the promise lets go.

        To be called in the vat's thread, when the batch that asked is gone. Where nobody holds the promise
        then, nobody waits, and the function runs to its end.
        """
        held = self._promise()
        if held is not None:
            self._watch = weakref.ref(held, lambda _: dropped())

    def settle(self, vat: Vat, state: int, value: Any) -> None:
        """Tell whoever waits how the function ended; to be called in the vat's thread."""
        self._watch = None
        promise = self._promise()
        if promise is None:
            if state == BROKEN:
                fields = {"function": getattr(self.function, "__qualname__", "?")}
                log.error("outside call failed", exc_info=value, extra={"captp": fields})
            return
        try:
            vat.settle(promise, state, value)
        except Exception as problem:  # an unpassable result breaks the promise too
            vat.settle(promise, BROKEN, problem)


def enter(vat: Vat, asked: Call, under_way: set[OutsideCall]) -> OutsideCall | None:
    """Return a call that counts among those under way, or break its promise where there are too many."""
    most = vat.limits.outside_calls
    if len(under_way) >= most:
        problem = f"outside-full: {most} outside calls are under way in this vat; try again later"
        vat.settle(asked.promise, BROKEN, Overloaded(problem))
        return None
    call = OutsideCall(asked)
    under_way.add(call)
    return call
