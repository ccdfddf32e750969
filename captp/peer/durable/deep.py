"""Values that are nested deeper than MessagePack goes, as a flat list of steps that build them again.

Each step is two items: 0 and an atom, or the code of a kind and how many of the last values it is made of.
Neither way needs recursion, so that no depth of state can end a vat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from captp.model.containers import List, Map, Set
from captp.model.values import Fault, FrozenMap, Tagged

__all__ = ["Deep", "built", "flat"]

_ATOM, _TUPLE, _STRUCT, _LIST, _SET, _MAP, _TAGGED, _FAULT = range(8)

_CODES: Final = {
    tuple: _TUPLE,
    FrozenMap: _STRUCT,
    List: _LIST,
    Set: _SET,
    Map: _MAP,
    Tagged: _TAGGED,
    Fault: _FAULT,
}


class Deep:
    """Stands for a value that is too deep."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def flat(value: Any) -> list[Any]:
    """Return the steps that build a value; atoms stand in them as they are."""
    steps: list[Any] = []
    stack: list[tuple[Any, int]] = [(value, -1)]
    while stack:
        one, parts = stack.pop()
        code = _CODES.get(type(one), _ATOM)
        if code == _ATOM:
            steps += [_ATOM, one]
        elif parts >= 0:
            steps += [code, parts]
        else:
            inner = _parts(code, one)
            stack.append((one, len(inner)))
            stack += [(part, -1) for part in reversed(inner)]
    return steps


def _parts(code: int, value: Any) -> list[Any]:
    if code in (_STRUCT, _MAP):
        return [part for pair in value.items() for part in pair]
    if code == _TAGGED:
        return [value.tag, value.value]
    if code == _FAULT:
        return [value.message, value.data, value.incident]
    return list(value)


def built(steps: Sequence[Any]) -> Any:
    """Return the value that steps build; containers of state as list, dict and set. Raises ValueError."""
    values: list[Any] = []
    for at in range(0, len(steps), 2):
        code, what = steps[at], steps[at + 1]
        if code == _ATOM:
            values.append(what)
            continue
        start = len(values) - what
        parts = values[start:]
        del values[start:]
        values.append(_made(code, parts))
    (value,) = values
    return value


def _made(code: int, parts: list[Any]) -> Any:
    if code == _TUPLE:
        return tuple(parts)
    if code == _STRUCT:
        return FrozenMap(zip(parts[::2], parts[1::2], strict=True))
    if code == _LIST:
        return parts
    if code == _SET:
        return set(parts)
    if code == _MAP:
        return dict(zip(parts[::2], parts[1::2], strict=True))
    if code == _TAGGED:
        return Tagged(*parts)
    if code == _FAULT:
        return Fault(*parts)
    raise ValueError(code)
