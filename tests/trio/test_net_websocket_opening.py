"""Handshakes of the netlayer websocket that are slow, long, many, or no WebSocket at all."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
import trio

from captp.errors import (
    Unreachable,
    WrongPeer,
)
from captp.limits import Limits
from captp.net.websocket import WebsocketNetlayer
from tests.trio.websocket_peer import (
    ANN,
    BINARY,
    BOB,
    CHALLENGE,
    EVE,
    LOOPBACK,
    Stock,
    acceptor,
    frame,
    head,
    locator_of,
    open_stock,
    read,
    serving,
)

DEFLATE = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", head(80)[:30], head(80), head(80) + frame(BINARY, CHALLENGE)[:30]])
async def test_a_handshake_that_takes_too_long_is_closed(sent: bytes) -> None:
    async with serving(ANN, limits=Limits(handshake_timeout_s=0.3)) as served:
        before = trio.current_time()
        async with await trio.open_tcp_stream(LOOPBACK, served.port) as stream:
            if sent:
                await stream.send_all(sent)
            while await stream.receive_some():
                pass

        assert 0.25 < trio.current_time() - before < 3
        assert served.accepted == []


async def test_a_server_that_does_not_answer_is_unreachable() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener, trio.fail_after(10):
        netlayer = WebsocketNetlayer(BOB, limits=Limits(handshake_timeout_s=0.2))

        with pytest.raises(Unreachable, match=r"did not finish the WebSocket handshake within 0\.2 s"):
            await netlayer.dial(locator_of(ANN, listener.getsockname()[1]))


@pytest.mark.parametrize("extra", [0, 1])
async def test_a_handshake_has_so_many_bytes_and_no_more(extra: int) -> None:
    last = frame(BINARY, CHALLENGE)
    size = Limits().handshake_bytes - len(last) + extra
    async with serving(ANN) as served, await trio.open_tcp_stream(LOOPBACK, served.port) as stream:
        await stream.send_all(head(served.port, size) + last)
        got = b""
        while CHALLENGE not in got:
            data = await stream.receive_some()
            if not data:
                break
            got += data

        assert (CHALLENGE in got) == (not extra)


async def test_an_http_head_of_more_bytes_than_the_limit_is_not_read() -> None:
    async with serving(ANN) as served, await trio.open_tcp_stream(LOOPBACK, served.port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nX: " + b"x" * Limits().handshake_bytes)
        with suppress(trio.BrokenResourceError):
            assert await stream.receive_some() == b""


async def test_a_dialler_reads_no_http_head_over_the_limit() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 101 X\r\nX: " + b"x" * Limits().handshake_bytes)
        with pytest.raises((trio.BrokenResourceError, AssertionError)):
            assert await stream.receive_some()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host=LOOPBACK))
        with pytest.raises(Unreachable, match="too much before the end of the handshake"):
            await WebsocketNetlayer(BOB).dial(locator_of(ANN, listeners[0].socket.getsockname()[1]))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (head(1).replace(b"Version: 13", b"Version: 12"), b"426"),
        (head(1).replace(b"Upgrade: websocket", b"Upgrade: h2c"), b"400"),
        (head(1).replace(b"Host: 127", b"Host: \xff"), b"400"),
        (b"\x16\x03\x01 nonsense\r\n\r\n", b"400"),
    ],
)
async def test_what_asks_for_no_websocket_gets_an_http_status(request_head: bytes, status: bytes) -> None:
    async with serving(ANN) as served, await trio.open_tcp_stream(LOOPBACK, served.port) as stream:
        await stream.send_all(request_head)
        got = b""
        while data := await stream.receive_some():
            got += data

        assert got.split()[1] == status
        assert served.accepted == []


async def test_a_bare_line_feed_in_the_head_is_refused() -> None:
    async with serving(ANN) as served, await trio.open_tcp_stream(LOOPBACK, served.port) as stream:
        await stream.send_all(head(1).replace(b"\r\nHost", b"\nHost", 1))

        assert await stream.receive_some() == b""


async def test_compression_is_never_agreed_to() -> None:
    async with serving(ANN) as served, await trio.open_tcp_stream(LOOPBACK, served.port) as stream:
        await stream.send_all(head(1).replace(b"\r\n\r\n", DEFLATE))
        answer = await stream.receive_some()

        assert answer.startswith(b"HTTP/1.1 101")
        assert b"xtension" not in answer


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda a: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"),
        (lambda a: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP status 200"),
        (lambda a: a.replace(b"\r\n\r\n", DEFLATE), "extension"),
        (lambda a: a.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: soap\r\n\r\n"), "subprotocol"),
        (lambda a: a.replace(b"Accept: ", b"Accept: x"), "accept token"),
        (lambda a: b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no WebSocket"),
    ],
    ids=["404", "200", "compression", "another subprotocol", "wrong token", "ssh"],
)
async def test_an_answer_that_is_no_plain_websocket_is_unreachable(
    change: Callable[[bytes], bytes], why: str
) -> None:
    async def serve(peer: Stock) -> None:
        await peer.accept(change=change)
        with pytest.raises((trio.BrokenResourceError, EOFError)):
            await peer.hear()

    async with acceptor(serve, is_asked=True) as port:
        with pytest.raises(Unreachable, match=why) as caught:
            await WebsocketNetlayer(BOB).dial(locator_of(ANN, port))
        assert "may not host that vat any more" in str(caught.value)
        assert not isinstance(caught.value, WrongPeer)


async def test_the_17th_half_open_connection_of_one_address_is_closed_and_proved_ones_do_not_count() -> None:
    most = Limits().handshake_pending_per_addr
    assert most == 16
    async with serving(ANN) as served:
        conduit = await WebsocketNetlayer(BOB).dial(locator_of(ANN, served.port))
        conduit.send_nowait(b"2:up")
        assert await read(conduit, 4) == b"2:up"
        waiting = [await trio.open_tcp_stream(LOOPBACK, served.port) for _ in range(most)]
        async with await trio.open_tcp_stream(LOOPBACK, served.port) as one_more:
            assert await one_more.receive_some() == b""

        await waiting.pop().aclose()
        while True:
            try:
                other = await WebsocketNetlayer(EVE).dial(locator_of(ANN, served.port))
                break
            except Unreachable:
                await trio.lowlevel.checkpoint()
        for stream in waiting:
            await stream.aclose()
        await other.aclose()
        await conduit.aclose()


async def test_one_half_open_connection_too_many_costs_the_oldest_its_place() -> None:
    async with serving(ANN, limits=Limits(handshake_pending=2)) as served:
        streams = [await trio.open_tcp_stream(LOOPBACK, served.port) for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked()
        async with open_stock(served.port) as peer:
            assert await streams[0].receive_some() == b""
            await peer.send(CHALLENGE)
            await peer.hear()
        for stream in streams:
            await stream.aclose()
