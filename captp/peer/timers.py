"""Which promises time settles, and when: a heap, and equal times in the order of their making."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from captp.errors import Broken
from captp.model.promise import Promise


class Timers:
    """Promises that wait for a time; whoever owns them says what time it is."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, int, Promise[Any], Broken | None]] = []
        self._made = 0

    def add(self, at: float, promise: Promise[Any], error: Broken | None) -> None:
        """Have ``promise`` settle at a time, with None or as broken by ``error``."""
        self._made += 1
        heapq.heappush(self.waiting, (at, self._made, promise, error))

    def due(self, now: float) -> Iterator[tuple[Promise[Any], Broken | None]]:
        """Yield those whose time has come, and forget them."""
        while self.waiting and self.waiting[0][0] <= now:
            _, _, promise, error = heapq.heappop(self.waiting)
            yield promise, error

    @property
    def next_at(self) -> float | None:
        """When the first of them is due; None if none waits."""
        return self.waiting[0][0] if self.waiting else None
