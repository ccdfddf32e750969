"""Listens to what one end of a link writes and counts the operations; it decodes on its own account."""

from __future__ import annotations

from collections import Counter
from typing import Any

from captp.limits import Limits
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import OP_NAMES, Desc, Kind


class _Names:
    """Takes every descriptor for what it is: a name."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(f"a listener sends nothing, and {value!r} least of all")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(Kind(kind), position)


class Listener:
    """The operations of one direction of one link, by name."""

    def __init__(self) -> None:
        self._codec = NativeCodec(_Names(), Limits())
        self._begun = False

    def hear(self, data: bytes, ops: Counter[str]) -> None:
        """Count the operations that ``data`` completes."""
        if not self._begun:
            self._begun = True
            data = data.removeprefix(PREAMBLE)
        for op in self._codec.feed(data):
            ops[OP_NAMES[op[0]]] += 1
