"""What every netlayer owes, checked the same way over all five."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
import trio

from captp.errors import Disconnected, Unreachable, UsageError
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
PROVED = {
    "memory": (SERVER.public.raw, CLIENT.public.raw, NAME),
    "tls": (SERVER.public.raw, CLIENT.public.raw, NAME),
    "tcp-testing-only": (None, None, None),
    "unix": (None, None, None),
    "websocket": (SERVER.public.raw, CLIENT.public.raw, None),
}

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


async def push(conduit: Conduit, chunks: list[bytes]) -> None:
    for chunk in chunks:
        conduit.send_nowait(chunk)
        if conduit.pending > MIB:
            await conduit.flush()
    await conduit.flush()


async def both_ways(
    check: Callable[[Conduit, Conduit], Awaitable[None]], here: Conduit, there: Conduit
) -> None:
    await check(here, there)
    await check(there, here)


def sliced(random: Random, total: int) -> list[bytes]:
    body = random.randbytes(total)
    chunks, at = [], 0
    while at < total:
        size = random.choice((0, 1, 2, 100, 16383, 16384, 16385, 65536, 65537, 300_000))
        chunks.append(body[at : at + size])
        at += size
    return chunks


@every_netlayer
async def test_bytes_arrive_whole_and_in_order_both_ways_at_once(kind: str) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    random = Random(seed)
    up, down = sliced(random, 3 * MIB), sliced(random, 3 * MIB)
    got: dict[str, bytes] = {}

    async def read(name: str, conduit: Conduit) -> None:
        got[name] = await read_exactly(conduit, 3 * MIB)

    async with pair(kind) as (here, there), trio.open_nursery() as nursery:
        nursery.start_soon(push, here, up)
        nursery.start_soon(push, there, down)
        nursery.start_soon(read, "up", there)
        nursery.start_soon(read, "down", here)

    assert got["up"] == b"".join(up)
    assert got["down"] == b"".join(down)


@every_netlayer
async def test_each_end_knows_what_was_proved_and_what_was_asked_for(kind: str) -> None:
    servers, clients, local = PROVED[kind]

    async with pair(kind) as (here, there):
        assert (here.proved, there.proved) == (servers, clients)
        assert (here.local, there.local) == (None, local)
        assert here.binding == there.binding
        assert len(here.binding) == (32 if servers else 0)
        assert here.remote
        assert there.remote


@every_netlayer
async def test_the_end_comes_after_all_bytes_and_stays(kind: str) -> None:
    async def check(here: Conduit, there: Conduit) -> None:
        here.send_nowait(b"last words")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.aclose)
            assert await read_exactly(there, 10) == b"last words"
            assert await there.receive() == b""
            assert await there.receive() == b""
            await there.aclose()

    async with pair(kind) as (here, there):
        await check(here, there)
    async with pair(kind) as (here, there):
        await check(there, here)


@every_netlayer
async def test_the_end_waits_for_what_is_pending(kind: str) -> None:
    data = b"x" * (8 * MIB)

    async with pair(kind) as (here, there):
        here.send_nowait(data)
        assert here.pending

        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.aclose)
            assert await read_exactly(there, len(data)) == data
            assert await there.receive() == b""
            await there.aclose()


@every_netlayer
async def test_bytes_that_cross_the_end_do_not_destroy_what_was_sent_before_it(kind: str) -> None:
    async with pair(kind) as (here, there):
        there.send_nowait(b"unread " * 10_000)
        here.send_nowait(b"the reason")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.aclose)
            await trio.testing.wait_all_tasks_blocked()
            there.send_nowait(b"crossing")
            assert await read_exactly(there, 10) == b"the reason"
            assert await there.receive() == b""
            await there.aclose()


@every_netlayer
async def test_a_slow_reader_gets_8_mib_whole_and_pending_says_what_waits(kind: str) -> None:
    data = Random(1).randbytes(8 * MIB)
    marks: list[int] = []

    async def flush(conduit: Conduit) -> None:
        await conduit.flush()
        marks.append(conduit.pending)

    async def check(here: Conduit, there: Conduit) -> None:
        marks.clear()
        assert here.pending == 0
        here.send_nowait(data)
        first = here.pending
        assert 0 < first < 8 * MIB + 64 * 1024
        here.send_nowait(b"tail")
        assert 0 < here.pending <= first + 4 + 64
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flush, here)
            await trio.testing.wait_all_tasks_blocked()
            assert marks == []
            assert await read_exactly(there, len(data) + 4) == data + b"tail"
        assert marks == [0]
        await here.flush()

    async with pair(kind) as (here, there):
        await both_ways(check, here, there)


@every_netlayer
async def test_cancelling_a_receive_loses_nothing(kind: str) -> None:
    async def check(here: Conduit, there: Conduit) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await there.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.receive)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

        here.send_nowait(b"hello")
        with trio.CancelScope() as scope:
            scope.cancel()
            await there.receive()

        assert await read_exactly(there, 5) == b"hello"

    async with pair(kind) as (here, there):
        await both_ways(check, here, there)


@every_netlayer
async def test_sending_works_while_another_task_receives(kind: str) -> None:
    got: list[bytes] = []

    async def receive(conduit: Conduit) -> None:
        got.append(await conduit.receive())

    async with pair(kind) as (here, there):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive, here)
            await trio.testing.wait_all_tasks_blocked()
            here.send_nowait(b"question")
            assert await read_exactly(there, 8) == b"question"
            there.send_nowait(b"answer")

        assert got == [b"answer"]


@every_netlayer
async def test_closing_twice_is_closing_once_and_afterwards_nothing_works(kind: str) -> None:
    async with pair(kind) as (here, there):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.aclose)
            nursery.start_soon(here.aclose)
            assert await there.receive() == b""
            await there.aclose()
        await here.aclose()

        with pytest.raises(Disconnected, match="closed at this end"):
            here.send_nowait(b"x")
        with pytest.raises(Disconnected, match="closed at this end"):
            await here.receive()
        with pytest.raises(Disconnected, match="closed at this end"):
            await here.flush()
        assert here.pending == 0


@every_netlayer
async def test_closing_wakes_whoever_waits_with_disconnected(kind: str) -> None:
    async def expect(waits: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(Disconnected, match="closed at this end"):
            await waits()

    async with pair(kind) as (here, there):
        here.send_nowait(b"x" * (8 * MIB))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, here.receive)
            nursery.start_soon(expect, here.flush)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(here.aclose)
            nursery.start_soon(there.aclose)


@every_netlayer
async def test_closing_under_cancellation_does_not_wait(kind: str) -> None:
    async with pair(kind) as (here, _there):
        here.send_nowait(b"x" * (8 * MIB))
        before = trio.current_time()

        with trio.CancelScope() as scope:
            scope.cancel()
            await here.aclose()

        assert trio.current_time() - before < 0.5
        with pytest.raises(Disconnected):
            here.send_nowait(b"x")


@every_netlayer
async def test_closing_waits_only_so_long_for_a_peer_that_does_not_close(kind: str) -> None:
    async with pair(kind) as (here, _there):
        before = trio.current_time()
        await here.aclose()
        assert trio.current_time() - before < 3


@every_netlayer
async def test_sending_to_a_peer_that_is_gone_fails(kind: str) -> None:
    async with pair(kind) as (here, there):
        with trio.CancelScope() as scope:
            scope.cancel()
            await there.aclose()

        with pytest.raises(Disconnected):  # noqa: PT012 the kernel may take the first ones
            while True:
                here.send_nowait(b"x")
                if await here.receive() == b"":
                    here.send_nowait(b"x")


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
