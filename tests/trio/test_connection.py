"""One connection beside others: what its reader does not take waits in few pieces, and all have their go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp.limits import Limits
from captp.net.tcp import TcpNetlayer
from captp.run.connection import PART, Connection
from captp.run.pump import BEAT_S
from captp.session.handshake import Channel, make_hello
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import CALL, RESOLVE, START
from tests.names import Names


class SlowReader:
    """A conduit whose kernel takes what it has been given only when it is told to."""

    taken = 0

    def __init__(self) -> None:
        self.given: list[int] = []
        self.pending = 0
        self.takes = trio.Event()

    def send_nowait(self, data: bytes) -> None:
        self.given.append(len(data))
        self.pending += len(data)

    async def flush(self) -> None:
        await self.takes.wait()
        self.pending = 0


async def test_small_writes_behind_a_large_one_leave_in_few_pieces_and_in_full() -> None:
    conduit = SlowReader()
    async with captp.open_vat() as vat, trio.open_nursery() as nursery:
        pump: Any = SimpleNamespace(peer=vat.peer, has_many=True, nursery=nursery, ring=lambda: None)
        connection = Connection(pump, "a connection", conduit)  # type: ignore[arg-type]
        connection.write(bytes(PART + 1))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(10_000):
            connection.write(bytes(40))
        conduit.takes.set()
        await trio.testing.wait_all_tasks_blocked()

    assert sum(conduit.given) == PART + 1 + 400_000
    assert len(conduit.given) <= 6


class Guest(captp.Object):
    @captp.method
    def size(self, data: bytes) -> int:
        return len(data)


class Steps:
    """Counts how often others had their go."""

    count = 0

    async def walk(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.count += 1


async def test_others_have_their_go_while_a_peer_fetches_much() -> None:
    steps = Steps()
    async with (
        captp.open_vat(listen=[TcpNetlayer()]) as host,
        captp.open_vat() as one,
        captp.connect(sturdyref := host.mint(Guest())) as other,
        trio.open_nursery() as nursery,
    ):
        await one.enliven(sturdyref)
        fetched = [one.enliven(sturdyref) for _ in range(3000)]
        nursery.start_soon(steps.walk)
        await fetched[-1]
        # They are in two frames, which the kernel hands over in a few parts.
        assert steps.count > 50
        assert await captp.E(other).size(b"") == 0
        nursery.cancel_scope.cancel()


async def test_what_is_behind_a_hello_is_answered_at_once() -> None:
    key, channel = captp.PrivateKey.from_seed(b"early".ljust(32)), Channel(transport="tcp-testing-only")
    codec = NativeCodec(Names(), Limits())
    place = captp.PeerLocator.make("tcp-testing-only", key.public.designator, {"exts": "mp1"})
    hello = codec.encode(make_hello(key, place, ("mp1",), channel))
    ping = codec.encode((CALL, 0, "captp:ping", (), 0, True))

    async with captp.open_vat(listen=[TcpNetlayer()]) as host:
        port = int(str(host.locators[0].hint("port")))
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(PREAMBLE + codec.frame([hello]) + codec.frame([ping]))
        heard: list[Any] = []
        # Sooner than connections are looked at by the clock.
        with trio.move_on_after(BEAT_S / 2):
            while RESOLVE not in heard:
                heard += [op[0] for op in codec.feed(await stream.receive_some())]
        await stream.aclose()

    assert heard == [START, RESOLVE]


@pytest.mark.parametrize("more", [0, 1])
async def test_a_peer_that_reads_nothing_is_given_up_beyond_what_may_wait_for_it(more: int) -> None:
    given_up: list[str] = []
    limits = Limits(send_buffer=1000, held_bytes=500)
    peer = SimpleNamespace(
        limits=limits,
        router=SimpleNamespace(links={}),
        given_up=lambda _conn, why, _now: given_up.append(why.partition(":")[0]),
    )
    async with trio.open_nursery() as nursery:
        pump: Any = SimpleNamespace(peer=peer, has_many=False, nursery=nursery, ring=lambda: None)
        connection = Connection(pump, "a connection", SlowReader())  # type: ignore[arg-type]
        connection.write(bytes(1500 + more))
        nursery.cancel_scope.cancel()

    assert given_up == ["peer-too-slow"] * more


@pytest.mark.parametrize("more", [0, 1])
async def test_results_wait_when_more_than_half_of_the_buffer_does(more: int) -> None:
    rings: list[None] = []
    conduit = SlowReader()
    peer = SimpleNamespace(limits=Limits(send_buffer=1000), router=SimpleNamespace(links={}))
    async with trio.open_nursery() as nursery:
        pump: Any = SimpleNamespace(
            peer=peer, has_many=False, nursery=nursery, ring=lambda: rings.append(None)
        )
        connection = Connection(pump, "a connection", conduit)  # type: ignore[arg-type]
        connection.write(bytes(500 + more))
        conduit.takes.set()

    # Whose results waited has them written when there is room again.
    assert len(rings) == more
