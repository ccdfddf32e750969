"""The netlayer memory: its faults do what they say, and nothing waits without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from captp.errors import Disconnected, Unreachable
from captp.model.locator import PeerLocator
from captp.net.base import Conduit
from captp.net.memory import Link, MemoryConduit, MemoryNetwork


def bob() -> PeerLocator:
    return PeerLocator.make("memory", "bob")


@asynccontextmanager
async def connected(
    network: MemoryNetwork,
) -> AsyncIterator[tuple[Link, MemoryConduit, MemoryConduit]]:
    """The link of ann and bob, ann's end and bob's end."""
    send, receive = trio.open_memory_channel[MemoryConduit](1)

    async def accept(conduit: Conduit) -> None:
        assert isinstance(conduit, MemoryConduit)
        await send.send(conduit)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        server = network.netlayer("bob")
        await nursery.start(lambda *, task_status: server.serve(accept, task_status=task_status))
        dialler = await network.netlayer("ann").dial(bob())
        yield network.link("bob", "ann"), dialler, await receive.receive()
        nursery.cancel_scope.cancel()


async def read(conduit: MemoryConduit, size: int) -> list[bytes]:
    chunks: list[bytes] = []
    while sum(map(len, chunks)) < size:
        chunks.append(await conduit.receive())
    return chunks


async def test_names_that_are_no_keys_prove_nothing() -> None:
    async with connected(MemoryNetwork()) as (_, ann, bob_):
        assert ann.proved is None
        assert bob_.proved is None
        assert bob_.local == "bob"
        assert (ann.remote, bob_.remote) == ("memory:bob", "memory:ann")


async def test_without_latency_nothing_waits_for_the_clock(mock_clock: MockClock) -> None:
    async with connected(MemoryNetwork()) as (_, ann, bob_):
        ann.send_nowait(b"x" * 1_000_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ann.flush)
            await read(bob_, 1_000_000)
        await ann.aclose()
        assert await bob_.receive() == b""
        await bob_.aclose()

        assert mock_clock.current_time() == 0


async def test_latency_delays_dialling_by_two_trips_and_bytes_by_one(
    autojump_clock: MockClock,
) -> None:
    network = MemoryNetwork()
    network.link("ann", "bob").latency = 0.5

    async with connected(network) as (_, ann, bob_):
        assert trio.current_time() == pytest.approx(1.0)
        ann.send_nowait(b"hello")
        assert await bob_.receive() == b"hello"
        assert trio.current_time() == pytest.approx(1.5)
        await ann.aclose()
        assert await bob_.receive() == b""
        assert trio.current_time() == pytest.approx(2.0)


async def test_bytes_keep_their_order_when_the_latency_falls(autojump_clock: MockClock) -> None:
    async with connected(MemoryNetwork()) as (link, ann, bob_):
        link.latency = 5.0
        ann.send_nowait(b"first")
        link.latency = 0.0
        ann.send_nowait(b"second")

        assert await read(bob_, 11) == [b"first", b"second"]
        assert trio.current_time() == pytest.approx(5.0)


async def test_a_cut_is_seen_by_both_ends_at_once_and_later_ones_can_connect() -> None:
    network = MemoryNetwork()
    seen: list[str] = []

    async def wait(conduit: MemoryConduit) -> None:
        with pytest.raises(Disconnected, match="the link was cut") as caught:
            await conduit.receive()
        seen.append(str(caught.value))

    async with connected(network) as (link, ann, bob_):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, ann)
            nursery.start_soon(wait, bob_)
            await trio.testing.wait_all_tasks_blocked()
            link.cut()

        assert len(seen) == 2
        for conduit in (ann, bob_):
            with pytest.raises(Disconnected, match="the link was cut"):
                conduit.send_nowait(b"x")
            assert conduit.pending == 0
        again = await network.netlayer("ann").dial(bob())
        again.send_nowait(b"back")
        await again.aclose()


async def test_a_cut_wakes_a_flush_and_loses_what_was_under_way() -> None:
    async with connected(MemoryNetwork()) as (link, ann, bob_):
        ann.send_nowait(b"x" * 1_000_000)
        assert ann.pending

        async def flush() -> None:
            with pytest.raises(Disconnected, match="the link was cut"):
                await ann.flush()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flush)
            await trio.testing.wait_all_tasks_blocked()
            link.cut()

        with pytest.raises(Disconnected):
            await bob_.receive()


async def test_a_stall_holds_everything_back_until_it_ends() -> None:
    got: list[bytes] = []

    async def receive(conduit: MemoryConduit) -> None:
        got.append(await conduit.receive())

    async with connected(MemoryNetwork()) as (link, ann, bob_):
        link.stall()
        ann.send_nowait(b"held")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive, bob_)
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
            link.resume()

        assert got == [b"held"]


async def test_a_stall_holds_a_dial_back() -> None:
    network = MemoryNetwork()
    async with connected(network) as (link, _ann, _bob):
        link.stall()
        done = trio.Event()

        async def dial() -> None:
            await network.netlayer("ann").dial(bob())
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(dial)
            await trio.testing.wait_all_tasks_blocked()
            assert not done.is_set()
            link.resume()
            await done.wait()


async def test_faults_stay_on_their_link() -> None:
    network = MemoryNetwork()
    async with connected(network) as (link, ann, bob_):
        network.link("ann", "carol").cut()
        network.link("bob", "carol").stall()

        ann.send_nowait(b"fine")

        assert await bob_.receive() == b"fine"
        assert link is network.link("ann", "bob")


@settings(max_examples=30, deadline=None)
@given(
    sent=st.lists(st.binary(max_size=200), max_size=30),
    max_chunk=st.integers(1, 50),
)
def test_slices_are_no_longer_than_asked_for_and_lose_nothing(sent: list[bytes], max_chunk: int) -> None:
    async def main() -> None:
        async with connected(MemoryNetwork()) as (link, ann, bob_):
            link.max_chunk = max_chunk
            for data in sent:
                ann.send_nowait(data)
            await ann.aclose()

            got: list[bytes] = []
            while data := await bob_.receive():
                got.append(data)

            assert b"".join(got) == b"".join(sent)
            assert all(len(chunk) <= max_chunk for chunk in got)

    trio.run(main)


async def test_nobody_listening_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="memory:bob does not listen on this memory network"):
        await MemoryNetwork().netlayer("ann").dial(bob())


async def test_two_networks_do_not_meet() -> None:
    async with connected(MemoryNetwork()):
        with pytest.raises(Unreachable):
            await MemoryNetwork().netlayer("ann").dial(bob())
