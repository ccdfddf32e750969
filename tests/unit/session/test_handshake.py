"""How a session opens: every state and event, and who speaks first."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from attrs import frozen

from captp.session.handshake import TRANSITIONS, Event, State, Step
from captp.session.session import Session
from captp.wire.native import PREAMBLE
from captp.wire.ops import START
from tests.unit.session.opening import (
    GOOD,
    GOODBYE,
    HELLO,
    MINE,
    OTHER,
    PLACE,
    ended,
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

IN_STATE: dict[State, Callable[[], Session]] = {
    State.NEW: session,
    State.GREETING: greeting,
    State.LISTENING: listening,
    State.VERIFIED: verified,
    State.OPEN: open_,
    State.ENDED: ended,
}


def start(it: Session) -> list[Any]:
    it.start()
    return []


def admit(it: Session) -> list[Any]:
    it.admit()
    return []


def fail(it: Session) -> list[Any]:
    it.abort("closed", "because")
    return it.receive(b"")


def arrives(data: bytes) -> Callable[[Session], list[Any]]:
    return lambda it: it.receive(data)


@frozen
class Row:
    """What an event does in a state: the state after it, the opcodes written, the effects."""

    event: Callable[[Session], list[Any]]
    after: State
    said: tuple[str | int, ...] = ()
    effects: tuple[str, ...] = ()


TOLD = ("aborted",)
EARLY, SECOND = ("expected-start",), ("already-started",)
CLOSED = "closed: because"

#: Every pair of the table as it shows from outside. START is a hello that is refused, PROVED one that is not.
ROWS: dict[tuple[State, Event], Row] = {
    (State.NEW, Event.CONNECTED): Row(start, State.GREETING, (START,)),
    (State.NEW, Event.FAILED): Row(fail, State.ENDED, (), ("closed",)),
    (State.GREETING, Event.START): Row(arrives(spelled((*HELLO[:4], b"", ("mp1",)))), State.ENDED,
        ("bad-signature",), ("bad-signature",)),
    (State.GREETING, Event.PROVED): Row(arrives(GOOD), State.OPEN, (), ("established",)),
    (State.GREETING, Event.OTHER): Row(arrives(OTHER), State.ENDED, EARLY, EARLY),
    (State.GREETING, Event.ABORT): Row(arrives(GOODBYE), State.ENDED, (), TOLD),
    (State.GREETING, Event.FAILED): Row(fail, State.ENDED, (CLOSED,), ("closed",)),
    (State.LISTENING, Event.START): Row(arrives(spelled((*HELLO[:4], b"", ("mp1",)))), State.ENDED,
        ("bad-signature",), ("bad-signature",)),
    (State.LISTENING, Event.PROVED): Row(arrives(GOOD), State.VERIFIED, (), ("established",)),
    (State.LISTENING, Event.OTHER): Row(arrives(OTHER), State.ENDED, EARLY, EARLY),
    (State.LISTENING, Event.ABORT): Row(arrives(GOODBYE), State.ENDED, (), TOLD),
    (State.LISTENING, Event.FAILED): Row(fail, State.ENDED, (CLOSED,), ("closed",)),
    (State.VERIFIED, Event.ADMITTED): Row(admit, State.OPEN, (START,)),
    (State.VERIFIED, Event.FAILED): Row(fail, State.ENDED, (CLOSED,), ("closed",)),
    (State.OPEN, Event.ADMITTED): Row(admit, State.OPEN),
    (State.OPEN, Event.START): Row(arrives(GOOD), State.ENDED, SECOND, SECOND),
    (State.OPEN, Event.OTHER): Row(arrives(OTHER), State.OPEN, (), ("ControlCall",)),
    (State.OPEN, Event.ABORT): Row(arrives(GOODBYE), State.ENDED, (), TOLD),
    (State.OPEN, Event.FAILED): Row(fail, State.ENDED, (CLOSED,), ("closed",)),
    (State.ENDED, Event.START): Row(arrives(GOOD), State.ENDED),
    (State.ENDED, Event.ADMITTED): Row(admit, State.ENDED),
    (State.ENDED, Event.OTHER): Row(arrives(OTHER), State.ENDED),
    (State.ENDED, Event.ABORT): Row(arrives(GOODBYE), State.ENDED),
    (State.ENDED, Event.FAILED): Row(fail, State.ENDED),
}  # fmt: skip

#: The dialled side is new until the first bytes, of its own accord.
DIALLED = {(State.NEW, Event.DIALLED)}


def test_the_rows_are_the_table() -> None:
    assert set(ROWS) | DIALLED == set(TRANSITIONS)


@pytest.mark.parametrize(("state", "event"), list(ROWS), ids=lambda part: part.value)
def test_each_event_in_each_state(state: State, event: Event) -> None:
    it = IN_STATE[state]()
    assert it.state is state
    row = ROWS[state, event]

    effects = row.event(it)

    assert it.state is row.after
    assert said(it) == row.said
    assert tuple(map(named, effects)) == row.effects


IMPOSSIBLE = [pair for pair in product(State, Event) if pair not in TRANSITIONS]


@pytest.mark.parametrize(("state", "event"), IMPOSSIBLE, ids=lambda part: part.value)
def test_what_cannot_happen_is_no_transition(state: State, event: Event) -> None:
    it = IN_STATE[state]()

    with pytest.raises(KeyError):
        it.move(event)
    assert it.state is state


def test_each_step_of_the_table_is_one_that_sessions_know() -> None:
    assert {step for _, step in TRANSITIONS.values()} == set(Step)


# Who speaks first.


def test_the_dialler_sends_the_preamble_once_and_then_its_hello() -> None:
    it = session()
    it.start()

    data = it.take_output()

    assert data.startswith(PREAMBLE)
    ((code, version, key, place, _signature, extensions),) = read(data)
    assert (code, version, key, extensions) == (
        START,
        "1.0",
        MINE.public.raw,
        ("mp1", "own1", "frz1", "dgc1"),
    )
    assert place == ("memory", MINE.public.designator, {"exts": "mp1"})
    assert it.take_output() == b""
    it.receive(GOOD)
    it.abort("closed")
    assert not it.take_output().startswith(PREAMBLE)


def test_the_dialled_side_is_silent_until_it_lets_the_peer_in() -> None:
    it = session(dialled=True)
    it.start()
    assert it.take_output() == b""

    it.receive(PREAMBLE)
    assert it.take_output() == b""
    (established,) = it.receive(GOOD)
    assert it.take_output() == b""
    assert not it.is_open
    assert established.hello.location == PLACE

    it.admit()
    assert it.is_open
    data = it.take_output()
    assert not data.startswith(PREAMBLE)
    assert [op[0] for op in read(data)] == [START]


def test_hello_and_preamble_may_come_byte_by_byte() -> None:
    it = session(dialled=True)

    effects = [e for byte in PREAMBLE + GOOD for e in it.receive(bytes([byte]))]

    assert it.state is State.VERIFIED
    assert list(map(named, effects)) == ["established"]


@pytest.mark.parametrize("data", [b"\xc1captp\x01\x01", b"\xc1captq", b"\xc1\xc1", b"\xc1captp\x02\x00"])
def test_another_preamble_ends_the_connection_without_a_word(data: bytes) -> None:
    it = session(dialled=True)

    (end,) = it.receive(data)

    assert (end.code, end.remote) == ("bad-frame", False)
    assert it.state is State.ENDED
    assert it.take_output() == b""


def test_another_first_byte_is_syrup_where_the_dialled_side_listens_first_too() -> None:
    it = session(dialled=True)

    it.receive(b"5:")

    assert it.state is State.LISTENING
    assert not it.native
    assert it.take_output() == b""
