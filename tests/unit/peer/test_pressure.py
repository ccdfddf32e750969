"""A peer that does not read what it asked for: its results wait, then its calls, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Broken, Overloaded
from captp.limits import Limits
from captp.model.weight import PART
from captp.peer import pressure
from captp.peer.pressure import is_behind
from tests.unit.peer.pair import Pair, outcome, pair

#: Room for results before they wait is half of ``send_buffer``.
SMALL = Limits(send_buffer=4096)
SIZE = 3000
#: Bytes of a native message that carries so large a result, besides it.
HEAD = 6


class Well(captp.Object):
    """Gives out what nobody had to send."""

    drawn: int = 0
    promise: Any = None

    @captp.method
    def draw(self, size: int) -> bytes:
        self.drawn += 1
        return bytes(size)

    @captp.method(latch=False)
    async def draw_later(self, size: int) -> bytes:
        await self.promise
        return bytes(size)

    @captp.method
    async def weigh_later(self, data: captp.Promise[bytes]) -> int:
        return len(await data)

    @captp.method
    def weigh(self, data: bytes) -> int:
        return len(data)


def at_a_well(limits: Limits, well: Well | None = None) -> tuple[Pair, Any, int]:
    """Return a caller and a callee with these limits, how to call, and the callee's connection."""
    it = pair(theirs=limits)
    ref = it.a.want(it.a.enliven(it.b.mint(well or Well())))
    it.net.rest()
    return it, captp.E(outcome(ref)), it.wire.far.conn


def full(it: Pair, conn: int, pending: int = 10**6) -> None:
    pressure.congested(it.b.peer, conn, pending)


def bytes_for_the_caller(it: Pair) -> int:
    return len(it.wire.near.inbox)


def test_results_that_the_peer_does_not_read_wait_and_its_calls_with_them() -> None:
    well = Well()
    it, draw, conn = at_a_well(SMALL, well)
    full(it, conn)

    results = [it.a.want(draw.draw(SIZE)) for _ in range(10)]
    it.net.rest()

    assert well.drawn == 1, "the first result waits, and no further call runs"
    assert not any(r.settled for r in results)
    pressure.drained(it.b.peer, conn)
    it.net.rest()
    assert [len(outcome(r)) for r in results] == [SIZE] * 10
    assert well.drawn == 10


def test_a_call_runs_for_another_peer_while_one_does_not_read() -> None:
    it, draw, conn = at_a_well(SMALL)
    other = it.net.host(9)
    theirs = other.want(other.enliven(it.b.mint(Well())))
    it.net.rest()
    full(it, conn)
    stuck = it.a.want(draw.draw(SIZE))
    it.net.rest()

    drawn = other.want(captp.E(outcome(theirs)).draw(SIZE))
    it.net.rest()

    assert len(outcome(drawn)) == SIZE
    assert not stuck.settled


def test_results_leave_in_parts_each_as_large_as_there_is_room() -> None:
    it, draw, _conn = at_a_well(SMALL)
    results = [it.a.want(draw.draw(SIZE)) for _ in range(10)]
    it.a.run()
    it.wire.far.deliver()
    written = []
    while True:
        before = bytes_for_the_caller(it)
        more = it.b.run().more
        written.append(bytes_for_the_caller(it) - before)
        if not more:
            break

    assert len(written) >= 10
    assert max(written) < SMALL.send_buffer // 2 + 2 * SIZE
    it.net.rest()
    assert [len(outcome(r)) for r in results] == [SIZE] * 10


@pytest.mark.parametrize("beyond", [0, 1])
def test_results_wait_up_to_the_limit_and_break_beyond_it(beyond: int) -> None:
    promise_limit = 4 * (SIZE + PART)
    it, _draw, conn = at_a_well(Limits(send_buffer=4096, held_bytes=promise_limit - beyond))
    promise, resolver = it.b.vat.promise()
    later = it.b.peer.vat.reference(Well(promise=promise))
    held = it.a.want(it.a.enliven(it.b.mint(later)))
    it.net.rest()
    results = [it.a.want(captp.E(outcome(held)).draw_later(SIZE)) for _ in range(4)]
    it.net.rest()
    full(it, conn)

    resolver.fulfill(None)
    while it.b.run().more:
        pass
    pressure.drained(it.b.peer, conn)
    it.net.rest()

    assert [len(outcome(r)) for r in results[: 4 - beyond]] == [SIZE] * (4 - beyond)
    for refused in results[4 - beyond :]:
        with pytest.raises(Overloaded, match="ask for fewer at a time"):
            outcome(refused)


@pytest.mark.parametrize("beyond", [0, 1])
def test_calls_to_a_peer_that_does_not_read_are_written_up_to_the_limit(beyond: int) -> None:
    it = pair(Limits(send_buffer=4096, held_bytes=10_000))
    well = it.a.want(it.a.enliven(it.b.mint(Well())))
    it.net.rest()
    pressure.congested(it.a.peer, it.wire.near.conn, 10_000 + beyond)

    call = it.a.want(captp.E(outcome(well)).weigh(b"1234"))
    it.net.rest()

    if beyond:
        with pytest.raises(Overloaded, match="10000 bytes wait for this peer to read them already"):
            outcome(call)
    else:
        assert outcome(call) == 4


def test_so_many_calls_are_read_while_results_wait_as_the_backlog_holds() -> None:
    it, draw, conn = at_a_well(Limits(send_buffer=4096, backlog=8))
    full(it, conn)
    behind = []
    for _ in range(10):
        it.a.want(draw.draw(SIZE))
        it.a.run()
        it.wire.far.deliver()
        it.b.run()
        behind.append(is_behind(it.b.peer, conn))

    assert behind == [False] * 8 + [True] * 2


def test_large_calls_that_are_read_although_results_wait_break_beyond_the_limit() -> None:
    """Two that sent each other a lot, and read no more, would wait for each other for good."""
    it, draw, conn = at_a_well(Limits(send_buffer=4096, in_flight_bytes=3 * SIZE))
    full(it, conn)
    behind, calls = [], []
    for _ in range(6):
        calls.append(it.a.want(draw.weigh(bytes(SIZE))))
        it.a.run()
        it.wire.far.deliver()
        it.b.run()
        behind.append(is_behind(it.b.peer, conn))

    assert behind == [False] * 3 + [True] * 3
    pressure.drained(it.b.peer, conn)
    it.net.rest()
    assert [outcome(c) for c in calls[:4]] == [SIZE] * 4
    for refused in calls[4:]:
        with pytest.raises(Overloaded, match="are under way in this session already"):
            outcome(refused)


def test_a_session_that_ends_while_its_results_wait_leaves_nothing() -> None:
    it, draw, conn = at_a_well(SMALL)
    full(it, conn)
    results = [it.a.want(draw.draw(SIZE)) for _ in range(3)]
    it.net.rest()

    it.wire.cut()
    it.net.rest()

    assert not it.b.peer.held
    assert not it.b.peer.vat.has_work
    for result in results:
        with pytest.raises(captp.Disconnected):
            outcome(result)


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_result_that_is_not_released_is_kept_up_to_the_limit(beyond: int) -> None:
    """A call on it that is still under way breaks; what it was is with the peer, as before."""
    it, draw, _conn = at_a_well(Limits(held_bytes=SIZE + HEAD - beyond))
    drawn = it.a.want(draw.draw(SIZE))
    it.a.run()
    it.wire.far.deliver()
    it.b.run()
    weighed = it.a.want(draw.weigh_later(drawn))
    it.net.rest()

    assert len(outcome(drawn)) == SIZE
    if beyond:
        with pytest.raises(Broken, match="this result is not kept"):
            outcome(weighed)
    else:
        assert outcome(weighed) == SIZE
