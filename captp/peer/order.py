"""Order of messages when a promise shortens: keep the old way until what went that way has arrived.

A settled promise keeps forwarding on its old route while calls sent through it are unanswered. Until
then the reference that awaiting it gave takes the same way, under whatever interface it is shown. Nothing
waits, so nothing can deadlock. Only this vat's own sends take a detour: a message of a peer may be one
that already came round that way.
"""

from __future__ import annotations

from typing import Any

from captp.model.promise import FULFILLED, PENDING, Promise, Reference
from captp.model.ref import Ref


def next_hop(target: Any, *, is_foreign: bool) -> Any:
    """Return the reference to send to at once, or the promise whose route or queue takes the message."""
    while isinstance(target, Promise):
        if target._state == PENDING:
            if target._value is None or _keeps_old_route(target):
                return target
            target = target._value
            continue
        if target._state != FULFILLED or not isinstance(target._value, Reference):
            return target
        if _keeps_old_route(target):
            return target
        target = target._value
    if isinstance(target, Ref) and target._way is not None and not is_foreign:
        # Calls under way hold the promise they went through, so it is there while they are.
        promise = target._way()
        if promise is not None and _keeps_old_route(promise):
            return promise
        target._way = None
    return target


def takes_detour(promise: Promise[Any]) -> bool:
    """Whether a promise that has settled gave a reference which takes its old way, so that calls count."""
    return promise._state == FULFILLED and isinstance(promise._value, Ref) and _keeps_old_route(promise)


def _keeps_old_route(promise: Promise[Any]) -> bool:
    # Also when the new way is the same connection: there the peer may itself keep an old route.
    route = promise._route
    return route is not None and route.unanswered > 0 and route.session.is_open
