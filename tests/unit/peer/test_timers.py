"""Timers of a vat: the driver is told when to come back, and what is due is settled in order of time."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.errors import Timeout
from captp.model.send import E
from captp.peer.router import FIRST_REST_S, YIELD_S
from tests.unit.peer.pair import Counter, Host, Net, Shop, outcome, pair


class Sleeper(captp.Object):
    woken: captp.List[Any]

    @captp.method(latch=False)
    async def sleep(self, seconds: float) -> float:
        await captp.sleep(seconds)
        self.woken.append(seconds)
        return seconds

    @captp.method(latch=False)
    async def within(self, seconds: float, what: captp.Promise[Any]) -> Any:
        return await captp.within(seconds, what)


def sleeping(*times: float) -> tuple[Host, Sleeper, list[Any]]:
    host, sleeper = Net().host(1), Sleeper()
    ref = host.vat.reference(sleeper)
    promises = [host.want(E(ref).sleep(t)) for t in times]
    host.run()
    return host, sleeper, promises


def let(host: Host, seconds: float) -> None:
    host.net.now += seconds
    host.peer.tick(host.net.now)
    host.run()


def test_a_batch_says_when_the_earliest_timer_is_due() -> None:
    host, _, _ = sleeping(5.0, 2.0, 9.0)

    assert host.batches[-1].wake_at == pytest.approx(102.0)
    assert host.peer.wake_at() == pytest.approx(102.0)


def test_a_batch_of_a_vat_without_timers_and_dials_has_no_deadline() -> None:
    it = pair()

    assert it.a.run().wake_at is None
    assert it.b.run().wake_at is None


def test_a_timer_is_settled_by_the_first_tick_at_or_after_its_time() -> None:
    host, sleeper, _ = sleeping(2.0)

    let(host, 1.999)
    before = list(sleeper.woken)
    let(host, 0.001)

    assert before == []
    assert list(sleeper.woken) == [2.0]
    assert host.batches[-1].wake_at is None


def test_the_deadline_moves_on_to_the_next_timer() -> None:
    host, sleeper, _ = sleeping(1.0, 3.0)

    let(host, 1.5)

    assert list(sleeper.woken) == [1.0]
    assert host.batches[-1].wake_at == pytest.approx(103.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=12), st.lists(st.integers(1, 8), min_size=1, max_size=8))
def test_timers_wake_in_order_of_time_and_ties_in_the_order_they_came(
    times: list[int], steps: list[int]
) -> None:
    host, sleeper, promises = sleeping(*map(float, times))

    for step in [*steps, 30]:
        let(host, float(step))
        due = host.peer.wake_at()
        assert due is None or due > host.net.now

    assert list(sleeper.woken) == sorted(map(float, times))
    assert all(p.settled for p in promises)


def test_a_time_that_never_comes_gives_a_deadline_that_never_comes() -> None:
    host, sleeper, _ = sleeping(math.inf)

    let(host, 1e12)

    assert host.peer.wake_at() == math.inf
    assert list(sleeper.woken) == []


def test_a_time_that_is_over_already_is_settled_by_the_next_tick() -> None:
    host, sleeper, _ = sleeping(-1.0, 0.0)

    let(host, 0.0)

    assert sorted(sleeper.woken) == [-1.0, 0.0]


def test_a_call_to_a_peer_can_be_given_a_time() -> None:
    it = pair()
    sleeper = it.a.vat.reference(Sleeper())
    soon = it.a.want(E(sleeper).within(2.0, it.ref.add(1)))
    late = it.a.want(E(sleeper).within(2.0, it.ref.never()))
    it.net.rest()
    wake_at = it.a.peer.wake_at()

    it.net.wait(2.5)

    assert wake_at is not None
    assert wake_at < it.net.now
    assert outcome(soon) == 1
    with pytest.raises(Timeout):
        outcome(late)
    assert it.a.sessions


def test_the_deadline_of_a_dial_that_rests_counts_and_one_under_way_does_not() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    a.enliven(b.mint(Counter()), Shop, retry_for=10)

    under_way = a.run().wake_at
    net.refuse(a)
    rests = a.run().wake_at

    assert under_way is None
    assert rests == pytest.approx(net.now + FIRST_REST_S)


def test_the_earlier_of_a_timer_and_a_dial_is_the_deadline() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    a.enliven(b.mint(Counter()), Shop, retry_for=10)
    a.run()
    net.refuse(a)
    sleeper = a.vat.reference(Sleeper())

    a.want(E(sleeper).sleep(5.0))
    dial_first = a.run().wake_at
    a.want(E(sleeper).sleep(0.1))
    timer_first = a.run().wake_at

    assert dial_first == pytest.approx(net.now + FIRST_REST_S)
    assert timer_first == pytest.approx(net.now + 0.1)


def test_who_yields_to_another_connection_is_due_when_the_wait_is_over() -> None:
    it = pair()
    twin = it.net.host(it.a.seed, life=1)
    twin.enliven(it.sturdyref, Shop)
    twin.run()
    it.net.connect(twin)

    it.net.rest(dials=False)

    assert twin.peer.wake_at() == pytest.approx(it.net.now + YIELD_S, abs=0.05)
