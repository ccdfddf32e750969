"""How much of this vat's work a peer's questions may cost: buckets that fill with time."""

from __future__ import annotations

import math

from attrs import define


@define(eq=False)
class Bucket:
    """Holds up to ``burst``, is full at first, and gains ``rate`` a second; what is taken must be in it."""

    rate: float
    burst: float
    level: float = math.inf
    at: float = 0.0

    def take(self, amount: float, now: float) -> bool:
        """Take so much, or nothing; say whether it was there."""
        self.level = min(self.level + (now - self.at) * self.rate, self.burst)
        self.at = now
        if amount > self.level:
            return False
        self.level -= amount
        return True

    def owe(self, amount: float) -> None:
        """Take so much after all, that was not known before; nothing can be taken until that has come in."""
        self.level = min(self.level, self.burst) - amount
