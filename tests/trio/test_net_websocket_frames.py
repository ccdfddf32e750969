"""Which frames do not pass a WebSocket: hostile ones, and those over a limit."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import Disconnected
from captp.limits import Limits
from captp.net._websocket_frames import FRAGMENTS, Frames, ParseFailed, Piece
from captp.net._websocket_stream import PLAIN_MESSAGE, PONG_ROOM
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
    TEXT,
    Stock,
    acceptor,
    frame,
    locator_of,
    read,
    signed_by,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=300), max_size=8),
    st.lists(st.integers(1, 40), min_size=1),
    st.booleans(),
)
def test_frames_may_arrive_in_any_pieces(messages: list[bytes], sizes: list[int], is_dialler: bool) -> None:
    sender, receiver = Frames(is_dialler=is_dialler, most=300), Frames(is_dialler=not is_dialler, most=300)
    wire = b"".join(sender.message(m) for m in messages)
    got: list[bytes] = []
    part, at, turn = b"", 0, 0

    while at < len(wire):
        size = sizes[turn % len(sizes)]
        receiver.feed(wire[at : at + size])
        at, turn = at + size, turn + 1
        while (event := receiver.next()) is not None:
            assert isinstance(event, Piece)
            part += event.data
            if event.is_last:
                got.append(part)
                part = b""

    assert got == messages
    assert not receiver.is_within


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_do_worse_than_fail_to_parse(data: bytes) -> None:
    frames = Frames(is_dialler=True, most=50)
    frames.feed(data)

    with suppress(ParseFailed):
        while frames.next() is not None:
            pass


SMALL = Limits(message_bytes=70_000)


async def test_a_message_of_the_limit_passes_and_a_longer_one_is_refused_at_its_header() -> None:
    async with stock_pair(SMALL) as (conduit, peer):
        await peer.send(b"x" * 70_000)
        assert await read(conduit, 70_006) == b"70000:" + b"x" * 70_000

        await peer.raw(frame(BINARY, b"", length=70_001))
        with pytest.raises(Disconnected, match="refused: it sent a message over the limit of 70000 bytes"):
            await conduit.receive()
        with pytest.raises(Disconnected, match="over the limit"):
            await conduit.receive()
        with pytest.raises(Disconnected, match="over the limit"):
            conduit.send_nowait(b"1:x")
        assert await peer.close_code() == 1009


@pytest.mark.parametrize("extra", [0, 1])
async def test_fragments_add_up_to_the_limit(extra: int) -> None:
    async with stock_pair(SMALL) as (conduit, peer):
        await peer.raw(frame(BINARY, b"x" * 40_000, fin=False))
        await peer.raw(frame(CONTINUATION, b"y" * 30_000, fin=False))
        await peer.raw(frame(CONTINUATION, b"", length=extra))

        if extra:
            with pytest.raises(Disconnected, match="over the limit of 70000"):
                await conduit.receive()
            assert await peer.close_code() == 1009
        else:
            await read(conduit, 70_006)
            await peer.raw(frame(BINARY, b"anew", fin=False) + frame(CONTINUATION, b""))
            assert await read(conduit, 6) == b"4:anew"


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("extra", [0, 1])
async def test_a_low_limit_on_messages_holds_for_the_first_one_of_a_framed_session(
    extra: int, is_whole: bool
) -> None:
    async with stock_pair(Limits(message_bytes=100)) as (conduit, peer):
        await peer.raw(frame(BINARY, b"x" * (100 + extra), fin=is_whole))

        if extra:
            with pytest.raises(Disconnected, match="over the limit of 100"):
                await conduit.receive()
            assert await peer.close_code() == 1009
        else:
            if not is_whole:
                await peer.raw(frame(CONTINUATION, b""))
            assert await read(conduit, 104) == b"100:" + b"x" * 100
            await peer.raw(frame(BINARY, b"", length=101))
            with pytest.raises(Disconnected, match="over the limit of 100"):
                await conduit.receive()


@pytest.mark.parametrize("extra", [0, 1])
async def test_a_native_peers_messages_have_64_kib_at_least_whatever_the_limit(extra: int) -> None:
    async with stock_pair(Limits(message_bytes=100)) as (conduit, peer):
        await peer.send(PREAMBLE)
        await read(conduit, len(PREAMBLE))
        await peer.send(b"x" * (PLAIN_MESSAGE + extra))

        if extra:
            with pytest.raises(Disconnected, match="over the limit of 65536"):
                await conduit.receive()
        else:
            await read(conduit, PLAIN_MESSAGE)


@pytest.mark.parametrize("extra", [0, 1])
async def test_a_message_has_so_many_fragments_and_no_more(extra: int) -> None:
    async with stock_pair() as (conduit, peer):
        more = frame(CONTINUATION, b"", fin=False) * (FRAGMENTS - 2 + extra)
        anew = frame(BINARY, b"anew", fin=False) + frame(CONTINUATION, b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                peer.raw, frame(BINARY, b"x", fin=False) + more + frame(CONTINUATION, b"y") + anew
            )
            if extra:
                with pytest.raises(Disconnected, match="over 4096 fragments"):
                    await conduit.receive()
                assert await peer.close_code() == 1009
            else:
                assert await read(conduit, 10) == b"2:xy4:anew"


HOSTILE = {
    "unmasked": (frame(BINARY, b"x", mask=False), 1002),
    "a length of 2^63": (frame(BINARY, b"", length=2**63), 1009),
    "a length of 2^63 - 1": (frame(BINARY, b"", length=2**63 - 1), 1009),
    "a length of 2^64 - 1 in a continuation": (
        frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"", length=2**64 - 1),
        1009,
    ),
    "a length that is longer than need be": (b"\x82\xfe\x00\x01mask\x00", 1002),
    "reserved bit 1, as of compression": (frame(BINARY, b"x", rsv=4), 1002),
    "reserved bit 2": (frame(BINARY, b"x", rsv=2), 1002),
    "reserved bit 3": (frame(BINARY, b"x", rsv=1), 1002),
    "a reserved bit in a control frame": (frame(PING, b"x", rsv=4), 1002),
    "a reserved opcode": (frame(3, b"x"), 1002),
    "a reserved control opcode": (frame(11, b"x"), 1002),
    "a text message": (frame(TEXT, b"x"), 1003),
    "a text message in fragments": (frame(TEXT, b"x", fin=False), 1003),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a close frame of 126 bytes": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "a ping in fragments": (frame(PING, b"x", fin=False), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a message inside another one": (frame(BINARY, b"x", fin=False) + frame(BINARY, b"y"), 1002),
    "a close frame with half a code": (frame(CLOSE, b"x"), 1002),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_frame_is_refused_with_its_code_once_what_came_before_is_read(name: str) -> None:
    data, code = HOSTILE[name]
    async with stock_pair() as (conduit, peer):
        await peer.raw(frame(BINARY, b"before") + data)

        assert await read(conduit, 8) == b"6:before"
        with pytest.raises(Disconnected, match="refused: it sent "):
            await conduit.receive()
        assert await peer.close_code() == code


async def test_a_masked_frame_from_an_acceptor_is_refused() -> None:
    async def serve(peer: Stock) -> None:
        await peer.send(signed_by(ANN, await peer.hear()))
        await peer.raw(frame(BINARY, b"x", mask=True))
        assert await peer.close_code() == 1002

    async with acceptor(serve) as port:
        conduit = await WebsocketNetlayer(BOB).dial(locator_of(ANN, port))
        with pytest.raises(Disconnected, match="refused"):
            await conduit.receive()
        await conduit.aclose()


async def test_a_ping_of_125_bytes_is_answered() -> None:
    async with stock_pair() as (conduit, peer):
        await peer.raw(frame(PING, b"p" * 125) + frame(BINARY, b"x"))

        assert await read(conduit, 3) == b"1:x"
        assert await peer.control() == (PONG, b"p" * 125)


async def test_of_a_flood_of_pings_by_a_peer_that_does_not_read_the_last_is_answered() -> None:
    pings = 40_000

    async with stock_pair() as (conduit, peer):

        async def flood() -> None:
            for start in range(0, pings, 1000):
                await peer.raw(b"".join(frame(PING, b"%d" % i) for i in range(start, start + 1000)))
            await peer.send(b"end")

        conduit.send_nowait(b"9000000:" + bytes(9_000_000))  # so that the socket is full
        full = conduit.pending
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            assert await read(conduit, 5) == b"3:end"
            assert conduit.pending <= full

            nursery.start_soon(conduit.flush)
            assert len(await peer.hear()) == 9_000_000
            assert await peer.control() == (PONG, b"%d" % (pings - 1))


async def test_pongs_that_nobody_reads_stop_at_a_bound() -> None:
    ping = frame(PING, b"p" * 125)

    async with stock_pair() as (conduit, peer), trio.open_nursery() as nursery:
        nursery.start_soon(conduit.receive)
        while conduit.pending <= PONG_ROOM:
            while not conduit.pending:  # the kernel finds more room now and then
                conduit.send_nowait(b"1000:" + bytes(1000))
            await peer.raw(ping)
            await trio.testing.wait_all_tasks_blocked()
        for _ in range(10):
            await peer.raw(ping)
            await trio.testing.wait_all_tasks_blocked()

        assert conduit.pending <= PONG_ROOM + 127
        nursery.cancel_scope.cancel()


async def test_fragments_of_one_message_may_take_so_long_and_no_longer() -> None:
    async with stock_pair(Limits(partial_message_s=0.3)) as (conduit, peer):
        with trio.move_on_after(0.5):
            await conduit.receive()  # a silent peer may be silent

        async def drip() -> None:
            for _ in range(12):
                await peer.raw(frame(CONTINUATION, b"y", fin=False))
                await trio.sleep(0.05)

        await peer.raw(frame(BINARY, b"x", fin=False))
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            with pytest.raises(Disconnected, match=r"fragments of one message for over 0\.3 s"):
                await conduit.receive()
            assert 0.25 < trio.current_time() - before < 0.55
        assert await peer.close_code() == 1008
