"""Order of messages when a promise shortens: keep the old way until what went that way has arrived.

A settled promise keeps forwarding on its old route while calls sent through it are unanswered, unless
the new way is the same connection to the same host, which is first-in first-out anyway. Until then the
reference that awaiting it gave takes the same detour. Nothing waits, so nothing can deadlock.
"""

from __future__ import annotations

from typing import Any

from captp.model.promise import FULFILLED, PENDING, Promise, Reference
from captp.model.ref import Far, Ref


class Order:
    """Decides where a message to a reference goes now."""

    def __init__(self) -> None:
        #: By anchor: the settled promise whose old route the reference takes for now.
        self.detours: dict[int, Promise[Any]] = {}

    def next_hop(self, target: Any) -> Any:
        """Return the reference to send to at once, or the promise whose route or queue takes it."""
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
        if self.detours:
            return self._detour(target)
        return target

    def _detour(self, target: Reference) -> Reference:
        assert isinstance(target, Ref)
        promise = self.detours.get(id(target._anchor))
        if promise is None:
            return target
        if _keeps_old_route(promise):
            return promise
        del self.detours[id(target._anchor)]
        return target

    def settled(self, promise: Promise[Any]) -> bool:
        """Note a settlement; return whether calls through ``promise`` must be heard of now."""
        value = promise._value
        if promise._state != FULFILLED or not isinstance(value, Ref) or not _keeps_old_route(promise):
            return False
        # The promise keeps the anchor alive, so the id cannot come to mean another one.
        self.detours[id(value._anchor)] = promise
        return True


def _keeps_old_route(promise: Promise[Any]) -> bool:
    route = promise._route
    if route is None or route.unanswered == 0 or not route.session.is_open:
        return False
    return not _same_connection(promise._value, route.session)


def _same_connection(value: Reference, session: Any) -> bool:
    if isinstance(value, Ref):
        anchor = value._anchor
        return type(anchor) is Far and anchor.session is session
    assert isinstance(value, Promise)
    return value._route is not None and value._route.session is session
