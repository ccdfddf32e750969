"""Copy on write: a list and a dict of plain data that share what they hold until they are changed.

Whoever is passed one, or has a copy, or goes over it, has what it held then, and nothing was copied for that.
The first change afterwards copies once, and the next are made in place.

own: a list, or a dict --passed, copied, gone over--> shared: a tuple, or a FrozenMap --changed--> own.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    MutableSequence,
    ValuesView,
)
from typing import Any, ClassVar, Generic, SupportsIndex, TypeVar, final, overload

from captp.errors import Unpassable
from captp.model.passable import ATOMS, MAX_DEPTH, plain
from captp.model.values import Fault, FrozenMap, Sharing, Tagged

__all__ = ["List", "Map"]

T = TypeVar("T")
V = TypeVar("V")


class _Handle(Sharing):
    """What both have: the frozen form of what goes in and of the whole."""

    __slots__ = ("_items", "_levels")

    #: What it is to a field of an Object, which makes a captp container of it.
    _plain: ClassVar[Any]

    #: The list or dict, or what others have of it too.
    _items: Any
    #: Containers within each other in an item, at most.
    _levels: int

    def __init__(self) -> None:
        self._levels = 0

    def _share(self) -> Any:
        """Return what it holds as nobody changes it any more."""
        raise NotImplementedError

    def _admit(self, item: Any) -> Any:
        if type(item) in ATOMS:
            return item
        item = plain(item)
        self._levels = max(self._levels, _levels(item))
        return item

    def _admit_all(self, items: Any) -> Any:
        items = plain(items)
        self._levels = max(self._levels, _levels(items) - 1)
        return items

    def _captp_frozen(self, depth: int) -> Any:
        items = self._share()
        # What was once this deep may be gone: looking at all of it tells.
        return items if depth + self._levels <= MAX_DEPTH else plain(items, depth)

    def __copy__(self) -> Any:
        return type(self)(self)  # type: ignore[call-arg]

    def __deepcopy__(self, _memo: object) -> Any:
        return self.__copy__()

    def __repr__(self) -> str:
        return f"cow.{type(self).__name__}({self._plain(self._items)!r})"


@final
class List(_Handle, MutableSequence[T], Generic[T]):
    """A list of plain data that is shared until it is changed.

    Items are frozen as they go in. Raises Unpassable for what is no plain data.
    """

    __slots__ = ()

    _plain = list
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, items: Iterable[T] = ()) -> None:
        super().__init__()
        if isinstance(items, List):
            self._items, self._levels = items._share(), items._levels
        else:
            self._items = self._admit_all(tuple(items))

    def _own(self) -> list[T]:
        items = self._items
        if type(items) is tuple:
            items = self._items = list(items)
        return items  # type: ignore[no-any-return]

    def _share(self) -> tuple[T, ...]:
        items = self._items
        if type(items) is list:
            items = self._items = tuple(items)
        return items  # type: ignore[no-any-return]

    def copy(self) -> List[T]:
        """Return another with the same items."""
        return List(self)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> List[T]: ...
    def __getitem__(self, index: Any) -> Any:
        found = self._items[index]
        if type(index) is not slice:
            return found
        part: List[T] = List()
        part._items, part._levels = found, self._levels
        return part

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._share())

    def __reversed__(self) -> Iterator[T]:
        return reversed(self._share())

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, List | list | tuple):
            return NotImplemented
        return self._share() == tuple(other)

    @overload
    def __setitem__(self, index: int, item: T) -> None: ...
    @overload
    def __setitem__(self, index: slice, item: Iterable[T]) -> None: ...
    def __setitem__(self, index: Any, item: Any) -> None:
        item = self._admit_all(tuple(item)) if type(index) is slice else self._admit(item)
        self._own()[index] = item

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        del self._own()[index]

    def insert(self, index: SupportsIndex, item: T) -> None:
        # What goes in may be this itself, which shares it: so it is looked at first, here and below.
        item = self._admit(item)
        self._own().insert(index, item)

    def append(self, item: T) -> None:
        item = self._admit(item)
        self._own().append(item)

    def extend(self, items: Iterable[T]) -> None:
        items = self._admit_all(tuple(items))
        self._own().extend(items)

    def clear(self) -> None:
        self._items, self._levels = (), 0

    def reverse(self) -> None:
        self._own().reverse()

    def sort(self, *, key: Callable[[T], Any] | None = None, reverse: bool = False) -> None:
        self._items = sorted(self._items, key=key, reverse=reverse)


@final
class Map(_Handle, MutableMapping[str, V], Generic[V]):
    """A dict of plain data with text keys that is shared until it is changed.

    Values are frozen as they go in, and whoever goes over it meets the keys in their order. Raises Unpassable
    for what is no plain data.
    """

    __slots__ = ()

    _plain = dict
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, items: Mapping[str, V] | Iterable[tuple[str, V]] = (), /, **named: V) -> None:
        super().__init__()
        if isinstance(items, Map) and not named:
            self._items, self._levels = items._share(), items._levels
        else:
            self._items = self._admit_all(dict(items, **named))

    def _own(self) -> dict[str, V]:
        items = self._items
        if type(items) is FrozenMap:
            items = self._items = dict(items)
        return items  # type: ignore[no-any-return]

    def _share(self) -> FrozenMap:
        items = self._items
        if type(items) is dict:
            keys = sorted(items)
            items = self._items = FrozenMap(items if keys == list(items) else {k: items[k] for k in keys})
        return items  # type: ignore[no-any-return]

    def copy(self) -> Map[V]:
        """Return another with the same items."""
        return Map(self)

    def __getitem__(self, key: str) -> V:
        return self._items[key]  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._share())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._share())

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def keys(self) -> KeysView[str]:
        return self._share().keys()

    def values(self) -> ValuesView[V]:
        return self._share().values()

    def items(self) -> ItemsView[str, V]:
        return self._share().items()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Map | dict):
            return NotImplemented
        return self._items == (other._items if isinstance(other, Map) else other)  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: V) -> None:
        if type(key) is not str:
            raise Unpassable(f"a key of a cow.Map is a str, not {type(key).__name__}")
        value = self._admit(value)
        self._own()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._own()[key]

    def popitem(self) -> tuple[str, V]:
        return self._own().popitem()

    def update(self, *items: Any, **named: V) -> None:
        new = self._admit_all(dict(*items, **named))
        self._own().update(new)

    def clear(self) -> None:
        self._items, self._levels = FrozenMap(), 0


def _levels(value: Any) -> int:
    """Return how many containers are within each other in a frozen value, itself one of them."""
    kind = type(value)
    if kind is tuple:
        parts = value
    elif kind is FrozenMap:
        parts = value.values()
    elif kind is Tagged:
        parts = (value.value,)
    elif kind is Fault:
        parts = (value.data,)
    else:
        return 0
    return 1 if ATOMS.issuperset(map(type, parts)) else 1 + max(map(_levels, parts))
