"""What Syrup's writer and reader share: records, integers and the model's in-band records."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, final

from attrs import frozen

from captp.model.values import NULL, Fault, FrozenMap, Symbol, Tagged

__all__ = [
    "DOUBLE",
    "IN_BAND",
    "NAN",
    "Encoded",
    "Record",
    "from_entries",
    "from_record",
    "read_int",
    "without_records",
    "write_int",
]

DOUBLE: Final = struct.Struct(">d")

#: OCapN has one NaN; payload bits would be a second spelling of it.
NAN: Final = bytes.fromhex("7ff8000000000000")

#: Labels of records that stand for values of the model.
IN_BAND: Final = frozenset(
    (
        "void",
        "null",
        "desc:tagged",
        "desc:tag",
        "user-record",
        "desc:error",
        "exn:fail:mystery",
    )
)

# CPython refuses decimals over a limit that is a setting of the interpreter, but never under 640.
_CHUNK: Final = 512
_CHUNK_TOP: Final = 10**_CHUNK

_EMPTY: Final = FrozenMap()


@final
@frozen
class Record:
    """A Syrup record whose label is a symbol."""

    label: str
    fields: tuple[Any, ...]


def without_records(value: Any, stand_in: Callable[[str], object]) -> Any:
    """Return a value with something else in the place of every record in it."""
    if type(value) is Record:
        return stand_in(value.label)
    if type(value) is tuple:
        return tuple([without_records(v, stand_in) for v in value])
    if type(value) is FrozenMap:
        return FrozenMap({k: without_records(v, stand_in) for k, v in value.items()})
    if type(value) is Tagged:
        return Tagged(value.tag, without_records(value.value, stand_in))
    return value


@final
class Encoded(bytes):
    """Syrup that is written already: the writer copies it as it is."""

    __slots__ = ()


def from_record(label: str, fields: list[Any]) -> Any:
    """Give the value that an in-band record stands for; raises ValueError for wrong fields."""
    match label, fields:
        case ("void", []):
            return None
        case ("null", []):
            return NULL
        # Endo's tag is a symbol, that of OCapN pull request 247 a string, Goblins says user-record.
        case ("desc:tagged" | "desc:tag" | "user-record", [Symbol(name=tag) | str(tag), value]):
            return Tagged(tag, value)
        case ("desc:error", []):
            return Fault("")
        case ("desc:error", [str(text)]):
            return Fault(text)
        # OCapN pull request 248: message, identifier, data.
        case ("desc:error", [str(text), incident, data]):
            incident = None if incident is False else incident
            data = None if data is False else data
            if isinstance(incident, bytes | None) and isinstance(data, FrozenMap | None):
                return Fault(text, data, incident)
        # Goblins sends this in place of any error, on purpose without its text.
        case ("exn:fail:mystery", _):
            return Fault("exn:fail:mystery")
    raise ValueError(f"<{label}> with fields that it cannot have")


def from_entries(items: list[Any]) -> FrozenMap:
    """Give the struct of keys and values in turn; raises ValueError for what no struct has."""
    if not items:
        return _EMPTY  # two bytes that may be repeated a hundred thousand times
    if len(items) % 2:
        raise ValueError("a struct key without a value")
    keys = items[::2]
    for i, key in enumerate(keys):
        if type(key) is not str:
            if type(key) is not Symbol:
                raise ValueError(f"a struct key that is {type(key).__name__}, not a string")
            keys[i] = key.name
    entries = dict(zip(keys, items[1::2], strict=True))
    if len(entries) < len(keys):
        raise ValueError("a struct with a key twice")
    keys.sort()
    return FrozenMap([(key, entries[key]) for key in keys])


def read_int(digits: bytes) -> int:
    """Read decimal digits whose number was checked, whatever the interpreter's own limit is."""
    value = 0
    for start in range(0, len(digits), _CHUNK):
        piece = digits[start : start + _CHUNK]
        value = value * 10 ** len(piece) + int(piece)
    return value


def write_int(value: int) -> bytes:
    """Write a non-negative integer of bounded size in decimal digits."""
    pieces = []
    while value >= _CHUNK_TOP:
        value, low = divmod(value, _CHUNK_TOP)
        pieces.append(b"%0512d" % low)
    pieces.append(b"%d" % value)
    return b"".join(reversed(pieces))
