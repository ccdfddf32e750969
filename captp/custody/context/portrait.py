"""Bound values as plain data, and back: their shape is what the capability's type says, and nothing else.

Dataclasses and attrs classes are structs of their fields; sets, and dicts whose keys are not text, are
lists; arenas and indexes are tagged. What has no type, or refers to an object, stays as it is.
"""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from captp.custody.context.arena import Arena, Index
from captp.errors import BadArguments, Unpassable, UsageError
from captp.model.interface import InterfaceMeta
from captp.model.promise import Reference
from captp.model.values import Tagged

if TYPE_CHECKING:
    import cattrs

__all__ = ["check_refillable", "refill", "saved", "shape", "taken"]

_ARENA: Final = "captp:arena"
_INDEX: Final = "captp:index"

Hook = Callable[..., Any]


def shape(value: Any, kind: Any, where: str) -> Any:
    """Return a value as data that may cross; raises Unpassable where it is not what its type says."""
    try:
        return _converter().unstructure(value, unstructure_as=kind)
    except (AttributeError, TypeError, ValueError) as problem:
        raise Unpassable(f"{where}: it is not what its type says: {problem}", where) from None


def taken(data: Any, kind: Any, where: str) -> Any:
    """Return the value that data is the shape of; raises BadArguments for other data."""
    try:
        return _converter().structure(data, kind)
    except Exception:  # cattrs's and the constructors' own, whose texts name what is ours
        raise BadArguments(f"{where}: what was given does not have the shape of its type") from None


def refill(value: Any, new: Any) -> None:
    """Have a value be as another one of its type, for all who hold it."""
    if isinstance(value, Arena):
        value._captp_fill(new._captp_slots())
    elif isinstance(value, list | bytearray):
        value[:] = new
    elif isinstance(value, deque):
        value.clear()
        value.extend(new)
    elif isinstance(value, dict | set):
        value.clear()
        value.update(new)
    else:
        for name in _fields_of(type(value)):
            # What its class checks and converts it did when it made the new one: this cannot fail halfway.
            object.__setattr__(value, name, getattr(new, name))


def saved(value: Any) -> Any:
    """Return what has ``refill`` put a value back as it is now."""
    if isinstance(value, Arena):
        arena: Arena[Any] = Arena()
        arena._captp_fill(value._captp_slots())
        return arena
    plain: tuple[Any, ...] = (list, bytearray, deque, dict, set)
    for kind in plain:
        if isinstance(value, kind):
            return kind(value)
    return SimpleNamespace(**{name: getattr(value, name) for name in _fields_of(type(value))})


def check_refillable(kind: Any, where: str) -> None:
    """Raise UsageError for a type whose values cannot be changed in their place."""
    kind = typing.get_origin(kind) or kind
    if not issubclass(kind, Arena | list | bytearray | deque | dict | set) and (
        not _fields_of(kind) or _is_frozen(kind)
    ):
        raise UsageError(
            f"{where}: a {kind.__name__} cannot be carried to be changed: have it be a captp.Arena, a list,"
            " dict or set, a dataclass, or an Interface for a reference"
        )


def _fields_of(kind: Any) -> list[str]:
    known: Any = getattr(kind, "__attrs_attrs__", None)
    if known is not None:
        return [field.name for field in known]
    return list(getattr(kind, "__dataclass_fields__", ()))


def _is_frozen(kind: Any) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    refuses: bool = (
        kind.__setattr__.__name__ == "_frozen_setattrs" if parameters is None else parameters.frozen
    )
    return refuses


def _origin(kind: Any) -> Any:
    return typing.get_origin(kind) or kind


def _arguments(kind: Any, count: int) -> tuple[Any, ...]:
    return (*typing.get_args(kind), *[Any] * count)[:count]


@cache
def _converter() -> cattrs.Converter:
    import cattrs  # noqa: PLC0415 - most programs carry nothing

    made = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)
    for atom in (bool, int, str, bytes):
        made.register_structure_hook(atom, _exactly)
    made.register_structure_hook(float, lambda data, _: data if type(data) is int else _exactly(data, float))
    made.register_unstructure_hook(bytearray, bytes)
    made.register_structure_hook(bytearray, lambda data, _: bytearray(_exactly(data, bytes)))
    for test, out, into in (
        (_has_fields, _struct_out, _struct_in),
        (lambda kind: _origin(kind) is Arena, _arena_out, _arena_in),
        (lambda kind: _origin(kind) is Index, _index_out, _index_in),
        (lambda kind: _origin(kind) in (list, deque, set, frozenset), _list_out, _list_in),
        (_is_open_dict, _dict_out, _dict_in),
        (_is_handle, _same, _handle_in),
    ):
        made.register_unstructure_hook_factory(test, partial(out, made))
        made.register_structure_hook_factory(test, partial(into, made))
    return made


def _has_fields(kind: Any) -> bool:
    return bool(_fields_of(_origin(kind)))


def _struct_out(converter: cattrs.Converter, kind: Any) -> Hook:
    from cattrs.gen import make_dict_unstructure_fn  # noqa: PLC0415 - most programs carry nothing

    # A field that __init__ does not take is state as well.
    return make_dict_unstructure_fn(kind, converter, _cattrs_include_init_false=True)


def _struct_in(converter: cattrs.Converter, kind: Any) -> Hook:
    from cattrs.gen import make_dict_structure_fn  # noqa: PLC0415 - most programs carry nothing

    return make_dict_structure_fn(
        kind,
        converter,
        _cattrs_include_init_false=True,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=False,
    )


def _list_out(converter: cattrs.Converter, kind: Any) -> Hook:
    (item,) = _arguments(kind, 1)
    return lambda values: tuple([converter.unstructure(value, unstructure_as=item) for value in values])


def _list_in(converter: cattrs.Converter, kind: Any) -> Hook:
    (item,) = _arguments(kind, 1)
    made = _origin(kind)
    return lambda data, _kind: made([converter.structure(part, item) for part in _exactly(data, tuple)])


def _exactly(data: Any, kind: Any) -> Any:
    if type(data) is not kind:
        raise TypeError
    return data


def _arena_out(converter: cattrs.Converter, kind: Any) -> Hook:
    (item,) = _arguments(kind, 1)

    def out(arena: Any) -> Tagged:
        rows = [
            (generation, converter.unstructure(value, unstructure_as=item) if generation % 2 else None)
            for generation, value in arena._captp_slots()
        ]
        return Tagged(_ARENA, tuple(rows))

    return out


def _arena_in(converter: cattrs.Converter, kind: Any) -> Hook:
    (item,) = _arguments(kind, 1)

    def into(data: Any, _kind: Any) -> Any:
        rows = [
            (_exactly(generation, int), converter.structure(value, item) if generation % 2 else None)
            for generation, value in _payload(data, _ARENA)
        ]
        if any(generation < 1 for generation, _ in rows):
            raise ValueError
        made: Arena[Any] = Arena()
        made._captp_fill(rows)
        return made

    return into


def _index_out(_converter: cattrs.Converter, _kind: Any) -> Hook:
    return lambda index: Tagged(_INDEX, (index.slot, index.generation))


def _index_in(_converter: cattrs.Converter, kind: Any) -> Hook:
    (item,) = _arguments(kind, 1)

    def into(data: Any, _kind: Any) -> Any:
        slot, generation = _payload(data, _INDEX)
        return Index(_exactly(slot, int), _exactly(generation, int), item if isinstance(item, type) else None)

    return into


def _is_open_dict(kind: Any) -> bool:
    return _origin(kind) is dict and _arguments(kind, 1)[0] not in (str, Any)


def _dict_out(converter: cattrs.Converter, kind: Any) -> Hook:
    key, item = _arguments(kind, 2)

    def out(values: Any) -> Any:
        return tuple(
            [
                (converter.unstructure(k, unstructure_as=key), converter.unstructure(v, unstructure_as=item))
                for k, v in values.items()
            ]
        )

    return out


def _dict_in(converter: cattrs.Converter, kind: Any) -> Hook:
    key, item = _arguments(kind, 2)
    return lambda data, _kind: {converter.structure(k, key): converter.structure(v, item) for k, v in data}


def _is_handle(kind: Any) -> bool:
    return kind is Any or isinstance(_origin(kind), InterfaceMeta) or _is_reference(_origin(kind))


def _is_reference(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Reference)


def _same(_converter: cattrs.Converter, _kind: Any) -> Hook:
    return lambda value: value


def _handle_in(_converter: cattrs.Converter, kind: Any) -> Hook:
    def into(data: Any, _kind: Any) -> Any:
        if kind is not Any and not isinstance(data, Reference):
            raise TypeError
        return data

    return into


def _payload(data: Any, tag: str) -> Any:
    if type(data) is not Tagged or data.tag != tag:
        raise TypeError
    return data.value
