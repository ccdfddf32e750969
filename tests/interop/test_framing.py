"""Where messages begin and end: in pieces, many at once, with the comma of netstrings, and beyond limits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.client import Peer
from tests.interop.conftest import Connect
from tests.interop.keys import answer, export
from tests.interop.ocapn_host import ECHO
from tests.interop.syrup import Sym


def calls(peer: Peer) -> bytes:
    """Spell a fetch and a call of what it will fetch."""
    messages = (
        peer.deliver(export(0), Sym("fetch"), ECHO, at=10, resolver=10),
        peer.deliver(answer(10), "x", 1.5, b"yz", at=11, resolver=11),
    )
    return b"".join(map(peer.spell, messages))


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_messages_may_come_in_pieces_of_any_size(connect: Connect, way: dict[str, Any], size: int) -> None:
    peer = connect(**way)

    for data in (peer.spell(peer.hello()), calls(peer)):
        for start in range(0, len(data), size):
            peer.sock.sendall(data[start : start + size])
        if not peer.transcript:
            peer.expect_hello()

    assert peer.value(11) == ["x", 1.5, b"yz"]


@pytest.mark.parametrize("framed", [False, True], ids=["raw", "framed"])
def test_a_message_may_be_cut_at_every_byte(connect: Connect, framed: bool) -> None:
    peer = connect(framed=framed).open()
    echo = peer.fetch(ECHO)
    for cut in range(1, len(peer.spell(peer.deliver(echo, 1.5, b"yz", at=1000, resolver=10)))):
        data = peer.spell(peer.deliver(echo, 1.5, b"yz", at=1000 + cut, resolver=10))
        peer.sock.sendall(data[:cut])
        peer.sock.sendall(data[cut:])
        assert peer.value(10) == [1.5, b"yz"]


def test_several_messages_may_come_in_one_segment(peer: Peer) -> None:
    resolvers = [peer.new_export() for _ in range(50)]
    echo = peer.fetch(ECHO)

    peer.send(*[peer.deliver(echo, n, resolver=r) for n, r in enumerate(resolvers)])

    assert [peer.value(r) for r in resolvers] == [[n] for n in range(50)]


def test_calls_may_come_in_one_segment_with_the_hello(connect: Connect, way: dict[str, Any]) -> None:
    """In the next segment they are heard: how TCP cuts a stream must not decide."""
    peer = connect(**way)

    peer.sock.sendall(peer.spell(peer.hello()) + calls(peer))

    peer.expect_hello()
    assert peer.value(11) == ["x", 1.5, b"yz"]


def test_the_host_answers_in_the_framing_that_it_hears(connect: Connect, way: dict[str, Any]) -> None:
    peer = connect(**way)
    peer.send(peer.hello())

    first = peer.sock.recv(1)

    assert first.isdigit() is peer.framed
    assert (first == b"<") is not peer.framed


def test_a_comma_after_each_frame_is_tolerated(connect: Connect) -> None:
    peer = connect(framed=True)
    peer.sock.sendall(peer.spell(peer.hello()) + b",")
    peer.expect_hello()

    fetch = peer.deliver(export(0), Sym("fetch"), ECHO, resolver=0)
    peer.sock.sendall(2 * (peer.spell(fetch) + b","))

    assert peer.value(0) == peer.value(0)


def test_two_commas_are_one_too_many(connect: Connect) -> None:
    peer = connect(framed=True).open()

    peer.sock.sendall(peer.spell(peer.only(export(0))) + b",,")

    assert peer.ending() is not None


@pytest.mark.parametrize(
    "start", [b"0", b"007:", b"9999999999", b"999999999:", b"12x", b"-3:", b"<<", b"\xff", b" <"]
)
def test_what_begins_no_session_is_ended_cleanly(connect: Connect, start: bytes) -> None:
    peer = connect()
    peer.sock.sendall(start + b" " * 64)

    received = b""
    while data := peer.sock.recv(1024):
        received += data

    assert b"op:start-session" not in received


def test_a_length_over_the_limit_ends_the_session_at_once(connect: Connect) -> None:
    peer = connect(framed=True).open()

    peer.sock.sendall(b"5000000:")

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("too-large")


def test_a_long_message_comes_through(peer: Peer) -> None:
    long = bytes(1_000_000)

    assert peer.call(peer.fetch(ECHO), long, "end") == [long, "end"]
