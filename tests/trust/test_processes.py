"""Clients in several processes increment one counter by plans, and the sum is exact."""

from __future__ import annotations

import pytest
import trio

import captp
from tests.trust import away
from tests.trust.host import increments
from tests.trust.things import Counter


@pytest.mark.parametrize("calls", [625, pytest.param(2_500, marks=pytest.mark.slow)])
async def test_increments_by_eight_clients_in_three_processes_add_up_exactly(calls: int) -> None:
    """Three vats in each of two processes, two here, and the host in one more."""
    with (
        away.host() as uri,
        away.process("clients", "3", str(calls)) as one,
        away.process("clients", "3", str(calls)) as other,
    ):
        for process in (one, other):
            assert process.stdin is not None
            process.stdin.write(uri + "\n")
            process.stdin.flush()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(increments, uri, calls)
        for process in (one, other):
            assert process.stdout is not None
            said = await trio.to_thread.run_sync(process.stdout.readline)
            assert said == f"{3 * calls}\n"
        async with captp.connect(uri) as shop:
            counter = captp.trust(await captp.E(shop).common(), Counter)
            assert await counter.apply(Counter.get) == 8 * calls
