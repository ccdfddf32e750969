"""Runs what a child's vat asks for with ``captp.outside``: in one thread under trio, beside the driver's.

The two share two queues. Only the driver's thread settles promises; it learns by a bell, which it polls
together with its socket, that there are outcomes.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from captp.run.outside_call import OutsideCall
from captp.vat.vat import Vat

__all__ = ["OutsideThread"]

#: Seconds that functions have to clean up when the process ends: less than its parent gives it.
CLEANUP_S: Final = 0.5


def _not_yet() -> None:
    """Wake nobody: when its loop begins it looks by itself."""


class OutsideThread:
    """The loop of all outside calls of one process.

    loading --its loop runs--> serving --close--> closing --functions have cleaned up--> gone;
    loading, serving --what is no Exception flies out of it--> failed, and the process with it.
    """

    def __init__(self, vat: Vat, under_way: set[OutsideCall]) -> None:
        self._vat = vat
        self._under_way = under_way
        #: For the loop: each call to begin, the same once more to cancel it, and None to end.
        self.told: deque[OutsideCall | None] = deque()
        #: Has the loop look at what it was told; it says how.
        self.wake: Callable[[], None] = _not_yet
        #: Readable when there are outcomes.
        self.bell: Final = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._outcomes: deque[tuple[OutsideCall, int, Any]] = deque()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="captp outside", daemon=True)
        self._thread.start()

    # What the driver's thread calls.

    def begin(self, call: OutsideCall) -> None:
        """Have a function run, and cancelled when whoever waits for it lets go."""
        self._tell(call)
        call.watch(lambda: self._tell(call))

    def settle(self) -> None:
        """Settle the promises of the functions that have ended; raises what ended the thread."""
        os.eventfd_read(self.bell)
        if self._failure is not None:
            raise self._failure
        while self._outcomes:
            call, state, value = self._outcomes.popleft()
            # Each is as much as a turn, and has a turn's time.
            self._vat.turns.count += 1
            call.settle(self._vat, state, value)

    def close(self) -> None:
        """Cancel all functions and wait for a moment; those that do not end go with the process."""
        self._tell(None)
        self._thread.join(CLEANUP_S)

    def _tell(self, what: OutsideCall | None) -> None:
        # Told first: a loop that begins meanwhile looks after it has said how to wake it.
        self.told.append(what)
        self.wake()

    # What the loop's thread calls.

    def over(self, call: OutsideCall, outcome: tuple[int, Any] | None) -> None:
        """Count a call no more; have its outcome, if it was not cancelled, settled by the driver's thread."""
        # First, or the method that goes on finds one too many under way.
        self._under_way.discard(call)
        if outcome is not None:
            self._outcomes.append((call, *outcome))
            os.eventfd_write(self.bell, 1)

    def _main(self) -> None:
        try:
            from captp.run.outside import serve  # noqa: PLC0415 - most children never need trio

            serve(self)
        except BaseException as problem:  # as in a turn: it is the process's end
            self._failure = problem
            os.eventfd_write(self.bell, 1)
