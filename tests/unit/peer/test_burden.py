"""Large calls that are not answered: bounded in bytes, and never so that answers could not come in."""

from __future__ import annotations

from typing import Any

import captp
from captp.errors import Overloaded
from captp.limits import Limits
from captp.model.weight import LARGE, PART
from captp.peer.pressure import is_behind
from tests.unit.peer.pair import Pair, outcome, pair

SIZE = 10_000
#: What one call of ``wait`` below weighs, in an argument list of one.
WEIGHT = SIZE + PART


class Waiter(captp.Object):
    """Has calls wait until it is told, in fibers that do not latch it."""

    promise: Any = None

    @captp.method(latch=False)
    async def wait(self, data: bytes) -> int:
        await self.promise
        return len(data)

    @captp.method
    def take(self, data: bytes) -> int:
        return len(data)


def waiting(bytes_in_flight: int) -> tuple[Pair, Any, captp.Resolver]:
    it = pair(theirs=Limits(in_flight_bytes=bytes_in_flight))
    promise, resolver = it.b.vat.promise()
    ref = it.a.want(it.a.enliven(it.b.mint(Waiter(promise=promise))))
    it.net.rest()
    return it, captp.E(outcome(ref)), resolver


def call(it: Pair, method: Any, data: bytes) -> Any:
    made = it.a.want(method(data))
    it.net.rest()
    return made


def refused(promise: Any) -> bool:
    try:
        outcome(promise)
    except Overloaded:
        return True
    except AssertionError:
        pass  # it waits
    return False


def test_large_calls_that_wait_are_taken_up_to_the_limit_and_refused_beyond_it() -> None:
    it, waiter, resolver = waiting(3 * WEIGHT)

    # The one that passes the limit is the last to be taken.
    calls = [call(it, waiter.wait, bytes(SIZE)) for _ in range(6)]

    assert [refused(c) for c in calls] == [False] * 4 + [True] * 2
    assert not refused(call(it, waiter.wait, bytes(LARGE - PART))), "small calls are counted, not weighed"
    resolver.fulfill(None)
    it.b.run()
    it.net.rest()
    assert [outcome(c) for c in calls[:4]] == [SIZE] * 4
    assert outcome(call(it, waiter.wait, bytes(SIZE))) == SIZE, "what is answered weighs nothing"


def test_large_calls_that_run_at_once_weigh_nothing_afterwards() -> None:
    it, waiter, _resolver = waiting(WEIGHT)

    calls = [call(it, waiter.take, bytes(SIZE)) for _ in range(8)]

    assert [outcome(c) for c in calls] == [SIZE] * 8


def test_large_calls_that_wait_for_their_turn_stop_the_reading_and_are_not_refused() -> None:
    it, waiter, _resolver = waiting(3 * WEIGHT)
    conn, calls, behind = it.wire.far.conn, [], []
    for _ in range(6):
        calls.append(it.a.want(waiter.take(bytes(SIZE))))
        it.a.run()
        it.wire.far.deliver()
        behind.append(is_behind(it.b.peer, conn))

    assert behind == [False] * 3 + [True] * 3
    it.net.rest()
    assert [outcome(c) for c in calls] == [SIZE] * 6


def test_a_batch_of_small_calls_beside_a_large_one_is_not_refused_with_it() -> None:
    it, waiter, _resolver = waiting(WEIGHT)
    held = [call(it, waiter.wait, bytes(SIZE)) for _ in range(2)]

    large, small = it.a.want(waiter.wait(bytes(10 * SIZE))), it.a.want(waiter.take(b"small"))
    it.net.rest()

    assert [refused(c) for c in (*held, large)] == [False, False, True]
    assert outcome(small) == len(b"small")


def test_a_message_in_pieces_is_as_large_as_in_one() -> None:
    it, waiter, _resolver = waiting(WEIGHT)
    held = [call(it, waiter.wait, bytes(SIZE)) for _ in range(2)]
    large = it.a.want(waiter.wait(bytes(SIZE)))
    it.a.run()
    while it.wire.far.inbox:
        it.wire.far.deliver(700)
    it.net.rest()

    assert [refused(c) for c in (*held, large)] == [False, False, True]


def test_a_message_that_begins_behind_a_small_call_is_as_large_as_any() -> None:
    it, waiter, _resolver = waiting(WEIGHT)
    held = [call(it, waiter.wait, bytes(SIZE)) for _ in range(2)]
    small = it.a.want(waiter.take(b"small"))
    it.a.run()
    large = it.a.want(waiter.wait(bytes(SIZE)))
    it.a.run()
    it.wire.far.deliver(len(it.wire.far.inbox) - 100)
    it.net.rest()

    assert [refused(c) for c in (*held, large)] == [False, False, True]
    assert outcome(small) == len(b"small")
