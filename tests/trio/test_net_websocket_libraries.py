"""Which libraries the netlayer websocket talks with, and what is said where its own is missing."""

from __future__ import annotations

import subprocess
import sys

import trio
import trio_websocket

from captp.net.websocket import WebsocketNetlayer
from tests.trio.websocket_peer import ANN, BOB, CHALLENGE, LOOPBACK, locator_of, read, serving, signed_by


async def test_a_client_made_with_trio_websocket_is_served() -> None:
    async with (
        serving(ANN) as served,
        trio_websocket.open_websocket(LOOPBACK, served.port, "/", use_ssl=False) as peer,
    ):
        await peer.send_message(CHALLENGE)
        assert await peer.get_message() == signed_by(ANN, CHALLENGE)
        await peer.ping(b"still there?")
        await peer.send_message(b"x" * 100_000)
        assert await peer.get_message() == b"x" * 100_000


async def test_a_server_made_with_trio_websocket_is_dialled() -> None:
    async def handle(request: trio_websocket.WebSocketRequest) -> None:
        peer = await request.accept()
        try:
            await peer.send_message(signed_by(ANN, bytes(await peer.get_message())))  # type: ignore[arg-type]
            while True:
                await peer.send_message(await peer.get_message())
        except trio_websocket.ConnectionClosed:
            pass

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(trio_websocket.serve_websocket, handle, LOOPBACK, 0, None)
            conduit = await WebsocketNetlayer(BOB).dial(locator_of(ANN, server.port))
            conduit.send_nowait(b"100000:" + b"x" * 100_000 + b"2:hi")
            nursery.start_soon(conduit.flush)
            assert await read(conduit, 100_011) == b"100000:" + b"x" * 100_000 + b"2:hi"
            await conduit.aclose()
            nursery.cancel_scope.cancel()


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["wsproto"] = None
import captp
from captp.limits import Limits
from captp.run.netlayers import default_netlayer
try:
    import captp.net.websocket
except captp.UsageError as error:
    print(error)
try:
    default_netlayer("websocket", None, Limits())
except captp.Unreachable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    line = "the netlayer websocket needs the package wsproto; pip install 'captp[websocket]'"
    assert done.stdout.splitlines() == [line, line]
