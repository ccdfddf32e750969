"""For tests of durable process trustees: one opened with a store, and its process killed."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import captp
from captp.run.process import ProcessTrustee
from captp.run.store import Store
from tests.e2e.process_ledger import Intruder, Ledger
from tests.e2e.process_ledger_parent import KEY


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[ProcessTrustee]:
    async with (
        captp.open_vat(key=KEY) as vat,
        vat.trustee("process", [Ledger, Intruder], store=store) as trustee,
    ):
        yield trustee


def kill(trustee: ProcessTrustee, number: int = signal.SIGKILL) -> int:
    pid = trustee.stats().pid
    assert pid is not None
    os.kill(pid, number)
    return pid
