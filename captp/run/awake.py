"""Waits awake for the answer of a child process, which is there sooner than a task that sleeps wakes up.

looking --none came in time--> resting --so many waits later--> looking.
It rests twice as long after each look in vain. Others have their go after some answers in a row, or some
time, and then it looks again: to leave it to the loop would cost as much as several answers. Where somebody
else wants the core it sleeps meanwhile, with the whole thread.
"""

from __future__ import annotations

from collections.abc import Callable
from os import sched_yield
from time import monotonic
from typing import Any, Final

from captp.model.idents import ConnId
from captp.model.promise import PENDING, Promise
from captp.run.crowd import SHARED_S, Crowd

#: Seconds of one look: about what it costs to sleep and to be woken, and what a large batch takes.
LOOK_S: Final = 0.0004
#: Milliseconds of one that is slept through.
SLEEP_MS: Final = 1
#: Answers in a row after which others have their go, or seconds awake.
MOST: Final = 16
AWAKE_S: Final = 0.002
#: The most waits that rest after a look in vain.
LONGEST: Final = 64


class Awake:
    """The connections of one pump whose answers are worth a look, and how it goes."""

    __slots__ = ("_answers", "_clock", "_crowd", "_received", "_rest", "_spent", "_vain", "conduits")

    def __init__(
        self, received: Callable[[ConnId, bytes, Promise[Any]], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self._received = received
        self._clock = clock
        #: By connection, for those to processes on this machine that are at work when they are called.
        self.conduits: dict[ConnId, Any] = {}
        #: Answers, and seconds awake, since others had their go.
        self._answers = 0
        self._spent = 0.0
        self._crowd = Crowd()
        self._rest = 0
        #: Waits that rest after the next look in vain.
        self._vain = 1

    def is_due(self) -> bool:
        """Tell, once, whether others are to have their go before the next look."""
        if self._answers < MOST and self._spent < AWAKE_S:
            return False
        self._answers, self._spent = 0, 0.0
        return True

    def look(self, conn: ConnId, promise: Promise[Any]) -> None:
        """Take in what comes on a connection until ``promise`` is settled, for a moment."""
        conduit = self.conduits.get(conn)
        if conduit is None:
            return
        if self._rest:
            self._rest -= 1
            return
        crowd, sleep_ms, lost = self._crowd, 0, False
        # Tests of what is nearly always nothing: each call would cost a hundredth of the wait.
        if crowd.left and crowd.is_there():
            sleep_ms = SLEEP_MS
        began = now = self._clock()
        until = began + LOOK_S
        while now < until:
            data = conduit.receive_now(sleep_ms)
            if data:
                self._received(conn, data, promise)
                if promise._state != PENDING:
                    self._answers += 1
                    self._vain = 1
                    break
                now = self._clock()
                continue
            if not sleep_ms:
                # Where both share a core, the other one has it now.
                sched_yield()
            before, now = now, self._clock()
            if now - before > SHARED_S:
                lost = True
        else:
            self._rest = self._vain
            self._vain = min(2 * self._vain, LONGEST)
        self._spent += now - began
        if not sleep_ms and (lost or crowd.lost):
            crowd.looked(lost=lost)
