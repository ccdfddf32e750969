"""How messages become the messages of a WebSocket and a stream again (M71), and what its end is."""

from __future__ import annotations

import struct

import pytest
import trio

from captp.errors import Disconnected, LocalProtocolError
from captp.net._websocket_stream import PLAIN_MESSAGE
from captp.net.base import RECEIVE_BYTES
from captp.net.websocket import WebsocketNetlayer
from captp.wire.native import PREAMBLE
from tests.trio.websocket_pair import stock_pair
from tests.trio.websocket_peer import (
    ANN,
    BINARY,
    BOB,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    Stock,
    acceptor,
    frame,
    locator_of,
    read,
    signed_by,
)


async def test_each_message_of_a_session_is_one_websocket_message() -> None:
    async with stock_pair() as (conduit, peer):
        long = b"z" * 70_000
        conduit.send_nowait(b"5:<1'a>")
        conduit.send_nowait(b"2:bb1:c" + b"70000:" + long)

        assert [await peer.hear() for _ in range(4)] == [b"<1'a>", b"bb", b"c", long]


async def test_each_websocket_message_is_given_behind_its_length() -> None:
    async with stock_pair() as (conduit, peer):
        long = b"z" * 300_000
        expected = b"5:<1'a>2:bb0:300000:" + long

        async def send() -> None:
            for message in (b"<1'a>", b"bb", b"", long):
                await peer.send(message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert await read(conduit, len(expected)) == expected


async def test_a_long_message_is_given_in_pieces_of_the_size_that_conduits_promise() -> None:
    async with stock_pair() as (conduit, peer), trio.open_nursery() as nursery:
        half = b"z" * RECEIVE_BYTES
        nursery.start_soon(peer.raw, frame(BINARY, half, fin=False) + frame(CONTINUATION, half))

        assert await read(conduit, 7 + 2 * len(half)) == b"524288:" + half + half


async def test_fragments_become_one_message_and_control_frames_may_come_between() -> None:
    async with stock_pair() as (conduit, peer):
        await peer.raw(frame(BINARY, b"<1'", fin=False))
        await peer.raw(frame(PING, b"there?"))
        await peer.raw(frame(CONTINUATION, b"a", fin=False) + frame(CONTINUATION, b"", fin=False))
        await peer.raw(frame(PONG, b"unasked") + frame(CONTINUATION, b">"))
        await peer.send(b"next")

        assert await read(conduit, 13) == b"5:<1'a>4:next"
        assert await peer.control() == (PONG, b"there?")


@pytest.mark.parametrize("first", [PREAMBLE, PREAMBLE[:1]])
async def test_a_native_peer_that_dials_makes_both_directions_plain(first: bytes) -> None:
    async with stock_pair() as (conduit, peer):
        await peer.send(first)
        assert await read(conduit, len(first)) == first
        await peer.raw(frame(BINARY, b"ab", fin=False) + frame(CONTINUATION, b"cd"))
        assert await read(conduit, 4) == b"abcd"

        conduit.send_nowait(b"\x00\x00\x00\x01x")
        conduit.send_nowait(b"y" * (PLAIN_MESSAGE + 1))

        assert await peer.hear() == b"\x00\x00\x00\x01x"
        assert [len(await peer.hear()) for _ in range(2)] == [PLAIN_MESSAGE, 1]


async def test_a_native_dialler_makes_both_directions_plain() -> None:
    async def serve(peer: Stock) -> None:
        await peer.send(signed_by(ANN, await peer.hear()))
        assert await peer.hear() == PREAMBLE + b"hello"
        await peer.send(b"\x00plain")
        await peer.close_code()

    async with acceptor(serve) as port:
        conduit = await WebsocketNetlayer(BOB).dial(locator_of(ANN, port))
        conduit.send_nowait(PREAMBLE + b"hello")

        assert await read(conduit, 6) == b"\x00plain"
        await conduit.aclose()


@pytest.mark.parametrize("data", [b"<1'a>", b"3:ab", b"1:a<", b"01:a", b"0:", b"1:a2:b", b":"])
async def test_bytes_without_a_length_are_a_bug_of_ours_and_nothing_is_sent(data: bytes) -> None:
    async with stock_pair() as (conduit, peer):
        with pytest.raises(LocalProtocolError, match="begins no whole message"):
            conduit.send_nowait(data)
        conduit.send_nowait(b"1:x")

        assert await peer.hear() == b"x"


async def test_a_close_frame_is_the_end_is_answered_and_nothing_more_can_be_sent() -> None:
    async with stock_pair() as (conduit, peer):
        goodbye = frame(CLOSE, struct.pack("!H", 1001))
        await peer.raw(frame(BINARY, b"last") + goodbye + frame(BINARY, b"late"))

        assert await read(conduit, 6) == b"4:last"
        assert await conduit.receive() == b""
        assert await conduit.receive() == b""
        with pytest.raises(Disconnected, match="the other end closed it"):
            conduit.send_nowait(b"1:x")
        assert await peer.close_code() == 1000


async def test_closing_sends_everything_and_then_a_close_frame_of_1000() -> None:
    async with stock_pair() as (conduit, peer), trio.open_nursery() as nursery:
        conduit.send_nowait(b"3000000:" + bytes(3_000_000))
        conduit.send_nowait(b"4:last")
        nursery.start_soon(conduit.aclose)

        assert len(await peer.hear()) == 3_000_000
        assert await peer.hear() == b"last"
        assert await peer.close_code() == 1000


@pytest.mark.parametrize(
    ("data", "is_cut"),
    [
        (b"", False),
        (frame(BINARY, b"whole"), False),
        (frame(BINARY, b"whole")[:1], True),
        (frame(BINARY, b"whole")[:6], True),
        (frame(BINARY, b"whole")[:-1], True),
        (frame(BINARY, b"whole", fin=False), True),
        (frame(PING, b"whole")[:-1], True),
    ],
    ids=[
        "nothing",
        "a message",
        "half a header",
        "a header",
        "half a frame",
        "half a message",
        "half a ping",
    ],
)
async def test_an_end_without_goodbye_is_an_end_between_messages_only(data: bytes, is_cut: bool) -> None:
    async with stock_pair() as (conduit, peer):
        await peer.raw(data)
        await peer.stream.send_eof()

        if is_cut:
            with pytest.raises(Disconnected, match="cut off inside a message"):
                await read(conduit, 8)
        else:
            assert await read(conduit, 7 if data else 0) == (b"5:whole" if data else b"")
            assert await conduit.receive() == b""
