"""A store in memory whose commits can be held up: what the processes of a durable trustee wait for."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import trio

from captp.run.store import Change
from tests.durability.memory_store import MemoryStore


class HeldStore(MemoryStore):
    """Its commits wait while ``go`` is cleared; whoever awaits ``entered`` knows that one does."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self._is_in = threading.Event()

    def hold(self) -> None:
        self._is_in.clear()
        self.go.clear()

    async def entered(self) -> None:
        assert await trio.to_thread.run_sync(self._is_in.wait, 10)

    def commit(self, changes: Sequence[Change]) -> None:
        self._is_in.set()
        assert self.go.wait(30)
        super().commit(changes)
