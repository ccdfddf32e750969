"""One connection while its reader is slow: what waits is kept in few pieces, and counted as it goes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

import captp
from captp.run.connection import PART, Connection


class SlowReader:
    """A conduit whose kernel takes what it has been given only when it is told to."""

    taken = 0

    def __init__(self) -> None:
        self.given: list[int] = []
        self.pending = 0
        self.takes = trio.Event()

    def send_nowait(self, data: bytes) -> None:
        self.given.append(len(data))
        self.pending += len(data)

    async def flush(self) -> None:
        await self.takes.wait()
        self.pending = 0


async def test_small_writes_behind_a_large_one_leave_in_few_pieces_and_in_full() -> None:
    conduit = SlowReader()
    async with captp.open_vat() as vat, trio.open_nursery() as nursery:
        pump: Any = SimpleNamespace(peer=vat.peer, has_many=True, nursery=nursery, ring=lambda: None)
        connection = Connection(pump, "a connection", conduit)  # type: ignore[arg-type]
        connection.write(bytes(PART + 1))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(10_000):
            connection.write(bytes(40))
        conduit.takes.set()
        await trio.testing.wait_all_tasks_blocked()

    assert sum(conduit.given) == PART + 1 + 400_000
    assert len(conduit.given) <= 6
