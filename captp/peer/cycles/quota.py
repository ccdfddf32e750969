"""How much of this vat's work a peer's questions may cost: buckets that fill with time."""

from __future__ import annotations

from attrs import define


@define(eq=False)
class Bucket:
    """Holds up to ``burst`` and gains ``rate`` a second; what is taken must be in it."""

    rate: float
    burst: float
    level: float = -1.0
    at: float = 0.0

    def take(self, amount: float, now: float) -> bool:
        """Take so much, or nothing; say whether it was there."""
        if self.level < 0:
            self.level = self.burst
        else:
            self.level = min(self.level + (now - self.at) * self.rate, self.burst)
        self.at = now
        if amount > self.level:
            return False
        self.level -= amount
        return True
