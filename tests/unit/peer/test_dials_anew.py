"""Who asks for a peer while others rest between dials waits not as long, and dials keep their distance."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captp.errors import Disconnected
from captp.model.locator import PeerLocator
from captp.peer.router import FIRST_REST_S, LONGEST_REST_S, YIELD_S, Attempt, Router, Waiter
from tests.unit.peer.pair import Counter, Host, Net, Shop, outcome

LOCATOR = PeerLocator("sim", "somebody")


def ignoring(until: float) -> Waiter:
    return Waiter(lambda link: None, lambda error: None, until)


def router_of(draw: int = 0x8000) -> Router:
    return Router(lambda size: draw.to_bytes(size, "big"))


def dialling(router: Router, now: float) -> Attempt:
    """Return the attempt of an endless waiter, whose first dial is under way."""
    attempt = router.want(LOCATOR, now, ignoring(math.inf))
    assert attempt is not None
    attempt.conn = router.new_conn()
    return attempt


def enliven(host: Host, retry_for: float = 0.0) -> Any:
    """Ask for an object of the other host, and run."""
    promise = host.want(host.enliven(host.net.hosts[1].mint(Counter()), Shop, retry_for=retry_for))
    host.run()
    return promise


def refused(host: Host) -> float:
    """Refuse a dial, and return when the next is due."""
    host.net.refuse(host)
    host.run()
    return host.peer.wake_at() or 0.0


def resting() -> tuple[Host, Any]:
    """Return a host whose last dial of many has just failed, and who waits without end."""
    net = Net()
    a, _ = net.host(1), net.host(2)
    promise = enliven(a, math.inf)
    for _ in range(9):
        net.now = refused(a)
        a.peer.tick(net.now)
        a.run()
    assert refused(a) > net.now + 10
    return a, promise


@pytest.mark.parametrize("retry_for", [math.inf, 0.0])
def test_a_new_wish_ends_a_long_rest(retry_for: float) -> None:
    a, patient = resting()
    before = len(a.dialled)
    a.net.now += FIRST_REST_S

    late = enliven(a, retry_for)

    assert len(a.dialled) == before + 1
    a.net.rest()
    outcome(patient)
    outcome(late)


def test_a_new_wish_right_after_a_dial_waits_for_the_shortest_rest() -> None:
    a, patient = resting()

    enliven(a)
    dials_at_once, wake_at = len(a.dials), a.batches[-1].wake_at
    a.net.wait(2 * FIRST_REST_S)

    assert dials_at_once == 0
    assert wake_at == pytest.approx(a.dialled[-2] + FIRST_REST_S)
    outcome(patient)


def test_who_asks_after_many_failures_that_nobody_waits_for_is_not_held_back_for_long() -> None:
    net = Net()
    a, _ = net.host(1), net.host(2)
    for _ in range(9):
        enliven(a)
        net.refuse(a)
        a.run()
        net.now += FIRST_REST_S

    promise = enliven(a)

    assert len(a.dialled) == 10
    net.rest()
    outcome(promise)


def test_who_is_in_no_hurry_rests_as_long_as_ever() -> None:
    a, _ = resting()
    a.net.now += FIRST_REST_S
    enliven(a)

    assert refused(a) > a.net.now + 10


@given(st.integers(0, 0xFFFF), st.lists(st.floats(0, 2), max_size=40), st.booleans())
def test_however_often_somebody_asks_dials_keep_their_distance(
    draw: int, pauses: list[float], is_patient: bool
) -> None:
    router, now = router_of(draw), 0.0
    dialled: list[float] = []

    def refuse(attempt: Attempt | None) -> None:
        if attempt is not None:
            dialled.append(now)
            attempt.conn = router.new_conn()
            router.failed(attempt, Disconnected(""), now)

    if is_patient:
        refuse(router.want(LOCATOR, now, ignoring(math.inf)))
    for pause in pauses:
        until = now + pause
        while (due := router.next_at) is not None and due <= until:
            now = due
            for attempt in router.due(now):
                refuse(attempt)
        now = until
        refuse(router.want(LOCATOR, now, ignoring(now)))
        refuse(router.hurry(LOCATOR.peer, now))

    least = FIRST_REST_S * (0.5 + draw / 0x10000)
    assert all(later - earlier >= least - 1e-6 for earlier, later in pairwise(dialled))


def test_a_wish_does_not_dial_while_the_peers_own_connection_is_awaited() -> None:
    router = router_of()
    conn = dialling(router, 1.0).conn
    assert conn is not None
    router.give_way(conn, 1.0)

    assert router.want(LOCATOR, 2.0, ignoring(2.0)) is None
    assert router.hurry(LOCATOR.peer, 2.0) is None
    assert router.next_at == 1.0 + YIELD_S


def test_who_asks_for_a_dial_under_way_makes_no_other() -> None:
    router = router_of()
    dialling(router, 1.0)

    assert router.want(LOCATOR, 2.0, ignoring(2.0)) is None
    assert router.hurry(LOCATOR.peer, 2.0) is None
    assert router.hurry(("sim", "another"), 2.0) is None


def test_failures_of_peers_that_nobody_asks_for_any_more_are_forgotten() -> None:
    router, now = router_of(), 0.0
    for number in range(1000):
        now += 1.0
        attempt = router.want(PeerLocator("sim", f"nobody{number}"), now, ignoring(now))
        assert attempt is not None
        attempt.conn = router.new_conn()
        router.failed(attempt, Disconnected("nobody there"), now)
    assert not router.attempts
    assert len(router._failures) <= 2 * LONGEST_REST_S


def test_a_peer_that_ends_each_session_at_once_is_not_dialled_without_a_pause() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    sturdyref = b.mint(Counter())
    opened = []
    for _ in range(20):
        promise = a.want(a.enliven(sturdyref, Shop, retry_for=60.0))
        net.rest()
        while not promise.settled:
            net.now += 0.001
            a.peer.tick(net.now)
            net.rest()
        opened.append(net.now)
        (link,) = b.peer.router.live.values()
        link.session.abort("closed", "once more")
        b.peer.end(link, "closed")
        net.rest()
    assert all(later - earlier >= FIRST_REST_S / 2 for earlier, later in pairwise(opened))
