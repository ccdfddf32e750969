"""Whose session ends when memory is short: what results take is counted, wherever they wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp.errors import InvariantBroken
from captp.limits import Limits
from captp.model.weight import PART
from captp.peer import pressure
from captp.peer.care import account_of, shed
from captp.peer.pressure import drained
from captp.session.handshake import Channel
from tests.unit.peer.pair import TRANSPORT, Pair, outcome, pair
from tests.unit.peer.test_pressure import Well, at_a_well, full

SIZE = 60_000


def draws(it: Pair, draw: captp.E) -> Any:
    """Have a result sent that the caller has not read, and so not released; return it."""
    drawn = it.a.want(draw.draw(SIZE))
    it.a.run()
    it.wire.far.deliver()
    it.b.run()
    return drawn


def draws_unwritten(it: Pair, draw: captp.E) -> Any:
    """Have a result wait unwritten, as what was sent before is not read; return it."""
    full(it, it.wire.far.conn, 1)
    return draws(it, draw)


def reads_nothing(it: Pair, _draw: captp.E) -> None:
    """Have bytes wait that the kernel does not take."""
    pressure.congested(it.b.peer, it.wire.far.conn, SIZE)


@pytest.mark.parametrize("greedy", [draws, draws_unwritten, reads_nothing])
def test_the_session_whose_results_take_most_ends(greedy: Callable[[Pair, captp.E], Any]) -> None:
    it, draw, _conn = at_a_well(Limits())
    busy = it.net.host(9)
    theirs = busy.want(busy.enliven(it.b.mint(Well())))
    it.net.rest()
    for _ in range(20):
        busy.want(captp.E(outcome(theirs)).weigh_later(busy.vat.promise()[0]))
    it.net.rest()
    before = account_of(it.b.peer)

    _held = greedy(it, draw)

    assert SIZE <= account_of(it.b.peer) <= 2 * SIZE
    assert before < SIZE // 2
    shed(it.b.peer)
    it.net.rest()
    assert [link.session.hello.location.designator for link in it.b.sessions if link.session.hello] == [
        busy.peer.designator
    ]


def test_a_released_result_is_counted_no_more() -> None:
    it, draw, _conn = at_a_well(Limits())

    drawn = draws(it, draw)
    kept = it.net.link(it.b, it.a).session.tables.kept_bytes
    it.net.rest()
    it.net.wait(1)

    assert kept > SIZE
    assert len(outcome(drawn)) == SIZE
    assert account_of(it.b.peer) < SIZE // 2
    assert not it.net.link(it.b, it.a).session.tables.kept


def test_a_connection_that_has_not_said_anything_can_be_looked_at() -> None:
    it = pair()
    conn = it.b.peer.router.new_conn()
    it.b.peer.connected(conn, Channel(None, b"", TRANSPORT), it.net.now)

    assert account_of(it.b.peer) > 0
    it.b.peer.check()
    assert it.b.peer.dump()["sessions"][f"c{conn}"]["waiting"] == []


def test_results_that_wait_are_shown() -> None:
    it, draw, conn = at_a_well(Limits())

    draws_unwritten(it, draw)

    session = it.net.link(it.b, it.a).session
    (position,) = [answer.position for answer, _ in session.outbound.waiting]
    assert session.dump()["waiting"] == [f"a{position} {SIZE + PART} bytes"]
    drained(it.b.peer, conn)
    it.net.rest()
    assert session.dump()["waiting"] == []


@pytest.mark.parametrize("weight", [0, SIZE, SIZE + PART + 1])
def test_what_waits_is_what_is_counted_or_the_invariant_is_broken(weight: int) -> None:
    it, draw, _conn = at_a_well(Limits())
    draws_unwritten(it, draw)
    session = it.net.link(it.b, it.a).session
    session.check()
    (answer, _) = session.outbound.waiting.pop()

    session.outbound.waiting.append((answer, weight))

    with pytest.raises(InvariantBroken, match=f"results of {weight} bytes wait, {SIZE + PART} are counted"):
        session.check()


def test_a_session_that_ended_holds_and_counts_nothing() -> None:
    it, draw, conn = at_a_well(Limits())
    draws_unwritten(it, draw)
    session = it.net.link(it.b, it.a).session

    it.b.peer.disconnected(conn, "cut", it.net.now)

    session.check()
    assert session.outbound.held == 0
    assert session.dump()["waiting"] == []
