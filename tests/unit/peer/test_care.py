"""What time does to a connection: handshakes without end, silent peers, messages that drip, old garbage."""

from __future__ import annotations

from typing import Any

import pytest

from captp.errors import Disconnected
from captp.limits import Limits
from captp.model.locator import PeerLocator, SturdyRef
from captp.peer.outputs import Write
from tests.unit.peer.pair import Counter, Net, Pair, Shop, outcome, pair

LIMITS = Limits()


def silence(it: Pair, seconds: float) -> None:
    """Let b hear nothing until so many seconds have passed since it last did."""
    it.wire.stall()
    start = it.net.link(it.b, it.a).heard_at
    while it.net.now < start + seconds:
        it.net.now = min(it.net.now + 0.25, start + seconds)
        it.b.peer.tick(it.net.now)
        it.b.run()


def pings(it: Pair) -> int:
    """Return how many questions went to the bootstrap of a and have not been answered."""
    return len(it.net.link(it.b, it.a).session.tables.questions)


@pytest.mark.parametrize(
    ("seconds", "asked"), [(LIMITS.ping_interval_s, 0), (LIMITS.ping_interval_s + 0.25, 1)]
)
def test_a_peer_is_asked_for_a_sign_of_life_after_the_interval_and_not_before(
    seconds: float, asked: int
) -> None:
    it = pair()

    silence(it, seconds)

    assert pings(it) == asked


def test_a_silent_peer_is_asked_once_per_interval_until_it_is_lost() -> None:
    it = pair()
    it.net.rest()
    asked = []

    for seconds in (15, 16, 29, 31, 44):
        it.b.batches.clear()
        silence(it, seconds)
        asked.append(len([o for b in it.b.batches for o in b.outputs if type(o) is Write]))

    assert asked == [0, 1, 0, 1, 0]
    assert it.b.sessions


def test_a_peer_that_answers_is_never_lost_and_the_answer_is_a_sign_of_life() -> None:
    it = pair()

    it.net.wait(200)

    assert len(it.a.sessions) == len(it.b.sessions) == 1
    assert it.net.now - it.net.link(it.b, it.a).heard_at < LIMITS.ping_interval_s + 1


@pytest.mark.parametrize(("more", "is_alive"), [(0.0, True), (0.25, False)])
def test_a_peer_is_lost_when_it_was_silent_for_too_long_and_not_before(more: float, is_alive: bool) -> None:
    it = pair()

    silence(it, LIMITS.ping_dead_s + more)

    assert bool(it.b.sessions) is is_alive
    if not is_alive:
        assert it.b.hangups == ["peer-lost: silent for 45 s"]


def test_a_lost_peer_is_told_why_and_breaks_what_waited_for_it() -> None:
    it = pair()
    theirs = it.b.want(it.b.enliven(it.a.mint(Counter()), Shop))
    it.net.rest()
    waiting = it.b.want(outcome(theirs).never())
    it.b.run()

    silence(it, LIMITS.ping_dead_s + 1)

    with pytest.raises(Disconnected, match="peer-lost: silent for"):
        outcome(waiting)
    assert b"peer-lost: silent for" in it.wire.near.inbox


def test_limits_of_the_heartbeat_are_those_of_the_vat() -> None:
    it = pair(theirs=Limits(ping_interval_s=1, ping_dead_s=3))

    silence(it, 3)
    before = len(it.b.sessions)
    silence(it, 3.25)

    assert before == 1
    assert it.b.hangups == ["peer-lost: silent for 3 s"]


def ocapn_pair() -> Pair:
    """Return two hosts whose session speaks OCapN's own form."""
    net = Net()
    a, b = net.host(1), net.host(2)
    counter = Counter()
    minted = b.mint(counter)
    sturdyref = SturdyRef(PeerLocator.make("sim", b.peer.designator, {}), minted.swiss)
    promise = a.want(a.enliven(sturdyref, Shop))
    net.rest()
    return Pair(net, a, b, counter, sturdyref, outcome(promise), net.wires[0])


def test_a_peer_without_a_heartbeat_is_lost_with_its_connection_only() -> None:
    it = ocapn_pair()

    silence(it, LIMITS.ping_dead_s * 3)

    assert len(it.b.sessions) == 1
    assert not it.b.sessions[0].session.native
    assert pings(it) == 0


# The heartbeat's answer and the program.


def test_a_sign_of_life_leaves_nothing_in_the_tables() -> None:
    it = pair()
    it.ref = None

    it.net.wait(LIMITS.ping_interval_s * 3 + 1)
    it.net.link(it.a, it.b).ping = it.net.link(it.b, it.a).ping = None
    it.net.wait(LIMITS.ping_interval_s - 2)

    for host in (it.a, it.b):
        tables = host.sessions[0].session.dump()
        assert tables["questions"] == tables["answers"] == []
        assert len(tables["exports"]) == 1


# Handshakes.


@pytest.mark.parametrize(("more", "is_there"), [(0.0, True), (0.25, False)])
def test_a_handshake_has_its_time_and_no_more_on_both_sides(more: float, is_there: bool) -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    promise = a.want(a.enliven(b.mint(Counter()), Shop))
    a.run()
    net.connect(a).stall()
    start = net.now

    while net.now < start + LIMITS.handshake_timeout_s + more:
        net.now += 0.25
        net.tick()
        a.run()
        b.run()

    assert bool(a.peer.router.links) is is_there
    assert bool(b.peer.router.links) is is_there
    assert promise.settled is not is_there
    if not is_there:
        assert a.hangups == b.hangups == ["handshake-timeout"]
        with pytest.raises(Disconnected, match="an unknown peer has ended: handshake-timeout"):
            outcome(promise)


def test_a_handshake_that_hangs_is_closed_without_a_word() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    a.enliven(b.mint(Counter()), Shop)
    a.run()
    wire = net.connect(a)
    wire.stall()

    b.peer.tick(net.now + LIMITS.handshake_timeout_s + 1)
    b.run()

    assert wire.near.inbox == b""
    assert b.hangups == ["handshake-timeout"]


def test_bytes_do_not_prolong_a_handshake() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    a.enliven(b.mint(Counter()), Shop)
    a.run()
    wire = net.connect(a)
    a.run()

    for _ in range(12):
        net.now += 1
        wire.far.deliver(1)
        b.peer.tick(net.now)
        b.run()

    assert b.hangups == ["handshake-timeout"]


# Messages that drip, garbage, dialects.


def drip(size: int, each: int) -> tuple[int, Pair]:
    """Let one message of ``size`` bytes come in, ``each`` a second; return when it was hung up on."""
    it = pair()
    it.ref.give_back(bytes(size))
    it.a.run()
    start = it.net.now
    for second in range(1, 40):
        it.net.now = start + second
        it.wire.far.deliver(each)
        it.b.peer.tick(it.net.now)
        it.b.run()
        if it.b.hangups:
            return second, it
    return 0, it


@pytest.mark.parametrize(
    # The first byte comes after a second, and the limits are passed a second after their time.
    ("each", "hung_up_at"),
    [(LIMITS.min_rate, LIMITS.partial_message_s + 2), (LIMITS.min_rate - 1, 7), (1, 7)],
)
def test_one_message_has_its_time_and_its_rate_however_busily_it_drips(each: int, hung_up_at: int) -> None:
    ended, it = drip(200_000, each)

    assert it.b.hangups == ["too-slow"]
    assert ended == hung_up_at
    assert b"too-slow" in it.wire.near.inbox


def test_messages_that_come_to_an_end_may_go_on_dripping_for_ever() -> None:
    it = pair()
    start = it.net.now

    for second in range(1, 120):
        it.net.now = start + second
        it.ref.add.only(second)
        it.a.run()
        it.wire.far.deliver(len(it.wire.far.inbox) - 1)
        it.b.peer.tick(it.net.now)
        it.b.run()

    assert it.b.sessions
    assert len(it.counter.seen) > 100


def test_garbage_waits_for_company_or_for_the_next_beat() -> None:
    it = pair()
    outcome_of = it.a.want(it.ref.add(1))
    it.a.run()
    it.wire.far.deliver()
    it.b.run()
    it.wire.near.deliver()
    assert outcome(outcome_of) == 1

    quiet = it.a.run().outputs
    it.a.peer.tick(it.net.now)
    spoken = it.a.run().outputs

    assert [o for o in quiet if type(o) is Write] == []
    assert len([o for o in spoken if type(o) is Write]) == 1


def test_an_open_session_that_shows_no_dialect_is_taken_to_speak_the_current_one() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    a.want(a.enliven(SturdyRef(PeerLocator.make("sim", b.peer.designator, {}), b"nothing"), Shop))
    net.rest()
    codecs: list[Any] = [host.sessions[0].session.codec for host in (a, b)]
    before = codecs[0].vocabulary

    net.wait(3)

    assert before in ("unknown", "d2")
    assert [codec.vocabulary for codec in codecs] == ["d2", "d2"]


# Every end shows.


@pytest.mark.parametrize("way", ["peer-lost", "fetch-failures", "duplicate-session", "handshake-timeout"])
def test_every_end_of_a_session_shows_in_the_log(way: str) -> None:
    it = pair(theirs=Limits(fetch_failures=0))
    if way == "peer-lost":
        silence(it, LIMITS.ping_dead_s + 1)
    elif way == "fetch-failures":
        it.a.want(it.a.enliven(SturdyRef(it.sturdyref.peer, b"guess"), Shop))
        it.net.rest()
    elif way == "duplicate-session":
        twin = it.net.host(it.a.seed, life=1)
        twin.want(twin.enliven(it.sturdyref, Shop))
        it.net.rest()
    else:
        it.net.host(3).enliven(it.sturdyref, Shop)
        it.net.hosts[2].run()
        it.net.connect(it.net.hosts[2]).stall()
        it.net.wait(LIMITS.handshake_timeout_s + 1)

    assert it.b.hangups[0].startswith(way)
    assert [code for event, code in it.b.log if event == "session ended"] == [way]


def test_an_end_that_the_peer_or_its_bytes_brought_shows_in_the_log() -> None:
    it = pair()

    it.b.peer.received(it.wire.far.conn, b"\x00\x00\x00\x01\x92", it.net.now)
    it.net.rest()

    assert ("session ended", "bad-frame") in it.b.log
    assert ("session ended", "aborted") in it.a.log
