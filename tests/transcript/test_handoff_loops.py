"""Gifter, receiver and exporter that are not three: who is whom is seen, and nobody dials itself."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define

import captp
from captp.errors import HandoffFailed
from tests.transcript.parties import NATIVE, SYRUP, Hall, Parties, Root, three
from tests.unit.peer.pair import TRANSPORT, Host, Wire, outcome

BOTH = pytest.mark.parametrize("syrup", [NATIVE, SYRUP], ids=["native", "syrup"])
OTHER = "sim2"


@BOTH
def test_an_exporter_that_is_given_its_own_object_gets_the_object(syrup: tuple[str, ...]) -> None:
    it = three(syrup)

    it.to_e.keep.only(it.to_e)
    it.net.rest()

    assert it.at_e.kept[-1] is it.e.vat.reference(it.at_e)
    assert it.e.peer.exporter.dump() == []
    it.ends_empty()


@BOTH
def test_a_gifter_that_gives_its_own_object_introduces_nobody(syrup: tuple[str, ...]) -> None:
    it = three(syrup)

    it.to_r.keep.only(it.g.vat.reference(it.at_g))
    it.net.rest()
    called = it.r.want(captp.E(it.kept()).add(1))
    it.net.rest()

    assert outcome(called) == 1
    assert list(it.net.heard(it.r)) == ["G"]
    assert it.r.dialled == it.g.dialled[2:] == []


@BOTH
def test_what_was_introduced_and_comes_back_is_what_it_was(syrup: tuple[str, ...]) -> None:
    it = three(syrup)

    back = it.g.want(it.to_r.give_back(it.to_e))
    it.net.rest()

    assert captp.same(outcome(back), it.to_e)
    called = it.g.want(captp.E(outcome(back)).add(1))
    it.net.rest()
    assert outcome(called) == 1
    del back, called
    it.ends_empty()


@BOTH
def test_a_receiver_that_gives_it_to_its_owner_gives_the_object_itself(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    ref = it.introduced()
    to_e = it.r.want(it.r.enliven(it.e.mint(it.at_e), Hall))
    it.net.rest()

    outcome(to_e).keep.only(ref)
    it.net.rest()

    assert it.at_e.kept[-1] is it.e.vat.reference(it.at_e)
    assert len(it.r.dialled) == 1


@BOTH
def test_an_introduction_under_way_that_reaches_its_owner_gives_the_object_itself(
    syrup: tuple[str, ...],
) -> None:
    it = three(syrup)
    to_e = it.r.want(it.r.enliven(it.e.mint(it.at_e), Hall))
    it.net.rest()
    held = it.net.hold(it.e, it.g)
    it.to_r.keep.only(it.to_e)
    it.net.rest()
    assert not it.kept().settled

    outcome(to_e).keep.only(it.kept())
    it.net.rest()
    held.is_deaf = False
    it.net.rest()
    it.e.want(it.at_e.kept[-1])
    it.net.rest()

    assert captp.same(it.at_e.kept[-1], it.e.vat.reference(it.at_e))


@define
class TwoWays:
    """G in session with E over two transports, which it takes for two peers."""

    net: Parties
    g: Host
    e: Host
    at_e: Root
    over_one: Any
    over_other: Any
    one: Wire
    other: Wire

    def introduces(self, ref: Any, *transports: str) -> tuple[Host, Root]:
        """Let G give a new party R a reference; return R, which has these transports too, and its root."""
        r = self.net.party("R")
        for transport in transports:
            self.net.listen(r, transport)
        at_r = Root()
        to_r = self.g.want(self.g.enliven(r.mint(at_r), Hall))
        self.net.rest()
        outcome(to_r).keep.only(ref)
        self.net.rest()
        return r, at_r


def two_ways(syrup: tuple[str, ...]) -> TwoWays:
    net = Parties(syrup)
    g, e = net.party("G"), net.party("E")
    net.listen(e, OTHER)
    net.listen(g, OTHER)
    at_e = Root()
    first = g.want(g.enliven(e.mint(at_e), Hall))
    net.rest()
    second = g.want(g.enliven(e.peer.mint(at_e, OTHER), Hall))
    net.rest()
    return TwoWays(net, g, e, at_e, outcome(first), outcome(second), *net.wires)


@BOTH
def test_over_two_transports_one_object_comes_home_as_itself(syrup: tuple[str, ...]) -> None:
    it = two_ways(syrup)
    # The gift arrives over one connection before the certificate does over the other.
    it.other.far.is_deaf = True
    it.over_other.keep.only(it.over_one)
    it.net.rest()
    it.other.far.is_deaf = False
    it.net.rest()

    kept = outcome(it.at_e.kept[-1])

    assert kept is it.e.vat.reference(it.at_e)
    assert it.e.dialled == []
    assert it.e.peer.exporter.dump() == []


@BOTH
def test_over_two_transports_the_certificate_may_be_faster_than_the_gift(syrup: tuple[str, ...]) -> None:
    it = two_ways(syrup)
    it.one.far.is_deaf = True
    it.over_other.keep.only(it.over_one)
    it.net.rest()
    it.one.far.is_deaf = False
    it.net.rest()

    it.e.want(it.at_e.kept[-1])

    assert outcome(it.at_e.kept[-1]) is it.e.vat.reference(it.at_e)


@BOTH
def test_a_gifter_with_two_transports_to_the_exporter_introduces_by_the_one_it_holds(
    syrup: tuple[str, ...],
) -> None:
    it = two_ways(syrup)

    r, at_r = it.introduces(it.over_one)
    called = r.want(captp.E(outcome(at_r.kept[-1])).add(1))
    it.net.rest()

    assert outcome(called) == 1
    assert list(r.peer.router.live) == [(TRANSPORT, h.peer.designator) for h in (it.g, it.e)]


@BOTH
def test_an_introduction_to_a_transport_that_the_receiver_does_not_use_is_refused(
    syrup: tuple[str, ...],
) -> None:
    it = two_ways(syrup)

    r, at_r = it.introduces(it.over_other)

    with pytest.raises(HandoffFailed, match=r"^handoff: the introduction leads to 'sim2'"):
        outcome(at_r.kept[-1])
    assert r.dialled == []


@BOTH
def test_one_that_uses_the_transport_follows_the_introduction(syrup: tuple[str, ...]) -> None:
    it = two_ways(syrup)

    r, at_r = it.introduces(it.over_other, OTHER)

    called = r.want(captp.E(outcome(at_r.kept[-1])).add(1))
    it.net.rest()
    assert outcome(called) == 1
