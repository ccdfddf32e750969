"""Timed calls that some writes make, with promises of their results in state, and what is checked of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import captp

__all__ = ["Alarms", "AlarmsModel", "has_alarm"]

#: One write of so many sets an alarm; seconds until it rings, by turns.
EVERY = 10
DELAYS_S = (0.0, 0.05, 0.5, 2.0)
#: Promises that are kept of those that have rung.
KEPT = 16

Key = tuple[str, int]


def has_alarm(number: int) -> bool:
    """Whether the write with a number sets an alarm."""
    return number % EVERY == 0


class Alarms(captp.Object):
    """Every alarm that was set rings once."""

    set: captp.Map[Key, captp.Promise[int]]
    rung: captp.Map[Key, int]

    def write(self, client: str, number: int) -> None:
        """Set an alarm for a write that has one."""
        if has_alarm(number):
            delay = DELAYS_S[number // EVERY % len(DELAYS_S)]
            self.set[client, number] = captp.later(delay, self.ring, client, number)

    @captp.method
    def ring(self, client: str, number: int) -> int:
        self.rung[client, number] = self.rung.get((client, number), 0) + 1
        for key in list(self.set)[:-KEPT]:
            if key in self.rung:
                del self.set[key]
        return number

    def report(self) -> tuple[Any, ...]:
        return tuple(self.set), tuple(self.rung.items())

    def answers(self) -> tuple[Any, ...]:
        """Return number and promised number of each whose promise is kept."""
        return tuple((number, promise) for (_, number), promise in self.set.items())


class AlarmsModel:
    """The alarms that were set, and those of them that have rung."""

    def __init__(self) -> None:
        self._made: set[Key] = set()
        self._rung: set[Key] = set()

    @property
    def waiting(self) -> set[Key]:
        """Those that have not rung."""
        return self._made - self._rung

    def make(self, client: str, number: int) -> None:
        """Enter the alarm of a write that was made, if it has one."""
        if has_alarm(number):
            self._made.add((client, number))

    def audit(self, there: Iterable[Key], counts: Iterable[tuple[Key, int]], found: Any) -> None:
        """Note what is lost, what has rung twice, and what nobody has set."""
        rung = dict(counts)
        for (client, number), count in rung.items():
            if count > 1:
                found.doubled.append(f"the alarm of write {number} of {client} has rung {count} times")
        for key in sorted(self._made - rung.keys() - set(there)):
            found.lost.append(f"the alarm {key}, which has not rung")
        for key in sorted(self._rung - rung.keys()):
            found.lost.append(f"that the alarm {key} has rung")
        for key in sorted((rung.keys() | set(there)) - self._made):
            found.wrong.append(f"the alarm {key} is there without its write")
        self._rung |= rung.keys()
