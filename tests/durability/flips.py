"""Flips single bits of a closed store and opens all that is in it: `python -m` this module.

A flip hit nothing, or it is noticed before a wrong value is given; what is missing is never missed silently.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from attrs import frozen

import captp
from captp import E
from captp.errors import StoreError
from captp.net.memory import MemoryNetwork
from captp.run.store import TABLES
from captpd.store.sqlite import SqliteStore
from tests.durability.shelf import text

KEY = captp.PrivateKey.from_seed(b"f" * 32)
NAME = "main.db"
ROOTS = ("first", "second", "third")
CARDS = 200
#: Every fifth card has a sturdyref.
MINTED = range(0, CARDS, 5)


class ICard(captp.Interface):
    @captp.method
    def shown(self) -> Any: ...


class Label(captp.Object):
    color: str = ""


class Card(captp.Object, ICard):
    number: int = 0
    text: str = ""
    label: Label | None = None
    rows: captp.Map[Any, Any]
    before: ICard | None = None

    @captp.method
    def shown(self) -> Any:
        color = self.label and self.label.color
        return (self.number, self.text, color, tuple(sorted(self.rows.items())), self.before is not None)


class Catalogue(captp.Object):
    cards: captp.Map[int, ICard]

    @captp.method
    def fill(self) -> None:
        before = None
        for number in range(CARDS):
            _, words, color, rows, _ = card(number)
            label = None if color is None else Label(color=color)
            before = self.cards[number] = Card(
                number=number, text=words, label=label, rows=dict(rows), before=before
            )

    @captp.method
    def card(self, number: int) -> ICard:
        return self.cards[number]

    @captp.method
    def names(self) -> Any:
        return tuple(sorted(self.cards))


def card(number: int) -> Any:
    """Return what a card shows."""
    chance = random.Random(number)
    words = f"card {number} " + text(chance, 9000 if number % 50 == 0 else 300)
    rows = tuple((key, f"{number} {key}") for key in range(number % 4))
    return (number, words, "red" if number % 3 == 0 else None, rows, number > 0)


@frozen
class Made:
    """A closed store: its file, what was minted, and where in the file the value of each row is."""

    file: bytes
    minted: dict[int, captp.SturdyRef]
    rows: dict[range, tuple[str, bytes]]

    def row_at(self, at: int) -> tuple[str, bytes] | None:
        return next((row for where, row in self.rows.items() if at in where), None)


async def make(folder: Path) -> Made:
    layer = MemoryNetwork().netlayer(KEY.public.designator)
    path = folder / NAME
    async with captp.open_vat(key=KEY, store=SqliteStore(path, reserve_bytes=1), listen=[layer]) as vat:
        catalogues = [E(vat.root(name, Catalogue)) for name in ROOTS]
        await catalogues[0].fill()
        minted = {number: vat.mint(await catalogues[0].card(number)) for number in MINTED}
    file, rows = path.read_bytes(), {}
    with sqlite3.connect(path) as database:
        for table in TABLES:
            for key, value in database.execute(f"SELECT key, value FROM {table}"):
                at = file.find(value)
                # One with overflow pages is in several parts.
                if at >= 0:
                    rows[range(at, at + len(value))] = (table, key)
    database.close()
    return Made(file, minted, rows)


class Silent(AssertionError):
    """A wrong value was given, or a missing one was not missed."""


async def look(path: Path, minted: dict[int, captp.SturdyRef]) -> set[str]:
    """Open all that is there; return the names of what was said to be damaged. Raises Silent."""
    layer = MemoryNetwork().netlayer(KEY.public.designator)
    damaged: set[str] = set()
    async with captp.open_vat(key=KEY, store=SqliteStore(path, reserve_bytes=1), listen=[layer]) as vat:

        async def see(name: str, promise: Any, expected: Any) -> None:
            try:
                found = await promise
            except captp.Broken as problem:
                if not (isinstance(problem, captp.RemoteFault) and problem.class_name == "StoreDamaged"):
                    raise Silent(f"{name}: {type(problem).__name__}: {problem}") from problem
                damaged.add(name)
            else:
                if found != expected:
                    raise Silent(f"{name} is {found!r}, and was {expected!r}")

        roots = [vat.root(name, _missing) for name in ROOTS]
        await see(ROOTS[0], E(roots[0]).names(), tuple(range(CARDS)))
        for name, root in zip(ROOTS[1:], roots[1:], strict=True):
            await see(name, E(root).names(), ())
        for number in range(CARDS):
            if ROOTS[0] not in damaged:
                await see(f"card {number}", E(await E(roots[0]).card(number)).shown(), card(number))
            if number in minted:
                await see(f"minted {number}", E(vat.enliven(minted[number])).shown(), card(number))
    return damaged


def _missing() -> captp.Object:
    raise Silent("a root is missing")


def flip_one(made: Made, bit: int, folder: Path) -> str:
    """Flip one bit and look; return what came of it."""
    file = bytearray(made.file)
    file[bit // 8] ^= 1 << bit % 8
    path = folder / NAME
    path.write_bytes(file)
    path.chmod(0o600)
    row = made.row_at(bit // 8)
    try:
        damaged = trio.run(look, path, made.minted)
    except StoreError as noticed:
        if row is not None and row[0] not in ("meta", "root", "swiss"):
            raise
        return type(noticed).__name__
    if row is not None:
        assert row[0] in ("object", "entry", "edge"), f"a flip in a row of {row[0]} was not noticed at open"
        # A card is also what its sturdyref gives.
        assert len({name.split()[-1] for name in damaged}) == 1, f"{row}: {sorted(damaged)} are damaged"
    return "quarantined" if damaged else "nothing hit"


def flip(made: Made, flips: int, seed: int) -> Counter[str]:
    """Flip chosen bits, one at a time; return how often what came of it."""
    chance = random.Random(seed)
    came: Counter[str] = Counter()
    for _ in range(flips):
        bit = chance.randrange(len(made.file) * 8)
        with TemporaryDirectory() as name:
            try:
                came[flip_one(made, bit, Path(name))] += 1
            except BaseException as problem:
                came["wrong"] += 1
                print(f"byte {bit // 8} bit {bit % 8}: {type(problem).__name__}: {str(problem)[:300]}")
    return came


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"seed {given.seed}")
    with TemporaryDirectory() as name:
        made = trio.run(make, Path(name))
    came = flip(made, given.flips, given.seed)
    wrong = came.pop("wrong", 0)
    print(f"{len(made.file)} bytes:", ", ".join(f"{count} {what}" for what, count in sorted(came.items())))
    print(f"{given.flips} flips, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
