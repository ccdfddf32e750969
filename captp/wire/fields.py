"""What the fields of an operation must be, and the errors when they are not; it knows no reference."""

from __future__ import annotations

from typing import Any, Final

from captp.errors import DecodeError

__all__ = ["LAST_POSITION", "bad_field", "check_answer", "check_count"]

#: Positions above it are no positions: no table grows so far, and 64-bit floats hold all below.
LAST_POSITION: Final = 2**53


def check_count(label: str, fields: tuple[Any, ...], expected: int) -> None:
    """Raise DecodeError unless an operation has as many fields as it must."""
    if len(fields) != expected:
        raise DecodeError("bad-op", f"{label} has {expected} fields, not {len(fields)}")


def check_answer(label: str, answer: Any) -> None:
    """Raise DecodeError unless this is a position where an answer may stand."""
    if type(answer) is not int:
        raise bad_field(label, "answer position", "an integer")
    if not 0 <= answer <= LAST_POSITION:
        raise DecodeError("bad-value", f"{label}: an answer position out of range")


def bad_field(label: str, field: str, expected: str) -> DecodeError:
    """Return the error for a field of the wrong kind."""
    return DecodeError("bad-op", f"{label}: {field} must be {expected}")
