"""What the tests of capsules put into them."""

from __future__ import annotations

from typing import Any

import captp
from captp import Access, Capsule, Data, Key

__all__ = ["Account", "Other", "Stock", "holding"]


class Stock(captp.Brand):
    """The brand of most capsules here."""


class Other(captp.Brand):
    """Another."""


class Account(captp.Object):
    total: int = 0
    log: captp.List[int]

    def add(self, amount: int) -> int:
        self.total += amount
        self.log.append(amount)
        return self.total


def holding(value: Any = None, *, strict: bool = False) -> tuple[Data[Any, Stock], Key[Stock]]:
    """Return data in a capsule of its own, an account if nothing is given, and the key."""
    key = Capsule.create(Stock, strict=strict)

    def wrap(access: Access[Stock]) -> Data[Any, Stock]:
        return Data.wrap(access, Account() if value is None else value)

    return key.access(wrap)
