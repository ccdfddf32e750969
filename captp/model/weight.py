"""What values weigh: roughly how many bytes each keeps in memory; small ones are bounded by their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from captp.model.boxed import Boxed
from captp.model.values import Fault, FrozenMap, Tagged

#: Bytes from which on a call or a result is large.
LARGE: Final = 1024

#: What a part of a value is taken to cost besides its bytes.
PART: Final = 64

#: The kinds of values that can be large.
SIZED: Final = frozenset({str, bytes, tuple, FrozenMap, Tagged, Fault})

_LIGHT: Final = frozenset({int, bool, type(None), float})
# Spelt as unions they would be made anew for each part.
_TEXTS: Final = (str, bytes)
_CONTAINERS: Final = (tuple, dict)


def weight_of(*values: Any) -> int:
    """Return roughly how many bytes values keep in memory."""
    weight = 0
    work: list[Any] = [values]
    while work:
        parts = work.pop()
        weight += PART * len(parts)
        inner = parts.values() if isinstance(parts, dict) else parts
        if _LIGHT.issuperset(map(type, inner)):
            continue
        for part in inner:
            if type(part) in _LIGHT:
                continue
            if isinstance(part, _TEXTS):
                weight += len(part)
            elif isinstance(part, _CONTAINERS):
                work.append(part)
            elif type(part) is Tagged:
                work.append((part.value,))
            elif type(part) is Fault:
                work.append((part.message, part.data))
    return weight


def parts_in(value: Any) -> int:
    """Return how many parts plain data has, itself one of them."""
    count = 0
    work: list[Any] = [(value,)]
    while work:
        parts = work.pop()
        count += len(parts)
        for part in parts.values() if isinstance(parts, dict) else parts:
            if isinstance(part, _CONTAINERS):
                work.append(part)
            elif type(part) is Tagged:
                work.append((part.value,))
            elif type(part) is Fault:
                work.append((part.message, part.data, part.incident))
    return count


def boxes_in(*values: Any) -> Iterator[Boxed]:
    """Yield the boxes among values and their parts."""
    work: list[Any] = [values]
    while work:
        parts = work.pop()
        for part in parts.values() if isinstance(parts, dict) else parts:
            if isinstance(part, Boxed):
                yield part
            elif isinstance(part, _CONTAINERS):
                work.append(part)
            elif type(part) is Tagged:
                work.append((part.value,))
            elif type(part) is Fault:
                work.append((part.data,))
