"""An object moves to another process and goes on there; where one is killed it is there once, or not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp.net.tcp import TcpNetlayer
from tests.e2e.moving_vats import Bank, Shop

ROOT = Path(__file__).parents[2]
LONGEST_S = 20.0


@asynccontextmanager
async def started(role: str, folder: Path, *words: str) -> AsyncIterator[tuple[Any, str]]:
    """Run a vat in a process of its own; give the process and the URI of what it shares."""
    command = [sys.executable, "-m", "tests.e2e.moving_vats", role, str(folder), *words]
    with trio.fail_after(LONGEST_S):
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=ROOT)
        assert process.stdout is not None
        said = b""
        while not said.endswith(b"\n"):
            part = await process.stdout.receive_some()
            assert part, "the process ended"
            said += part
    try:
        yield process, said.decode().strip()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def test_a_purse_that_has_moved_needs_its_old_host_for_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(captp.open_vat(listen=[TcpNetlayer()]))
        process, at_bank = await stack.enter_async_context(started("bank", tmp_path))
        _, at_shop = await stack.enter_async_context(started("shop", tmp_path))
        bank, shop = await owner.enliven(at_bank, Bank), await owner.enliven(at_shop, Shop)
        old = await bank.make()
        assert await old.put(3) == 3
        new = await bank.move(old, shop)
        process.kill()

        assert await new.put(4) == 7
        with pytest.raises(captp.Moved, match="passed on"):
            old.put(1)
        assert await shop.arrived() == (3,)


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "word", "arrived"), [("shop", "arriving", ()), ("bank", "arrived", (3,))])
async def test_when_a_host_is_killed_under_a_move_nobody_has_the_purse(
    tmp_path: Path, victim: str, word: str, arrived: tuple[int, ...]
) -> None:
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(captp.open_vat(listen=[TcpNetlayer()]))
        uris = {}
        for role in ("bank", "shop"):
            words = [word] if role == victim else []
            _, uris[role] = await stack.enter_async_context(started(role, tmp_path, *words))
        bank, shop = await owner.enliven(uris["bank"], Bank), await owner.enliven(uris["shop"], Shop)
        old = await bank.make()
        assert await old.put(3) == 3
        with trio.fail_after(LONGEST_S), pytest.raises(captp.Disconnected):
            await bank.move(old, shop)

        with pytest.raises(captp.Moved, match="may be there or gone"):
            old.put(1)
        _, uris[victim] = await stack.enter_async_context(started(victim, tmp_path))
        again = await owner.enliven(uris["shop"], Shop)
        # What the shop was told it has kept; the purse itself was nobody's.
        assert await again.arrived() == arrived
        assert await (await owner.enliven(uris["bank"], Bank)).make() is not None
