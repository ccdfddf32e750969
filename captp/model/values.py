"""Plain values that Python lacks and the OCapN model has; they know nothing of references."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, final

from attrs import frozen

__all__ = ["NULL", "Fault", "FrozenMap", "Null", "Sharing", "Symbol", "Tagged", "mapped"]


@final
class Symbol:
    """A name as data, distinct from the string with the same letters."""

    __slots__ = ("name",)

    name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "name", name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a symbol cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a symbol cannot be changed")

    def __copy__(self) -> Symbol:
        return self

    def __deepcopy__(self, _memo: object) -> Symbol:
        return self

    def __eq__(self, other: object) -> bool:
        return type(other) is Symbol and self.name == other.name

    def __hash__(self) -> int:
        return hash((Symbol, self.name))

    def __repr__(self) -> str:
        return f"Symbol({self.name!r})"


@final
class Null:
    """The type of NULL, the model's null; Python's None is its undefined."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NULL"

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return type(other) is Null

    def __hash__(self) -> int:
        return hash(Null)


NULL = Null()


@final
@frozen
class Tagged:
    """A value with a name for what it means."""

    tag: str
    value: Any


@final
@frozen
class Fault:
    """An error as data: text, and whatever its class declared portable."""

    message: str
    data: Mapping[str, Any] | None = None
    incident: bytes | None = None


_ADVICE = "values that crossed a border are frozen; make your own with dict(value)"


@final
class FrozenMap(dict[str, Any]):
    """A struct that crossed a border: a dict with sorted string keys that nobody can change."""

    __slots__ = ()

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError(_ADVICE)

    if not TYPE_CHECKING:  # to a type checker it is a dict; changing it is refused when it is tried
        __setitem__ = __delitem__ = __ior__ = _refuse
        clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __copy__(self) -> FrozenMap:
        return self

    def __deepcopy__(self, _memo: object) -> FrozenMap:
        return self

    def __repr__(self) -> str:
        return f"FrozenMap({dict.__repr__(self)})"

    def copy(self) -> dict[str, Any]:
        """Return a plain dict that may be changed."""
        return dict(self)


class Sharing:
    """What can be changed, and shares what it holds with whoever it is passed to; see captp.cow."""

    __slots__ = ()

    def _captp_frozen(self, depth: int) -> Any:
        """Return its frozen form, for a value of which it is ``depth`` levels deep; raises Unpassable."""
        raise NotImplementedError


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a frozen value with ``change`` made to its parts."""
    if type(value) is tuple:
        return tuple(map(change, value))
    if type(value) is FrozenMap:
        return FrozenMap((k, change(v)) for k, v in value.items())
    if type(value) is Tagged:
        return Tagged(value.tag, change(value.value))
    return value
