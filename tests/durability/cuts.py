"""Cuts the power of a durable vat's disk anywhere, and opens what is left: `python -m` this module.

The vat takes numbered steps on a disk that remembers; what it was told is there, is there after each cut.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import trio

import captp
from captp import E
from captp.errors import StoreError
from captp.net.memory import MemoryNetwork
from captp.run.sealed import Sealed
from captp.run.store import TABLES, Change
from captpd.store import sqlite as adapter
from captpd.store.sqlite import SqliteStore
from tests.durability.disk import Disk, Event, Platter
from tests.durability.shelf import KEY, Shelf, plain_after, shown, shown_plain

RESERVE = 4096
NAME = "main.db"
#: Small, so that the log is often moved into the database.
LOG_PAGES = 60


class Lost(AssertionError):
    """What was acknowledged is not there."""


class Telling:
    """A store that says on its disk which commit has returned; all else is the real one's."""

    def __init__(self, disk: Disk) -> None:
        self._real = SqliteStore(disk.folder / NAME, reserve_bytes=RESERVE)
        self._disk = disk
        self._number = 0

    def commit(self, changes: Sequence[Change]) -> None:
        self._real.commit(changes)
        self._number += 1
        self._disk.tell("commit", self._number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def work(disk: Disk, steps: int, sessions: int) -> list[captp.SturdyRef]:
    """Take steps in a vat that is opened several times, compacted and copied; return what was minted."""
    store: Any = Telling(disk)
    minted: list[captp.SturdyRef] = []
    network = MemoryNetwork()
    for session in range(sessions):
        layer = network.netlayer(KEY.public.designator)
        async with captp.open_vat(key=KEY, store=store, listen=[layer]) as vat:
            shelf = vat.root("shelf", Shelf)
            for step in range(session * steps // sessions, (session + 1) * steps // sessions):
                assert await E(shelf).step(step + 1) == step + 1
                disk.tell("step", step + 1)
                if step % 10 == 0:
                    minted.append(vat.mint(shelf))
                    disk.tell("mint", len(minted))
        store.open()
        store.copy(disk.folder / f"copy-{session}")
        disk.tell("copy", session)
        store.compact()
        store.close()
    return minted


class Told:
    """What the program had been told when the power went, the newest of each."""

    def __init__(self) -> None:
        self.commit = self.step = self.mint = 0
        #: By the name of each copy, the step that it was made after.
        self.copies: dict[str, int] = {}

    def follow(self, event: Event) -> None:
        if event.verb == "copy":
            self.copies[f"copy-{event.at}"] = self.step
        else:
            setattr(self, event.verb, event.at)


async def look(path: Path, told: Told, minted: Sequence[captp.SturdyRef]) -> None:
    """Check what is left; raises Lost, StoreError or another AssertionError."""
    commit = unseal_all(path)
    if commit < told.commit:
        raise Lost(f"commit {told.commit} was acknowledged, {commit} is there")
    assert commit <= told.commit + 1
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    layer = MemoryNetwork().netlayer(KEY.public.designator)
    store = SqliteStore(path, reserve_bytes=RESERVE)
    async with captp.open_vat(key=KEY, store=store, listen=[layer]) as vat:
        found = await shown(vat)
        for one in minted[: told.mint]:
            assert captp.same(await vat.enliven(one), vat.root("shelf", Shelf))
    step = found[0][0]
    if step < told.step:
        raise Lost(f"step {told.step} was acknowledged, {step} is there")
    assert step <= told.step + 1
    assert found == shown_plain(plain_after(step)), f"the objects are not those of step {step}"


def unseal_all(path: Path) -> int:
    """Read every row of a store; return the number of its last commit."""
    sealed = Sealed(SqliteStore(path, reserve_bytes=RESERVE), KEY.seed())
    sealed.open(0.0)
    try:
        for table in TABLES:
            for _ in sealed.rows(table):
                pass
        number: int = sealed._head["commit"]
        return number
    finally:
        sealed.close()


async def look_at_all(folder: Path, told: Told, minted: Sequence[captp.SturdyRef]) -> None:
    await look(folder / NAME, told, minted)
    for name, step in told.copies.items():
        assert unseal_all(folder / name) <= told.commit
        async with captp.open_vat(key=KEY, store=SqliteStore(folder / name, reserve_bytes=RESERVE)) as vat:
            assert await shown(vat) == shown_plain(plain_after(step)), f"{name} is not of step {step}"


def cut_all(log: Sequence[Event], minted: Sequence[captp.SturdyRef], cuts: int, seed: int) -> dict[str, int]:
    """Cut the power at chosen points; return how many cuts lost something, and how many tore it."""
    chance = random.Random(seed)
    points = sorted(chance.randrange(len(log) + 1) for _ in range(cuts))
    platter, told, done = Platter(), Told(), 0
    found = {"lost": 0, "torn": 0}
    for number, point in enumerate(points):
        for event in log[done:point]:
            (told if event.verb in ("commit", "step", "mint", "copy") else platter).follow(event)
        done = point
        with TemporaryDirectory() as name:
            platter.cut(random.Random(f"{seed} {number}"), Path(name))
            try:
                trio.run(look_at_all, Path(name), told, minted)
            except (StoreError, AssertionError, sqlite3.Error, BaseExceptionGroup) as problem:
                found["lost" if isinstance(problem, Lost) else "torn"] += 1
                print(f"cut {number} after event {point} of {len(log)}: {type(problem).__name__}: {problem}")
    return found


@contextmanager
def settings(synchronous: str) -> Iterator[None]:
    """Have the store move its log often, and sync as it is told."""
    changed = tuple(
        f"synchronous = {synchronous}" if one.startswith("synchronous") else one for one in adapter._SETTINGS
    )
    with mock.patch.object(adapter, "_SETTINGS", changed), mock.patch.object(adapter, "LOG_PAGES", LOG_PAGES):
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--synchronous", default="FULL")
    given = parser.parse_args()
    print(f"seed {given.seed}")
    with TemporaryDirectory() as name:
        disk = Disk(Path(name).resolve())
        with settings(given.synchronous), disk.used():
            minted = trio.run(work, disk, given.steps, 3)
    found = cut_all(disk.log, minted, given.cuts, given.seed)
    print(f"{given.cuts} cuts, {found['lost']} lost, {found['torn']} torn")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
