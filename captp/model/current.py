"""What runs in this context: the vat whose turns do, and the access to a capsule, if there is one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from captp.errors import Contended

__all__ = ["CURRENT_VAT", "OPENING", "not_in_access"]

#: Set around each drain, never per message.
CURRENT_VAT: Final[ContextVar[Any]] = ContextVar("captp_current_vat")
#: The innermost access under way; the rooms below know only whether there is one.
OPENING: Final[ContextVar[Any]] = ContextVar("captp_opening", default=None)


def not_in_access(what: str) -> None:
    """Raise Contended where an access to a capsule is under way: a turn runs within its vat's own."""
    if OPENING.get() is not None:
        raise Contended(f"this runs in an access to a capsule: {what} after it")
