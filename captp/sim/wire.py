"""Listens to what one end of a link writes and counts the operations; it decodes on its own account."""

from __future__ import annotations

from collections import Counter

from captp.limits import Limits
from captp.sim.names import Names
from captp.wire.dialect import SyrupCodec
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import OP_NAMES


class Listener:
    """The operations of one direction of one link, by name; both ends speak what the dialler spoke."""

    def __init__(self, *, native: bool) -> None:
        self._codec = NativeCodec(Names(), Limits()) if native else SyrupCodec(Names(), Limits(), None)
        self._begun = False

    def hear(self, data: bytes, ops: Counter[str]) -> None:
        """Count the operations that ``data`` completes."""
        if not self._begun:
            self._begun = True
            data = data.removeprefix(PREAMBLE)
        for op in self._codec.feed(data):
            ops[OP_NAMES[op[0]]] += 1
