"""Any of the five netlayers: one to dial with and one to serve with, or both ends of a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio

from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.net.base import RECEIVE_BYTES, Conduit, Netlayer
from captp.net.memory import MemoryNetwork
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort
from captp.net.unix import UnixNetlayer
from captp.net.websocket import WebsocketNetlayer
from captp.wire.native import PREAMBLE

MIB = 1024 * 1024
KINDS = ("memory", "tcp-testing-only", "tls", "unix", "websocket")
SERVER = PrivateKey.from_seed(b"s" * 32)
CLIENT = PrivateKey.from_seed(b"c" * 32)
NAME = SERVER.public.designator
every_netlayer = pytest.mark.parametrize("kind", KINDS)


@asynccontextmanager
async def netlayers(kind: str) -> AsyncIterator[tuple[Netlayer, Netlayer]]:
    """A netlayer to dial with and one to serve with."""
    with TemporaryDirectory() as folder:
        match kind:
            case "memory":
                network = MemoryNetwork()
                yield network.netlayer(CLIENT.public.designator), network.netlayer(NAME)
            case "tcp-testing-only":
                yield TcpNetlayer(), TcpNetlayer()
            case "tls":
                yield TlsNetlayer(CLIENT), TlsNetlayer(SERVER, TlsPort())
            case "websocket":
                yield WebsocketNetlayer(CLIENT), WebsocketNetlayer(SERVER)
            case _:
                yield UnixNetlayer(), UnixNetlayer(str(Path(folder, "sock")))


def locator(server: Netlayer) -> PeerLocator:
    return PeerLocator.make(server.transport, NAME, server.hints())


@asynccontextmanager
async def pair(kind: str) -> AsyncIterator[tuple[Conduit, Conduit]]:
    """Both ends of a new connection: the dialler's, then the acceptor's."""
    send, receive = trio.open_memory_channel[Conduit](1)

    async def accept(conduit: Conduit) -> None:
        await send.send(conduit)
        await trio.sleep_forever()

    with trio.fail_after(20):
        async with netlayers(kind) as (client, server), trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: server.serve(accept, task_status=task_status))
            dialler = await client.dial(locator(server))
            acceptor = await receive.receive()
            if kind == "websocket":
                # Without it both ends would read a length before each message.
                dialler.send_nowait(PREAMBLE)
                assert await read_exactly(acceptor, len(PREAMBLE)) == PREAMBLE
            yield dialler, acceptor
            async with trio.open_nursery() as closing:
                closing.start_soon(dialler.aclose)
                closing.start_soon(acceptor.aclose)
            nursery.cancel_scope.cancel()


async def read_exactly(conduit: Conduit, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        data = await conduit.receive()
        assert data, f"end after {len(parts)} of {size} bytes"
        assert len(data) <= RECEIVE_BYTES
        parts += data
    return bytes(parts)
