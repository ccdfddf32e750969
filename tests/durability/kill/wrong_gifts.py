"""Faults that are put into the three vats of an introduction to show that their harness finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from captp.peer.handoff.exporter import ABSENT, Exporter, Gift
from captp.session.session import Session

__all__ = ["PLANTS"]


def swap_gifts() -> None:
    """Give out another gift where there is one."""
    take = Exporter._take

    def planted(self: Exporter, gifter: Any, give: Any, receiver: Any) -> Any:
        gift = take(self, gifter, give, receiver)
        if gift is ABSENT or not gifter.gifts:
            return gift
        other, last = gifter.gifts.popitem()
        gifter.gifts[other] = Gift(gift, last.until)
        return last.value

    Exporter._take = planted  # type: ignore[method-assign]


def tell_nobody_of_the_end() -> None:
    """Leave what waits for an answer of a session that ended."""
    end = Session.end

    def planted(self: Session, *args: Any) -> Any:
        end(self, *args)
        return []

    Session.end = planted  # type: ignore[method-assign]


#: Each by its name.
PLANTS: dict[str, Callable[[], None]] = {"swapped": swap_gifts, "silent": tell_nobody_of_the_end}
