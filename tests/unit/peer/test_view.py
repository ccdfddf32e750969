"""The picture of a vat: counts, states and ages of what is there, and no value and no secret of it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from attrs import asdict

import captp
from captp.model.send import E
from captp.peer.view import view_of
from tests.unit.peer.pair import Counter, Host, Net, Pair, Shop, collect, outcome, pair


class Holder(captp.Object):
    """Answers with a promise that a test settles."""

    promise: Any = None

    @captp.method
    def give(self) -> Any:
        return self.promise


def session(it: Pair, host: Host | None = None) -> dict[str, object]:
    (only,) = view_of((host or it.a).peer).sessions
    return asdict(only)


def test_a_lonely_vat_shows_its_objects_and_labels_and_is_idle() -> None:
    net = Net()
    a = net.host(1)
    a.mint(Counter(), label="shop")

    view = view_of(a.peer)

    assert (view.designator, view.labels) == (a.peer.designator, ("shop",))
    assert (view.objects, view.fibers, view.queued, view.sessions) == (1, 0, 0, ())
    assert view.is_idle


def test_a_session_shows_who_and_how_from_each_side() -> None:
    it = pair()

    ours, theirs = session(it), session(it, it.b)

    for shown, other, dialled in ((ours, it.b, True), (theirs, it.a, False)):
        assert shown["peer"] == other.peer.designator
        assert (shown["transport"], shown["state"], shown["codec"]) == ("sim", "open", "native")
        assert shown["dialled"] is dialled
        assert shown["conn"] == 1


def test_imports_and_exports_are_counted_without_the_bootstrap() -> None:
    it = pair()
    before = session(it), session(it, it.b)
    it.ref.keep(it.a.vat.reference(Counter()))
    it.net.rest()

    after = session(it), session(it, it.b)

    assert [(s["exports"], s["imports"]) for s in before] == [(0, 1), (1, 0)]
    assert [(s["exports"], s["imports"]) for s in after] == [(1, 1), (1, 1)]


def test_questions_and_answers_are_counted_by_state() -> None:
    it = pair()
    waits = it.a.want(it.ref.never())
    it.a.run()
    it.net.rest()

    ours, theirs = session(it), session(it, it.b)

    assert not waits.settled
    assert ours["questions"] == {"waiting": 1}
    assert theirs["answers"] == {"open": 1}


def test_a_settled_answer_is_shown_until_it_is_released() -> None:
    it = pair()
    done = it.a.want(it.ref.add(1))
    it.a.run()
    it.wire.far.deliver()
    it.b.run()

    before = session(it, it.b)["answers"]
    it.wire.near.deliver()
    it.net.wait(1)

    assert done.settled
    assert before == {"settled": 1}
    assert session(it, it.b)["answers"] == {}


def test_a_session_is_empty_when_only_the_bootstrap_is_left() -> None:
    it = pair()
    before = session(it)["is_empty"], session(it, it.b)["is_empty"]

    it.ref = None
    collect(it.net)

    assert before == (False, False)
    assert session(it)["is_empty"] is True
    assert session(it, it.b)["is_empty"] is True


def test_ages_are_seconds_since_it_opened_and_since_it_was_heard_of() -> None:
    it = pair()
    it.net.wait(7)
    it.ref.add.only(1)
    it.net.rest()
    it.net.now += 2
    it.a.peer.now = it.b.peer.now = it.net.now

    shown = session(it, it.b)

    assert shown["age"] == pytest.approx(9, abs=0.5)
    assert shown["silent_for"] == pytest.approx(2, abs=0.1)


def test_a_clock_that_was_not_told_of_the_time_makes_no_negative_age() -> None:
    it = pair()
    it.a.peer.now = 0.0

    shown = session(it)

    assert shown["age"] == shown["silent_for"] == 0.0


def test_a_connection_that_is_opening_has_no_peer_yet() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    a.enliven(b.mint(Counter()), Shop)
    a.run()
    net.connect(a)

    dialling, dialled = view_of(a.peer).sessions[0], view_of(b.peer).sessions[0]

    assert (dialling.peer, dialling.state, dialling.codec) == ("", "greeting", "native")
    assert (dialled.peer, dialled.state, dialled.codec) == ("", "new", "")
    assert dialling.is_empty


def test_a_vat_is_busy_while_messages_wait_fibers_run_or_an_answer_is_owed() -> None:
    it = pair()
    assert view_of(it.b.peer).is_idle
    busy = []
    call = it.ref.never()
    it.a.want(call)
    it.a.run()
    it.wire.far.deliver()

    busy.append((view_of(it.b.peer).queued, view_of(it.b.peer).fibers, view_of(it.b.peer).is_idle))
    it.b.run()
    busy.append((view_of(it.b.peer).queued, view_of(it.b.peer).fibers, view_of(it.b.peer).is_idle))
    del call
    collect(it.net)

    assert busy == [(1, 0, False), (0, 1, False)]
    assert view_of(it.b.peer).fibers == 0
    assert view_of(it.b.peer).is_idle


def test_a_message_that_waits_for_its_turn_keeps_a_vat_from_being_idle() -> None:
    it = pair()
    it.ref.add.only(1)
    it.a.run()
    it.wire.far.deliver()

    before = view_of(it.b.peer).is_idle
    it.b.run()

    assert not before
    assert view_of(it.b.peer).is_idle


def test_an_answer_that_is_owed_keeps_a_vat_from_being_idle_though_nothing_runs() -> None:
    it = pair()
    promise, resolver = it.b.vat.promise()
    owed = it.a.want(it.a.enliven(it.b.mint(Holder(promise=promise))))
    it.net.rest()
    answer = it.a.want(E(outcome(owed)).give())
    it.net.rest()

    busy = view_of(it.b.peer).is_idle
    resolver.fulfill(1)
    it.net.wait(1)

    assert busy is False
    assert outcome(answer) == 1
    assert view_of(it.b.peer).is_idle


def test_the_picture_shows_no_secret_and_no_value() -> None:
    it = pair()
    it.a.want(it.ref.give_back("a private word"))
    it.ref.add.only(987654321)
    it.a.run()
    it.wire.far.deliver()

    text = repr(view_of(it.a.peer)) + repr(view_of(it.b.peer)) + str(it.a.peer.dump()) + str(it.b.peer.dump())

    swiss = it.sturdyref.swiss
    secrets = [swiss.hex(), urlsafe_b64encode(swiss).decode().rstrip("="), repr(swiss)[2:-1]]
    secrets += [host.peer.key.seed().hex() for host in (it.a, it.b)]
    secrets += ["a private word", "987654321"]
    assert [i for i, secret in enumerate(secrets) if secret in text] == []


def test_the_picture_is_taken_and_does_not_change() -> None:
    it = pair()
    view = view_of(it.a.peer)
    shown = repr(view)

    it.ref.add(1)
    it.net.wait(5)

    assert repr(view) == shown
    assert view != view_of(it.a.peer)
