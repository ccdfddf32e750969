"""Which peer has something unique to itself, as far as promises go by which others could still call it."""

from __future__ import annotations

from typing import Any

__all__ = ["Title"]


class Title:
    """Shared by all references that are one unique one, as it is passed on here.

    nobody's --it is told to a peer--> that peer's --who gives it up--> over. Before it is a peer's, calls of
    all reach it by a promise; then those of its owner alone: others had it promised in vain.
    """

    __slots__ = ("_is_over", "_owner")

    def __init__(self) -> None:
        self._owner: Any = None
        self._is_over = False

    def goes_to(self, owner: Any) -> None:
        """Note the session that it is told in; None takes it back."""
        self._owner = owner

    def close(self) -> None:
        """Let no peer reach it by a promise any more."""
        self._is_over = True

    def admits(self, sender: Any) -> bool:
        """Whether a call reaches it by a promise; ``sender`` is the session it came in, None for this vat."""
        return sender is None or not (self._is_over or self._owner not in (None, sender))
