"""A stock of goods in a capsule: one strand changes it, many read it frozen, and nothing slips out.

Run it with ``python -m captp.examples.capsules``. It exits with 1 when something got out of its capsule.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Thread
from typing import Any, Final

import trio

import captp
from captp import Access, Capsule, Data, Key

GOODS: Final = ("apples", "pears", "plums")
READERS: Final = 4


class Stock(captp.Brand):
    """Names the capsules of stocks: type checkers refuse another's password."""


class Shelf(captp.Object):
    """How much there is of each thing."""

    counts: captp.Map[str, int]

    def put(self, goods: str, count: int) -> int:
        self.counts[goods] = self.counts.get(goods, 0) + count
        return self.counts[goods]


class Missing(Exception):
    """Carries the whole shelf along: a mistake that is easily made."""


def make() -> tuple[Data[Shelf, Stock], Key[Stock]]:
    """Return a shelf in a capsule, and the capsule's key."""

    def fill(access: Access[Stock]) -> Data[Shelf, Stock]:
        shelf = Shelf()
        for goods in GOODS:
            shelf.put(goods, 10)
        return Data.wrap(access, shelf)

    return Capsule.create(Stock).access(fill)


def put(access: Access[Stock], shelf: Data[Shelf, Stock], goods: str, count: int) -> int:
    """Put something on the shelf."""
    return shelf.unwrap(access).put(goods, count)


def miss(access: Access[Stock], shelf: Data[Shelf, Stock]) -> None:
    """Raise an exception that has the shelf."""
    raise Missing(shelf.unwrap(access))


def refused(touch: Callable[[], Any]) -> str:
    """Return why something is refused; raises SystemExit if it is not."""
    try:
        touch()
    except captp.Error as problem:
        return type(problem).__name__
    raise SystemExit(f"nothing kept {touch} from what is in a capsule")


async def in_trustees(shelf: Data[Shelf, Stock], key: Key[Stock]) -> Key[Stock]:
    """Have a thread hold the key, and change the stock in its turns."""
    async with captp.open_vat() as vat, vat.trustee("thread") as thread:
        trust = thread.adopt(key)

        async def bring_one() -> None:
            await trust.apply(put, shelf, "apples", 1)

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(bring_one)
        print("by ten tasks, in a thread:", await trust.apply(put, shelf, "apples", 0), "apples")
        return await trust.give_back()


def raised(shelf: Data[Shelf, Stock], key: Key[Stock]) -> Key[Stock]:
    """Show what becomes of an exception that has the shelf."""
    try:
        return key.access(miss, shelf)[1]
    except captp.Encapsulated as problem:
        print("what was raised with the shelf:", type(problem).__name__)
        broken = problem

    def whole(access: Access[Stock]) -> str:
        return type(access.open(broken)).__name__

    name, key = key.access(whole)
    print("opened where it belongs:", name)
    return key


def read_by_many(shelf: Data[Shelf, Stock]) -> list[int]:
    """Return what threads read of a frozen stock, all at once and none with a key."""
    sums: list[int] = []
    threads = [
        Thread(target=lambda: sums.append(sum(shelf.project().counts.values()))) for _ in range(READERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sums


def main() -> int:
    """Show each, one after the other."""
    shelf, key = make()
    with key.password() as password:
        print("with a password:", Capsule.access(password, put, shelf, "pears", 5), "pears")
        carried = Capsule.access_local(password, shelf.unwrap)
        print("carried out, and read:", refused(lambda: carried.counts))
    print("a password after its block:", refused(lambda: Capsule.access(password, put, shelf, "pears", 1)))

    key = trio.run(in_trustees, shelf, key)

    key = raised(shelf, key)

    key = key.freeze()
    print(f"frozen, and read by {READERS} threads:", read_by_many(shelf))
    print("frozen, and changed:", refused(lambda: key.access(put, shelf, "plums", 1)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
