"""What one state field may hold: atoms, references, Objects and tracked containers, else refused."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any, Final

from captp.errors import BadClass, Unpassable
from captp.model.containers import List, Map, Set, Tracked
from captp.model.interface import InterfaceMeta, LocalCall, is_interface, ref_class
from captp.model.promise import Promise, Reference
from captp.model.ref import Ref, view
from captp.model.values import Fault, FrozenMap, Null, Symbol, Tagged

Convert = Callable[[Any, Any], Any]

MISSING: Final = object()

EXACT: Final = frozenset({int, str, bytes, bool, float, type(None), Symbol, Null})
PLAIN: Final = EXACT | {Tagged, Fault, FrozenMap}

_MISSING_TEXT = "{where} needs a value: pass {name}=... to the constructor, or give it a default"


class Field:
    """One annotated field: its default, and the conversion that assigning passes through."""

    __slots__ = ("_convert", "annotation", "default", "name", "owner", "owner_name")

    def __init__(self, owner_name: str, name: str, annotation: Any, default: Any) -> None:
        self.owner_name = owner_name
        self.name = name
        self.annotation = annotation
        self.default = default
        self.owner: type | None = None
        self._convert: Convert | None = None

    def bind(self, owner: type) -> None:
        """Learn the class, and refuse at once an annotation that can never be state."""
        self.owner = owner
        try:
            self._resolve()
        except NameError:
            return

    def _resolve(self) -> Convert:
        assert self.owner is not None
        if self._convert is None:
            hints = typing.get_type_hints(self.owner, localns={self.owner_name: self.owner})
            self.annotation = hints[self.name]
            self._convert = converter(self.annotation, self.where)
        return self._convert

    @property
    def where(self) -> str:
        return f"{self.owner_name}.{self.name}"

    def exact_types(self) -> frozenset[type]:
        """Return the types that need no conversion at all; empty when there are none or not yet."""
        if self._convert is None:
            return frozenset()
        return frozenset(t for t in _members(self.annotation) if t in EXACT)

    @property
    def has_default(self) -> bool:
        return self.default is not MISSING or self._container() is not None

    def fresh(self) -> Any:
        """Return the value of a field that the constructor was not given."""
        if self.default is not MISSING:
            return self.default
        made = self._container()
        if made is None:
            raise TypeError(_MISSING_TEXT.format(where=self.where, name=self.name))
        return made()

    def _container(self) -> type | None:
        if self._convert is None:
            self._resolve()
        origin = typing.get_origin(self.annotation) or self.annotation
        return _CONTAINERS.get(origin)

    def convert(self, owner: Any, value: Any) -> Any:
        """Return what may be stored; raises Unpassable naming the field."""
        return (self._convert or self._resolve())(owner, value)


_CONTAINERS: dict[Any, type] = {list: List, List: List, dict: Map, Map: Map, set: Set, Set: Set}


def _members(annotation: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return tuple(m for a in typing.get_args(annotation) for m in _members(a))
    if annotation is None:
        return (type(None),)
    if origin is typing.Literal:
        return ()
    return (annotation,)


def converter(annotation: Any, where: str) -> Convert:
    """Return the conversion for one annotation; raises BadClass when it can never be state."""
    members = _members(annotation)
    if len(members) > 1:
        choices = [converter(m, where) for m in members]
        return lambda owner, value: _first(choices, owner, value, where)
    if not members:
        allowed = typing.get_args(annotation)
        return lambda _o, value: value if value in allowed else _refuse(where, annotation, value)
    (kind,) = members
    origin, args = typing.get_origin(kind) or kind, typing.get_args(kind)
    if kind is Any or kind is object:
        return lambda owner, value: admit(owner, value, where)
    if isinstance(kind, typing.NewType):
        return converter(kind.__supertype__, where)
    if kind is float:
        return lambda _o, value: _as_float(value, where)
    if kind in PLAIN:
        return lambda _o, value: value if type(value) is kind else _refuse(where, kind, value)
    if origin in _CONTAINERS:
        return _container_converter(_CONTAINERS[origin], args, where)
    if origin is tuple:
        return lambda owner, value: (
            admit(owner, value, where) if type(value) is tuple else _refuse(where, kind, value)
        )
    if is_interface(kind):
        return lambda owner, value: _as_reference(owner, value, kind, where)
    if isinstance(kind, InterfaceMeta):
        return lambda owner, value: _as_object(owner, value, kind, where)
    if isinstance(origin, type) and issubclass(origin, Reference):
        return lambda _o, value: value if isinstance(value, Reference) else _refuse(where, kind, value)
    raise BadClass(
        f"{where}: {getattr(kind, '__name__', kind)} cannot be state; use plain data, captp.List, Map"
        " or Set, another captp.Object, or an Interface for a reference"
    )


def admit(owner: Any, value: Any, where: str) -> Any:
    """Return the tracked or converted form of any value that may be state."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is tuple:
        return tuple([admit(owner, v, where) for v in value])
    if isinstance(value, Reference):
        return value
    if isinstance(value, LocalCall):
        return _as_object(owner, value, type(value), where)
    base = _CONTAINERS.get(kind)
    if base is not None:
        return _container_converter(base, (), where)(owner, value)
    return _refuse(where, "state", value)


def _first(choices: list[Convert], owner: Any, value: Any, where: str) -> Any:
    for choice in choices:
        try:
            return choice(owner, value)
        except Unpassable:
            continue
    return _refuse(where, "one of its types", value)


def _as_float(value: Any, where: str) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    return _refuse(where, float, value)  # type: ignore[no-any-return]


def _as_reference(owner: Any, value: Any, interface: type, where: str) -> Any:
    if isinstance(value, Ref):
        return view(value._home, value._anchor, ref_class(interface))
    if isinstance(value, Promise):
        return value
    if isinstance(value, LocalCall) and isinstance(value, interface):
        reference = owner._home.reference
        return value if reference is None else reference(value, interface)
    return _refuse(where, interface, value)


def _as_object(owner: Any, value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, Reference):
        return _refuse(where, kind, value)
    if owner._home.reference is not None:
        owner._home.adopt(value)
    return value


def _container_converter(base: type, args: tuple[Any, ...], where: str) -> Convert:
    items = [converter(a, where) for a in args]

    def any_value(owner: Any, value: Any) -> Any:
        return admit(owner, value, where)

    item = items[-1] if items else any_value

    def convert(owner: Any, value: Any) -> Any:
        if type(value) not in _CONTAINERS or _CONTAINERS[type(value)] is not base:
            return _refuse(where, base, value)
        if isinstance(value, Tracked) and value._owner is owner:
            return value
        made = base()
        made._owner, made._item = owner, item
        if base is Map:
            dict.update(made, {_key(k, where): item(owner, v) for k, v in value.items()})
        elif base is List:
            list.extend(made, [item(owner, v) for v in value])
        else:
            set.update(made, [item(owner, v) for v in value])
        return made

    return convert


def _key(key: Any, where: str) -> Any:
    return key if type(key) in EXACT or type(key) is tuple else _refuse(where, "a key", key)


def _refuse(where: str, wanted: Any, value: Any) -> Any:
    name = getattr(wanted, "__name__", wanted)
    raise Unpassable(
        f"{where} takes {name}, not {type(value).__name__}; state is plain data, references,"
        " captp.Objects and captp containers",
        where,
    )


def convert_parts(owner: Any, container: Tracked) -> None:
    """Convert the Objects in a container whose owner has just got a vat."""
    item = container._item
    if isinstance(container, Map):
        for key, value in container.items():
            if isinstance(value, LocalCall):
                dict.__setitem__(container, key, item(owner, value))
    elif isinstance(container, List):
        for index, value in enumerate(container):
            if isinstance(value, LocalCall):
                list.__setitem__(container, index, item(owner, value))
    elif isinstance(container, Set):
        for value in [v for v in container if isinstance(v, LocalCall)]:
            set.discard(container, value)
            set.add(container, item(owner, value))
