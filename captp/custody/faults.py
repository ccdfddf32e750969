"""Exceptions that stay in their capsule: a bounded list, opened with the capsule's own access."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["FaultLog"]

#: Exceptions that one capsule keeps, the newest ones.
KEPT: Final = 64


class FaultLog:
    """The exceptions that left a capsule as ``Encapsulated``, by their number."""

    __slots__ = ("_kept", "_last")

    def __init__(self) -> None:
        self._kept: OrderedDict[int, BaseException] = OrderedDict()
        self._last = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, problem: BaseException) -> int:
        """Keep an exception, whole, and let go of the oldest if there are too many; return its number."""
        self._last += 1
        self._kept[self._last] = problem
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._last

    def find(self, number: int) -> BaseException | None:
        """Return an exception that is still kept."""
        return self._kept.get(number)
