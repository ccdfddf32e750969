"""Where the netlayer websocket dials and listens: which URLs it follows, and the web server of a wss one."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from captp.errors import Disconnected, Unreachable, UsageError
from captp.model.locator import PeerLocator
from captp.net.base import Conduit
from captp.net.websocket import WebsocketNetlayer
from tests.trio.websocket_peer import (
    ANN,
    BOB,
    LOOPBACK,
    Stock,
    acceptor,
    read,
    self_signed,
    serving,
    signed_by,
)


def at(url: str) -> PeerLocator:
    return PeerLocator.make("websocket", ANN.public.designator, {"url": url} if url else {})


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "expected a hint"),
        ("http://127.0.0.1/", "expected a URL"),
        ("ws:///path", "expected a URL"),
        ("127.0.0.1:80", "expected a URL"),
        ("ws://[::1/", "expected a URL"),
        ("ws://127.0.0.1:99999/", "expected a URL"),
        ("ws://127.0.0.1:0/", "port is 0"),
        ("ws://user@127.0.0.1/", "user name or a fragment"),
        ("ws://127.0.0.1/#top", "user name or a fragment"),
        ("ws://127.0.0.1/ x", "blank, control"),
        ("ws://127.0.0.1/\r\nX: y", "blank, control"),
        ("ws://127.0.0.1/é", "non-ASCII"),
        ("ws://192.0.2.1/", "not loopback"),
        ("ws://127.0.0.1:1/", "nobody listens"),
        ("wss://127.0.0.1:1/", "nobody listens"),
    ],
)
async def test_a_url_that_leads_nowhere_is_unreachable(url: str, why: str) -> None:
    with pytest.raises(Unreachable, match=why):
        await WebsocketNetlayer(BOB).dial(at(url))


async def test_a_designator_that_is_no_key_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="designator is no key"):
        await WebsocketNetlayer(BOB).dial(PeerLocator.make("websocket", "ann", {"url": "ws://127.0.0.1:1/"}))


async def test_plain_websockets_listen_on_loopback_only_unless_told_otherwise() -> None:
    async def accept(conduit: Conduit) -> None:
        await conduit.receive()

    with pytest.raises(UsageError, match=r"ws:// hides nothing, and '0\.0\.0\.0' is not loopback"):
        await WebsocketNetlayer(ANN, "0.0.0.0").serve(accept)
    netlayer = WebsocketNetlayer(ANN, "0.0.0.0", insecure=True)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: netlayer.serve(accept, task_status=task_status))
            assert netlayer.hints()["url"].startswith("ws://")
            nursery.cancel_scope.cancel()


async def test_a_public_url_goes_into_the_hints_and_path_and_query_reach_the_server() -> None:
    targets: list[str] = []

    async def serve(peer: Stock) -> None:
        targets.append(peer.target)
        await peer.send(signed_by(ANN, await peer.hear()))
        await peer.close_code()

    async def accept(conduit: Conduit) -> None:
        await conduit.receive()

    async with acceptor(serve) as port:
        netlayer = WebsocketNetlayer(ANN, public_url=f"ws://localhost:{port}/vats?a=b")
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: netlayer.serve(accept, task_status=task_status))
            locator = PeerLocator.make("websocket", ANN.public.designator, netlayer.hints())
            conduit = await WebsocketNetlayer(BOB).dial(locator)
            await conduit.aclose()
            nursery.cancel_scope.cancel()
    assert targets == ["/vats?a=b"]


@asynccontextmanager
async def wss_server(
    handle: Callable[[trio.SSLStream[trio.SocketStream]], Awaitable[None]], context: ssl.SSLContext
) -> AsyncIterator[int]:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_ssl_over_tcp, handle, 0, context, host=LOOPBACK, https_compatible=True)
            )
            yield listeners[0].transport_listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def tls_proxy(folder: Path, inner: int) -> AsyncIterator[int]:
    """What a web server does: wss outside, ws inside."""
    context = self_signed(folder)

    async def copy(source: trio.abc.ReceiveStream, sink: trio.abc.Stream) -> None:
        async for data in source:
            await sink.send_all(data)
        if isinstance(sink, trio.SocketStream):
            await sink.send_eof()
        else:
            await sink.aclose()

    async def handle(outside: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            async with await trio.open_tcp_stream(LOOPBACK, inner) as inside, trio.open_nursery() as nursery:
                nursery.start_soon(copy, outside, inside)
                nursery.start_soon(copy, inside, outside)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with wss_server(handle, context) as port:
        yield port


async def test_wss_goes_through_a_web_server_whose_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(ANN) as served, tls_proxy(tmp_path, served.port) as port:
        locator = at(f"wss://localhost:{port}/")
        with pytest.raises(Unreachable, match="has no certificate that this machine trusts: self"):
            await WebsocketNetlayer(BOB).dial(locator)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        other = at(f"wss://127.0.0.1:{port}/")
        with pytest.raises(Unreachable, match="trusts: IP address mismatch"):
            await WebsocketNetlayer(BOB).dial(other)

        conduit = await WebsocketNetlayer(BOB).dial(locator)
        data = bytes(2_000_000)
        conduit.send_nowait(b"2000000:" + data)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(conduit.flush)
            assert await read(conduit, 2_000_008) == b"2000000:" + data
        assert [c.proved for c in served.accepted] == [BOB.public.raw]
        assert served.accepted[0].binding == conduit.binding
        await conduit.aclose()


async def test_a_wss_connection_that_is_cut_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))

    async def handle(stream: trio.SSLStream[trio.SocketStream]) -> None:
        peer = await Stock.answer(stream)
        await peer.accept()
        await peer.send(signed_by(ANN, await peer.hear()))
        await stream.transport_stream.aclose()

    async with wss_server(handle, context) as port:
        conduit = await WebsocketNetlayer(BOB).dial(at(f"wss://localhost:{port}/"))

        with pytest.raises(Disconnected, match="cut off"):
            await conduit.receive()
        await conduit.aclose()
