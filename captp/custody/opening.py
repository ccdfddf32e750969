"""Accesses under way: the innermost one of each strand, and the vat whose turn it runs in."""

from __future__ import annotations

from contextvars import Token
from typing import Any

from captp.custody import strand
from captp.model.current import CURRENT_VAT, OPENING

__all__ = ["Opening", "turning_object", "turning_vat"]


class Opening:
    """One access: on one thread, in one capsule, to write or only to read; its block runs within that."""

    __slots__ = ("_left", "_token", "home", "is_open", "is_shared", "thread")

    _token: Token[Any]

    def __init__(self, home: Any, *, is_shared: bool) -> None:
        self.home = home
        self.is_shared = is_shared
        self.is_open = True
        self.thread = strand.get_ident()
        #: The trustee whose turn it runs in, if one does and is in no access yet.
        self._left: Any = None

    def __enter__(self) -> Opening:
        home = self.home
        self._token = OPENING.set(self)
        vat = turning_vat()
        if vat is not None and vat.trustee.leave_turn():
            self._left = vat.trustee
        (home.readers if self.is_shared else home.writers).append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False
        home = self.home
        (home.readers if self.is_shared else home.writers).remove(self)
        OPENING.reset(self._token)
        # Whoever keeps the access keeps this.
        del self._token
        left, self._left = self._left, None
        if left is not None:
            left.come_back()

    @property
    def is_here(self) -> bool:
        """Whether it is open, and runs on this thread: a context may have been copied to another."""
        return self.is_open and self.thread == strand.get_ident()


def turning_object() -> Any:
    """Return the object whose turn runs here, on this thread; None if none does."""
    vat = turning_vat()
    return None if vat is None else vat.trustee.running


def turning_vat() -> Any:
    """Return the vat that runs a turn here, on this thread; None if none does."""
    vat = CURRENT_VAT.get(None)
    if vat is None or vat.trustee.running is None:
        return None
    # A context may have been copied to another thread.
    return vat if vat.thread in (0, strand.get_ident()) else None
