"""Binding: for the length of one block, what runs in it finds a value at a capability."""

from __future__ import annotations

from types import TracebackType
from typing import Any, final

from captp.custody.context.binding import Binding
from captp.custody.context.cap import Bound
from captp.custody.context.views import is_view
from captp.custody.place import here
from captp.errors import BorrowConflict, UsageError

__all__ = ["bind"]


@final
class bind:  # noqa: N801 - it is used as a verb
    """Binds capabilities for one ``with`` block: ``with captp.bind(People.mut(people), Pets.ref(pets)):``.

    A block inside hides what is outside it. Child tasks find what their parents bound, to read only; turns
    of vats find nothing. Raises BorrowConflict for one value that is to be changed by way of two names.
    """

    __slots__ = ("_bounds",)

    def __init__(self, *bounds: Bound[Any] | tuple[Bound[Any], ...]) -> None:
        flat: list[Bound[Any]] = []
        for one in bounds:
            flat += one if isinstance(one, tuple) else (one,)
        for bound in flat:
            if not isinstance(bound, Bound):
                raise UsageError(f"bind() takes People.ref(value) or People.mut(value), not {bound!r}")
        self._bounds = flat
        _check_alone(flat)

    def __enter__(self) -> None:
        place = here()
        for bound in self._bounds:
            if bound.binding is not None:
                raise UsageError(
                    f"{bound.term!r}(...) is bound already, at {bound.binding.place}: make another"
                )
        for bound in self._bounds:
            cap = bound.term.cap
            bound.binding = Binding(cap.name, bound.value, place, is_mut=bound.term.is_mut)
            cap._captp_enter(bound.binding)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for bound in reversed(self._bounds):
            if bound.binding is not None:
                bound.term.cap._captp_leave(bound.binding)
                bound.binding.end()
                bound.binding = None


def _check_alone(bounds: list[Bound[Any]]) -> None:
    """Raise unless what is to be changed is there once."""
    for bound in bounds:
        if not bound.term.is_mut:
            continue
        if is_view(bound.value):
            raise BorrowConflict(
                f"{bound.term!r}(...) is given a view, which is read only: bind it as .ref(...)"
            )
        for other in bounds:
            if other is not bound and other.value is bound.value:
                raise BorrowConflict(
                    f"{bound.term!r} and {other.term!r} are one {type(bound.value).__name__}: what is changed"
                    " by one is not to be reached by the other"
                )
