"""Calls of near objects that run before they return: within the running turn, or as one of their own."""

from __future__ import annotations

from typing import Any

from captp.errors import NotNear, NotNow
from captp.model.current import CURRENT_VAT, not_in_access
from captp.model.fresh import fresh
from captp.model.guards import compile_thunk
from captp.model.object import Object
from captp.model.own import look
from captp.model.promise import BROKEN, FULFILLED, Message, Promise, Reference
from captp.model.ref import settled
from captp.vat.cold import look_into
from captp.vat.turns import find

__all__ = ["call_now"]


def call_now(
    vat: Any, target: Reference, selector: str | None, args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> Any:
    """Run a method of a near object at once; raises NotNear, and NotNow where it would have to wait."""
    not_in_access("now()")
    look(target)
    obj = getattr(settled(target), "_anchor", None)
    if not isinstance(obj, Object):
        raise NotNear(f"{target!r} is not near: send to it, and await the promise")
    row, args = find(obj, selector, args)
    if row.is_fiber:
        raise NotNow(f"{row.name}() is async: it may wait, so it can only be sent")
    if obj._latch is not None:
        if vat.trustee.in_turn is not None:
            look_into(vat, obj)
        raise NotNow(f"{type(obj).__name__} is busy: an async method of it has not finished")
    thunk = row.thunk or compile_thunk(row)
    args, kwargs = vat.owning.frozen(args, kwargs)
    promise: Promise[Any] = Promise(vat)
    vat.owning.bind(promise)
    if vat.trustee.in_turn is not None:
        try:
            return vat.turns.result(row, thunk(obj, args, kwargs))
        finally:
            vat.settle_now(promise, FULFILLED, None)
    if vat.is_gated:
        raise NotNow("this vat is durable, and a result is there when it is stored: send, and await it")
    token = CURRENT_VAT.set(vat)
    try:
        vat.turns.run(obj, row, Message(target, selector, args, kwargs, promise))
    finally:
        CURRENT_VAT.reset(token)
    if not vat.awake:
        vat.ring()
    if promise._state == BROKEN:
        del obj  # the frame goes along
        raise fresh(promise._value)
    return promise._value
