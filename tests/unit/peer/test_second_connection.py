"""A second connection of a peer is refused, and the first one has to show that it lives."""

from __future__ import annotations

import pytest

from captp.errors import Disconnected
from captp.peer.care import DOUBT_S
from captp.peer.router import YIELD_S
from tests.unit.peer.pair import Counter, Host, Net, Pair, Shop, Wire, outcome, pair


def restarted(it: Pair) -> tuple[Host, Wire, object]:
    """Let a die unheard and come back with the same key; return it and its new dial, connected."""
    it.wire.stall()
    it.net.kill(it.a)
    back = it.net.host(it.a.seed, life=1)
    ref = back.want(back.enliven(it.sturdyref, Shop))
    back.run()
    return back, it.net.connect(back), ref


def test_the_newcomer_is_refused_and_the_first_connection_is_asked_for_a_sign_of_life() -> None:
    it = pair()
    back, second, ref = restarted(it)
    before = len(it.b.batches)

    back.run()
    second.far.deliver()
    it.b.run()
    second.near.deliver()
    back.run()

    (told,) = back.hangups
    assert told.startswith("aborted")
    assert told.endswith("duplicate-session: one session per peer")
    assert it.b.hangups == ["duplicate-session"]
    assert [link.conn for link in it.b.sessions] == [it.wire.far.conn]
    assert it.net.link(it.b, it.a).pinged_at == it.net.now
    # The question travels in the same batch as the refusal.
    assert len(it.b.batches) == before + 1
    assert not getattr(ref, "settled", True)


def test_a_first_connection_that_stays_silent_is_ended_after_the_doubt() -> None:
    it = pair()
    _back, second, _ref = restarted(it)
    it.net.rest()
    assert second.near.is_open is False

    it.net.wait(DOUBT_S - 0.1)
    kept = [link.conn for link in it.b.sessions]
    it.net.wait(0.5)

    assert kept == [it.wire.far.conn]
    assert it.b.sessions == []
    assert it.b.hangups[-1].startswith("peer-lost: silent for")


def test_who_came_back_is_let_in_by_its_second_dial() -> None:
    it = pair()
    back, _second, ref = restarted(it)

    it.net.wait(YIELD_S + 0.5)

    outcome(ref).add(4)
    it.net.rest()
    assert list(it.counter.seen) == [4]
    assert len(back.sessions) == len(it.b.sessions) == 1
    assert len(back.dialled) == 2
    assert back.dialled[1] - back.dialled[0] == pytest.approx(YIELD_S, abs=0.3)


def test_a_first_connection_that_answers_is_kept() -> None:
    it = pair()
    twin = it.net.host(it.a.seed, life=1)
    ref = twin.want(twin.enliven(it.sturdyref, Shop))
    twin.run()
    it.net.connect(twin)

    it.net.wait(DOUBT_S + 1)

    assert [link.conn for link in it.b.sessions] == [it.wire.far.conn]
    assert it.a.sessions
    assert it.b.hangups == ["duplicate-session"]
    it.net.wait(YIELD_S)
    with pytest.raises(Disconnected, match="duplicate-session"):
        outcome(ref)


def test_a_first_connection_that_answers_within_the_same_instant_is_kept() -> None:
    it = pair()
    twin = it.net.host(it.a.seed, life=1)
    twin.enliven(it.sturdyref, Shop)
    twin.run()
    second = it.net.connect(twin)
    twin.run()

    second.far.deliver()
    it.b.run()
    it.wire.near.deliver()
    it.a.run()
    assert it.wire.far.deliver()
    it.net.now += DOUBT_S + 1
    it.b.peer.tick(it.net.now)

    assert [link.conn for link in it.b.sessions] == [it.wire.far.conn]


def test_any_word_on_the_first_connection_ends_the_doubt() -> None:
    it = pair()
    restarted(it)
    it.net.rest(dials=False)
    link = it.net.link(it.b, it.a)
    assert link.doubted_at is not None

    # Half a frame is not a message, and still a sign of life.
    it.net.now += 1
    it.b.peer.received(link.conn, b"\x00", it.net.now)
    for _ in range(20):
        it.net.now += 0.25
        it.b.peer.tick(it.net.now)
        it.b.run()

    assert [x.conn for x in it.b.sessions] == [it.wire.far.conn]


def test_a_newcomer_while_the_doubt_lasts_does_not_prolong_it() -> None:
    it = pair()
    restarted(it)
    it.net.rest(dials=False)
    link = it.net.link(it.b, it.a)
    since = link.doubted_at
    it.net.now += DOUBT_S - 0.5
    for life in (2, 3):
        another = it.net.host(it.a.seed, life=life)
        another.enliven(it.sturdyref, Shop)
        another.run()
        it.net.connect(another)
        it.net.rest(dials=False)

    assert link.doubted_at == since
    it.net.wait(0.75, dials=False)
    assert it.b.hangups[-1].startswith("peer-lost: silent for")


def test_a_peer_without_a_heartbeat_is_not_doubted() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    plain = b.mint(Counter())
    plain = type(plain)(type(plain.peer).make("sim", b.peer.designator, {}), plain.swiss)
    ref = a.want(a.enliven(plain, Shop))
    net.rest()
    outcome(ref)
    assert not b.sessions[0].session.native
    twin = net.host(1, life=1)
    twin.enliven(plain, Shop)
    twin.run()
    net.connect(twin)

    net.wait(DOUBT_S + 1)

    assert b.sessions[0].doubted_at is None
    assert [link.conn for link in b.sessions] == [net.wires[0].far.conn]
    assert set(b.hangups) == {"duplicate-session"}


def test_what_a_refused_newcomer_sends_reaches_nobody() -> None:
    it = pair()
    twin = it.net.host(it.a.seed, life=1)
    ref = twin.enliven(it.sturdyref, Shop)
    for i in range(3):
        ref.add(i)
    twin.run()
    wire = it.net.connect(twin)
    twin.run()

    wire.far.deliver()
    it.net.rest(dials=False)

    assert list(it.counter.seen) == []
    assert wire.far.conn not in it.b.peer.router.links
