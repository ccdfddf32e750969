"""A thousand crossings of two vats, jittered: bytes in any pieces and order, and one session each time."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from captp.model.locator import PeerLocator
from tests.unit.peer.pair import TRANSPORT, Counter, Host, Net, Shop, outcome
from tests.unit.peer.test_crossed_hellos import check_one_session

CROSSINGS = 1_000


def cross(seed: int, *, native: bool) -> tuple[Host, Host, list[Any]]:
    """Let two vats dial each other at once, under a schedule drawn from ``seed``; return them and results."""
    draw = Random(seed)
    net = Net()
    hosts = [net.host(seed % 90 + 1), net.host(seed % 90 + 101)]
    sturdyrefs = []
    for host in hosts:
        hints = {"exts": "mp1", "node": "here"} if native else {"node": "here"}
        host.peer.locations[TRANSPORT] = PeerLocator.make(TRANSPORT, host.peer.designator, hints)
        host.keys.append(draw.randbytes(32))
        host.keys.append(draw.randbytes(32))
        sturdyrefs.append(host.mint(Counter()))
    results = []
    for host, other in (hosts, hosts[::-1]):
        ref = host.want(host.enliven(sturdyrefs[hosts.index(other)], Shop, retry_for=10))
        # Calls that wait for a session must find the one that stays.
        results += [ref, host.want(ref.add(1)), host.want(ref.add(2))]
        host.run()
    waiting = list(hosts)
    draw.shuffle(waiting)
    for _ in range(60):
        action = draw.randrange(4)
        if waiting and action == 0:
            net.connect(waiting.pop())
        ends = [end for wire in net.wires for end in (wire.near, wire.far) if end.inbox]
        if ends and action:
            draw.choice(ends).deliver(draw.choice((1, 20, 10_000)))
        draw.choice(hosts).run(draw.choice((1, 100)))
    net.rest()
    return hosts[0], hosts[1], results


@pytest.mark.parametrize(
    "native",
    [
        pytest.param(True, id="native", marks=pytest.mark.slow),
        pytest.param(False, id="syrup", marks=pytest.mark.slow),
    ],
)
def test_a_thousand_crossings_leave_one_session_each_and_lose_no_call(native: bool) -> None:
    crossed = 0
    for seed in range(CROSSINGS):
        try:
            one, other, results = cross(seed, native=native)
            check_one_session(one, other)
            assert [outcome(r) for r in (results[1], results[2], results[4], results[5])] == [1, 2, 1, 2]
        except Exception as problem:
            raise AssertionError(f"crossing {seed}, native {native}") from problem
        crossed += len(one.net.wires) > 1
    assert crossed > CROSSINGS / 2, "hardly any of them crossed"
