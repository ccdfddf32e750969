"""Order and size of what comes before a session is open."""

from __future__ import annotations

from captp.errors import Disconnected
from captp.limits import Limits
from captp.session.handshake import State
from captp.wire.native import PREAMBLE
from captp.wire.ops import ABORT, CALL, START
from tests.unit.session.opening import (
    GOOD,
    OTHER,
    greeting,
    listening,
    named,
    open_,
    read,
    said,
    session,
    spelled,
    verified,
)


def test_what_comes_right_behind_the_hello_is_read_when_the_peer_was_let_in() -> None:
    it = listening()

    effects = it.receive(GOOD + OTHER)
    assert [named(e) for e in effects] == ["established"]
    it.admit()

    assert [named(e) for e in it.receive(b"")] == ["ControlCall"]
    assert it.receive(b"") == []


def test_what_comes_right_behind_the_hello_of_a_peer_that_was_refused_is_not_read() -> None:
    it = listening()
    it.receive(GOOD + OTHER)

    it.abort("duplicate-session")
    it.take_effects()

    assert it.receive(b"") == []


def test_a_second_hello_right_behind_the_first_is_refused() -> None:
    it = listening()
    it.receive(GOOD + GOOD)
    it.admit()

    assert [named(e) for e in it.receive(b"")] == ["already-started"]
    assert said(it) == (START, "already-started")


def test_nothing_is_read_behind_an_operation_that_ended_the_opening() -> None:
    it = listening()

    effects = it.receive(OTHER + GOOD)

    assert [named(e) for e in effects] == ["expected-start"]
    assert said(it) == ("expected-start",)


def test_more_bytes_than_a_hello_before_the_session_is_up_are_refused() -> None:
    limit = 1_000
    exact = session(dialled=True, limits=Limits(handshake_bytes=limit))
    more = session(dialled=True, limits=Limits(handshake_bytes=limit))
    claim = PREAMBLE + (4_000).to_bytes(4, "big")

    assert exact.receive(claim + bytes(limit - len(claim))) == []
    (end,) = more.receive(claim + bytes(limit - len(claim) + 1))

    assert exact.state is State.LISTENING
    assert end.code == "too-large"
    assert said(more) == ("too-large",)
    (end,) = exact.receive(b"\0")
    assert end.code == "too-large"


def test_bytes_count_towards_the_hello_only_until_it_is_in() -> None:
    it = session(dialled=True, limits=Limits(handshake_bytes=len(PREAMBLE + GOOD)))
    it.receive(PREAMBLE + GOOD)
    it.admit()

    it.receive(spelled((CALL, 0, "captp:ping", ())) * 50)

    assert it.is_open


def test_an_abort_while_opening_carries_its_reason() -> None:
    reason = "crossed-hello: the other connection stays"
    for it in (greeting(), listening(), open_()):
        (end,) = it.receive(spelled((ABORT, reason)))
        assert (end.code, end.detail, end.remote) == ("aborted", reason, True)
        assert it.take_output() == b""


def test_of_an_abort_only_so_much_is_kept() -> None:
    for it in (listening(), open_()):
        (end,) = it.receive(spelled((ABORT, "x" * 1_000)))
        assert end.detail == "x" * 200


def test_what_came_with_a_refused_hello_does_not_come_back_in_full() -> None:
    it = open_()

    it.abort("bad-value", "y" * 1_000)

    ((_, reason),) = read(it.take_output())
    assert reason == "bad-value: " + "y" * 200


def test_the_tables_of_a_session_that_ended_in_its_handshake_are_empty() -> None:
    for it in (greeting(), listening(), verified()):
        it.abort("closed")
        assert it.end(Disconnected("over"), Disconnected("over")) == []
        assert {k: v for k, v in it.dump().items() if v} == {"state": ["ended"]}
