"""How sessions open, and how they are refused: hellos, versions, signatures, doubles, crossings, ends."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from tests.interop.client import Ended, Host, Listener, Peer
from tests.interop.conftest import Connect
from tests.interop.keys import an_object, export, keys_in_order, public_list, signature_list
from tests.interop.ocapn_host import ECHO, ENLIVENER, GREETER
from tests.interop.syrup import Rec, Sym, rec, write


def test_the_hello_says_who_and_what_version(connect: Connect, way: dict[str, Any], host: Host) -> None:
    peer = connect(**way)
    peer.send(peer.hello())

    peer.expect_hello()

    assert peer.their_location == host.location
    (hello,) = peer.transcript
    assert b"17'op:abort" not in hello


def test_a_host_that_was_dialled_speaks_when_it_knows_its_caller(connect: Connect) -> None:
    peer = connect()

    with pytest.raises(TimeoutError):
        peer.receive(0.3)


def test_an_abort_before_the_hello_ends_it(connect: Connect, way: dict[str, Any]) -> None:
    peer = connect(**way)

    peer.send(rec("op:abort", "changed my mind"))
    assert peer.ending() is None

    # The end has been read; whatever is said now, nobody answers.
    with suppress(OSError):
        peer.send(peer.hello(), peer.deliver(export(0), Sym("fetch"), GREETER, at=0, resolver=0))
    with pytest.raises((Ended, TimeoutError, OSError)):
        peer.receive(0.5)


@pytest.mark.parametrize("version", ["0.9", "1", "1.0 ", "goblins-0.12", ""])
def test_another_version_is_refused_with_a_reason(
    connect: Connect, way: dict[str, Any], version: str
) -> None:
    peer = connect(**way)

    peer.send(peer.hello(version))

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("version")


def test_a_signature_by_another_key_is_refused(connect: Connect, way: dict[str, Any]) -> None:
    peer = connect(**way)
    label, fields = peer.hello()

    peer.send(Rec(label, [*fields[:3], signature_list(bytes(64))]))

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-signature")


def test_a_signature_of_the_bare_location_is_refused(connect: Connect, way: dict[str, Any]) -> None:
    peer = connect(**way)

    peer.send(peer.hello(signed=write(peer.location)))

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-signature")


def test_a_key_of_small_order_is_refused(connect: Connect) -> None:
    peer = connect()
    label, fields = peer.hello()

    peer.send(Rec(label, [fields[0], public_list(bytes(32)), *fields[2:]]))

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-key")


def test_nothing_is_heard_before_the_hello(connect: Connect, way: dict[str, Any]) -> None:
    peer = connect(**way)

    peer.send(peer.deliver(export(0), Sym("fetch"), GREETER, at=0, resolver=0))

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("expected-start")


def test_a_second_hello_on_one_connection_ends_it(peer: Peer) -> None:
    peer.send(peer.hello())

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("already-started")


def test_a_second_connection_hears_a_hello_and_then_an_abort(connect: Connect, way: dict[str, Any]) -> None:
    name = uuid4().hex
    first = connect(**way, name=name).open()
    second = connect(**way, name=name)

    second.send(second.hello())

    second.expect_hello()
    reason = second.ending()
    assert reason is not None
    assert reason.startswith("duplicate-session")
    assert first.call(first.fetch(ECHO), 1) == [1], "the first goes on"


@pytest.mark.parametrize("goodbye", [True, False], ids=["abort", "no-word"])
def test_a_peer_that_has_left_may_come_again_at_once(
    connect: Connect, way: dict[str, Any], goodbye: bool
) -> None:
    name = uuid4().hex
    for _ in range(4):
        peer = connect(**way, name=name).open()
        assert peer.call(peer.fetch(ECHO), 1) == [1]
        if goodbye:
            peer.close()
        else:
            peer.die()


def test_hints_do_not_make_another_peer(connect: Connect, way: dict[str, Any], listener: Listener) -> None:
    name = uuid4().hex
    first = connect(**way, location=listener.location(name)).open()
    second = connect(**way, name=name)

    second.send(second.hello())

    second.expect_hello()
    assert second.ending() is not None
    assert first.fetch(ECHO)


def test_a_peer_may_be_an_ocapn_node_with_listed_hints(connect: Connect, way: dict[str, Any]) -> None:
    hints = [[Sym("host"), "127.0.0.1"], [Sym("port"), "9"]]
    location = rec("ocapn-node", Sym("tcp-testing-only"), uuid4().hex, hints)

    assert connect(**way, location=location).open().fetch(ECHO)


def dialled(peer: Peer, listener: Listener, way: dict[str, Any], name: str, **options: Any) -> Peer:
    """Have the host dial ``name``; give this end of the connection, its hello heard and ours not said."""
    sturdyref = rec("ocapn-sturdyref", listener.location(name), b"whatever")
    peer.ask(peer.fetch(ENLIVENER), sturdyref)
    outgoing = listener.accept(**way, name=name, location=listener.location(name), **options)
    outgoing.expect_hello()
    return outgoing


def test_crossed_hellos_end_our_own_dial_when_it_has_the_lower_id(
    connect: Connect, way: dict[str, Any], listener: Listener
) -> None:
    """The host compares the key of its dial with the key of the hello that comes in."""
    name = uuid4().hex
    outgoing = dialled(connect(**way).open(), listener, way, name)
    key = next(k for k in iter_keys() if k.side > outgoing.their_side)
    incoming = connect(**way, location=listener.location(name), key=key)

    with outgoing:
        incoming.send(incoming.hello())
        reason = outgoing.ending()

    assert reason is not None
    assert reason.startswith("crossed-hello")
    incoming.expect_hello()
    call = incoming.serve_one(export(0))
    assert call.fields[1] == [Sym("fetch"), b"whatever"], "who waited for the dial has this session"
    assert incoming.fetch(ECHO)


def test_crossed_hellos_end_the_other_connection_when_it_has_the_lower_id(
    connect: Connect, way: dict[str, Any], listener: Listener
) -> None:
    name = uuid4().hex
    outgoing = dialled(connect(**way).open(), listener, way, name)
    key = next(k for k in iter_keys() if k.side < outgoing.their_side)
    incoming = connect(**way, location=listener.location(name), key=key)

    with outgoing:
        incoming.send(incoming.hello())
        reason = incoming.ending()
        assert reason is not None
        assert reason.startswith("crossed-hello")

        outgoing.send(outgoing.hello())
        call = outgoing.serve_one(export(0))
        assert call.fields[1] == [Sym("fetch"), b"whatever"]


def iter_keys() -> Any:
    while True:
        yield from keys_in_order()


def test_a_dialled_peer_must_be_the_one_that_was_wanted(
    connect: Connect, way: dict[str, Any], listener: Listener
) -> None:
    peer = connect(**way).open()
    name, impostor = uuid4().hex, uuid4().hex
    sturdyref = rec("ocapn-sturdyref", listener.location(name), b"whatever")
    _, resolver = peer.ask(peer.fetch(ENLIVENER), sturdyref)

    with listener.accept(**way, location=listener.location(impostor)) as outgoing:
        outgoing.expect_hello()
        outgoing.send(outgoing.hello())
        reason = outgoing.ending()

    assert reason is not None
    assert reason.startswith("identity")
    assert peer.settled(resolver)[0] == Sym("break")


def test_the_host_ends_an_aborted_session_cleanly_though_it_was_still_told_things(peer: Peer) -> None:
    """A close with input unread would reset the connection, and the reason might never be read."""
    echo = peer.fetch(ECHO)
    peer.send(rec("op:what"), *[peer.only(echo, bytes(5_000))] * 200)

    reason = peer.ending()

    assert reason is not None
    assert reason.startswith("unknown-op")


def test_our_abort_is_answered_with_a_clean_end(peer: Peer) -> None:
    peer.ask(peer.fetch(ECHO), an_object(peer.new_export()))

    peer.send(rec("op:abort", "enough"))

    assert peer.ending() is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (rec("op:what", 1), "unknown-op"),
        (rec("op:deliver", export(0), []), "bad-op"),
        (rec("op:deliver", export(999), [], False, False), "bad-ref"),
        (rec("op:deliver", rec("desc:answer", 999), [], False, False), "bad-ref"),
        (rec("op:deliver", export(0), [export(999)], False, False), "bad-ref"),
        (rec("op:gc-answers", [999]), "bad-gc"),
        (rec("op:gc-exports", [999], [1]), "bad-gc"),
        (rec("op:gc-exports", [0], [1]), "bad-gc"),
        (b"<10'op:deliver#1+$>", "bad-value"),
        (b"<10'op:deliver<11'desc:export0+>[F\0\0\0\0]ff>", "bad-value"),
        (b"<10'op:deliver<11'desc:export0+>[1\"\xff]ff>", "bad-value"),
    ],
)
def test_what_no_peer_may_say_ends_with_its_reason(connect: Connect, message: Any, code: str) -> None:
    peer = connect().open()

    peer.send(message)

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith(code)


def test_a_silent_connection_costs_others_nothing(connect: Connect, host: Host) -> None:
    with socket.create_connection((host.hints["host"], int(host.hints["port"])), 5):
        assert connect().open().fetch(ECHO)
