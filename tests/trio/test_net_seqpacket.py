"""Packets of a socket pair as a conduit: a stream of any size, its end, and what no peer of ours sends."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import Disconnected, Unreachable, UsageError
from captp.model.locator import PeerLocator
from captp.net.base import Conduit
from captp.net.seqpacket import ChildNetlayer, SeqpacketConduit
from captp.net.seqpacket_socket import PACKET, PacketSocket, packet_pair


async def fell() -> str:
    await trio.lowlevel.checkpoint()
    return "fell over"


async def nobody(_conduit: Conduit) -> None:
    raise AssertionError("somebody came")


def conduit(sock: socket.socket) -> SeqpacketConduit:
    return SeqpacketConduit(PacketSocket(sock), "process 1", None, b"", fell)


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[SeqpacketConduit, SeqpacketConduit]]:
    one, other = map(conduit, packet_pair())
    with trio.fail_after(10):
        yield one, other
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.aclose)
            nursery.start_soon(other.aclose)


async def read(reader: Conduit, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        parts += await reader.receive()
    return bytes(parts)


@pytest.mark.parametrize("size", [1, PACKET - 1, PACKET, PACKET + 1, 8_000_000])
async def test_bytes_of_any_size_arrive_whole_both_ways(size: int) -> None:
    data, reverse = os.urandom(size), os.urandom(size)
    async with pair() as (one, other), trio.open_nursery() as nursery:
        one.send_nowait(data)
        other.send_nowait(reverse)
        nursery.start_soon(one.flush)
        nursery.start_soon(other.flush)

        assert await read(other, size) == data
        assert await read(one, size) == reverse


async def test_more_small_writes_than_the_kernel_queues_wait_and_keep_their_order() -> None:
    async with pair() as (one, other), trio.open_nursery() as nursery:
        for number in range(5000):
            one.send_nowait(number.to_bytes(4))
        assert 0 < one.pending < 20_000
        nursery.start_soon(one.flush)

        found = await read(other, 20_000)

    assert [int.from_bytes(found[i : i + 4]) for i in range(0, 20_000, 4)] == list(range(5000))
    assert one.pending == 0
    assert one.taken > 0


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 3 * PACKET), max_size=12))
def test_borders_between_writes_leave_no_trace(sizes: list[int]) -> None:
    ours, theirs = map(PacketSocket, packet_pair())
    sent = [bytes([i + 1]) * size for i, size in enumerate(sizes)]
    for data in sent:
        ours.send(data)

    found = b""
    while len(found) < sum(sizes):
        found += theirs.receive() or b""
        ours.push()

    assert found == b"".join(sent)
    assert theirs.receive() is None
    ours.close()
    assert theirs.receive() == b""
    theirs.close()


async def test_the_end_says_why_and_comes_after_all_that_was_sent() -> None:
    ours, theirs = packet_pair()
    there = conduit(theirs)
    ours.send(b"last")
    ours.close()

    there.send_nowait(b"nobody reads this")

    assert await there.receive() == b"last"
    with pytest.raises(Disconnected, match="process 1 fell over"):
        await there.receive()
    await there.aclose()


@pytest.mark.parametrize("size", [PACKET, PACKET + 1])
async def test_a_packet_too_large_to_be_ours_is_not_cut_silently(size: int) -> None:
    ours, theirs = packet_pair()
    there = conduit(theirs)
    ours.send(b"x" * size)

    if size > PACKET:
        with pytest.raises(Disconnected, match=f"{size} bytes"):
            await there.receive()
    else:
        assert await there.receive() == b"x" * size
    ours.close()
    await there.aclose()


async def test_closing_wakes_who_reads_and_who_writes() -> None:
    ours, theirs = packet_pair()
    there = conduit(theirs)
    there.send_nowait(b"x" * 10 * PACKET)

    async def wait(verb: str) -> None:
        with pytest.raises(Disconnected, match="closed at this end"):
            await getattr(there, verb)()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "receive")
        nursery.start_soon(wait, "flush")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(there.aclose)
        await trio.testing.wait_all_tasks_blocked()
        ours.close()

    assert there.closed.is_set()
    with pytest.raises(Disconnected):
        there.send_nowait(b"x")


async def test_an_offered_conduit_goes_to_the_first_who_dials_it() -> None:
    netlayer = ChildNetlayer()
    ours, theirs = packet_pair()
    there = conduit(theirs)
    netlayer.offer("abc", there)

    assert await netlayer.dial(PeerLocator.make("child", "abc")) is there
    with pytest.raises(Unreachable, match="has ended"):
        await netlayer.dial(PeerLocator.make("child", "abc"))
    netlayer.offer("abc", there)
    assert netlayer.withdraw("abc")
    assert not netlayer.withdraw("abc")
    with pytest.raises(UsageError):
        await netlayer.serve(nobody, task_status=trio.TASK_STATUS_IGNORED)
    ours.close()
    await there.aclose()
