"""Two vats that dial each other at once end with one session, the same on both sides, in whatever order."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import Disconnected
from captp.peer.router import YIELD_S
from tests.unit.peer.pair import Counter, Host, Net, Shop, Wire, outcome, seeds_by_side

LOW, HIGH = seeds_by_side()


@define
class Crossing:
    """Both dials connected, no byte delivered yet; the higher side id is the winner's."""

    net: Net
    winner: Host
    loser: Host
    won: Wire
    lost: Wire
    for_winner: Any
    for_loser: Any

    def refs(self) -> list[Any]:
        return [outcome(self.for_winner), outcome(self.for_loser)]


def crossing(*, winner_first: bool = True, retry_for: float = 0.0) -> Crossing:
    net = Net()
    winner, loser = net.host(1), net.host(2)
    for_winner = winner.want(winner.enliven(loser.mint(Counter()), Shop, retry_for=retry_for))
    for_loser = loser.want(loser.enliven(winner.mint(Counter()), Shop, retry_for=retry_for))
    for host in (winner, loser):
        host.run()
    wires = {}
    for host, key in ((winner, HIGH), (loser, LOW)) if winner_first else ((loser, LOW), (winner, HIGH)):
        host.keys.append(key)
        wires[host] = net.connect(host)
    for host in (winner, loser):
        host.run()
    return Crossing(net, winner, loser, wires[winner], wires[loser], for_winner, for_loser)


def check_one_session(one: Host, other: Host) -> None:
    assert len(one.sessions) == len(other.sessions) == 1
    ours, theirs = one.sessions[0], other.sessions[0]
    assert ours.session.hello is not None
    assert theirs.session.hello is not None
    assert ours.session.hello.session_id == theirs.session.hello.session_id
    assert (ours.dialled is None) != (theirs.dialled is None)
    for host in (one, other):
        assert list(host.peer.router.live.values()) == host.sessions
        assert list(host.peer.router.links.values()) == host.sessions


@pytest.mark.parametrize("winner_hears_first", [True, False])
@pytest.mark.parametrize("winner_first", [True, False])
def test_the_connection_of_the_higher_side_stays_whoever_hears_first(
    winner_first: bool, winner_hears_first: bool
) -> None:
    it = crossing(winner_first=winner_first)
    hearings = [it.lost.far, it.won.far] if winner_hears_first else [it.won.far, it.lost.far]

    for end in hearings:
        end.deliver()
        end.host.run()
    it.net.rest()

    check_one_session(it.winner, it.loser)
    assert it.winner.sessions[0].conn == it.won.near.conn
    for ref in it.refs():
        assert ref is not None
    assert len(it.winner.dialled) == len(it.loser.dialled) == 1


def test_both_hear_before_either_speaks() -> None:
    it = crossing()

    it.lost.far.deliver()
    it.won.far.deliver()
    it.net.rest()

    check_one_session(it.winner, it.loser)
    assert it.winner.sessions[0].conn == it.won.near.conn
    it.refs()


def test_the_side_that_wins_refuses_the_other_connection_with_its_own_code() -> None:
    it = crossing()

    it.lost.far.deliver()
    it.winner.run()
    it.lost.near.deliver()
    it.loser.run()

    assert it.winner.hangups == ["crossed-hello"]
    (told,) = it.loser.hangups
    assert told.startswith("aborted")
    assert told.endswith("crossed-hello: one session per peer")


def test_the_side_that_loses_gives_up_its_own_dial() -> None:
    it = crossing()

    it.won.far.deliver()
    it.loser.run()

    assert it.loser.hangups == ["crossed-hello"]
    assert [link.conn for link in it.loser.sessions] == [it.won.far.conn]


def test_who_lost_waits_for_the_other_connection_and_does_not_dial_again() -> None:
    it = crossing()
    it.lost.far.deliver()
    it.winner.run()
    it.lost.near.deliver()

    it.loser.peer.tick(it.net.now + YIELD_S - 0.1)
    it.loser.run()

    assert not it.for_loser.settled
    assert len(it.loser.dialled) == 1


def test_who_lost_dials_once_more_when_the_other_connection_never_comes() -> None:
    it = crossing()
    it.won.stall()
    it.lost.far.deliver()
    it.winner.run()
    it.lost.near.deliver()
    it.loser.run()
    it.net.now += YIELD_S

    it.loser.peer.tick(it.net.now)
    it.loser.run()

    assert len(it.loser.dialled) == 2
    assert not it.for_loser.settled


def test_who_yielded_once_and_is_refused_again_is_told() -> None:
    it = crossing()
    it.won.stall()
    for _ in range(2):
        wire = it.net.wires[-1]
        wire.far.deliver()
        it.winner.run()
        wire.near.deliver()
        it.loser.run()
        it.net.now += YIELD_S
        it.loser.peer.tick(it.net.now)
        it.loser.run()
        if it.loser.dials:
            it.loser.keys.append(LOW)
            it.net.connect(it.loser)
            it.loser.run()

    with pytest.raises(Disconnected, match="crossed-hello"):
        outcome(it.for_loser)
    assert not it.loser.peer.router.attempts


@pytest.mark.parametrize("heard_by", ["nobody", "winner", "loser", "both"])
@pytest.mark.parametrize("news_to_winner_first", [True, False])
def test_when_the_winner_dies_on_the_way_there_is_still_one_session(
    heard_by: str, news_to_winner_first: bool
) -> None:
    it = crossing(retry_for=60)
    if heard_by in ("winner", "both"):
        it.lost.far.deliver()
        it.winner.run()
    if heard_by in ("loser", "both"):
        it.won.far.deliver()
        it.loser.run()

    it.won.cut()
    ends = [it.won.near, it.won.far]
    for end in ends if news_to_winner_first else reversed(ends):
        end.deliver()
        end.host.run()
    it.net.wait(YIELD_S + 1)
    again = [h.want(h.enliven(o.mint(Counter()), Shop, retry_for=60)) for h, o in _both(it)]
    it.net.wait(YIELD_S + 1)

    check_one_session(it.winner, it.loser)
    for promise in again:
        outcome(promise)
    assert it.for_winner.settled
    assert it.for_loser.settled


@pytest.mark.parametrize("half_open", ["winner", "loser"])
def test_a_winner_of_which_one_side_hears_no_end_is_replaced_within_seconds(half_open: str) -> None:
    it = crossing(retry_for=60)
    it.net.rest()
    it.refs()
    # One side learns that the connection is gone; the other goes on believing in it.
    believer, other = (it.winner, it.loser) if half_open == "winner" else (it.loser, it.winner)
    ends = {it.won.near.host: it.won.near, it.won.far.host: it.won.far}
    it.won.cut()
    ends[believer].is_deaf = True
    ends[other].deliver()
    other.run()

    again = other.want(other.enliven(believer.mint(Counter()), Shop, retry_for=60))
    it.net.wait(YIELD_S + 6)

    outcome(again)
    check_one_session(it.winner, it.loser)
    assert believer.hangups[-1].startswith("peer-lost: silent for")


def _both(it: Crossing) -> list[tuple[Host, Host]]:
    return [(it.winner, it.loser), (it.loser, it.winner)]


STEPS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([1, 40, 150, 10_000])), min_size=0, max_size=30)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.booleans(), st.integers(0, 40))
def test_however_bytes_cross_both_sides_agree_and_nobody_is_left_waiting(
    steps: list[tuple[int, int]], winner_first: bool, cut_at: int
) -> None:
    it = crossing(winner_first=winner_first, retry_for=100)
    ends = [it.won.near, it.won.far, it.lost.near, it.lost.far]
    is_cut = cut_at < len(steps)
    for number, (what, size) in enumerate(steps):
        if number == cut_at:
            it.won.cut()
        if what < 4:
            ends[what].deliver(size)
        else:
            (it.winner, it.loser)[what - 4].run()
    it.net.wait(YIELD_S + 2)

    if not is_cut:
        check_one_session(it.winner, it.loser)
        assert it.winner.sessions[0].conn == it.won.near.conn
        it.refs()
    for promise in (it.for_winner, it.for_loser):
        assert promise.settled
    again = [h.want(h.enliven(o.mint(Counter()), Shop, retry_for=60)) for h, o in _both(it)]
    it.net.wait(YIELD_S + 6)
    check_one_session(it.winner, it.loser)
    for promise in again:
        outcome(promise)
