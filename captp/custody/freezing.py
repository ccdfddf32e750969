"""Deep freeze: the form of a value that nobody can change, so that everybody may read it.

Lists become tuples, dicts FrozenMaps or read-only mappings, sets frozensets. References and ``Data`` are
handles, and stay. An Object stays where it may: in a frozen capsule, which refuses its writes.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from captp.errors import Unpassable
from captp.model.boxed import Boxed
from captp.model.object import Object
from captp.model.passable import ATOMS, MAX_DEPTH, at
from captp.model.promise import Reference
from captp.model.trust import Trust
from captp.model.values import Fault, FrozenMap, Sharing, Tagged

__all__ = ["frozen"]

_HANDLES: Final = (Boxed, Reference, Trust)
_ADVICE: Final = "give plain data, or wrap it, Data.wrap(access, value)"


def frozen(value: Any, *, keeps_objects: bool = False, depth: int = 0) -> Any:
    """Return what may leave a capsule of a value; raises Unpassable whose ``path`` leads to what may not."""
    kind = type(value)
    if kind in ATOMS or kind is float:
        return value
    if depth > MAX_DEPTH:
        raise Unpassable(f"nested deeper than {MAX_DEPTH} levels, or a cycle: give a flat form")
    if kind is tuple and ATOMS.issuperset(map(type, value)):
        return value

    def part(inner: Any, step: str) -> Any:
        try:
            return frozen(inner, keeps_objects=keeps_objects, depth=depth + 1)
        except Unpassable as problem:
            raise at(problem, step) from None

    if isinstance(value, list | tuple):
        return tuple([part(v, f"[{i}]") for i, v in enumerate(value)])
    if isinstance(value, set | frozenset):
        return frozenset([part(v, "{}") for v in value])
    if isinstance(value, dict):
        items = [(part(k, ".keys()"), part(v, f".{k}")) for k, v in value.items()]
        if all(type(k) is str for k, _ in items):
            return FrozenMap(sorted(items))
        return MappingProxyType(dict(items))
    if kind is MappingProxyType:
        return MappingProxyType({part(k, ".keys()"): part(v, f".{k}") for k, v in value.items()})
    if kind is Tagged:
        return Tagged(value.tag, part(value.value, ".value"))
    if kind is Fault:
        return Fault(value.message, part(value.data, ".data"), value.incident)
    if kind is bytearray or kind is memoryview:
        return bytes(value)
    if isinstance(value, Sharing):
        return value._captp_frozen(depth)
    if isinstance(value, _HANDLES):
        return value
    if keeps_objects and issubclass(kind, Object):
        return value
    raise Unpassable(f"a {kind.__qualname__} cannot leave its capsule: {_ADVICE}")
