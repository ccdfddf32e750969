"""What an annotation allows, one member of a union at a time."""

from __future__ import annotations

import types
import typing
from typing import Any


def as_float(value: Any) -> float | None:
    """Return a float, or an int that fits one, as a float; None for anything else, bool included."""
    if type(value) is float:
        return value
    try:
        return float(value) if type(value) is int else None
    except OverflowError:
        return None


def members_of(annotation: Any) -> list[Any]:
    """Return the members of a union, nested ones too, or the annotation alone; None as its type."""
    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return [m for a in typing.get_args(annotation) for m in members_of(a)]
    return [type(None) if annotation is None else annotation]
