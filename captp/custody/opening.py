"""Accesses under way: the innermost one of each strand, and the vat whose turn it runs in."""

from __future__ import annotations

from typing import Any

from captp.custody import strand
from captp.model.current import CURRENT_VAT

__all__ = ["Opening", "turning_object", "turning_vat"]


class Opening:
    """One access under way: on one thread, in one capsule, to write or only to read."""

    __slots__ = ("home", "is_open", "is_shared", "thread")

    def __init__(self, home: Any, *, is_shared: bool) -> None:
        self.home = home
        self.is_shared = is_shared
        self.is_open = True
        self.thread = strand.get_ident()

    @property
    def is_here(self) -> bool:
        """Whether it is open, and runs on this thread: a context may have been copied to another."""
        return self.is_open and self.thread == strand.get_ident()


def turning_object() -> Any:
    """Return the object whose turn runs here, on this thread; None if none does."""
    vat = turning_vat()
    return None if vat is None else vat.trustee.in_turn


def turning_vat() -> Any:
    """Return the vat that runs a turn here, on this thread; None if none does."""
    vat = CURRENT_VAT.get(None)
    if vat is None or vat.trustee.in_turn is None:
        return None
    # A context may have been copied to another thread.
    return vat if vat.thread in (0, strand.get_ident()) else None
