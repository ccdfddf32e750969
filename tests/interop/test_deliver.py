"""Calls: with a resolver, with a position, with both, with neither; pipelined, and when they fail."""

from __future__ import annotations

from typing import Any

from tests.interop.client import Peer
from tests.interop.conftest import Connect
from tests.interop.keys import a_promise, an_object, answer, export, held
from tests.interop.ocapn_host import BUILDER, ECHO, GREETER, PAIRS
from tests.interop.syrup import VOID, Sym, same


def build(peer: Peer, *order: Any) -> list[int]:
    """Send fetch, build, make and drive in one segment; give the four resolvers."""
    positions = [peer.new_answer() for _ in range(4)]
    resolvers = [peer.new_export() for _ in range(4)]
    calls = [
        (export(0), Sym("fetch"), BUILDER),
        (answer(positions[0]),),
        (answer(positions[1]), list(order)),
        (answer(positions[2]),),
    ]
    at = zip(positions, resolvers, strict=True)
    peer.send(*[peer.deliver(*call, at=a, resolver=r) for call, (a, r) in zip(calls, at, strict=True)])
    return resolvers


def test_a_call_that_wants_nothing_arrives(peer: Peer) -> None:
    greeter = peer.fetch(GREETER)
    ours = peer.new_export()
    peer.send(peer.only(greeter, an_object(ours)))

    greeting = peer.serve_one(export(ours))

    assert greeting.fields[1] == ["Hello"]


def test_the_greeter_asks_with_a_position_and_a_resolver(peer: Peer) -> None:
    greeter = peer.fetch(GREETER)
    ours = peer.new_export()
    peer.send(peer.only(greeter, an_object(ours)))

    _, _, position, resolver = peer.serve_one(export(ours)).fields

    assert type(position) is int
    assert position >= 1, "some peers take no answer at position 0"
    assert resolver.label == "desc:import-object"


def test_a_call_with_a_resolver_gives_its_arguments_back(peer: Peer) -> None:
    echo = peer.fetch(ECHO)
    sent = ["foo", 1, False, b"bar", ["baz"]]

    assert same(peer.call(echo, *sent), sent)


def test_a_resolver_needs_no_answer_position(peer: Peer) -> None:
    echo, resolver = peer.fetch(ECHO), peer.new_export()

    peer.send(peer.deliver(echo, "x", resolver=resolver))

    assert peer.value(resolver) == ["x"]


def test_an_answer_position_needs_no_resolver(connect: Connect) -> None:
    peer = connect(dialect="d2").open()
    echo, position = peer.fetch(ECHO), peer.new_answer()

    peer.send(peer.deliver(echo, "x", at=position))

    assert peer.value(peer.listen(answer(position))) == ["x"]


def test_a_resolver_may_be_a_promise(peer: Peer) -> None:
    echo, resolver = peer.fetch(ECHO), peer.new_export()
    message = peer.deliver(echo, "x", at=peer.new_answer(), resolver=resolver)
    message.fields[3] = a_promise(resolver)

    peer.send(message)

    assert peer.value(resolver) == ["x"]


def test_calls_pipelined_on_answers_arrive(peer: Peer) -> None:
    resolvers = build(peer, Sym("red"), Sym("zoomracer"))

    assert peer.value(resolvers[3]) == "Vroom! I am a red zoomracer car!"


def test_a_break_breaks_everything_pipelined_on_it(peer: Peer) -> None:
    resolvers = build(peer, 1, 2, 3, 4, 5)

    made, drove = peer.settled(resolvers[2]), peer.settled(resolvers[3])

    assert made[0] == drove[0] == Sym("break")
    assert len(made) == len(drove) == 2


def test_a_call_of_data_breaks(peer: Peer) -> None:
    echo = peer.fetch(ECHO)
    position, _ = peer.ask(echo, 7)

    assert peer.outcome(answer(position), "data is not called")[0] == Sym("break")


def test_an_object_that_is_not_called_by_name_breaks_for_a_method(peer: Peer) -> None:
    builder = peer.fetch(BUILDER)

    assert peer.outcome(builder, Sym("no-such-method"))[0] == Sym("break")


def test_our_object_comes_back_as_ours(peer: Peer) -> None:
    echo, ours = peer.fetch(ECHO), peer.new_export()

    assert peer.call(echo, an_object(ours)) == [export(ours)]


def test_their_object_goes_out_and_comes_back_at_its_position(peer: Peer) -> None:
    echo = peer.fetch(ECHO)
    _, settler = peer.call(peer.fetch(PAIRS))

    assert peer.call(echo, held(settler)) == [settler]


def test_an_answer_may_stand_in_arguments(peer: Peer) -> None:
    echo = peer.fetch(ECHO)
    position, _ = peer.ask(peer.fetch(PAIRS))

    (pair,) = peer.call(echo, answer(position))

    if type(pair) is not list:
        pair = peer.value(peer.listen(held(pair)))
    assert [part.label for part in pair] == ["desc:import-promise", "desc:import-object"]


def test_a_method_without_result_gives_undefined(peer: Peer) -> None:
    _, settler = peer.call(peer.fetch(PAIRS))

    assert same(peer.call(held(settler), Sym("fulfill"), 1), VOID)


def test_swiss_numbers_are_bytes_or_text(peer: Peer) -> None:
    assert peer.fetch(ECHO.decode()) == peer.fetch(ECHO)


def test_an_unknown_swiss_number_breaks_and_is_not_repeated(peer: Peer) -> None:
    unknown = b"x" * 8 + b"not-a-number-of-this-host"

    verb, reason = peer.outcome(export(0), Sym("fetch"), unknown)

    assert verb == Sym("break")
    assert unknown not in peer.transcript[-1]
    assert reason.label == "desc:error"
    assert [type(field) for field in reason.fields] == [str]


def test_fetch_takes_one_swiss_number(peer: Peer) -> None:
    for arguments in ([], [ECHO, ECHO], [7], [[ECHO]]):
        assert peer.outcome(export(0), Sym("fetch"), *arguments)[0] == Sym("break")
    assert peer.fetch(ECHO), "the session goes on"
