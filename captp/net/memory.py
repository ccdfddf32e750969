"""The netlayer ``memory``: conduits within one process, with faults to order; knows no sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from math import inf
from typing import Any, ClassVar, final

import trio
from attrs import define, field

from captp.errors import Disconnected, RemoteProtocolError, Unreachable, UsageError
from captp.model.keys import parse_designator
from captp.model.locator import PeerLocator
from captp.net.base import RECEIVE_BYTES, Accept

__all__ = ["Link", "MemoryConduit", "MemoryNetlayer", "MemoryNetwork"]

# Bytes under way or unread, one way of one conduit: what a kernel would buffer.
WINDOW = 256 * 1024


@final
@define(eq=False)
class Link:
    """All that lies between two designators: its faults hold for every conduit between them.

    ``latency`` is in seconds, one way; ``max_chunk`` is the most bytes that one receive gives.
    Either may be changed at any time.
    """

    latency: float = 0.0
    max_chunk: int = RECEIVE_BYTES
    _is_stalled: bool = field(default=False, init=False)
    _conduits: list[MemoryConduit] = field(factory=list, init=False)
    _resumed: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot, init=False)

    def cut(self) -> None:
        """Break every conduit of now, with all that is under way; new ones can be dialled."""
        conduits, self._conduits = self._conduits, []
        for conduit in conduits:
            conduit.lose("the link was cut")

    def stall(self) -> None:
        """Let nothing arrive any more, and say so to nobody, until ``resume`` or ``cut``."""
        self._is_stalled = True

    def resume(self) -> None:
        """Let arrive what was held back."""
        self._is_stalled = False
        self._resumed.unpark_all()
        for conduit in self._conduits:
            conduit.wake()

    @property
    def is_stalled(self) -> bool:
        return self._is_stalled

    async def cross(self) -> None:
        """Wait for one round trip, as who dials does."""
        await trio.lowlevel.checkpoint()
        if self.latency:
            await trio.sleep(2 * self.latency)
        while self._is_stalled:
            await self._resumed.park()

    def join(self, here: MemoryConduit, there: MemoryConduit) -> None:
        """Make two new conduits the ends of one connection over this link."""
        here.outgoing, there.incoming = there.incoming, here.outgoing
        there.outgoing, here.incoming = here.incoming, there.outgoing
        self._conduits += (here, there)

    def part(self, conduit: MemoryConduit) -> None:
        if conduit in self._conduits:
            self._conduits.remove(conduit)
