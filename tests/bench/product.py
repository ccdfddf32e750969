"""captp as the scenarios drive it: one server and one client, written as a user would; no engine parts.

The server's key and swiss number are constants, so that the port alone says its sturdyref: a client may
then dial through a relay. It listens on loopback only and holds nothing.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import sys
import weakref
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import trio

import captp

SEED = b"the key of a bench: no secret :)"
SWISS = b"the swiss number of a benchmark!"


class Probe(captp.Interface):
    """An object that a client asks for, calls once and drops."""

    @captp.method
    def get(self) -> int: ...


class Node(captp.Interface):
    """One step of a chain."""

    @captp.method
    def next(self) -> Node: ...
    @captp.method
    def value(self) -> int: ...


class Bench(captp.Interface):
    """What the scenarios call."""

    @captp.method
    def echo(self, number: int) -> int: ...
    @captp.method
    async def echo_async(self, number: int) -> int: ...
    @captp.method
    def put(self, number: int) -> int: ...
    @captp.method
    def bulk(self, data: bytes) -> bytes: ...
    @captp.method
    def node(self) -> Node: ...
    @captp.method
    def fresh(self) -> Probe: ...
    @captp.method
    def alive(self) -> int: ...


class FreshProbe(captp.Object, Probe):
    """A probe with nothing in it."""

    @captp.method
    def get(self) -> int:
        return 42


class ChainNode(captp.Object, Node):
    """A node that knows how deep it is."""

    depth: int

    @captp.method
    def next(self) -> Node:
        return ChainNode(depth=self.depth + 1)

    @captp.method
    def value(self) -> int:
        return self.depth


ALIVE: set[weakref.ref[FreshProbe]] = set()


class Board(captp.Object, Bench):
    """The server's one object."""

    number: int = 0

    @captp.method
    def echo(self, number: int) -> int:
        return number

    @captp.method
    async def echo_async(self, number: int) -> int:
        return number

    @captp.method
    def put(self, number: int) -> int:
        self.number = number
        return number

    @captp.method
    def bulk(self, data: bytes) -> bytes:
        return data

    @captp.method
    def node(self) -> Node:
        return ChainNode(depth=1)

    @captp.method
    def fresh(self) -> Probe:
        probe = FreshProbe()
        ALIVE.add(weakref.ref(probe, ALIVE.discard))
        return probe

    @captp.method
    def alive(self) -> int:
        return len(ALIVE)


def listener(variant: str, key: captp.PrivateKey, port: int) -> Any:
    """Return the netlayer of a variant, listening on loopback."""
    if variant == "tls":
        from captp.net.tls import TlsNetlayer, TlsPort

        return TlsNetlayer(key, TlsPort("127.0.0.1", port))
    from captp.net.tcp import TcpNetlayer

    return TcpNetlayer("127.0.0.1", port)


async def serve(variant: str, port: int) -> None:
    """Serve until killed; say the port on the first line."""
    key = captp.PrivateKey.from_seed(SEED)
    async with captp.open_vat(key=key, listen=[listener(variant, key, port)]) as vat:
        vat.mint(Board(), swiss=SWISS)
        print(vat.locators[0].hint("port"), flush=True)
        await trio.sleep_forever()


class ProductSubject:
    """captp over plain TCP or over TLS; ``stack`` owns what is opened and closes it."""

    methods = {"echo": "echo", "echo_async": "echo_async", "put": "put"}  # noqa: RUF012

    def __init__(self, variant: str, stack: AsyncExitStack) -> None:
        self._transport = {"plain": "tcp-testing-only", "tls": "tls"}[variant]
        self._stack = stack
        self._observer: Bench | None = None
        self._designator = captp.PrivateKey.from_seed(SEED).public.designator
        # A client that is up has loaded what it dials with; only the server's start is measured.
        import_module({"plain": "captp.net.tcp", "tls": "captp.net.tls"}[variant])
        self._connect = captp.connect

    async def open(self, port: int) -> None:
        hints = {"host": "127.0.0.1", "port": str(port), "exts": "mp1"}
        peer = captp.PeerLocator.make(self._transport, self._designator, hints)
        self._sturdyref = captp.SturdyRef(peer, SWISS)
        self._bench = await self._dial()

    async def _dial(self) -> Bench:
        """Open one connection more, with a client vat of its own."""
        return await (await self._stack.enter_async_context(self._connect(self._sturdyref, Bench)))

    def echo(self, number: int) -> Awaitable[int]:
        return self._bench.echo(number)

    async def burst(self, method: str, count: int) -> None:
        bench = self._bench
        if method == "echo":
            promises = [bench.echo(i) for i in range(count)]
        elif method == "put":
            promises = [bench.put(i) for i in range(count)]
        else:
            promises = [bench.echo_async(i) for i in range(count)]
        result = None
        for promise in promises:
            result = await promise
        assert result == count - 1

    async def tasks(self, count: int, calls: int) -> None:
        bench = self._bench

        async def user() -> None:
            for i in range(calls):
                await bench.echo(i)

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(user)

    async def chain(self, depth: int) -> int:
        node = self._bench.node()
        for _ in range(depth - 2):
            node = node.next()
        return await node.value()

    def bulk(self, data: bytes) -> Awaitable[bytes]:
        return self._bench.bulk(data)

    async def churn(self, count: int) -> None:
        bench = self._bench
        promises = [bench.fresh().get() for _ in range(count)]
        for promise in promises:
            assert await promise == 42

    async def alive(self) -> int:
        if self._observer is None:
            self._observer = await self._dial()
        return await self._observer.alive()

    async def idle(self, count: int) -> None:
        for _ in range(count):
            await (await self._dial()).echo(1)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


def main(words: list[str]) -> None:
    """Be the server of a variant, or the client of one measurement."""
    variant, role, *rest = words
    if role == "server":
        trio.run(serve, variant, 0)
        return
    from tests.bench.scenarios import run_client

    async def connected(client: Any) -> Any:
        async with AsyncExitStack() as stack:
            return await client(ProductSubject(variant, stack))

    run_client(lambda client: trio.run(connected, client), rest, ["tests.bench.product", variant, "server"])


if __name__ == "__main__":
    main(sys.argv[1:])
