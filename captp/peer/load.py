"""How busy a vat's own loop is: looked at once a batch, never for each message; it reads no clock."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, final

from attrs import frozen

from captp.model.histogram import Histogram
from captp.model.promise import PENDING, Message, Promise
from captp.peer.peer import Peer
from captp.vat.delegation import BUDGET

__all__ = ["LoopStats", "Meter"]

#: Turns from a sample to the next, and how many more it may be, as what comes in turn must not always be
#: missed. One costs some microseconds, which is less than 10 ns for each turn that it stands for.
SAMPLED: Final = 480
MORE: Final = 64
#: Turns of a batch among which that one is.
AMONG: Final = 128
#: Classes that are told apart, and what all others are called.
CLASSES: Final = 64
OTHERS: Final = "others"
#: Sources with calls that are all looked at in each batch; with more of them, once in so many batches.
FEW: Final = 32
SELDOM: Final = 16


@final
@frozen(kw_only=True)
class LoopStats:
    """What a vat's own loop has done so far, and what it has before it."""

    #: Turns and steps of fibers that came by the queues, and calls of handles that needed no queue.
    turns: int
    zero_hop: int
    #: Batches with turns in them.
    batches: int
    #: Calls that wait for their turn or for a busy object: now, and at most so far at the begin of a batch.
    depth: int
    high_water: int
    #: Calls whose callers went before their turn, and calls of handles refused as too many waited.
    cancelled: int
    overloads: int
    #: Calls that have had to wait for a busy object, and those that broke with Deadlock instead.
    latch_waits: int
    deadlocks: int
    #: Entrusted objects, those with ``__dropped__``, and fibers that nobody held any more.
    reaped: int
    #: Seconds spent in batches, in all and in the longest one; what arrives is decoded before them.
    busy_s: float
    longest_batch_s: float
    #: The longest that a call waited which was followed to its turn: one at a time is, the last of several
    #: at the begin of a batch, or of those behind a busy object.
    longest_wait_s: float
    #: Seconds that fibers had objects to themselves, in all and the longest one, from batch to batch.
    hold_s: float
    longest_hold_s: float
    #: Batches by their turns, and the calls that were followed by the microseconds that they waited: those
    #: at index i had fewer than 2**i, and not fewer than half of that.
    sizes: tuple[int, ...]
    waits: tuple[int, ...]
    #: In the same way, how often something was reaped, by how much it was.
    reaps: tuple[int, ...]
    #: Seconds since the vat was opened.
    age_s: float
    #: The seconds that turns took by the class of their objects, most first, as far as one in so many tells.
    classes: Mapping[str, float]


@final
class Meter:
    """Keeps the figures of one loop; its driver calls ``begin`` and ``end`` around each batch."""

    __slots__ = (
        "_batches",
        "_busy_s",
        "_followed",
        "_high_water",
        "_latched",
        "_longest_batch_s",
        "_longest_wait_s",
        "_opened_at",
        "_peer",
        "_ring",
        "_sampled_at",
        "_seed",
        "_since",
        "_sizes",
        "_spent",
        "_turns",
        "_waited",
        "refills",
        "sample_at",
    )

    def __init__(self, peer: Peer, now: float) -> None:
        self._peer = peer
        self._opened_at = now
        self._ring = peer.vat.queues.ring
        self._latched = peer.vat.latches.waiting
        self._turns = self._batches = self._high_water = 0
        self._busy_s = self._longest_batch_s = self._longest_wait_s = 0.0
        self._sizes, self._waited = Histogram(), Histogram()
        #: The call that is followed to its turn, weakly: who drops a result must be heard at once.
        self._followed: weakref.ref[Message] | None = None
        self._since = 0.0
        #: The count of turns at the last sample, and from which on there is to be one; what they came to.
        self._sampled_at, self.sample_at = peer.vat.turns.count, SAMPLED
        self._spent: dict[str, float] = {}
        self._seed = 1
        #: How often the budget for calls that run at once was used up.
        self.refills = 0

    def begin(self, now: float) -> None:
        """Look at what waits, before a batch runs."""
        self._peer.vat.latches.now = now
        ring, depth = self._ring, len(self._latched)
        if ring:
            if len(ring) <= FEW or self._batches % SELDOM == 0:
                for source in ring:
                    depth += len(source.messages)
            if depth > 1 and self._followed is None:
                self._follow(ring[-1].messages, now)
        if depth > self._high_water:  # noqa: PLR1730 - for every batch
            self._high_water = depth

    def end(self, began: float, now: float) -> None:
        """Note what a batch took."""
        took = now - began
        self._busy_s += took
        if took > self._longest_batch_s:  # noqa: PLR1730 - for every batch
            self._longest_batch_s = took
        turns = self._peer.vat.turns.count
        if turns != self._turns:
            self._sizes.add(turns - self._turns)
            self._turns = turns
            self._batches += 1
        if self._followed is not None:
            if not self._waits():
                self._followed = None
                self._longest_wait_s = max(self._longest_wait_s, now - self._since)
                self._waited.add(int(1e6 * (now - self._since)))
        elif self._latched:
            self._follow(next(reversed(self._latched.values()))._latch, began)

    def skipped(self) -> int:
        """Return after how many turns of a batch one is to be timed: another number each time."""
        return self._drawn(min(self._turns // max(self._batches, 1) + 1, AMONG))

    def _drawn(self, below: int) -> int:
        # As good as a die for this, and the same each time it is run.
        self._seed = (self._seed * 1103515245 + 12345) % (1 << 31)
        return (self._seed >> 16) % below

    def sampled(self, kind: str | None, took: float) -> None:
        """Note how long a turn on an object of some class took; None if it is not known of which."""
        turns = self._peer.vat.turns.count
        self.sample_at = turns + SAMPLED + self._drawn(MORE)
        if kind is None:
            return
        if kind not in self._spent and (len(self._spent) >= CLASSES or not kind.isidentifier()):
            kind = OTHERS
        # It stands for all turns since the last one.
        self._spent[kind] = self._spent.get(kind, 0.0) + took * (turns - self._sampled_at)
        self._sampled_at = turns

    def _follow(self, messages: deque[Any], now: float) -> None:
        """Follow the last call of a queue, if its end can be seen and it waits for its turn alone."""
        newest = messages[-1] if messages else None
        if type(newest) is not Message or newest.promise is None:
            return
        if not (isinstance(newest.target, Promise) and newest.target._state == PENDING):
            self._followed = weakref.ref(newest)
            self._since = now

    def _waits(self) -> bool:
        message = None if self._followed is None else self._followed()
        # The traceback of a turn that raised keeps its message for as long as somebody keeps that.
        return message is not None and message.promise is not None and message.promise._state == PENDING

    def view(self, now: float) -> LoopStats:
        """Return the figures as they are now."""
        vat, longest_wait_s = self._peer.vat, self._longest_wait_s
        depth = sum(len(source.messages) for source in vat.queues.sources)
        depth += sum(len(obj._latch) for obj in vat.heap.objects() if obj._latch is not None)
        if self._waits():
            longest_wait_s = max(longest_wait_s, now - self._since)
        held = [now - fiber.held_since for fiber in vat.turns.fibers if fiber.latched]
        return LoopStats(
            turns=vat.turns.count,
            zero_hop=(self.refills + 1) * BUDGET - vat.budget,
            batches=self._batches,
            depth=depth,
            high_water=max(self._high_water, depth),
            cancelled=vat.turns.cancelled,
            overloads=vat.turns.overloads,
            latch_waits=vat.latches.waited,
            deadlocks=vat.latches.deadlocks,
            reaped=vat.reaped.count,
            busy_s=self._busy_s,
            longest_batch_s=self._longest_batch_s,
            longest_wait_s=longest_wait_s,
            hold_s=vat.latches.hold_s + sum(held),
            longest_hold_s=max(vat.latches.longest_hold_s, *held, 0.0),
            sizes=self._sizes.counts,
            waits=self._waited.counts,
            reaps=vat.reaped.sizes.counts,
            age_s=max(now - self._opened_at, 0.0),
            classes=dict(sorted(self._spent.items(), key=itemgetter(1), reverse=True)),
        )
