"""Whoever called is told whether a call had left when its session ended."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Disconnected
from captp.model.send import E
from tests.unit.peer.pair import Counter, Net, Shop, outcome


class Slow(captp.Object):
    @captp.method
    async def wait(self) -> None:
        await captp.sleep(1000.0)


def lost(promise: Any) -> Disconnected:
    with pytest.raises(Disconnected) as broken:
        outcome(promise)
    return broken.value


def test_a_call_that_had_left_may_have_run_and_what_never_left_has_not() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    slow, counter = a.want(a.enliven(b.mint(Slow()))), a.want(a.enliven(b.mint(Counter()), Shop))
    net.rest()
    called = a.want(E(outcome(slow)).wait())
    piped = a.want(E(called).more())
    net.rest()
    gone = a.when_broken(outcome(counter))
    (link,) = a.peer.router.live.values()
    a.peer.disconnected(link.conn, "reset", net.now)
    after = a.want(E(outcome(counter)).add(1))
    net.rest()

    for promise in (called, piped):
        assert lost(promise).may_have_run
        assert str(lost(promise)).startswith("unknown-outcome: the session with ")
    assert not lost(after).may_have_run
    assert str(lost(after)).startswith("the session with ")
    assert outcome(gone).message.startswith("the session with ")


def test_a_call_that_waits_for_a_session_which_never_comes_has_not_left() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    called = a.want(E(a.enliven(b.mint(Counter()), Shop)).add(1))
    a.run()
    net.refuse(a)
    net.rest(dials=False)

    assert not lost(called).may_have_run
