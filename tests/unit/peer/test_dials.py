"""Dials: shared by all who wait, repeated with growing rests, and of no use when somebody else answers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captp.errors import Disconnected, Unreachable, WrongPeer
from captp.model.locator import PeerLocator, SturdyRef
from captp.peer.router import FIRST_REST_S, LONGEST_REST_S, YIELD_S, Router, Waiter
from tests.unit.peer.pair import Counter, Host, Net, Shop, outcome

LEAST, MIDDLE, MOST = b"\x00\x00", b"\x80\x00", b"\xff\xff"


def wanting(retry_for: float = 0.0, jitter: bytes = MIDDLE, waiters: int = 1) -> tuple[Host, list[Any]]:
    """Return a host whose dial was asked for, and who waits for it."""
    net = Net()
    a, b = net.host(1), net.host(2)
    a.jitter = jitter
    sturdyref = b.mint(Counter())
    promises = [a.want(a.enliven(sturdyref, Shop, retry_for=retry_for)) for _ in range(waiters)]
    a.run()
    return a, promises


def fail_until(host: Host, seconds: float) -> list[float]:
    """Refuse every dial for some time; return the rests between the dials."""
    net = host.net
    end = net.now + seconds
    while True:
        if host.dials:
            net.refuse(host)
            host.run()
        due = host.peer.wake_at()
        if due is None or due > end:
            break
        net.now = due
        host.peer.tick(due)
        host.run()
    return [later - earlier for earlier, later in zip(host.dialled, host.dialled[1:], strict=False)]


def test_a_dial_names_the_peer_and_is_asked_for_once() -> None:
    a, _ = wanting(waiters=3)

    assert len(a.dials) == 1
    (locator,) = a.dials.values()
    assert locator.designator == a.net.hosts[1].peer.designator


def test_a_dial_that_fails_breaks_what_nobody_has_patience_for() -> None:
    a, promises = wanting(waiters=2)

    a.net.refuse(a, Unreachable("connection refused", peer="who"))
    a.run()

    for promise in promises:
        with pytest.raises(Unreachable, match="connection refused"):
            outcome(promise)
    assert a.peer.wake_at() is None


def test_rests_double_up_to_the_longest() -> None:
    a, _ = wanting(retry_for=200)

    rests = fail_until(a, 150)

    assert rests[:8] == pytest.approx([FIRST_REST_S * 2**i for i in range(8)])
    assert rests[8:] == pytest.approx([LONGEST_REST_S] * len(rests[8:]))
    assert len(rests) > 9


@pytest.mark.parametrize(("jitter", "factor"), [(LEAST, 0.5), (MIDDLE, 1.0), (MOST, 1.5)])
def test_a_rest_is_between_half_and_one_and_a_half_of_its_length(jitter: bytes, factor: float) -> None:
    a, _ = wanting(retry_for=60, jitter=jitter)

    rests = fail_until(a, 3)

    expected = [FIRST_REST_S * 2**i * factor for i in range(len(rests))]
    assert rests == pytest.approx(expected, rel=1e-4)


@given(st.integers(0, 0xFFFF), st.integers(0, 60))
def test_every_rest_is_within_its_bounds_however_often_dials_fail(draw: int, failures: int) -> None:
    router = Router(lambda size: draw.to_bytes(size, "big"))
    locator, now = PeerLocator("sim", "somebody"), 0.0
    attempt = router.want(locator, now, Waiter(lambda link: None, lambda error: None, math.inf))

    def fail() -> float:
        assert attempt is not None
        attempt.conn = router.new_conn()
        router.failed(attempt, Disconnected(""), now)
        return router.attempts[locator.peer].due - now

    for _ in range(failures):
        now += fail()
        (attempt,) = router.due(now)
    rest = fail()

    length = min(FIRST_REST_S * 2**failures, LONGEST_REST_S)
    assert length * 0.5 - 1e-6 <= rest <= length * 1.5 + 1e-6


@pytest.mark.parametrize(("retry_for", "dials"), [(0.199, 1), (0.2, 2), (0.599, 2), (0.601, 3)])
def test_dials_go_on_while_patience_lasts(retry_for: float, dials: int) -> None:
    a, (promise,) = wanting(retry_for=retry_for)

    fail_until(a, 10)

    assert len(a.dialled) == dials
    with pytest.raises(Unreachable):
        outcome(promise)


def test_who_has_no_patience_is_told_and_who_has_waits_on() -> None:
    a, (first,) = wanting()
    b = a.net.hosts[1]
    second = a.want(a.enliven(b.mint(Counter()), Shop, retry_for=10))
    a.run()

    a.net.refuse(a)
    a.net.wait(1)

    with pytest.raises(Unreachable):
        outcome(first)
    outcome(second)
    assert len(a.dialled) == 2


def test_who_comes_during_a_rest_waits_for_the_same_dial() -> None:
    a, (first,) = wanting(retry_for=10)
    b = a.net.hosts[1]
    a.net.refuse(a)
    a.run()

    late = a.want(a.enliven(b.mint(Counter()), Shop))
    a.run()
    dials_at_once = len(a.dialled)
    a.net.wait(0.5)

    assert dials_at_once == 1
    assert len(a.dialled) == 2
    outcome(first)
    outcome(late)


def test_who_asks_right_after_a_failure_is_held_back_too() -> None:
    a, (first,) = wanting()
    a.net.refuse(a)
    a.run()
    assert first.settled

    again = a.want(a.enliven(a.net.hosts[1].mint(Counter()), Shop))
    a.run()
    at_once = len(a.dialled)
    wake_at = a.peer.wake_at()
    a.net.wait(0.5)

    assert at_once == 1
    assert wake_at == pytest.approx(a.net.now, abs=0.5)
    assert len(a.dialled) == 2
    outcome(again)


def test_failures_are_forgotten_once_a_session_is_up() -> None:
    a, (promise,) = wanting(retry_for=100)
    fail_until(a, 5)
    a.net.wait(10)
    outcome(promise)
    failed = len(a.dialled)

    a.net.wires[0].cut()
    a.net.rest()
    a.enliven(a.net.hosts[1].mint(Counter()), Shop, retry_for=10)
    a.run()
    a.net.refuse(a)

    assert len(a.dialled) == failed + 1
    assert a.peer.wake_at() == pytest.approx(a.net.now + FIRST_REST_S)


def test_a_handshake_that_fails_counts_as_a_failed_dial() -> None:
    a, (promise,) = wanting(retry_for=100)
    a.net.connect(a).cut()

    a.net.wait(1)

    outcome(promise)
    assert len(a.dialled) == 2


def test_calls_made_before_there_is_a_session_arrive_in_order_once_there_is() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    counter = Counter()
    ref = a.enliven(b.mint(counter), Shop, retry_for=10)
    for i in range(5):
        ref.add(i)
    a.run()
    net.refuse(a)
    ref.add(5)

    net.wait(1)

    assert list(counter.seen) == [0, 1, 2, 3, 4, 5]


# Somebody else answers.


def misdialled(waiters: int = 1, retry_for: float = 0.0) -> tuple[Host, Host, list[Any]]:
    a, promises = wanting(waiters=waiters, retry_for=retry_for)
    thief = a.net.host(3)
    a.net.connect(a, thief)
    a.net.rest(dials=False)
    return a, thief, promises


def test_when_somebody_else_answers_every_waiter_is_told() -> None:
    a, thief, promises = misdialled(waiters=3)
    wanted = a.net.hosts[1].peer.designator

    for promise in promises:
        with pytest.raises(WrongPeer) as error:
            outcome(promise)
        assert error.value.peer == wanted
        assert str(error.value) == (
            f"somebody else answered: expected {wanted[:12]}; check the sturdyref, or ask its owner for a"
            " new one"
        )
    assert a.sessions == []
    assert thief.sessions == []
    assert a.peer.router.live == {}


def test_who_answers_for_another_learns_nothing() -> None:
    a, promises = wanting()
    thief = a.net.host(3)
    wire = a.net.connect(a, thief)
    heard = bytearray()
    for _ in range(4):
        a.run()
        thief.run()
        heard += wire.far.inbox
        wire.far.deliver()
        wire.near.deliver()

    # The channel has proved who it is, so nothing at all is said to it.
    assert thief.hangups == ["the connection is gone (the other end is gone)"]
    assert bytes(heard) == b""
    swiss = a.net.hosts[1].peer.registry
    assert swiss.labels() == [""]
    assert promises[0].settled


def test_what_was_sent_through_the_wrong_peer_s_promise_breaks_the_same_way() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    ref = a.want(a.enliven(b.mint(Counter()), Shop))
    call = a.want(ref.add(1))
    a.run()

    net.connect(a, net.host(3))
    net.rest(dials=False)

    with pytest.raises(WrongPeer):
        outcome(call)


def test_who_has_patience_tries_again_after_a_wrong_peer() -> None:
    a, _thief, (promise,) = misdialled(retry_for=30)

    a.net.wait(1)

    outcome(promise)
    assert len(a.sessions) == 1


def test_a_transport_other_than_the_dialled_one_is_another_peer() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    good = b.mint(Counter())
    elsewhere = PeerLocator.make("other", b.peer.designator, {"exts": "mp1"})

    promise = a.want(a.enliven(SturdyRef(elsewhere, good.swiss), Shop))
    net.rest()

    with pytest.raises(WrongPeer):
        outcome(promise)


def acquainted() -> tuple[Host, Any, Any]:
    """Return a host whose dial to one peer reached another with which it has a session already."""
    net = Net()
    a, b, c = net.host(1), net.host(2), net.host(3)
    good = a.want(a.enliven(c.mint(Counter()), Shop))
    net.rest()
    wrong = a.want(a.enliven(b.mint(Counter()), Shop))
    a.run()
    for _ in range(2):
        if a.dials:
            net.connect(a, c)
        net.wait(YIELD_S + 1, dials=False)
    return a, outcome(good), wrong


def test_an_acquaintance_that_answers_for_another_keeps_its_own_session() -> None:
    a, good, wrong = acquainted()

    alive = a.want(good.add(1))
    a.net.rest()

    assert outcome(alive) == 1
    with pytest.raises(Disconnected):
        outcome(wrong)


def test_an_acquaintance_that_answers_for_another_is_a_wrong_peer_too() -> None:
    _a, _good, wrong = acquainted()

    with pytest.raises(WrongPeer):
        outcome(wrong)
