"""A need: one capability that a function asks of its context."""

from __future__ import annotations

from typing import Any, final

from attrs import frozen

from captp.custody.context.cap import Term, missing
from captp.custody.place import here_or_in

__all__ = ["Need"]


@final
@frozen
class Need:
    """One capability that a function asks for, and whether callers over a border are to give it."""

    term: Term[Any]
    is_carried: bool

    def look(self, function: Any = None) -> None:
        """Raise MissingContext unless it is bound, to be used as is said: here, or in ``function``."""
        binding = self.term.cap._captp_binding()
        if binding is None:
            raise missing(self.term, function)
        if self.term.is_mut and not binding.may_change():
            raise binding.refusal("mut", here_or_in(function))

    def __repr__(self) -> str:
        return f"{self.term!r}{', carried' if self.is_carried else ''}"
