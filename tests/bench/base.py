"""The yardstick: asyncio and msgpack, one write per message, no features; it knows nothing of captp.

A call is ``[id, method, arguments]`` and its result ``[id, error, value]``. There are no references:
fresh objects and chains go by integer handles, and a handle lives until it is dropped by a call.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from typing import Any

import msgpack

MOST_BYTES = 1 << 27


class Probe:
    """An object that a client asks for, calls once and drops."""

    def get(self) -> int:
        return 42


class Node:
    """One step of a chain."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


class Serving(asyncio.Protocol):
    """One connection at the server: a method is a ``do_`` method, a handle is a key of a dict."""

    alive: set[weakref.ref[Probe]] = set()  # noqa: RUF012 - of all connections

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._unpacker = msgpack.Unpacker(max_buffer_size=MOST_BYTES)
        self._handles: dict[int, Any] = {}
        self._last = 0
        self._number = 0

    def data_received(self, data: bytes) -> None:
        self._unpacker.feed(data)
        for number, method, args in self._unpacker:
            reply: tuple[int, str | None, Any]
            try:
                reply = (number, None, getattr(self, "do_" + method)(*args))
            except Exception as problem:
                reply = (number, repr(problem), None)
            self._transport.write(msgpack.packb(reply))

    def _keep(self, value: Any) -> int:
        self._last += 1
        self._handles[self._last] = value
        return self._last

    def do_echo(self, value: Any) -> Any:
        return value

    def do_put(self, number: int) -> int:
        self._number = number
        return number

    def do_node(self) -> int:
        return self._keep(Node(1))

    def do_next(self, handle: int) -> int:
        return self._keep(Node(self._handles[handle].depth + 1))

    def do_value(self, handle: int) -> int:
        return int(self._handles[handle].depth)

    def do_fresh(self) -> int:
        probe = Probe()
        self.alive.add(weakref.ref(probe, self.alive.discard))
        return self._keep(probe)

    def do_get(self, handle: int) -> int:
        return int(self._handles[handle].get())

    def do_drop(self, handle: int) -> None:
        del self._handles[handle]

    def do_alive(self) -> int:
        return len(self.alive)


class Calling(asyncio.Protocol):
    """One connection at the client: a dict of futures by number."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._unpacker = msgpack.Unpacker(max_buffer_size=MOST_BYTES)
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._last = 0

    def data_received(self, data: bytes) -> None:
        self._unpacker.feed(data)
        for number, error, value in self._unpacker:
            future = self._futures.pop(number)
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(RuntimeError(error))

    def call(self, method: str, *args: Any) -> asyncio.Future[Any]:
        self._last += 1
        future = self._futures[self._last] = asyncio.get_running_loop().create_future()
        self._transport.write(msgpack.packb((self._last, method, args)))
        return future


async def dial(port: int) -> Calling:
    """Open one connection to a server on this machine."""
    _, calling = await asyncio.get_running_loop().create_connection(Calling, "127.0.0.1", port)
    return calling


class BaseSubject:
    """The yardstick as the scenarios drive it."""

    #: Methods without a counterpart here are compared with the plainest call there is.
    methods = {"echo": "echo", "echo_async": "echo", "put": "put"}  # noqa: RUF012

    def __init__(self) -> None:
        self._port = 0
        self._idle: list[Calling] = []

    async def open(self, port: int) -> None:
        self._port = port
        self._calling = await dial(port)

    def echo(self, number: int) -> Any:
        return self._calling.call("echo", number)

    async def burst(self, method: str, count: int) -> None:
        name, call = self.methods[method], self._calling.call
        results = await asyncio.gather(*[call(name, i) for i in range(count)])
        assert results[-1] == count - 1

    async def tasks(self, count: int, calls: int) -> None:
        async def user() -> None:
            for i in range(calls):
                await self.echo(i)

        await asyncio.gather(*[user() for _ in range(count)])

    async def chain(self, depth: int) -> int:
        handle = await self._calling.call("node")
        for _ in range(depth - 2):
            handle = await self._calling.call("next", handle)
        return int(await self._calling.call("value", handle))

    def bulk(self, data: bytes) -> Any:
        return self._calling.call("echo", data)

    async def churn(self, count: int) -> None:
        call = self._calling.call

        async def one() -> None:
            handle = await call("fresh")
            assert await call("get", handle) == 42
            call("drop", handle)

        await asyncio.gather(*[one() for _ in range(count)])

    async def alive(self) -> int:
        return int(await (await dial(self._port)).call("alive"))

    async def idle(self, count: int) -> None:
        for _ in range(count):
            calling = await dial(self._port)
            await calling.call("echo", 1)
            self._idle.append(calling)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def serve(port: int) -> None:
    """Serve until killed; say the port on the first line."""
    server = await asyncio.get_running_loop().create_server(Serving, "127.0.0.1", port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(words: list[str]) -> None:
    """Be the server, or the client of one measurement."""
    if words[0] == "server":
        asyncio.run(serve(0))
        return
    from tests.bench.scenarios import run_client

    run_client(lambda client: asyncio.run(client(BaseSubject())), words[1:], ["tests.bench.base", "server"])


if __name__ == "__main__":
    main(sys.argv[1:])
