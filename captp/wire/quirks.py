"""What Endo 1.1 wants otherwise in Syrup, and how it shows; it knows keys and names, no codec.

Endo sorts the keys of a struct as JavaScript sorts strings, and ends a session over any other order, a
negative zero or a symbol that starts with ``@@``. Its order is also the only sign of it on the wire:
everybody else sorts by the written keys, in which the length comes first.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ENDO_RESERVES", "raw_key", "shows_raw_order"]

#: How symbols start that Endo keeps for itself.
ENDO_RESERVES: Final = "@@"


def raw_key(written: bytes) -> bytes:
    """Give what orders a written key as JavaScript does: the UTF-16 code units of its text."""
    return written.partition(b'"')[2].decode().encode("utf-16-be")


def shows_raw_order(keys: list[Any]) -> bool:
    """Whether the keys of a struct stand in raw order, and would not stand so in canonical order."""
    try:
        widths = list(map(len, keys))
    except TypeError:
        return False  # Endo's keys are strings
    if len(str(widths[0])) == len(str(widths[-1])) and widths == sorted(widths) and "".join(keys).isascii():
        # Short keys first: then both orders are one. Nearly everybody's structs are told by this look.
        return False
    written = [b'%d"%b' % (len(raw), raw) for raw in map(str.encode, keys)]
    return written != sorted(written) and written == sorted(written, key=raw_key)
