"""What time settles or sends, and when: a heap, and equal times in the order of their making."""

from __future__ import annotations

import heapq
from typing import Any


class Timers:
    """Settlements, messages and stored timers that wait; whoever owns them says what time it is."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, int, Any]] = []
        self._made = 0

    def add(self, at: float, item: Any) -> None:
        """Have an item come at a time."""
        self._made += 1
        heapq.heappush(self.waiting, (at, self._made, item))

    def due(self, now: float) -> list[Any]:
        """Return those whose time has come, and forget them."""
        due = []
        while self.waiting and self.waiting[0][0] <= now:
            due.append(heapq.heappop(self.waiting)[2])
        return due

    @property
    def next_at(self) -> float | None:
        """When the first of them is due; None if none waits."""
        return self.waiting[0][0] if self.waiting else None
