"""The shapes of decoded native messages: how deep, how many parts, and what marked arrays stand for.

MessagePack's own limits are per container; those on a whole message are counted here, level by level
and without recursion, in what has already been decoded.
"""

from __future__ import annotations

from typing import Any, Final

from msgpack import Timestamp

from captp.errors import DecodeError, LimitExceeded
from captp.limits import Limits
from captp.model.values import Fault, FrozenMap, Tagged
from captp.wire.ops import Op


class Marker:
    """Stands first in an array that is no list but a tagged value or an error."""

    def __init__(self, name: str) -> None:
        self.name = name


TAGGED: Final = Marker("tagged")
ERROR: Final = Marker("error")

EMPTY: Final = FrozenMap()

#: Levels of an operation whose parts are not deep.
SHALLOW: Final = 3

_COUNTED: Final = frozenset({tuple, FrozenMap, Timestamp})


def is_deep(parts: tuple[Any, ...]) -> bool:
    """Whether there is more among the parts than flat lists, so that they are worth counting."""
    for part in parts:
        kind = type(part)
        if kind is tuple:
            if not _COUNTED.isdisjoint(map(type, part)):
                return True
        elif kind is FrozenMap or kind is Timestamp:
            return True
    return False


def check_shape(op: Op, limits: Limits) -> None:
    """Raise LimitExceeded when a decoded message is nested too deep or has too many parts."""
    level: list[Any] = [op]
    depth = nodes = 0
    while level:
        depth += 1
        if depth > limits.depth:
            raise LimitExceeded("too-deep", f"nested deeper than {limits.depth}")
        below: list[Any] = []
        for value in level:
            nodes += len(value)
            parts = value if type(value) is tuple else value.values()
            kinds = {*map(type, parts)}
            if tuple in kinds or FrozenMap in kinds:
                below += [v for v in parts if type(v) is tuple or type(v) is FrozenMap]
            if Timestamp in kinds:
                # The one ext type that msgpack decodes without asking.
                raise DecodeError("bad-value", "unknown ext type -1")
        if nodes > limits.nodes:
            raise LimitExceeded("too-many", f"more than {limits.nodes} parts in one message")
        level = below


def build(op: Op) -> Any:
    """Replace the marked arrays in a decoded message by what they stand for, innermost first."""
    work: list[tuple[Any, bool]] = [(op, False)]
    done: list[Any] = []
    while work:
        value, parts_done = work.pop()
        kind = type(value)
        if kind is not tuple and kind is not FrozenMap:
            done.append(value)
        elif not parts_done:
            work.append((value, True))
            work.extend((v, False) for v in (value if kind is tuple else value.values()))
        else:
            split = len(done) - len(value)
            parts = done[split:]
            parts.reverse()
            del done[split:]
            if kind is tuple:
                done.append(_unmark(tuple(parts)))
            else:
                done.append(FrozenMap(zip(value, parts, strict=True)))
    return done[0]


def _unmark(items: tuple[Any, ...]) -> Any:
    """Build the tagged value or error that a marked array stands for."""
    if not items or type(items[0]) is not Marker:
        if any(type(i) is Marker for i in items):
            raise DecodeError("bad-value", "a marker stands inside a list")
        return items
    if items[0] is TAGGED:
        if len(items) == 3 and type(items[1]) is str and type(items[2]) is not Marker:
            return Tagged(items[1], items[2])
    elif len(items) == 4 and type(items[1]) is str:
        data, incident = items[2], items[3]
        if (data is None or type(data) is FrozenMap) and (incident is None or type(incident) is bytes):
            return Fault(items[1], data, incident)
    raise DecodeError("bad-value", f"a malformed {items[0].name} value")


def struct_of(pairs: list[tuple[Any, Any]]) -> FrozenMap:
    """Build a struct from what a map holds; raises DecodeError for a key twice or of another kind."""
    if not pairs:
        # One for all: a byte each would cost ninety.
        return EMPTY
    made = FrozenMap(pairs)
    if len(made) != len(pairs):
        raise DecodeError("bad-value", "a struct has a key twice")
    for key, value in pairs:
        if type(key) is not str or type(value) is Marker:
            raise DecodeError("bad-value", "struct keys are strings and markers stand in lists")
    return made
