"""Facets that only read: an Object as others may see it who are to change nothing of it."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, cast

from captp.custody.context.views import Stamp, view_of
from captp.errors import UsageError
from captp.model.interface import is_interface, method, rows_of
from captp.model.object import Object

__all__ = ["facet_of"]


class Facet(Object):
    """Answers as its target does, whose methods run on a view of it. It has more than state."""

    __slots__ = ("stamp", "target")

    if TYPE_CHECKING:
        stamp: ClassVar[Stamp]
        target: ClassVar[Object]


def facet_of(target: Any, cap: str) -> Facet:
    """Return a facet of a near Object; raises UsageError for a far one, which nobody here can watch."""
    if not isinstance(target, Object):
        raise UsageError(
            f"{cap}: a reference cannot be carried to be read, as what its host does is not known here: bind"
            " the Object itself, or carry .mut"
        )
    facet: Any = _class_of(type(target))()
    facet.target = target
    facet.stamp = Stamp(cap.partition(".")[0])
    return cast("Facet", facet)


@functools.cache
def _class_of(cls: type[Object]) -> Any:
    shown = [base for base in cls.__mro__ if is_interface(base) and rows_of(base)]
    names: dict[str, Any] = {
        row.name: method(latch=row.latch)(_on_a_view(row.function)) for row in rows_of(cls).values()
    }
    names |= {"__slots__": (), "__module__": __name__}
    make: Any = type(Facet)
    return make(f"{cls.__name__}Facet", (Facet, *shown[:1]), names)


def _on_a_view(function: Any) -> Any:
    def run(self: Facet, /, *args: Any, **kwargs: Any) -> Any:
        return function(view_of(self.target, self.stamp), *args, **kwargs)

    async def run_later(self: Facet, /, *args: Any, **kwargs: Any) -> Any:
        return await function(view_of(self.target, self.stamp), *args, **kwargs)

    return functools.wraps(function)(run_later if inspect.iscoroutinefunction(function) else run)
