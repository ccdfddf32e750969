"""A vat in a second process, that makes counters; and clients in a third. Their ends are in ``away``.

``host`` prints the URI of its shop, then serves until its stdin ends. ``clients COUNT CALLS`` reads the URI
of a counter, increments it by plans from so many vats, and prints how often.
"""

from __future__ import annotations

import logging
import sys
import weakref

import trio

import captp
from captp.net.tcp import TcpNetlayer
from tests.trust.things import Counter

#: The counters that each stall has made, as far as they are there.
MADE: dict[int, weakref.WeakSet[Counter]] = {}


class Stall(captp.Object):
    """Makes counters for one test."""

    number: int = 0

    @captp.method
    def make(self) -> object:
        made = Counter()
        MADE.setdefault(self.number, weakref.WeakSet()).add(made)
        return made

    @captp.method
    def live(self) -> int:
        return len(MADE.get(self.number, ()))


class Shop(captp.Object):
    """Gives each who comes a stall, and the counter that all share."""

    stalls: int = 0
    shared: Counter | None = None

    @captp.method
    def stall(self) -> object:
        self.stalls += 1
        return Stall(number=self.stalls)

    @captp.method
    def common(self) -> object:
        self.shared = self.shared or Counter()
        return self.shared


async def host() -> None:
    async with captp.open_vat(listen=[TcpNetlayer()]) as vat:
        print(vat.mint(Shop()).reveal(), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


async def clients(count: int, calls: int) -> None:
    uri = sys.stdin.readline().strip()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(increments, uri, calls)
    print(count * calls, flush=True)


async def increments(uri: str, calls: int) -> None:
    """Read and write in one plan, which is one turn; half of the calls wait for the one before."""
    async with captp.open_vat() as vat:
        counter = captp.trust(await captp.E(vat.enliven(uri)).common(), Counter)
        for number in range(calls):
            if number % 2:
                await counter.apply(lambda c: c.set(c.get() + 1))
            else:
                counter.apply_then(lambda c: c.set(c.get() + 1))
        await counter.apply(Counter.get)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # turns fail there because tests want them to
    if sys.argv[1] == "host":
        trio.run(host)
    else:
        trio.run(clients, int(sys.argv[2]), int(sys.argv[3]))
