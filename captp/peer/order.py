"""Order of messages when a promise shortens: keep the old way until what went that way has arrived.

A settled promise keeps forwarding on its old route while calls sent through it are unanswered. Until
then the reference that awaiting it gave takes the same detour. Nothing waits, so nothing can deadlock.
Only this vat's own sends take a detour: a message of a peer may be one that already came round that way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from captp.model.promise import FULFILLED, PENDING, Promise, Reference
from captp.model.ref import Ref


class Order:
    """Decides where a message to a reference goes now."""

    def __init__(self) -> None:
        #: By the reference that awaiting it gave: the settled promise whose old route it takes for now.
        self.detours: dict[int, Promise[Any]] = {}
        #: By route: the keys of its detours.
        self._keys: dict[int, list[int]] = {}

    def next_hop(self, target: Any, *, is_foreign: bool) -> Any:
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
        if self.detours and not is_foreign:
            return self._detour(target)
        return target

    def _detour(self, target: Reference) -> Reference:
        promise = self.detours.get(id(target))
        return promise if promise is not None and _keeps_old_route(promise) else target

    def settled(self, promise: Promise[Any]) -> bool:
        """Note a settlement; return whether calls through ``promise`` must be heard of now."""
        value = promise._value
        if promise._state != FULFILLED or not isinstance(value, Ref) or not _keeps_old_route(promise):
            return False
        # The promise keeps the reference alive, so the id cannot come to mean another one.
        self.detours[id(value)] = promise
        self._keys.setdefault(id(promise._route), []).append(id(value))
        return True

    def arrived(self, promises: Iterable[Promise[Any]]) -> None:
        """End the detours by promises on whose old way nothing is under way any more."""
        for promise in promises:
            for key in self._keys.pop(id(promise._route), ()):
                del self.detours[key]

    def forget(self, session: Any) -> None:
        """End the detours over a session that has ended."""
        self.arrived([p for p in self.detours.values() if p._route.session is session])


def _keeps_old_route(promise: Promise[Any]) -> bool:
    # Also when the new way is the same connection: there the peer may itself keep an old route.
    route = promise._route
    return route is not None and route.unanswered > 0 and route.session.is_open
