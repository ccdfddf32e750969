"""Which dialect the host writes: none that tells before the peer's has shown, and then the peer's own.

Per session, never per process: two peers of two dialects are served side by side.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.client import Peer
from tests.interop.conftest import FRAMINGS, Connect
from tests.interop.keys import a_promise, an_object, export, held
from tests.interop.ocapn_host import ECHO, GREETER, PAIRS
from tests.interop.syrup import Rec, Sym, rec

pytestmark = pytest.mark.parametrize("framed", FRAMINGS, ids=["raw", "framed"])

#: The host makes up its mind two seconds after a session has begun.
UNDECIDED_S = 1.2
DECIDED_S = 3.0


def quiet_call(peer: Peer, to: Rec, *args: Any) -> Any:
    """Call with a resolver: all dialects say it like that."""
    resolver = peer.new_export()
    peer.send(peer.deliver(to, *args, at=peer.new_answer(), resolver=resolver))
    return peer.value(resolver)


def is_telling(message: Rec) -> bool:
    """Whether only some dialects have a message."""
    return message.label not in ("op:start-session", "op:abort", "op:deliver", "op:listen") or (
        message.label == "op:deliver" and message.fields[3] is False
    )


def test_nothing_that_tells_is_said_to_a_peer_that_has_not_shown_its_dialect(
    connect: Connect, framed: bool
) -> None:
    peer = connect(framed=framed).open()
    said: list[Rec] = []
    original = peer.receive
    peer.receive = lambda patience=5.0: said.append(message := original(patience)) or message  # type: ignore[method-assign]

    echo = held(quiet_call(peer, export(0), Sym("fetch"), ECHO))
    ours = peer.new_export()
    for _ in range(3):
        assert quiet_call(peer, echo, an_object(ours)) == [export(ours)]
    promise, settler = map(held, quiet_call(peer, held(quiet_call(peer, export(0), Sym("fetch"), PAIRS))))
    quiet_call(peer, settler, Sym("fulfill"), a_promise(peer.new_export()))
    peer.listen(promise)
    peer.drain(UNDECIDED_S)

    assert len(said) >= 8
    assert [message for message in said if is_telling(message)] == []


def test_results_go_with_a_sink_for_their_resolver_before(connect: Connect, framed: bool) -> None:
    peer = connect(framed=framed).open()
    resolver = peer.new_export()

    peer.send(peer.deliver(export(0), Sym("fetch"), ECHO, at=peer.new_answer(), resolver=resolver))

    message = peer.serve_one(export(resolver))
    assert message.label == "op:deliver"
    _, _, position, sink = message.fields
    assert position is False
    assert sink.label == "desc:import-object"
    peer.send(peer.deliver(held(sink), Sym("fulfill"), True, resolver=peer.new_export()))
    peer.show_dialect()
    assert peer.fetch(ECHO), "whatever a sink is told is well"


def test_the_sink_may_be_given_back_and_is_made_anew(connect: Connect, framed: bool) -> None:
    peer = connect(framed=framed).open()
    for _ in range(3):
        resolver = peer.new_export()
        peer.send(peer.deliver(export(0), Sym("fetch"), ECHO, at=peer.new_answer(), resolver=resolver))
        message = peer.serve_one(export(resolver))
        assert message.fields[1][1].label == "desc:import-object"
        assert message.fields[3].label == "desc:import-object"
        assert message.fields[3] != message.fields[1][1]


@pytest.mark.parametrize(
    ("shown", "label", "listed"),
    [("d0", "op:gc-export", False), ("d1", "op:gc-export", True), ("d2", "op:gc-exports", True)],
)
def test_releases_are_held_back_and_then_said_in_the_peers_form(
    connect: Connect, framed: bool, shown: str, label: str, listed: bool
) -> None:
    peer = connect(framed=framed, dialect="d2").open()
    echo = held(quiet_call(peer, export(0), Sym("fetch"), ECHO))
    peer.drain(0.6)
    assert not any(message.label.startswith("op:gc") for message in peer.inbox)

    peer.dialect = shown
    peer.show_dialect()

    released = peer.wait(lambda m: m.label.startswith("op:gc-export"))
    assert released.label == label
    assert all((type(field) is list) is listed for field in released.fields)
    assert peer.call(echo, 1) == [1]


@pytest.mark.parametrize("shown", ["d0", "d1", "d2"])
def test_calls_without_result_are_said_in_the_peers_form(connect: Connect, framed: bool, shown: str) -> None:
    peer = connect(framed=framed, dialect=shown).open()
    peer.show_dialect()
    resolver = peer.new_export()

    peer.send(peer.deliver(export(0), Sym("fetch"), ECHO, at=peer.new_answer(), resolver=resolver))

    message = peer.serve_one(export(resolver))
    assert message.label == ("op:deliver" if shown == "d2" else "op:deliver-only")
    assert message.fields[2:] == ([False, False] if shown == "d2" else [])


@pytest.mark.parametrize("shown", ["d1", "d2"])
def test_one_call_without_result_tells_two_dialects_apart(connect: Connect, framed: bool, shown: str) -> None:
    peer = connect(framed=framed, dialect=shown).open()
    greeter = held(quiet_call(peer, export(0), Sym("fetch"), GREETER))

    peer.send(peer.only(greeter, an_object(77)))

    greeting = peer.serve_one(export(77))
    peer.reply(greeting, 1)
    # The counting of the client fails for any form but that of its dialect.
    peer.until(lambda: peer.dropped[77] == 1 and peer.dropped_answers[greeting.fields[2]] == 1)


@pytest.mark.slow
def test_a_peer_that_shows_nothing_is_taken_to_speak_the_current_dialect_in_the_end(
    connect: Connect, framed: bool
) -> None:
    peer = connect(framed=framed, dialect="d2").open()
    quiet_call(peer, export(0), Sym("fetch"), ECHO)

    assert peer.wait(lambda m: m.label.startswith("op:gc"), DECIDED_S).label == "op:gc-exports"


def test_each_session_has_its_own(connect: Connect, framed: bool) -> None:
    peers = [connect(framed=framed, dialect=dialect).open() for dialect in ("d0", "d1", "d2")]
    for peer in peers:
        peer.show_dialect()

    for _ in range(2):
        for peer in peers:
            ours = peer.new_export()
            echo = peer.fetch(ECHO)
            assert peer.call_unnumbered(echo, an_object(ours)) == [export(ours)]
            peer.until(lambda peer=peer, ours=ours: peer.dropped[ours] == 1)  # type: ignore[misc]


def test_a_mixture_of_current_calls_and_older_releases_is_heard(connect: Connect, framed: bool) -> None:
    peer = connect(framed=framed, dialect="d2").open()
    echo = held(quiet_call(peer, export(0), Sym("fetch"), ECHO))

    peer.send(rec("op:deliver", echo, [], False, False), rec("op:gc-export", [echo.fields[0]], [1]))
    peer.send(rec("op:deliver-only", export(0), [Sym("fetch"), ECHO]))

    assert peer.fetch(ECHO)
