"""Watching a reference: its watcher hears once, with the reason, when what it stands for is broken."""

from __future__ import annotations

import pytest

from captp.errors import Broken, Refused
from captp.model.values import Fault
from tests.unit.peer.pair import Counter, Net, Shop, outcome, pair


def text_of(reason: object) -> str:
    assert isinstance(reason, Fault)
    return reason.message


def test_a_watcher_of_a_far_object_hears_when_its_session_ends() -> None:
    it = pair()
    heard = it.a.want(it.a.when_broken(it.ref))
    it.net.rest()
    assert not heard.settled

    it.wire.cut()
    it.net.rest()

    assert "has ended" in text_of(outcome(heard))


def test_every_watcher_hears_and_no_watcher_of_another_session() -> None:
    it = pair()
    c = it.net.host(3)
    elsewhere = it.a.want(it.a.enliven(c.mint(Counter()), Shop))
    it.net.rest()
    heard = [it.a.when_broken(it.ref) for _ in range(3)]
    other = it.a.when_broken(outcome(elsewhere))
    it.net.rest()

    it.wire.cut()
    it.net.rest()

    assert all(h.settled for h in heard)
    assert not other.settled


def test_who_watches_what_is_broken_already_hears_at_once() -> None:
    it = pair()
    it.wire.cut()
    it.net.rest()

    heard = it.a.when_broken(it.ref)
    it.net.rest()

    assert "has ended" in text_of(outcome(heard))


def test_a_watcher_of_a_promise_hears_what_broke_it() -> None:
    it = pair()
    promise, resolver = it.a.vat.promise()
    heard = it.a.when_broken(promise)
    it.net.rest()
    before = heard.settled

    resolver.break_(Refused("not today"))
    it.net.rest()

    assert not before
    assert "not today" in text_of(outcome(heard))


def test_a_watcher_of_a_promise_goes_on_with_what_it_became() -> None:
    it = pair()
    promise, resolver = it.a.vat.promise()
    heard = it.a.when_broken(promise)
    it.net.rest()

    resolver.fulfill(it.ref)
    it.net.rest()
    between = heard.settled
    it.wire.cut()
    it.net.rest()

    assert not between
    assert "has ended" in text_of(outcome(heard))


def test_watching_a_promise_asks_its_peer_for_the_result() -> None:
    it = pair()
    lazy = it.ref.me()
    heard = it.a.when_broken(lazy)
    it.net.rest()

    assert lazy.settled
    assert not heard.settled


def test_a_near_object_never_breaks() -> None:
    net = Net()
    a = net.host(1)
    heard = a.when_broken(a.vat.reference(Counter()))

    net.wait(100)

    assert not heard.settled


def test_a_broken_call_tells_its_watcher_and_leaves_the_session_up() -> None:
    it = pair()
    call = it.ref.give_back(it.ref)["no such field"]
    heard = it.a.when_broken(call)

    it.net.rest()

    assert isinstance(outcome(heard), Fault)
    assert it.a.sessions
    with pytest.raises(Broken):
        outcome(call)


def test_a_watcher_that_nobody_holds_costs_its_session_nothing() -> None:
    it = pair()
    it.a.when_broken(it.ref)
    it.net.rest()

    it.wire.cut()
    it.net.rest()

    assert it.a.sessions == []


def test_a_broken_introduction_is_heard_through_who_introduced() -> None:
    it = pair()
    c = it.net.host(3)
    counter = Counter()
    at_b = it.b.want(it.b.enliven(c.mint(counter), Shop))
    it.net.rest()
    through = it.a.want(it.ref.give_back(it.ref))
    relayed = it.a.want(it.a.enliven(it.b.mint(outcome(at_b)), Shop))
    it.net.rest()
    outcome(through)
    heard = it.a.when_broken(outcome(relayed))
    it.net.rest()

    it.net.wires[1].cut()
    it.net.rest()
    late = it.a.want(outcome(relayed).add(1))
    it.net.rest()

    # What a relays through b is b's promise to pass on; that b lost c shows in each call.
    assert not heard.settled
    with pytest.raises(Broken, match="has ended"):
        outcome(late)
