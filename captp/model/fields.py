"""What one state field may hold: atoms, references, Objects and tracked containers, else refused."""

from __future__ import annotations

import sys
import typing
import weakref
from collections.abc import Callable
from typing import Any, Final

from captp.errors import BadClass, Unpassable
from captp.model.annotations import as_float, members_of
from captp.model.containers import List, Map, Set, Tracked, parts_of
from captp.model.interface import InterfaceMeta, LocalCall, as_promise, is_interface, ref_class
from captp.model.locator import SturdyRef
from captp.model.own import Mode
from captp.model.promise import Promise, Reference
from captp.model.ref import HOLDS, Ref, shown
from captp.model.values import Fault, FrozenMap, Null, Symbol, Tagged

Convert = Callable[[Any, Any], Any]

MISSING: Final = object()

EXACT: Final = frozenset({int, str, bytes, bool, float, type(None), Symbol, Null, SturdyRef})
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
            names = {self.owner_name: self.owner}
            module = sys.modules.get(self.owner.__module__)
            bare = type("_", (), {"__annotations__": {self.name: self.annotation}})
            scope = vars(module) if module else {}
            whole = typing.get_type_hints(bare, scope, names, include_extras=True)[self.name]
            if any(isinstance(mark, Mode) for mark in getattr(whole, "__metadata__", ())):
                raise BadClass(f"{self.where}: state is shared; terms are for the parameters of methods")
            self.annotation = typing.get_type_hints(bare, scope, names)[self.name]
            self._convert = converter(self.annotation, self.where)
        return self._convert

    @property
    def where(self) -> str:
        return f"{self.owner_name}.{self.name}"

    def exact_types(self) -> frozenset[type]:
        """Return the types that need no conversion at all; empty when there are none or not yet."""
        if self._convert is None:
            return frozenset()
        return frozenset(t for t in members_of(self.annotation) if t in EXACT)

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
        self.resolved()
        origin = typing.get_origin(self.annotation) or self.annotation
        return _CONTAINERS.get(origin)

    def convert(self, owner: Any, value: Any) -> Any:
        """Return what may be stored; raises Unpassable naming the field."""
        return (self._convert or self.resolved())(owner, value)

    def resolved(self) -> Convert:
        """Return the conversion; raises BadClass when a name in the annotation is not there."""
        try:
            return self._resolve()
        except NameError as problem:
            raise BadClass(
                f"{self.where}: cannot resolve {problem.name!r} in its annotation; define or import it"
                " at module level"
            ) from None


_CONTAINERS: dict[Any, type] = {list: List, List: List, dict: Map, Map: Map, set: Set, Set: Set}


def converter(annotation: Any, where: str) -> Convert:
    """Return the conversion for one annotation; raises BadClass when it can never be state."""
    members = members_of(annotation)
    if len(members) > 1:
        choices = [converter(m, where) for m in members]
        return lambda owner, value: _first(choices, owner, value, where)
    kind = members[0]
    origin, args = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is typing.Literal:
        allowed = frozenset((type(a), a) for a in args)
        types = frozenset(type(a) for a in args)
        return lambda _o, value: (
            value if type(value) in types and (type(value), value) in allowed else _refuse(where, kind, value)
        )
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
        return lambda owner, value: (
            admit(owner, value, where) if isinstance(value, Reference) else _refuse(where, kind, value)
        )
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
        _check_home(owner, value, where)
        return value
    if isinstance(value, LocalCall):
        return _as_object(owner, value, type(value), where)
    base = _container(kind)
    if base is not None:
        return _container_converter(base, (), where)(owner, value)
    return _refuse(where, "state", value)


def _check_home(owner: Any, value: Any, where: str) -> None:
    if isinstance(value, Reference):
        vat = getattr(owner._home, "vat", None)
        if type(value._home) in HOLDS:
            raise value._home.stored(where)  # type: ignore[attr-defined]
        if vat is not None and value._home is not vat:
            raise Unpassable(f"{where}: a reference of another vat; each belongs to one open_vat()", where)
        if not value._crosses:
            raise Unpassable(f"{where}: a promise for what is no state; await it in the method", where)


def _first(choices: list[Convert], owner: Any, value: Any, where: str) -> Any:
    _check_home(owner, value, where)
    for choice in choices:
        try:
            return choice(owner, value)
        except Unpassable:
            continue
    return _refuse(where, "one of its types", value)


def _as_float(value: Any, where: str) -> Any:
    found = as_float(value)
    return _refuse(where, float, value) if found is None else found


def _as_reference(owner: Any, value: Any, interface: type, where: str) -> Any:
    _check_home(owner, value, where)
    if isinstance(value, Ref):
        return shown(value, ref_class(interface))
    if isinstance(value, Promise):
        return as_promise(value, interface)
    if isinstance(value, LocalCall) and isinstance(value, interface):
        reference = owner._home.reference
        return value if reference is None else reference(value, interface)
    return _refuse(where, interface, value)


def _as_object(owner: Any, value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, Reference):
        return _refuse(where, kind, value)
    adopt = owner._home.adopt
    if adopt is not None:
        adopt(value)
    return value


def _container_converter(base: type, args: tuple[Any, ...], where: str) -> Convert:
    items = [converter(a, where) for a in args]

    def any_value(owner: Any, value: Any) -> Any:
        return admit(owner, value, where)

    item = items[-1] if items else any_value
    key = items[0] if base is Map and items else any_value

    def checked_key(owner: Any, value: Any) -> Any:
        value = key(owner, value)
        return value if _is_key(value) else _refuse(where, "plain data as a key", value)

    def convert(owner: Any, value: Any) -> Any:
        if _container(type(value)) is not base:
            return _refuse(where, base, value)
        if _is_own(value, owner, item):
            return value
        made = base()
        made._owner, made._item = weakref.ref(owner), item
        if isinstance(made, Map):
            made._key = checked_key
            dict.update(made, {checked_key(owner, k): item(owner, v) for k, v in value.items()})
        elif isinstance(made, List):
            list.extend(made, [item(owner, v) for v in value])
        else:
            set.update(made, [item(owner, v) for v in value])
        guard = owner._home.guard
        if guard is not None:
            guard(made)
        return made

    return convert


def _container(kind: type) -> type | None:
    """Return the container that values of a type become; None if they are none."""
    base = _CONTAINERS.get(kind)
    # Those in a capsule are of twins, which have the same plain type.
    return _CONTAINERS.get(getattr(kind, "_plain", None)) if base is None else base


def _is_own(value: Any, owner: Any, item: Convert) -> bool:
    return isinstance(value, Tracked) and value._owner() is owner and value._item is item


def _is_key(key: Any) -> bool:
    return type(key) in EXACT or (type(key) is tuple and all(_is_key(k) for k in key))


def _refuse(where: str, wanted: Any, value: Any) -> Any:
    name = getattr(wanted, "__name__", wanted)
    raise Unpassable(
        f"{where} takes {name}, not {type(value).__name__}; state is plain data, references,"
        " captp.Objects and captp containers",
        where,
    )


def convert_parts(owner: Any, container: Tracked) -> None:
    """Convert the Objects in a container, however nested, whose owner has just got a vat."""
    stack = [container]
    while stack:
        inner = stack.pop()
        item = inner._item
        stack += [v for v in parts_of(inner) if isinstance(v, Tracked)]
        if isinstance(inner, Map):
            for key, value in inner.items():
                if isinstance(value, LocalCall | tuple):
                    dict.__setitem__(inner, key, item(owner, value))
        elif isinstance(inner, List):
            for index, value in enumerate(inner):
                if isinstance(value, LocalCall | tuple):
                    list.__setitem__(inner, index, item(owner, value))
        elif isinstance(inner, Set):
            for value in [v for v in inner if isinstance(v, LocalCall)]:
                set.discard(inner, value)
                set.add(inner, item(owner, value))
