"""A durable vat copies and compacts its store between two commits, while it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp import E
from captpd.store.sqlite import SqliteStore

KEY = captp.PrivateKey.from_seed(b"c" * 32)


class Tally(captp.Object):
    count: int = 0

    @captp.method
    def add(self) -> int:
        self.count += 1
        return self.count


def opened(path: Path) -> Any:
    return captp.open_vat(key=KEY, store=SqliteStore(path, reserve_bytes=4096))


async def test_a_copy_has_all_that_was_acknowledged_before_and_calls_go_on(tmp_path: Path) -> None:
    path, copy = tmp_path / "main.db", tmp_path / "copy.db"
    acknowledged = 0

    async def add(tally: Any) -> None:
        nonlocal acknowledged
        while True:
            acknowledged = await tally.add()

    async with opened(path) as vat, trio.open_nursery() as nursery:
        nursery.start_soon(add, E(vat.root("tally", Tally)))
        with trio.fail_after(10):
            while acknowledged < 20:
                await trio.lowlevel.checkpoint()
        before = acknowledged
        await vat.copy_store(copy)
        after = acknowledged
        await vat.compact_store()
        with trio.fail_after(10):
            while acknowledged < after + 20:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    async with opened(copy) as vat:
        # A commit may be under way that nobody has heard of.
        assert before < await E(vat.root("tally", Tally)).add() <= after + 2


async def test_a_copy_that_fails_says_so_and_the_vat_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "main.db"
    async with opened(path) as vat:
        tally = E(vat.root("tally", Tally))
        assert await tally.add() == 1
        with pytest.raises(captp.StoreUnusable, match="is there already"):
            await vat.copy_store(path)

        assert await tally.add() == 2


async def test_a_vat_that_stores_nothing_has_nothing_to_copy(tmp_path: Path) -> None:
    async with captp.open_vat() as vat:
        with pytest.raises(captp.UsageError, match="this vat stores nothing"):
            await vat.copy_store(tmp_path / "copy.db")
        await vat.compact_store()


async def test_a_vat_that_has_ended_refuses_to_copy(tmp_path: Path) -> None:
    async with opened(tmp_path / "main.db") as vat:
        pass

    with pytest.raises(captp.Closed), trio.fail_after(10):
        await vat.copy_store(tmp_path / "copy.db")
