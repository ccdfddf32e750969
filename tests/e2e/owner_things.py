"""Takes what is given away or lent, and does not survive it; lives in a process of its own."""

from __future__ import annotations

import os
import signal

import captp
from tests.unit.peer.owners import Table


class Doomed(captp.Object):
    @captp.method
    async def take(self, table: captp.Unique[Table], *, uses: bool) -> int:
        total = await table.put(1) if uses else 0
        os.kill(os.getpid(), signal.SIGKILL)
        return total

    @captp.method
    async def borrow(self, table: captp.Borrowed[Table]) -> int:
        total = await table.put(1)
        os.kill(os.getpid(), signal.SIGKILL)
        return total

    @captp.method
    async def use(self, table: captp.Borrowed[Table]) -> int:
        return await table.put(1)

    @captp.method
    async def give_back(self, table: captp.Unique[Table]) -> captp.Unique[Table]:
        await table.put(1)
        return table
