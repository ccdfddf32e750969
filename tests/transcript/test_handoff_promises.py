"""Promises of E that G gives to R: natively as gifts, elsewhere forwarded; R gets what they become."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Refused
from tests.transcript.parties import NATIVE, SYRUP, Hall, Root, Three, three
from tests.unit.peer.pair import outcome

BOTH = pytest.mark.parametrize("syrup", [NATIVE, SYRUP], ids=["native", "syrup"])
#: Whether G asked E for the promise, or E told G of it.
EITHER = pytest.mark.parametrize("asked", [True, False], ids=["asked", "told"])


def gives_a_promise(it: Three, *, asked: bool, dials: bool = True) -> Any:
    """Let G give R a pending promise of E's; return its resolver."""
    promise, resolver = it.e.vat.promise()
    if asked:
        it.at_e.source = lambda: promise
        given = it.to_e.later()
    else:
        to_g = it.e.want(it.e.enliven(it.g.mint(it.at_g), Hall))
        it.net.rest()
        outcome(to_g).keep.only(promise)
        it.net.rest()
        given = it.at_g.kept[-1]
    it.to_r.keep.only(given)
    del given
    it.net.rest(dials=dials)
    assert not it.kept().settled
    return resolver


def settled_for_r(it: Three) -> Any:
    """Let R wait for what it was given; return its outcome."""
    it.r.want(it.kept())
    it.net.rest()
    return outcome(it.kept())


@EITHER
def test_a_pending_promise_is_a_gift_between_native_peers(asked: bool) -> None:
    it = three()

    resolver = gives_a_promise(it, asked=asked)

    assert "R" in it.net.heard(it.e)
    assert it.e.peer.exporter.dump() == []
    resolver.fulfill(5)
    assert settled_for_r(it) == 5


@EITHER
@pytest.mark.parametrize("syrup", [SYRUP, ("EG",), ("EG", "GR"), ("EG", "ER")], ids="+".join)
def test_a_pending_promise_of_one_who_takes_no_promises_is_forwarded(
    syrup: tuple[str, ...], asked: bool
) -> None:
    it = three(syrup)

    resolver = gives_a_promise(it, asked=asked)

    assert "R" not in it.net.heard(it.e)
    resolver.fulfill(5)
    assert settled_for_r(it) == 5


@EITHER
@BOTH
def test_one_that_is_fulfilled_with_an_object_of_the_exporter_gives_that(
    syrup: tuple[str, ...], asked: bool
) -> None:
    it = three(syrup)
    resolver = gives_a_promise(it, asked=asked)
    early = it.r.want(captp.E(it.kept()).add(1))
    it.net.rest()

    resolver.fulfill(it.e.vat.reference(it.at_e))
    ref = settled_for_r(it)
    it.net.rest()
    before = it.net.heard(it.g)
    late = it.r.want(captp.E(ref).add(2))
    it.net.rest()

    assert [outcome(early), outcome(late)] == [1, 2] == it.at_e.seen
    assert it.net.heard(it.g) == before
    it.at_e.source = lambda: None
    del resolver, early, late, ref
    it.ends_empty()


@EITHER
@BOTH
def test_one_that_breaks_breaks_for_the_receiver(syrup: tuple[str, ...], asked: bool) -> None:
    it = three(syrup)
    resolver = gives_a_promise(it, asked=asked)

    resolver.break_(Refused("not today"))

    # Over Syrup an error has its text and no class.
    with pytest.raises(captp.Broken, match=r"^not today$"):
        settled_for_r(it)


@EITHER
@BOTH
def test_one_that_is_fulfilled_with_data_gives_the_data(syrup: tuple[str, ...], asked: bool) -> None:
    it = three(syrup)
    resolver = gives_a_promise(it, asked=asked)

    resolver.fulfill({"all": [1, 2]})

    assert settled_for_r(it) == {"all": (1, 2)}
    it.at_e.source = lambda: None
    del resolver
    it.ends_empty()


@EITHER
@BOTH
def test_one_that_is_fulfilled_with_an_object_of_a_fourth_vat_introduces_to_that(
    syrup: tuple[str, ...], asked: bool
) -> None:
    it = three([*syrup, "DE", "DR", "DG"] if syrup else ())
    d = it.net.party("D")
    at_d = Root()
    to_d = it.e.want(it.e.enliven(d.mint(at_d), Hall))
    it.net.rest()
    resolver = gives_a_promise(it, asked=asked)
    early = it.r.want(captp.E(it.kept()).add(1))
    it.net.rest()

    resolver.fulfill(outcome(to_d))
    ref = settled_for_r(it)
    late = it.r.want(captp.E(ref).add(2))
    it.net.rest()

    assert [outcome(early), outcome(late)] == [1, 2] == at_d.seen
    assert "R" in it.net.heard(d)
    for host in (it.g, it.e):
        it.net.die(host)
    again = it.r.want(captp.E(ref).add(3))
    it.net.rest()
    assert outcome(again) == 3


@EITHER
def test_a_promise_that_was_given_away_is_kept_when_the_giver_lets_go_of_it(asked: bool) -> None:
    it = three()
    resolver = gives_a_promise(it, asked=asked)
    it.forgets(it.g)
    it.at_e.source = lambda: None
    it.net.collect()

    resolver.fulfill("kept")

    assert settled_for_r(it) == "kept"


@EITHER
def test_a_promise_in_the_exporters_hands_outlives_the_giver(asked: bool) -> None:
    it = three()
    resolver = gives_a_promise(it, asked=asked, dials=False)
    it.net.die(it.g)
    it.at_e.source = lambda: None
    it.net.rest(dials=False)
    assert it.e.peer.exporter.dump() == ["ended 1 gifts, 0 awaited"]
    it.net.rest()

    resolver.fulfill("kept")

    assert settled_for_r(it) == "kept"


def test_a_result_that_a_method_has_yet_to_give_is_a_gift_too() -> None:
    it = three()
    gate, resolver = it.e.vat.promise()
    it.at_e.source = lambda: gate
    # A fiber of E waits; its call is G's, and G gives the promise away and lets go.
    it.to_r.keep.only(it.to_e.wait(it.to_e.later()))
    it.net.collect(4)
    assert not it.kept().settled

    resolver.fulfill(9)

    assert settled_for_r(it) == 9


def test_calls_through_a_promise_gift_keep_their_order_when_it_resolves() -> None:
    it = three()
    resolver = gives_a_promise(it, asked=True)
    for number in range(3):
        it.r.want(captp.E(it.kept()).add(number))
    it.net.rest()
    resolver.fulfill(it.e.vat.reference(it.at_e))
    it.r.want(captp.E(it.kept()).add(3))
    it.r.run()
    it.e.run()
    for number in (4, 5):
        it.r.want(captp.E(it.kept()).add(number))
    it.net.rest()
    it.r.want(captp.E(settled_for_r(it)).add(6))
    it.net.rest()

    assert it.at_e.seen == list(range(7))


def test_a_promise_gift_breaks_when_its_exporter_goes() -> None:
    it = three()
    gives_a_promise(it, asked=True)

    it.net.die(it.e)

    with pytest.raises(captp.Disconnected):
        settled_for_r(it)


def test_a_pending_promise_of_the_gifters_own_is_no_gift() -> None:
    it = three()
    promise, resolver = it.g.vat.promise()
    it.to_r.keep.only(promise)
    it.net.rest()
    assert it.e.peer.exporter.dump() == []

    resolver.fulfill(it.to_e)

    ref = settled_for_r(it)
    called = it.r.want(captp.E(ref).add(1))
    it.net.rest()
    assert outcome(called) == 1
    assert "R" in it.net.heard(it.e)


@BOTH
def test_an_introduction_that_is_not_settled_yet_is_forwarded_when_it_is_given_on(
    syrup: tuple[str, ...],
) -> None:
    it = three([*syrup, "RS", "ES"] if syrup else ())
    s = it.net.party("S")
    at_s = Root()
    to_s = it.r.want(it.r.enliven(s.mint(at_s), Hall))
    it.net.rest()
    it.to_r.keep.only(it.to_e)
    it.net.rest(dials=False)
    assert not it.kept().settled

    outcome(to_s).keep.only(it.kept())
    it.net.rest(dials=False)
    called = s.want(captp.E(at_s.kept[-1]).add(1))
    it.net.rest()

    assert outcome(called) == 1
    s.want(at_s.kept[-1])
    it.net.rest()
    direct = s.want(captp.E(outcome(at_s.kept[-1])).add(2))
    it.net.rest()
    assert outcome(direct) == 2
    assert it.at_e.seen == [1, 2]
