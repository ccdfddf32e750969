"""What may cross a border, and the frozen copy that does; it knows values, not their spelling.

Passable: None, NULL, bool, int, float, str, bytes, Symbol, Tagged, Fault, lists and tuples, dicts with
string keys, sturdyrefs, references, promises, Objects (which cross as their reference), and what is boxed
(which a session opens, or does not).
Lists become tuples and dicts FrozenMaps with sorted keys, so nothing changes after it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_ as _is
from typing import Any, Final, NoReturn, Protocol, cast

from captp.errors import Unpassable
from captp.model.boxed import Boxed
from captp.model.containers import List
from captp.model.locator import SturdyRef
from captp.model.object import Object
from captp.model.promise import Promise, Reference
from captp.model.ref import HOLDS
from captp.model.trust import Trust
from captp.model.values import NULL, Fault, FrozenMap, Null, Sharing, Symbol, Tagged

ATOMS: Final = frozenset({int, str, bytes, bool, type(None), Symbol, Null, SturdyRef})

NAN: Final = float("nan")

#: Containers in an argument or a result; with those around them a message has two more.
MAX_DEPTH: Final = 61
KWARGS_TAG: Final = "captp:kwargs"

_FIXES = (
    "pass plain data (str, int, bytes, list, dict ...), make it a captp.Object so that it crosses as"
    " a reference, or send the parts you need"
)


class Referrer(Protocol):
    """The vat: it makes references to near objects, and its own references are told by identity."""

    def reference(self, obj: Object) -> Reference:
        """Return the reference to ``obj``."""
        ...


def freeze(value: Any, home: Referrer, depth: int = 0) -> Any:
    """Return the frozen form of ``value``.

    Raises Unpassable whose ``path`` leads to the culprit, for example ``args[1].owner``.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is float:
        return value if value == value else NAN  # noqa: PLR0124 - one NaN crosses borders
    if depth > MAX_DEPTH:
        raise Unpassable(f"nested deeper than {MAX_DEPTH} levels, or a cycle: send a flat form")
    if kind is tuple and ATOMS.issuperset(map(type, value)):
        # All of it in C: most lists are long or flat, and few hold references.
        return value
    if kind is tuple or kind is list or kind is List:
        items = _items(value, home, depth, "[")
        return value if kind is tuple and all(map(_is, items, value)) else items
    if isinstance(value, Reference):
        if value._home is not cast("object", home):
            if type(value._home) in HOLDS and value._home.vat is home:  # type: ignore[attr-defined]
                return value._home.cross(value)  # type: ignore[attr-defined]
            raise Unpassable("a reference of another vat: references belong to one open_vat()")
        if not value._crosses:
            raise Unpassable("a promise for what stays in its vat: await it, and send what you make of that")
        return value
    if issubclass(kind, Object):
        return home.reference(value)
    if isinstance(value, dict):
        return _struct(value, home, depth)
    if kind is Tagged:
        return Tagged(value.tag, _item(value.value, home, depth, ".value"))
    if kind is Fault:
        data = None if value.data is None else _item(value.data, home, depth, ".data")
        return Fault(value.message, data, value.incident)
    if isinstance(value, Sharing):
        return value._captp_frozen(depth)
    if isinstance(value, Trust):
        return freeze(value.reference, home, depth)
    if kind is bytearray or kind is memoryview:
        return bytes(value)
    if isinstance(value, List):
        return freeze(tuple(value), home, depth)
    if isinstance(value, Boxed):
        return value
    if hasattr(kind, "_captp_is_view"):
        # What is only read is copied as any argument is; an Object's reference would let others change it.
        if isinstance(value, list | tuple):
            return freeze(tuple(value), home, depth)
        raise Unpassable(f"a view of a {value.__class__.__name__} cannot cross a border; {_FIXES}")
    raise Unpassable(f"a {_name(kind)} cannot cross a border; {_FIXES}")


class _Nowhere:
    """The vat of values that hold no reference."""

    def reference(self, obj: Object) -> NoReturn:
        raise Unpassable(f"a {_name(type(obj))} is no plain data")


_NOWHERE: Final = _Nowhere()


def plain(value: Any, depth: int = 0) -> Any:
    """Return the frozen form of plain data; raises Unpassable where there is anything else in it."""
    return freeze(value, _NOWHERE, depth)


def opened(box: Boxed) -> Any:
    """Return what is in a box, if that is plain data which everybody may read; raises Unpassable."""
    return plain(box._captp_content())


def _items(values: Sequence[Any], home: Referrer, depth: int, step: str) -> tuple[Any, ...]:
    made: list[Any] = []
    try:
        for value in values:
            made.append(value if type(value) in ATOMS else freeze(value, home, depth + 1))  # noqa: PERF401
    except Unpassable as problem:
        # Nothing is spelt for what can cross, which nearly everything can.
        raise at(problem, f"{step}{len(made)}]") from None
    return tuple(made)


def _item(value: Any, home: Referrer, depth: int, step: str) -> Any:
    try:
        return freeze(value, home, depth + 1)
    except Unpassable as problem:
        raise at(problem, step) from None


def _struct(value: dict[Any, Any], home: Referrer, depth: int) -> FrozenMap:
    for key in value:
        if type(key) is not str:
            raise Unpassable(f"dict keys must be str to cross a border, not {_name(type(key))}")
    made = FrozenMap((k, _item(value[k], home, depth, f".{k}")) for k in sorted(value))
    if (
        type(value) is FrozenMap
        and list(made) == list(value)
        and all(map(_is, made.values(), value.values()))
    ):
        return value
    return made


def freeze_args(args: tuple[Any, ...], home: Referrer) -> tuple[Any, ...]:
    """Freeze the arguments of one call; the path of a culprit starts with ``args[i]``."""
    if args and type(args[-1]) is Tagged and args[-1].tag == KWARGS_TAG:
        path = f"args[{len(args) - 1}]"
        raise Unpassable(f"{path}: the tag {KWARGS_TAG!r} stands for keyword arguments here", path)
    return _items(args, home, 0, "args[")


def freeze_kwargs(kwargs: dict[str, Any], home: Referrer) -> dict[str, Any]:
    """Freeze keyword arguments; the path of a culprit starts with its name."""
    return {k: _item(kwargs[k], home, 0, k) for k in kwargs}


def at(problem: Unpassable, step: str) -> Unpassable:
    """Return ``problem`` with ``step`` in front of its path."""
    text = str(problem)
    if problem.path:
        text = text.removeprefix(f"{problem.path}: ")
    path = step + problem.path
    return Unpassable(f"{path}: {text}", path)


def _name(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def equal(one: Any, other: Any) -> bool:
    """Compare two passable values as the OCapN model does.

    1, 1.0 and True differ, a symbol is no string, 0.0 and -0.0 differ, all NaNs are equal, lists equal
    tuples, references are equal when they reach one object, promises have no equality.
    """
    pairs = [(one, other)]
    while pairs:
        left, right = pairs.pop()
        if isinstance(left, list | tuple) and isinstance(right, list | tuple):
            if len(left) != len(right):
                return False
            pairs.extend(zip(left, right, strict=True))
        elif isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys():
                return False
            pairs.extend((left[k], right[k]) for k in left)
        elif type(left) is float and type(right) is float:
            if repr(left) != repr(right):
                return False
        elif isinstance(left, Promise) or isinstance(right, Promise):
            return False
        elif isinstance(left, Reference) and isinstance(right, Reference):
            if left != right:
                return False
        elif type(left) is not type(right):
            return False
        elif isinstance(left, Tagged):
            if left.tag != right.tag:
                return False
            pairs.append((left.value, right.value))
        elif isinstance(left, Fault):
            if (left.message, left.incident) != (right.message, right.incident):
                return False
            pairs.append((left.data or {}, right.data or {}))
        elif left is not NULL and left != right:
            return False
    return True
