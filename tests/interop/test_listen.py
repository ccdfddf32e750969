"""op:listen: one notification per listener, before or after the end, of promises and of what is none."""

from __future__ import annotations

import pytest

from tests.interop.client import Peer
from tests.interop.keys import a_promise, an_object, answer, export, held
from tests.interop.ocapn_host import ECHO, PAIRS
from tests.interop.syrup import Rec, Sym, rec


def pair(peer: Peer) -> tuple[Rec, Rec]:
    """Make a promise of the host's and the one who settles it."""
    peer.show_dialect()
    promise, settler = peer.call(peer.fetch(PAIRS))
    assert promise.label == "desc:import-promise"
    assert settler.label == "desc:import-object"
    return held(promise), held(settler)


def test_a_listener_hears_of_a_fulfilment(peer: Peer) -> None:
    promise, settler = pair(peer)
    resolver = peer.listen(promise)

    peer.send(peer.only(settler, Sym("fulfill"), Sym("ok")))

    assert peer.value(resolver) == Sym("ok")


def test_a_listener_hears_of_a_break_verbatim(peer: Peer) -> None:
    promise, settler = pair(peer)
    resolver = peer.listen(promise)

    peer.send(peer.only(settler, Sym("break"), Sym("oh-no")))

    assert peer.reason(resolver) == Sym("oh-no")


@pytest.mark.parametrize(("verb", "value"), [("fulfill", "late"), ("break", Sym("late"))])
def test_a_listener_that_comes_late_hears_all_the_same(peer: Peer, verb: str, value: str) -> None:
    promise, settler = pair(peer)
    peer.call(settler, Sym(verb), value)

    assert peer.settled(peer.listen(promise)) == [Sym(verb), value]


def test_every_listener_hears_once(peer: Peer) -> None:
    promise, settler = pair(peer)
    before = [peer.listen(promise) for _ in range(3)]
    peer.send(peer.only(settler, Sym("fulfill"), 7))

    assert [peer.value(resolver) for resolver in before] == [7, 7, 7]
    assert peer.value(peer.listen(promise)) == 7
    calls = [m for m in peer.drain(0.4) if m.label.startswith("op:deliver")]
    assert calls == []


@pytest.mark.parametrize("partial", [(), (False,), (True,)], ids=["2-fields", "3-false", "3-true"])
def test_both_forms_of_listen_are_heard(peer: Peer, partial: tuple[bool, ...]) -> None:
    promise, settler = pair(peer)
    resolver = peer.new_export()

    peer.send(rec("op:listen", promise, an_object(resolver), *partial))
    peer.send(peer.only(settler, Sym("fulfill"), 1))

    assert peer.value(resolver) == 1


def test_an_answer_can_be_listened_to(peer: Peer) -> None:
    position, first = peer.ask(peer.fetch(ECHO), "x")

    second = peer.listen(answer(position))

    assert peer.value(first) == peer.value(second) == ["x"]


def test_an_object_is_taken_as_fulfilled_with_itself(peer: Peer) -> None:
    echo = peer.fetch(ECHO)

    assert held(peer.value(peer.listen(echo))) == echo


def test_a_listener_may_be_a_promise(peer: Peer) -> None:
    promise, settler = pair(peer)
    resolver = peer.new_export()

    peer.send(rec("op:listen", promise, a_promise(resolver), False))
    peer.send(peer.only(settler, Sym("fulfill"), 1))

    assert peer.value(resolver) == 1


def test_a_promise_fulfilled_by_our_object_gives_it_back(peer: Peer) -> None:
    promise, settler = pair(peer)
    ours, resolver = peer.new_export(), peer.listen(promise)

    peer.send(peer.only(settler, Sym("fulfill"), an_object(ours)))

    assert peer.value(resolver) == export(ours)


def test_a_promise_fulfilled_by_another_of_theirs_is_waited_out(peer: Peer) -> None:
    first, settle_first = pair(peer)
    second, settle_second = pair(peer)
    resolver = peer.listen(first)

    peer.call(settle_first, Sym("fulfill"), second)
    with pytest.raises(TimeoutError):
        peer.settled(resolver, patience=0.4)
    peer.send(peer.only(settle_second, Sym("fulfill"), "at last"))

    assert peer.value(resolver) == "at last"


def test_a_promise_of_ours_is_listened_to_with_three_fields(peer: Peer) -> None:
    """The two-field form ends a session with Endo."""
    promise, settler = pair(peer)
    ours, resolver = peer.new_export(), peer.listen(promise)
    peer.send(peer.only(settler, Sym("fulfill"), a_promise(ours)))

    to, theirs, partial = peer.wait(lambda m: m.label == "op:listen").fields
    assert to == export(ours)
    assert theirs.label == "desc:import-object"
    assert partial is False
    peer.send(peer.only(held(theirs), Sym("fulfill"), "ours is done"))

    assert peer.value(resolver) == "ours is done"
