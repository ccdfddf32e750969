"""The relay of the demo: late, whole, and over when either end is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from captp.cli.relay import serve_relay

DELAY_S = 0.05


@asynccontextmanager
async def relayed() -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """The two ends of one relayed connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = ("127.0.0.1", listener.socket.getsockname()[1])
    with trio.fail_after(10):
        async with listener, trio.open_nursery() as nursery:
            port = await nursery.start(serve_relay, lambda: address, DELAY_S)
            near = await trio.open_tcp_stream("127.0.0.1", port)
            async with near, await listener.accept() as far:
                yield near, far
            nursery.cancel_scope.cancel()


async def read(stream: trio.SocketStream, count: int) -> bytes:
    found = b""
    while len(found) < count and (part := await stream.receive_some()):
        found += part
    return found


async def test_each_way_takes_the_delay_and_no_byte_is_lost_or_changed() -> None:
    async with relayed() as (near, far):
        started = trio.current_time()
        await near.send_all(b"ping")
        assert await read(far, 4) == b"ping"
        assert trio.current_time() - started >= DELAY_S
        await far.send_all(b"pong")
        assert await read(near, 4) == b"pong"
        assert trio.current_time() - started >= 2 * DELAY_S


async def test_many_bytes_share_one_delay() -> None:
    data = bytes(range(256)) * 4096
    async with relayed() as (near, far), trio.open_nursery() as nursery:
        started = trio.current_time()
        nursery.start_soon(near.send_all, data)

        assert await read(far, len(data)) == data
        assert trio.current_time() - started < 20 * DELAY_S, "the chunks travel together"


async def test_the_end_of_one_side_arrives_after_what_was_sent_before() -> None:
    async with relayed() as (near, far):
        await near.send_all(b"last words")
        await near.aclose()

        assert await read(far, 1000) == b"last words"


async def test_a_target_that_is_away_closes_the_connection() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    gone = ("127.0.0.1", listener.socket.getsockname()[1])
    await listener.aclose()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_relay, lambda: gone, 0.0)
            async with await trio.open_tcp_stream("127.0.0.1", port) as near:
                assert await near.receive_some() == b""
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("side", ["near", "far"])
async def test_a_reset_ends_both_ways(side: str) -> None:
    async with relayed() as (near, far):
        # What matters is that the other end hears of it; without that this times out.
        broken, other = (near, far) if side == "near" else (far, near)
        broken.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        broken.socket.close()

        with suppress(trio.BrokenResourceError):
            while await other.receive_some():
                await other.send_all(bytes(1000))
