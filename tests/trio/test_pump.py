"""What the driver promises: outside calls end with their method, and slow readers are not dead ones."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import captp
from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.net.memory import Link, MemoryNetwork
from captp.net.tcp import TcpNetlayer


class Errands(captp.Object):
    __slots__ = ("_seen",)

    def __init__(self, seen: list[str], started: trio.Event, ended: trio.Event) -> None:
        self._seen = (seen, started, ended)

    async def _stay(self) -> None:
        seen, started, ended = self._seen
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            seen.append("left")
            ended.set()

    async def _run(self) -> None:
        seen, started, ended = self._seen
        started.set()
        await trio.lowlevel.checkpoint()
        seen.append("done")
        ended.set()

    async def _fail(self) -> None:
        self._seen[1].set()
        self._seen[2].set()
        raise OSError("the printer is on fire")

    @captp.method
    async def wait_outside(self) -> None:
        await captp.outside(self._stay)

    @captp.method
    def send_off(self) -> str:
        captp.outside(self._run)
        return "sent"

    @captp.method
    def send_off_badly(self) -> str:
        captp.outside(self._fail)
        return "sent"


async def test_an_outside_call_is_cancelled_with_the_method_that_waits_for_it() -> None:
    seen: list[str] = []
    started, ended = trio.Event(), trio.Event()
    with trio.fail_after(10):
        async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as client:
            errands = client.enliven(host.mint(Errands(seen, started, ended)))
            waiting = captp.E(errands).wait_outside()
            await started.wait()
            del waiting
            await ended.wait()

    assert seen == ["left"]


async def test_an_outside_call_that_nobody_waits_for_goes_on_to_its_end() -> None:
    seen: list[str] = []
    started, ended = trio.Event(), trio.Event()
    with trio.fail_after(10):
        async with captp.open_vat() as vat:
            assert captp.E(vat.export(Errands(seen, started, ended))).send_off.now() == "sent"
            await ended.wait()

    assert seen == ["done"]


async def test_one_outside_call_too_many_is_refused_until_another_has_ended() -> None:
    seen: list[str] = []
    limits = Limits(outside_calls=2)
    with trio.fail_after(10):
        async with captp.open_vat(listen=[TcpNetlayer()], limits=limits) as host, captp.open_vat() as client:
            some = [Errands(seen, trio.Event(), trio.Event()) for _ in range(4)]
            first, second, third, fourth = (captp.E(client.enliven(host.mint(one))) for one in some)

            waiting = [first.wait_outside(), second.wait_outside()]
            await some[1]._seen[1].wait()
            with pytest.raises(captp.Overloaded, match="outside-full: 2 outside calls"):
                await third.wait_outside()
            assert await fourth.send_off() == "sent"
            assert not some[3]._seen[1].is_set()
            waiting.pop()
            await some[1]._seen[2].wait()
            assert await fourth.send_off() == "sent"
            await some[3]._seen[2].wait()
            waiting.clear()
            await some[0]._seen[2].wait()

    assert seen == ["left", "done", "left"]


async def test_an_outside_call_that_fails_unheard_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    started, ended = trio.Event(), trio.Event()
    with caplog.at_level(logging.ERROR, "captp"), trio.fail_after(10):
        async with captp.open_vat() as vat:
            errands = vat.export(Errands([], started, ended))
            assert await captp.E(errands).send_off_badly() == "sent"
            await ended.wait()
            await trio.testing.wait_all_tasks_blocked()

    assert [r.getMessage() for r in caplog.records] == ["outside call failed"]
    assert "the printer is on fire" in str(caplog.records[0].exc_info)


class Sink(captp.Object):
    @captp.method
    def take(self, data: bytes) -> int:
        return len(data)


MIB = 1024 * 1024


@asynccontextmanager
async def a_link(limits: Limits) -> AsyncIterator[tuple[Link, captp.Promise[object]]]:
    """The link between two vats in this process, and the client's reference to a Sink."""
    network = MemoryNetwork()
    keys = [PrivateKey.from_seed(bytes([n]) * 32) for n in (1, 2)]
    host_layer, client_layer = (network.netlayer(k.public.designator) for k in keys)
    async with (
        captp.open_vat(key=keys[0], listen=[host_layer]) as host,
        captp.open_vat(key=keys[1], netlayers=[client_layer], limits=limits) as client,
    ):
        sink = client.enliven(host.mint(Sink()))
        await sink
        yield network.link(*(k.public.designator for k in keys)), sink


async def test_a_peer_that_reads_slowly_keeps_its_connection(autojump_clock: MockClock) -> None:
    async with a_link(Limits(write_stall_s=1.0)) as (link, sink):
        link.stall()
        sent = captp.E(sink).take(bytes(3 * MIB))
        for _ in range(20):
            await trio.sleep(0.7)
            link.resume()
            await trio.testing.wait_all_tasks_blocked()
            link.stall()
        link.resume()

        assert await sent == 3 * MIB


async def test_a_peer_that_stops_reading_loses_its_connection(autojump_clock: MockClock) -> None:
    async with a_link(Limits(write_stall_s=1.0)) as (link, sink):
        link.stall()
        begun = trio.current_time()

        with pytest.raises(captp.Disconnected, match="peer-too-slow: it stopped reading"):
            await captp.E(sink).take(bytes(3 * MIB))

        assert 1.0 <= trio.current_time() - begun <= 2.5


async def test_a_message_that_is_too_large_breaks_only_its_own_call(autojump_clock: MockClock) -> None:
    async with a_link(Limits(message_bytes=MIB)) as (_link, sink):
        large, small = captp.E(sink).take(bytes(MIB)), captp.E(sink).take(b"x")

        assert await small == 1
        with pytest.raises(captp.Unpassable, match=f"a message of {MIB + 16} bytes; {MIB} is the most"):
            await large


class Busy(captp.Object):
    seen: int = 0

    @captp.method
    def note(self) -> int:
        self.seen += 1
        return self.seen

    @captp.method
    async def wait(self, promise: captp.Promise[None]) -> None:
        await promise


async def test_a_peer_that_sends_faster_than_turns_run_is_read_no_further() -> None:
    most = 0
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as client:
        busy = client.enliven(host.mint(Busy()))
        await captp.E(busy).note()

        async def look() -> None:
            nonlocal most
            while True:
                most = max(most, host.view().queued)
                await trio.sleep(0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            for _ in range(100_000):
                captp.E(busy).note.only()
            with trio.fail_after(20):
                assert await captp.E(busy).note() == 100_002
            nursery.cancel_scope.cancel()

    # The limit, and what one read may bring on top of it.
    assert 0 < most <= Limits().backlog + 256 * 1024 // 12


@pytest.mark.parametrize(("calls", "broken"), [(3, 0), (4, 1)])
async def test_calls_that_wait_for_a_busy_object_have_a_limit(calls: int, broken: int) -> None:
    async with captp.open_vat(limits=Limits(latch_queue=3)) as vat, trio.open_nursery():
        promise, resolver = vat.promise()
        busy = captp.E(vat.export(Busy()))
        waiting = busy.wait(promise)
        notes = [busy.note() for _ in range(calls)]
        await trio.testing.wait_all_tasks_blocked()
        resolver.fulfill(None)
        await waiting

        failures = 0
        for note in notes:
            try:
                await note
            except captp.Overloaded:
                failures += 1
        assert failures == broken
