"""List, Map and Set as state: they are the builtins, know their owner and journal the inverse.

Every change passes ``_touch``, which the owner's home answers: outside a turn it refuses, inside it
adds the inverse operation to the journal. Bulk operations (sort, slices, clear) copy once. An undo is
right whether or not the change it stands for was made: an interrupt may fall between the two.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any, Final, Generic, SupportsIndex, TypeVar

T = TypeVar("T")


def _nobody() -> None:
    """Stand for the owner of what is not state."""


class Tracked:
    """What the three containers share: their owner, and what may go in (None: not state yet)."""

    __slots__ = ()

    #: Gives the object whose state this is. It is weak: an object goes as soon as nobody holds it.
    _owner: Callable[[], Any]
    _item: Any
    _plain: Callable[[Any], Any]

    def __copy__(self) -> Any:
        return self._plain(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._plain(self), memo)

    def __reduce__(self) -> Any:
        raise TypeError("a container of state cannot be serialised; make a plain list, dict or set of it")

    def _touch(self, undo: Callable[..., Any], *args: Any) -> None:
        owner = self._owner()
        if owner is not None:
            owner._home.container_write(owner, undo, args)

    def _admit(self, value: Any) -> Any:
        owner = self._owner()
        return value if owner is None else self._item(owner, value)


class List(Tracked, list[T], Generic[T]):
    """A list that is part of an object's state; a copy of it is a plain list."""

    __slots__ = ("_item", "_owner")

    _plain = list

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._owner, self._item = _nobody, None
        list.__init__(self, items)

    def append(self, item: T) -> None:
        item = self._admit(item)
        self._touch(_cut, self, len(self))
        list.append(self, item)

    def extend(self, items: Iterable[T]) -> None:
        new = [self._admit(i) for i in items]
        self._touch(_cut, self, len(self))
        list.extend(self, new)

    def __iadd__(self, items: Iterable[T]) -> List[T]:  # type: ignore[override, misc]
        self.extend(items)
        return self

    def __imul__(self, count: SupportsIndex) -> List[T]:
        self._touch(_refill, self, list(self))
        list.__imul__(self, count)
        return self

    def insert(self, index: SupportsIndex, item: T) -> None:
        item = self._admit(item)
        at = operator.index(index)
        length = len(self)
        self._touch(_uninsert, self, length, min(max(at + length if at < 0 else at, 0), length))
        list.insert(self, at, item)

    def pop(self, index: SupportsIndex = -1) -> T:
        at = operator.index(index)
        length = len(self)
        self._touch(_unpop, self, length, at + length if at < 0 else at, list.__getitem__(self, at))
        return list.pop(self, at)

    def remove(self, item: T) -> None:
        del self[self.index(item)]

    def __setitem__(self, index: Any, item: Any) -> None:
        if type(index) is slice:
            new = [self._admit(i) for i in item]
            self._touch(_refill, self, list(self))
            list.__setitem__(self, index, new)
        else:
            item = self._admit(item)
            self._touch(list.__setitem__, self, index, list.__getitem__(self, index))
            list.__setitem__(self, index, item)

    def __delitem__(self, index: Any) -> None:
        if type(index) is slice:
            self._touch(_refill, self, list(self))
            list.__delitem__(self, index)
        else:
            self.pop(index)

    def clear(self) -> None:
        self._touch(_refill, self, list(self))
        list.clear(self)

    def reverse(self) -> None:
        self._touch(_refill, self, list(self))
        list.reverse(self)

    def sort(self, *, key: Callable[[T], Any] | None = None, reverse: bool = False) -> None:
        self._touch(_refill, self, list(self))
        list.sort(self, key=key, reverse=reverse)  # type: ignore[arg-type, type-var]


K = TypeVar("K")
V = TypeVar("V")


class Map(Tracked, dict[K, V], Generic[K, V]):
    """A dict that is part of an object's state; a deletion that is rolled back re-adds at the end."""

    __slots__ = ("_item", "_key", "_owner", "_places")

    _plain = dict

    def __init__(self, items: Any = (), **named: Any) -> None:
        self._owner, self._item = _nobody, None
        self._key: Any = None
        #: Where its entries are stored, in a durable vat.
        self._places: Any = None
        dict.__init__(self, items, **named)

    def __setitem__(self, key: K, value: V) -> None:
        value = self._admit(value)
        if key in self:
            self._touch(dict.__setitem__, self, key, dict.__getitem__(self, key))
        else:
            owner = self._owner()
            if owner is not None:
                key = self._key(owner, key)
            self._touch(dict.pop, self, key, None)
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: K) -> None:
        self._touch(dict.__setitem__, self, stored_key(self, key), dict.__getitem__(self, key))
        dict.__delitem__(self, key)

    def pop(self, key: K, *default: Any) -> Any:
        if key not in self and default:
            return default[0]
        value = dict.__getitem__(self, key)
        del self[key]
        return value

    def popitem(self) -> tuple[K, V]:
        if not self:
            raise KeyError("popitem(): the map is empty")
        key = next(reversed(self))
        return key, self.pop(key)

    def setdefault(self, key: K, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return dict.__getitem__(self, key)

    def update(self, *items: Any, **named: Any) -> None:
        new: dict[Any, Any] = dict(*items, **named)
        for key, value in new.items():
            self[key] = value

    def __ior__(self, items: Any) -> Map[K, V]:  # type: ignore[override, misc]
        self.update(items)
        return self

    def clear(self) -> None:
        self._touch(dict.update, self, dict(self))
        dict.clear(self)


class Set(Tracked, set[T], Generic[T]):
    """A set that is part of an object's state; a copy of it is a plain set."""

    __slots__ = ("_item", "_owner")

    _plain = set

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._owner, self._item = _nobody, None
        set.__init__(self, items)

    def add(self, item: T) -> None:
        item = self._admit(item)
        if item not in self:
            self._touch(set.discard, self, item)
            set.add(self, item)

    def discard(self, item: object) -> None:
        if item in self:
            self._touch(set.add, self, stored_key(self, item))
            set.discard(self, item)

    def remove(self, item: T) -> None:
        if item not in self:
            raise KeyError(item)
        self.discard(item)

    def pop(self) -> T:
        if not self:
            raise KeyError("pop from an empty set")
        item = next(iter(self))
        self.discard(item)
        return item

    def clear(self) -> None:
        self._replace(())

    def update(self, *others: Iterable[T]) -> None:
        for other in others:
            for item in other:
                self.add(item)

    def _replace(self, items: Iterable[T]) -> Set[T]:
        new = [self._admit(i) for i in items]
        self._touch(_reset, self, list(self))
        _reset(self, new)
        return self

    def difference_update(self, *others: Iterable[Any]) -> None:
        self._replace(set.difference(self, *others))

    def intersection_update(self, *others: Iterable[Any]) -> None:
        self._replace(set.intersection(self, *others))

    def symmetric_difference_update(self, other: Iterable[T]) -> None:
        self._replace(set.symmetric_difference(self, other))

    def __ior__(self, other: Any) -> Set[T]:  # type: ignore[override, misc]
        self.update(other)
        return self

    def __iand__(self, other: Any) -> Set[T]:  # type: ignore[misc]
        return self._replace(set.intersection(self, other))

    def __isub__(self, other: Any) -> Set[T]:  # type: ignore[misc]
        return self._replace(set.difference(self, other))

    def __ixor__(self, other: Any) -> Set[T]:  # type: ignore[override, misc]
        return self._replace(set.symmetric_difference(self, other))


class _Probe:
    """Asks a container for the key that is equal to one: its comparison sees that."""

    __slots__ = ("found", "key")

    def __init__(self, key: Any) -> None:
        self.key = self.found = key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        if other != self.key:
            return False
        self.found = other
        return True


#: Types with values that are equal to others of another type: 1, 1.0 and True are one key to Python.
_LOOSE: Final = frozenset({int, float, bool, tuple})


def stored_key(container: Container[Any], key: Any) -> Any:
    """Return the key that a container has, of those that are equal to ``key``."""
    if type(key) not in _LOOSE:
        return key
    probe = _Probe(key)
    return probe.found if probe in container else key


def _cut(items: list[Any], length: int) -> None:
    list.__delitem__(items, slice(length, None))


def _uninsert(items: list[Any], length: int, at: int) -> None:
    # An undo is asked for nothing: it may run where the container must not be read.
    if list.__len__(items) > length:
        list.__delitem__(items, at)


def _unpop(items: list[Any], length: int, at: int, item: Any) -> None:
    if list.__len__(items) < length:
        list.insert(items, at, item)


def _refill(items: list[Any], before: list[Any]) -> None:
    list.__setitem__(items, slice(None), before)


def _reset(items: set[Any], before: Iterable[Any]) -> None:
    set.clear(items)
    set.update(items, before)


def parts_of(container: Tracked) -> Iterator[Any]:
    """Yield every value that a tracked container holds, keys of a Map included."""
    if isinstance(container, Map):
        yield from container.keys()
        yield from container.values()
    else:
        yield from container  # type: ignore[misc]
