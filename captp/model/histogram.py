"""How often values were how large, by powers of two: one addition each, and a few dozen numbers in all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["Histogram", "below"]

#: Powers of two that are told apart: in microseconds, up to six days.
SIZES: Final = 40


class Histogram:
    """Counts whole numbers: those at index ``i`` were below ``2**i``, and not below half of that."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = [0] * SIZES

    def add(self, value: int) -> None:
        """Count one more; one that is too large counts as the largest."""
        size = value.bit_length()
        self._counts[size if size < SIZES else -1] += 1

    @property
    def counts(self) -> tuple[int, ...]:
        """The counts, up to the last one that is not zero."""
        counts = self._counts
        size = SIZES
        while size and not counts[size - 1]:
            size -= 1
        return tuple(counts[:size])


def below(counts: Sequence[int], share: float) -> int | None:
    """Return the smallest power of two that so large a share of the values were below; None without any."""
    wanted = share * sum(counts)
    seen = 0
    for size, count in enumerate(counts):
        seen += count
        if count and seen >= wanted:
            return 1 << size
    return None
