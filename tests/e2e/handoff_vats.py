"""One of three vats, in a process of its own: exporter, receiver or introducer, over a transport.

The exporter and the receiver print the URI of what they share; the introducer is told both and gives the
receiver its reference to the exporter's object. Whatever happens is a line on stdout; lines on stdin tell
the receiver what to add.
"""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import os
import sys
from typing import Any

import trio

import captp
from captp.net.base import Netlayer
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort


class Counter(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...


class Tally(captp.Object, Counter):
    count: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.count += amount
        return self.count


class Desk(captp.Interface):
    @captp.method
    async def meet(self, counter: Counter) -> int: ...


class Reception(captp.Object, Desk):
    """Calls what it is given at once, and keeps it."""

    met: captp.List[Any]

    @captp.method
    async def meet(self, counter: Counter) -> int:
        self.met.append(counter)
        return await counter.add(1)


def say(*words: object) -> None:
    print(*words, flush=True)


def listener(transport: str, key: captp.PrivateKey) -> Netlayer:
    return TlsNetlayer(key, TlsPort()) if transport == "tls" else TcpNetlayer()


async def serve(transport: str, shared: captp.Object) -> None:
    key = captp.PrivateKey.from_seed(os.urandom(32))
    async with captp.open_vat(key=key, listen=[listener(transport, key)]) as vat:
        say(vat.mint(shared).reveal())
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            assert isinstance(shared, Reception)
            try:
                say(await captp.E(shared.met[-1]).add(int(line)))
            except captp.Broken as problem:
                say(type(problem).__name__)


async def introduce(exporter: str, receiver: str) -> None:
    async with captp.open_vat() as vat:
        counter = await vat.enliven(exporter, Counter)
        say(await vat.enliven(receiver, Desk).meet(counter))
        await trio.sleep_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["exporter", transport]:
            trio.run(serve, transport, Tally())
        case ["receiver", transport]:
            trio.run(serve, transport, Reception())
        case ["introducer", exporter, receiver]:
            trio.run(introduce, exporter, receiver)
