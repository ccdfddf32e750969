"""Every netlayer listens the same way: alone at its place, with hints meanwhile, past lost connections."""

from __future__ import annotations

import pytest
import trio

from captp.errors import Disconnected, Unreachable, UsageError
from captp.net.base import Conduit, Netlayer
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort
from captp.net.unix import UnixNetlayer
from captp.net.websocket import WebsocketNetlayer
from tests.trio.netlayers import CLIENT, every_netlayer, locator, netlayers, read_exactly


@every_netlayer
async def test_a_lost_connection_ends_its_task_only(kind: str) -> None:
    async def accept(conduit: Conduit) -> None:
        conduit.send_nowait(b"6:served")
        if await read_exactly(conduit, 5) == b"3:die":
            raise Disconnected("as a session does")

    with trio.fail_after(10):
        async with netlayers(kind) as (client, server), trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: server.serve(accept, task_status=task_status))
            for _ in range(2):
                conduit = await client.dial(locator(server))
                assert await read_exactly(conduit, 8) == b"6:served"
                conduit.send_nowait(b"3:die")
                assert await conduit.receive() == b""
                await conduit.aclose()
            nursery.cancel_scope.cancel()


@every_netlayer
async def test_hints_are_there_while_it_listens_and_nobody_can_dial_afterwards(kind: str) -> None:
    async def accept(conduit: Conduit) -> None:
        await conduit.receive()

    with trio.fail_after(10):
        async with netlayers(kind) as (client, server):
            assert server.hints() == {}
            async with trio.open_nursery() as nursery:
                await nursery.start(lambda *, task_status: server.serve(accept, task_status=task_status))
                where = locator(server)
                assert server.hints() == dict(where.hints)
                assert bool(where.hints) == (kind != "memory")
                nursery.cancel_scope.cancel()
            assert server.hints() == {}

            with pytest.raises(Unreachable, match=r"listen|no socket"):
                await client.dial(where)


@every_netlayer
async def test_a_second_listener_at_the_same_place_is_refused(kind: str) -> None:
    async def accept(conduit: Conduit) -> None:
        await conduit.receive()

    with trio.fail_after(10):
        async with netlayers(kind) as (client, server), trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: server.serve(accept, task_status=task_status))
            second = same_place(server)
            with pytest.raises(UsageError, match=r"in use|already|live daemon"):
                await second.serve(accept, task_status=trio.TASK_STATUS_IGNORED)

            conduit = await client.dial(locator(server))
            conduit.send_nowait(b"26:the first one still serves")
            assert await conduit.receive() == b""
            await conduit.aclose()
            nursery.cancel_scope.cancel()


def same_place(server: Netlayer) -> Netlayer:
    port = int(server.hints().get("port", 0))
    match server:
        case WebsocketNetlayer():
            port = int(server.hints()["url"].rpartition(":")[2].strip("/"))
            return WebsocketNetlayer(CLIENT, "127.0.0.1", port)
        case TcpNetlayer():
            return TcpNetlayer("127.0.0.1", port)
        case TlsNetlayer():
            return TlsNetlayer(CLIENT, TlsPort("127.0.0.1", port))
        case UnixNetlayer():
            return UnixNetlayer(server.path)
        case _:
            return server
