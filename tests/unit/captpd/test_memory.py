"""Memory that runs short: nobody is let in, then the session that holds most is ended, and only that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

import captp
from captp.errors import Disconnected
from captp.net.tcp import TcpNetlayer
from captpd.config.schema import Process
from captpd.daemon.doors import Door
from captpd.daemon.memory import LOOK_S, resident_mb, watch_memory

PROCESS = Process(rss_soft_mb=10, rss_hard_mb=20)


class Keeper(captp.Object):
    """Has some calls wait for ever."""

    @captp.method(latch=False)
    async def wait(self, data: bytes) -> int:
        await captp.sleep(1e6)
        return len(data)

    @captp.method
    def size(self, data: bytes) -> int:
        return len(data)


def test_the_process_knows_what_memory_it_has() -> None:
    assert 5 < resident_mb() < 10_000


async def test_over_the_soft_limit_the_door_has_no_room_until_memory_is_enough_again(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    door, used = Door(is_open=True), iter([9.9, 10.0, 10.1, 19.0, 10.0])
    seen = []

    def resident() -> float:
        seen.append(door.has_room)
        return next(used, 5.0)

    nursery.start_soon(watch_memory, PROCESS, door, [], resident)
    await trio.sleep(6.5 * LOOK_S)
    nursery.cancel_scope.cancel()

    assert seen == [True, True, True, False, False, True]
    assert [r.message.partition(":")[0] for r in caplog.records] == [
        "memory is short",
        "memory is enough again",
    ]


async def test_over_the_hard_limit_the_session_that_holds_most_ends_and_no_other(
    nursery: trio.Nursery,
) -> None:
    def once() -> Iterator[float]:
        yield 20.5

    used = once()
    async with captp.open_vat(listen=[TcpNetlayer()]) as vat:
        sturdyref = vat.mint(Keeper())
        async with captp.connect(sturdyref) as modest, captp.connect(sturdyref) as greedy:
            calls = [captp.E(greedy).wait(bytes(50_000)) for _ in range(3)]
            small = captp.E(modest).wait(b"")
            assert await captp.E(greedy).size(bytes(9)) == 9
            assert await captp.E(modest).size(bytes(7)) == 7
            nursery.start_soon(watch_memory, PROCESS, Door(), [vat], lambda: next(used, 5.0))

            with pytest.raises(Disconnected, match="too-much-memory"), trio.fail_after(5):
                await calls[0]

            assert await captp.E(modest).size(bytes(8)) == 8
            assert not small.settled
        nursery.cancel_scope.cancel()


async def test_over_the_hard_limit_with_nobody_there_nothing_happens(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async with captp.open_vat() as vat:
        nursery.start_soon(watch_memory, PROCESS, Door(), [vat], lambda: 99.0)
        await trio.sleep(3 * LOOK_S)
        nursery.cancel_scope.cancel()
