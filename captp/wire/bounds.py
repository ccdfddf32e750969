"""What a message that is written may have at most: a reader of ours ends the session over any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgpack

from captp.errors import LimitExceeded, Unpassable
from captp.limits import Limits
from captp.model.values import Fault, FrozenMap, Tagged
from captp.wire.ops import Op
from captp.wire.shapes import check_shape, struct_of

__all__ = [
    "check_inline",
    "check_native",
    "check_references",
    "check_size",
    "too_many_entries",
    "too_many_values",
]

_NESTED: Final = frozenset({tuple, list, dict, FrozenMap, Tagged, Fault})


def check_references(count: int, limits: Limits) -> None:
    """Raise Unpassable for more references than one message may have."""
    if count > limits.caps_per_message:
        raise Unpassable(f"over {limits.caps_per_message} references in one message: send it in parts")


def check_size(message: bytes, limits: Limits) -> None:
    """Raise Unpassable for a message that is too long."""
    if len(message) > limits.message_bytes:
        most = limits.message_bytes
        raise Unpassable(f"a message of {len(message)} bytes; {most} is the most: send it in parts")


def check_native(op: Op, limits: Limits) -> None:
    """Raise Unpassable for an operation that has too many values in its native form."""
    level: list[Any] = [op]
    count = 0
    while level:
        below: list[Any] = []
        for value in level:
            parts = _parts(value)
            if len(parts) > limits.container_entries:
                raise too_many_entries(limits)
            count += len(parts)
            below += [part for part in parts if type(part) in _NESTED]
        if count > limits.nodes:
            raise too_many_values(limits)
        level = below


def check_inline(message: bytes, limits: Limits) -> None:
    """Raise Unpassable for a message that the contents of a box have made too deep or too long."""
    most = limits.container_entries
    try:
        read = msgpack.unpackb(
            message, use_list=False, object_pairs_hook=struct_of, max_array_len=most, max_map_len=most
        )
    except ValueError:
        raise too_many_entries(limits) from None
    try:
        check_shape(read, limits)
    except LimitExceeded as problem:
        raise Unpassable(f"{problem.detail}: send it in parts") from None


def _parts(value: Any) -> Collection[Any]:
    """Return what stands in the array or map that a value is written as."""
    kind = type(value)
    if kind is Tagged:
        return ("mark", value.tag, value.value)
    if kind is Fault:
        return ("mark", value.message, value.data, value.incident)
    return value.values() if isinstance(value, dict) else value


def too_many_entries(limits: Limits) -> Unpassable:
    """Return the error for a container of too many entries."""
    return Unpassable(f"over {limits.container_entries} entries in a container: send it in parts")


def too_many_values(limits: Limits) -> Unpassable:
    """Return the error for a message of too many values."""
    return Unpassable(f"over {limits.nodes} values in one message: send it in parts")
