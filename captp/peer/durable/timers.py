"""Stored timers: timed calls of this vat's own objects, and times that promises in its state wait for.

stored --its time comes--> due --its turn begins, or there is none--> forgotten; due --there is no room-->
stored; due --it is refused--> kept.
A call that is forgotten has run in the same commit, so that it runs once, whenever the vat stops. One that
its object refuses, which is damaged or has no such method any more, is tried again when the vat next starts.
Invariant: the rows of ``timer`` are the timers that wait, are due or are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from captp.errors import Overloaded
from captp.model.promise import FULFILLED, Message, Settlement
from captp.model.ref import Ref
from captp.model.values import FrozenMap
from captp.peer.durable.promises import Promises
from captp.peer.durable.saving import Saver
from captp.peer.rows import Verb, unpacked
from captp.vat.arrivals import DURABLE, Arrival
from captp.vat.effects import Later, Timer
from captp.vat.lasting import Lasting

if TYPE_CHECKING:
    from captp.peer.peer import Peer

__all__ = ["StoredTimer", "StoredTimers"]

#: Seconds until a call is made again that found no room, at its object or in the store.
AGAIN_S: Final = 1.0


@define(eq=False)
class StoredTimer:
    """One of them; ``made`` is a time of the wall clock. One without a target settles its promise alone."""

    number: int
    made: float
    seconds: float
    target: Ref | None
    method: str
    args: tuple[Any, ...]
    kwargs: FrozenMap | None
    promise: Lasting
    has_edges: bool = False


class StoredTimers:
    """All of one vat."""

    #: What has no room for what it does is refused, and has not begun.
    needs_room: Final = True

    def __init__(self, peer: Peer, saver: Saver, promises: Promises, wall_ahead: float) -> None:
        self._peer = peer
        self._saver = saver
        self._promises = promises
        self._wall_ahead = wall_ahead
        self._timers: dict[int, StoredTimer] = {}
        self._last = 0

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take what was stored; time goes on for it when ``begin`` is called."""
        for key, value in rows:
            has_edges, data = unpacked(value, 2)
            made, seconds, *call, holder = self._saver.codec.unpack(data)
            target, method, args, kwargs = call
            number = self._last = int.from_bytes(key, "big")
            promise = self._promises.restored(holder)
            timer = StoredTimer(number, made, seconds, target, method, args, kwargs, promise, has_edges)
            self._timers[timer.number] = timer
            timer.promise.decider = partial(self._keep, timer)

    def begin(self) -> None:
        """Let time go on for what was left from before; it went on, too, while the vat did not run."""
        now = self._peer.now
        for timer in self._timers.values():
            at = timer.made + timer.seconds - self._wall_ahead
            # A wall clock that was set back makes nobody wait longer than all of the time.
            self._peer.timers.add(min(at, now + timer.seconds), timer)

    def call(self, effect: Later) -> None:
        """Store a timed call."""
        message, promise, seconds = effect.message, effect.message.promise, effect.seconds
        assert type(promise) is Lasting
        kwargs = None if message.kwargs is None else FrozenMap(message.kwargs)
        call = (message.target, message.selector, message.args, kwargs)
        self._enter(self._peer.now + seconds, seconds, *call, promise)

    def wait(self, effect: Timer) -> None:
        """Settle a promise at its time; nothing of it is stored unless it comes into state."""
        promise, at = effect.promise, self._peer.now + effect.seconds
        assert type(promise) is Lasting
        self._peer.timers.add(at, Settlement(promise, FULFILLED, None))
        promise.decider = partial(self._came, at, effect.seconds)

    def _came(self, at: float, seconds: float, promise: Lasting) -> None:
        # It is due right behind what settles the promise in this run, and so forgotten with that.
        self._enter(at, seconds, None, "", (), None, promise)

    def _enter(self, at: float, seconds: float, *call: Any) -> None:
        self._last += 1
        made = at - seconds + self._wall_ahead
        timer = self._timers[self._last] = StoredTimer(self._last, made, seconds, *call)
        timer.promise.decider = partial(self._keep, timer)
        self._store(Verb.INSERT, timer)
        self._peer.timers.add(at, timer)

    def _keep(self, timer: StoredTimer, _promise: Lasting) -> None:
        """Say in a timer's row what stands for its promise."""
        if timer.number in self._timers:
            self._store(Verb.REPLACE, timer)

    def _store(self, verb: Verb, timer: StoredTimer) -> None:
        obj = timer.promise.holder
        holder = None if obj is None else self._peer.vat.reference(obj)
        parts = [timer.made, timer.seconds, timer.target, timer.method, timer.args, timer.kwargs, holder]
        timer.has_edges = self._saver.letter(verb, "timer", _key(timer), parts, had_edges=timer.has_edges)

    # When its time has come.

    def due(self, timer: StoredTimer) -> None:
        """Make a timed call, or settle a promise."""
        vat = self._peer.vat
        if timer.target is None:
            self._forget(timer)
            vat.settle_now(timer.promise, FULFILLED, None)
        else:
            args, kwargs = (timer.method, timer.args), None if timer.kwargs is None else dict(timer.kwargs)
            vat.outbox.append(Message(timer.target, DURABLE, args, kwargs, Arrival(vat, self, timer)))

    def begun(self, arrival: Arrival) -> None:
        """Forget a call that has run, with what it did."""
        self._forget(arrival.call)

    def settled(self, arrival: Arrival) -> None:
        """Tell whoever waits for what a call gave."""
        timer: StoredTimer = arrival.call
        promise = timer.promise
        if arrival.message is None:
            if isinstance(arrival._value, Overloaded):
                # Too many wait for its object, or the disk is full by now: that passes.
                self._peer.timers.add(self._peer.now + AGAIN_S, timer)
                return
            where, why = type(timer.target._anchor).__name__, str(arrival._value)  # type: ignore[union-attr]
            self._peer.trace("error", "timed call refused", method=f"{where}.{timer.method}", why=why)
            # It is tried again at the next start, and nobody hears of that.
            timer.promise = Lasting(self._peer.vat)
            self._store(Verb.REPLACE, timer)
        self._peer.vat.settle_now(promise, arrival._state, arrival._value)

    def _forget(self, timer: StoredTimer) -> None:
        if self._timers.pop(timer.number, None) is not None:
            self._saver.forget("timer", _key(timer), had_edges=timer.has_edges)


def _key(timer: StoredTimer) -> bytes:
    return timer.number.to_bytes(8, "big")
