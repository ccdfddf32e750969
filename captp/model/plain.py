"""Plain data: the copy of a value that nobody can change, made without running any code of the value's.

Kinds are told by identity: a metaclass may say that its class equals ``str``, and an instance that its
``__class__`` is another.
"""

from __future__ import annotations

from typing import Any, Final

from captp.errors import Unpassable
from captp.model.promise import Promise, Reference
from captp.model.ref import HOLDS, Ref
from captp.model.values import Fault, FrozenMap, Null, Symbol, Tagged

__all__ = ["mro_of", "plain"]

#: A sturdyref is none: who holds its swiss number holds an object.
_ATOMS: Final = {id(kind): kind for kind in (int, str, bytes, bool, type(None), float, complex, Null)}
#: As deep as what crosses the wire.
_MAX_DEPTH: Final = 61

#: What the type itself says; a metaclass may say something else.
_MRO: Final = type.__dict__["__mro__"].__get__
_SIZE: Final = type.__dict__["__basicsize__"].__get__
_DICT: Final = type.__dict__["__dictoffset__"].__get__

#: References have no room for anything but what reaches their target.
_ROOM: Final = frozenset({_SIZE(Ref), _SIZE(Promise)})


def mro_of(cls: type) -> tuple[type, ...]:
    """Return a class and all it derives from, nearest first."""
    mro: tuple[type, ...] = _MRO(cls)
    return mro


def plain(value: Any, depth: int = 0) -> Any:
    """Return the frozen copy of plain data; references that anybody may have stay. Raises Unpassable."""
    kind = type(value)
    if id(kind) in _ATOMS:
        return value
    if depth > _MAX_DEPTH:
        raise Unpassable(f"nested deeper than {_MAX_DEPTH} levels, or a cycle")
    if kind is tuple or kind is list:
        return tuple([plain(part, depth + 1) for part in list(value)])
    if kind is set or kind is frozenset:
        return frozenset([plain(part, depth + 1) for part in list(value)])
    if kind is bytearray:
        return bytes(value)
    if kind is dict or kind is FrozenMap:
        return FrozenMap(sorted([(_text(k), plain(v, depth + 1)) for k, v in list(dict.items(value))]))
    if kind is Symbol:
        return Symbol(_text(value.name))
    if kind is Tagged:
        return Tagged(_text(value.tag), plain(value.value, depth + 1))
    if kind is Fault:
        incident = None if value.incident is None else plain(value.incident, depth + 1)
        return Fault(_text(value.message), plain(value.data, depth + 1), incident)
    if _is_reference(kind) and not any(type(value._home) is hold for hold in HOLDS):
        return value
    raise Unpassable("this is no plain data")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Unpassable("this is no plain text")
    return value


def _is_reference(kind: type) -> bool:
    return any(base is Reference for base in _MRO(kind)) and _SIZE(kind) in _ROOM and not _DICT(kind)
