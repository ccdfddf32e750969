"""Guards: what whoever holds a lock has of it; the lock itself decides who that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar, final

from captp.custody.access import Access, Brand
from captp.custody.ticket import Stage, Ticket

if TYPE_CHECKING:
    from captp.custody.line import Line

__all__ = ["Guard"]

K_co = TypeVar("K_co", bound=Brand, covariant=True)
P = ParamSpec("P")
R = TypeVar("R")


@final
class Guard(Generic[K_co]):
    """Opens the capsule of a lock, until it is given back; a lost one gives itself back."""

    __slots__ = ("__weakref__", "_line", "_ticket")

    def __init__(self, line: Line, ticket: Ticket) -> None:
        self._line = line
        self._ticket = ticket

    def access(
        self, function: Callable[Concatenate[Access[K_co], P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a function within the capsule, and return its result, which is portable.

        What it raises poisons the lock, or freezes the capsule if this guard only reads.
        """
        return self._line.access(self, function, args, kwargs)  # type: ignore[no-any-return]

    def release(self) -> None:
        """Give the lock back; raises Contended if that is done, and within an access that writes."""
        self._line.release(self)

    def __enter__(self) -> Guard[K_co]:
        self._line.look_idle(self)
        return self

    def __exit__(self, _kind: Any, problem: BaseException | None, _trace: Any) -> None:
        if self._ticket.stage is Stage.HELD:
            self._line.leave(self, failed=problem is not None)

    def __repr__(self) -> str:
        return f"<Guard of {self._line}, {self._ticket.stage.name.lower()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a guard cannot be copied or serialised: it is one holder's")

    def __del__(self) -> None:
        # It may be any thread, in the middle of any turn.
        if self._ticket.stage is Stage.HELD:
            self._line.lose(self._ticket)
