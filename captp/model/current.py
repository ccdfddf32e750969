"""What runs in this context: the vat whose turns do, and the access to a capsule, if there is one."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Final

from captp.errors import Contended

__all__ = ["CAPS", "CURRENT_VAT", "OPENING", "alone", "not_in_access", "opening_here"]

#: Set around each drain, never per message.
CURRENT_VAT: Final[ContextVar[Any]] = ContextVar("captp_current_vat")
#: The innermost access under way; the rooms below know only whether there is one.
OPENING: Final[ContextVar[Any]] = ContextVar("captp_opening", default=None)
#: The names of all contextual capabilities. Where there are some, each turn runs in a context of its own.
CAPS: Final[set[str]] = set()


def alone(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``fn``, to run in an empty context each time: what an earlier run left open it does not find."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return Context().run(fn, *args, **kwargs)

    return run


def opening_here() -> Any:
    """Return the innermost access under way; None if there is none.

    A context that was copied within an access, as for each task that is started there, still has it when it
    has ended.
    """
    opening = OPENING.get()
    return opening if opening is not None and opening.is_here else None


def not_in_access(what: str) -> None:
    """Raise Contended where an access to a capsule is under way: a turn runs within its vat's own."""
    if opening_here() is not None:
        raise Contended(f"this runs in an access to a capsule: {what} after it")
