"""Over every netlayer a connection ends the same way: after all bytes, once, and with nobody left waiting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from captp.errors import Disconnected
from captp.net.base import Conduit
from tests.trio.netlayers import MIB, every_netlayer, pair, read_exactly


@every_netlayer
async def test_the_end_comes_after_all_bytes_and_stays(kind: str) -> None:
    async def check(here: Conduit, there: Conduit) -> None:
        here.send_nowait(b"last words")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.aclose)
            assert await read_exactly(there, 10) == b"last words"
            assert await there.receive() == b""
            assert await there.receive() == b""
            await there.aclose()

    async with pair(kind) as (here, there):
        await check(here, there)
    async with pair(kind) as (here, there):
        await check(there, here)


@every_netlayer
async def test_the_end_waits_for_what_is_pending(kind: str) -> None:
    data = b"x" * (8 * MIB)

    async with pair(kind) as (here, there):
        here.send_nowait(data)
        assert here.pending

        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.aclose)
            assert await read_exactly(there, len(data)) == data
            assert await there.receive() == b""
            await there.aclose()


@every_netlayer
async def test_bytes_that_cross_the_end_do_not_destroy_what_was_sent_before_it(kind: str) -> None:
    async with pair(kind) as (here, there):
        there.send_nowait(b"unread " * 10_000)
        here.send_nowait(b"the reason")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.aclose)
            await trio.testing.wait_all_tasks_blocked()
            there.send_nowait(b"crossing")
            assert await read_exactly(there, 10) == b"the reason"
            assert await there.receive() == b""
            await there.aclose()


@every_netlayer
async def test_closing_twice_is_closing_once_and_afterwards_nothing_works(kind: str) -> None:
    async with pair(kind) as (here, there):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.aclose)
            nursery.start_soon(here.aclose)
            assert await there.receive() == b""
            await there.aclose()
        await here.aclose()

        with pytest.raises(Disconnected, match="closed at this end"):
            here.send_nowait(b"x")
        with pytest.raises(Disconnected, match="closed at this end"):
            await here.receive()
        with pytest.raises(Disconnected, match="closed at this end"):
            await here.flush()
        assert here.pending == 0


@every_netlayer
async def test_closing_wakes_whoever_waits_with_disconnected(kind: str) -> None:
    async def expect(waits: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(Disconnected, match="closed at this end"):
            await waits()

    async with pair(kind) as (here, there):
        here.send_nowait(b"x" * (8 * MIB))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, here.receive)
            nursery.start_soon(expect, here.flush)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(here.aclose)
            nursery.start_soon(there.aclose)


@every_netlayer
async def test_closing_under_cancellation_does_not_wait(kind: str) -> None:
    async with pair(kind) as (here, _there):
        here.send_nowait(b"x" * (8 * MIB))
        before = trio.current_time()

        with trio.CancelScope() as scope:
            scope.cancel()
            await here.aclose()

        assert trio.current_time() - before < 0.5
        with pytest.raises(Disconnected):
            here.send_nowait(b"x")


@every_netlayer
async def test_closing_waits_only_so_long_for_a_peer_that_does_not_close(kind: str) -> None:
    async with pair(kind) as (here, _there):
        before = trio.current_time()
        await here.aclose()
        assert trio.current_time() - before < 3


@every_netlayer
async def test_sending_to_a_peer_that_is_gone_fails(kind: str) -> None:
    async with pair(kind) as (here, there):
        with trio.CancelScope() as scope:
            scope.cancel()
            await there.aclose()

        with pytest.raises(Disconnected):  # noqa: PT012 the kernel may take the first ones
            while True:
                here.send_nowait(b"x")
                if await here.receive() == b"":
                    here.send_nowait(b"x")
