"""A second Syrup, written from the grammar alone, so that the product's codec is not its own judge.

Structs keep the order of the wire. Nothing here is canonical unless it is asked for.
"""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple


class Malformed(Exception):
    """Bytes that no peer should have sent."""


class Incomplete(Exception):
    """The bytes end before the value does."""


class Sym(str):
    """A symbol; equal to a symbol of that name only."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is Sym and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(("symbol", str(self)))

    def __repr__(self) -> str:
        return f"'{self!s}"


class Rec(NamedTuple):
    """A record; its label is a symbol's name."""

    label: str
    fields: list[Any]

    def __repr__(self) -> str:
        return f"<{self.label} {self.fields}>"


class Raw(bytes):
    """Bytes that are Syrup already."""


def rec(label: str, *fields: Any) -> Rec:
    return Rec(label, list(fields))


NAN = bytes.fromhex("7ff8000000000000")
VOID = rec("void")
NULL = rec("null")


def utf16(key: str) -> bytes:
    """What JavaScript compares when it sorts strings."""
    return key.encode("utf-16-be")


def write(value: Any, order: str = "canonical") -> bytes:
    """Spell a value; structs in ``canonical`` order, in ``raw`` order or as ``given``."""
    match value:
        case Raw():
            return bytes(value)
        case bool():
            return b"t" if value else b"f"
        case int():
            return b"%d%b" % (abs(value), b"-" if value < 0 else b"+")
        case float():
            return b"D" + (NAN if math.isnan(value) else struct.pack(">d", value))
        case Sym():
            return _sized(b"'", str(value).encode())
        case str():
            return _sized(b'"', value.encode())
        case bytes():
            return _sized(b":", value)
        case Rec(label, fields):
            inner = b"".join(write(field, order) for field in fields)
            return b"<" + _sized(b"'", label.encode()) + inner + b">"
        case list() | tuple():
            return b"[" + b"".join(write(item, order) for item in value) + b"]"
        case set():
            return b"#" + b"".join(sorted(write(item, order) for item in value)) + b"$"
        case dict():
            keys = list(value)
            if order == "canonical":
                keys.sort(key=write)
            elif order == "raw":
                keys.sort(key=utf16)
            return b"{" + b"".join(write(key) + write(value[key], order) for key in keys) + b"}"
    raise TypeError(f"{value!r} has no form")


def _sized(mark: bytes, raw: bytes) -> bytes:
    return b"%d%b%b" % (len(raw), mark, raw)


class Reader:
    """Reads one value after another from a growing buffer; a stricter peer overrides the checks."""

    def check_struct(self, keys: list[Any]) -> None:
        if len({write(key) for key in keys}) < len(keys):
            raise Malformed(f"a struct with a key twice: {keys}")

    def check_symbol(self, name: str) -> None:
        pass

    def check_float(self, raw: bytes) -> None:
        pass

    def check_record(self, record: Rec) -> None:
        pass

    def read(self, data: bytes, at: int = 0) -> tuple[Any, int]:
        """Give the value that starts at ``at`` and where it ends."""
        start, byte = at, data[at : at + 1]
        if byte == b"":
            raise Incomplete
        if byte in b"tf":
            return byte == b"t", at + 1
        if byte == b"D":
            raw = data[at + 1 : at + 9]
            if len(raw) < 8:
                raise Incomplete
            self.check_float(raw)
            return struct.unpack(">d", raw)[0], at + 9
        if byte == b"[":
            return self._until(b"]", data, at + 1)
        if byte == b"{":
            items, end = self._until(b"}", data, at + 1)
            if len(items) % 2:
                raise Malformed("a struct key without a value")
            self.check_struct(items[::2])
            return dict(zip(items[::2], items[1::2], strict=True)), end
        if byte == b"<":
            items, end = self._until(b">", data, at + 1)
            if not items or type(items[0]) is not Sym:
                raise Malformed("a record whose label is no symbol")
            record = Rec(str(items[0]), items[1:])
            self.check_record(record)
            return record, end
        while (byte := data[at : at + 1]).isdigit():
            at += 1
        digits, mark = data[start:at], byte
        if not digits:
            raise Malformed(f"no value starts with {byte!r}")
        if not mark:
            raise Incomplete
        if mark in b"+-":
            if digits != b"%d" % int(digits) or (mark == b"-" and digits == b"0"):
                raise Malformed(f"an integer spelled {digits + mark!r}")
            return (int(digits) if mark == b"+" else -int(digits)), at + 1
        stop = at + 1 + int(digits)
        raw = data[at + 1 : stop]
        if len(raw) < int(digits):
            raise Incomplete
        if mark == b":":
            return raw, stop
        if mark == b'"':
            return raw.decode(), stop
        if mark == b"'":
            name = raw.decode()
            self.check_symbol(name)
            return Sym(name), stop
        raise Malformed(f"{mark!r} after digits")

    def _until(self, closer: bytes, data: bytes, at: int) -> tuple[list[Any], int]:
        items = []
        while data[at : at + 1] != closer:
            item, at = self.read(data, at)
            items.append(item)
        return items, at + 1


def read(data: bytes, reader: Reader | None = None) -> Any:
    """Give the one value that ``data`` is."""
    value, end = (reader or Reader()).read(data)
    if end != len(data):
        raise Malformed("bytes after the value")
    return value


def same(one: Any, other: Any) -> bool:
    """Compare two values by their types too; all NaNs are one, the two zeros are not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, Rec):
        return one.label == other.label and same(one.fields, other.fields)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)
