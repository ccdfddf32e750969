"""Twins of the classes of Objects and containers, which ask the capsule before they are read.

What is in a capsule is of its class's twin, so that what is in none pays nothing. Writes need no twin: every
field and every container asks the object's home already.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from typing import Any, Final

from captp.model.containers import List, Map, Set, Tracked
from captp.model.object import Object

__all__ = ["guard", "guarded", "unguard"]

_READ_BY_ALL: Final = "__contains__ __eq__ __ge__ __gt__ __iter__ __le__ __len__ __lt__ __ne__ __repr__ copy"
#: What reads each kind of container, besides what asks already as it writes.
_READS: Final[dict[type, str]] = {
    List: "__add__ __getitem__ __mul__ __reversed__ __rmul__ count index",
    Map: "__getitem__ __or__ __reversed__ __ror__ get",
    Set: "__and__ __or__ __rand__ __ror__ __rsub__ __rxor__ __sub__ __xor__ difference intersection"
    " isdisjoint issubset issuperset symmetric_difference union",
}


class _Unannounced:
    """Keeps a class's ``__init_subclass__`` from its twin, which no program has defined."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        pass


def guarded(cls: type[Object]) -> type[Object]:
    """Return the twin of a class, made when it is first asked for; of a twin, the twin itself."""
    if "_captp_plain" in cls.__dict__:
        return cls
    twin: type[Object] | None = cls.__dict__.get("_captp_twin")
    if twin is None:
        names: dict[str, Any] = {
            "__slots__": (),
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "_captp_plain": cls,
        }
        names.update((name, _field(cls, name)) for name in cls._captp_fields)
        # Not the metaclass's own way of making classes: nothing of a twin is the user's.
        twin = type.__new__(type(cls), cls.__name__, (_Unannounced, cls), names)
        cls._captp_twin = twin  # type: ignore[attr-defined]
    return twin


def guard(container: Tracked) -> None:
    """Have a container, and those in it, ask before they are read."""
    for one in _nested(container):
        one.__class__ = _CONTAINER_TWINS.get(type(one), type(one))


def unguard(obj: Object) -> None:
    """Let an object and its containers be read by everybody again."""
    plain = type(obj).__dict__.get("_captp_plain")
    if plain is None:
        return
    obj.__class__ = plain
    for value in contained(obj):
        for one in _nested(value):
            one.__class__ = type(one).__dict__.get("_captp_plain", type(one))


def contained(obj: Object) -> list[Tracked]:
    """Return the containers in an object's fields, but not those in them."""
    found, stack = [], [getattr(obj, f"_f_{name}", None) for name in type(obj)._captp_fields]
    while stack:
        value = stack.pop()
        if isinstance(value, Tracked):
            found.append(value)
        elif type(value) is tuple:
            stack.extend(value)
    return found


def _nested(container: Tracked) -> list[Tracked]:
    found: list[Tracked] = []
    stack: list[Any] = [container]
    while stack:
        value = stack.pop()
        if isinstance(value, Tracked):
            found.append(value)
            # Not by the methods that ask: nobody has to run within the capsule.
            stack += _PLAIN_PARTS[value._plain](value)
        elif type(value) is tuple:
            stack += value
    return found


def _field(cls: type[Object], name: str) -> property:
    field: property = getattr(cls, name)
    read = field.fget
    assert read is not None

    def get(self: Any) -> Any:
        self._home.look(self)
        return read(self)

    return property(get, field.fset)


def _ask(container: Any) -> Any:
    owner = container._owner()
    if owner is not None:
        owner._home.look(owner)
    return container


def _read(read: Callable[..., Any]) -> Callable[..., Any]:
    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        return read(_ask(self), *args, **kwargs)

    return asked


class _View:
    """Reads a map by what asks; a dict's own views would read it wherever they are carried."""

    __slots__ = ()

    _mapping: Any
    #: Makes a dict's own view.
    _own: Any

    def __contains__(self, item: object) -> bool:
        return item in type(self)._own(_ask(self._mapping))

    def __iter__(self) -> Iterator[Any]:
        return type(self)._own(_ask(self._mapping)).__iter__()  # type: ignore[no-any-return]

    def __reversed__(self) -> Iterator[Any]:
        return reversed(type(self)._own(_ask(self._mapping)))  # type: ignore[no-any-return]


class _Keys(_View, KeysView[Any]):
    __slots__ = ()
    _own = dict.keys


class _Values(_View, ValuesView[Any]):
    __slots__ = ()
    _own = dict.values


class _Items(_View, ItemsView[Any, Any]):
    __slots__ = ()
    _own = dict.items


#: What each kind has that is more than to ask first.
_OWN: Final[dict[type, dict[str, Any]]] = {
    # A plain list on the left would read it without asking.
    List: {"__radd__": lambda self, other: [*other, *self] if isinstance(other, list) else NotImplemented},
    Map: {
        "keys": lambda self: _Keys(_ask(self)),
        "values": lambda self: _Values(_ask(self)),
        "items": lambda self: _Items(_ask(self)),
    },
    Set: {},
}


def _container_twin(kind: type) -> type:
    names = f"{_READ_BY_ALL} {_READS[kind]}".split()
    made: dict[str, Any] = {name: _read(getattr(kind, name)) for name in names if hasattr(kind, name)}
    made |= _OWN[kind]
    made |= {"__slots__": (), "__module__": kind.__module__, "__hash__": None, "_captp_plain": kind}
    return type(kind.__name__, (kind,), made)


_CONTAINER_TWINS: Final = {kind: _container_twin(kind) for kind in _READS}
_PLAIN_PARTS: Final[dict[Any, Callable[[Any], Any]]] = {
    list: list.__iter__,
    dict: dict.values,
    set: set.__iter__,
}
