"""How a session opens: every state and event, every check of a hello, and who speaks first."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from attrs import frozen

from captp.errors import Disconnected, RemoteProtocolError
from captp.limits import Limits
from captp.model.keys import PrivateKey, session_id, side_id
from captp.model.locator import PeerLocator
from captp.session.handshake import TRANSITIONS, Channel, Event, Hello, State, Step, make_hello, verify_hello
from captp.session.inbound import Ended
from captp.session.session import Established, Session
from captp.vat.vat import Vat
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import ABORT, CALL, START, Desc, Kind, Op

MINE = PrivateKey.from_seed(b"m" * 32)
THEIRS = PrivateKey.from_seed(b"t" * 32)
PLACE = PeerLocator.make("memory", THEIRS.public.designator, {"exts": "mp1"})
CHANNEL = Channel(THEIRS.public.raw, b"binding", "memory")
LIMITS = Limits()


class Names:
    """Takes every descriptor for what it is."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(f"{value!r} is not to be sent")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(Kind(kind), position)


def spelled(*ops: Op) -> bytes:
    """Return operations as a native peer writes them."""
    codec = NativeCodec(Names(), LIMITS)
    return codec.frame([codec.encode(op) for op in ops])


def read(data: bytes) -> list[Op]:
    """Return the operations in what a session wrote, with or without the preamble."""
    return list(NativeCodec(Names(), LIMITS).feed(data.removeprefix(PREAMBLE)))


def hello(key: PrivateKey = THEIRS, place: PeerLocator = PLACE, channel: Channel = CHANNEL) -> Op:
    return make_hello(key, place, ("mp1",), channel)


HELLO = hello()
GOOD = spelled(HELLO)
OTHER = spelled((CALL, 0, "captp:ping", (), 1, True))
GOODBYE = spelled((ABORT, "closed: bye"))


def session(*, dialled: bool = False, limits: Limits = LIMITS) -> Session:
    """Make a session with the peer; ``dialled`` is the side that waits for the first byte."""
    location = PeerLocator.make("memory", MINE.public.designator, {"exts": "mp1"})
    return Session(
        home=Vat(limits),
        key=MINE,
        location=location,
        channel=CHANNEL,
        limits=limits,
        native=None if dialled else True,
    )


def greeting() -> Session:
    it = session()
    it.start()
    it.take_output()
    return it


def listening() -> Session:
    it = session(dialled=True)
    assert it.receive(PREAMBLE) == []
    return it


def verified() -> Session:
    it = listening()
    it.receive(GOOD)
    return it


def open_() -> Session:
    it = verified()
    it.admit()
    it.take_output()
    return it


def ended() -> Session:
    it = open_()
    it.abort("closed")
    it.receive(b"")
    it.take_output()
    return it


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
    (State.VERIFIED, Event.START): Row(arrives(GOOD), State.ENDED, SECOND, SECOND),
    (State.VERIFIED, Event.OTHER): Row(arrives(OTHER), State.ENDED, EARLY, EARLY),
    (State.VERIFIED, Event.ABORT): Row(arrives(GOODBYE), State.ENDED, (), TOLD),
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


def named(effect: Any) -> str:
    match effect:
        case Ended():
            return effect.code
        case Established():
            return "established"
    return type(effect).__name__


def said(it: Session) -> tuple[str | int, ...]:
    """Return what a session wrote: opcodes, and the reasons of aborts without their details."""
    return tuple(
        (op[1] if op[1].startswith("closed") else op[1].partition(":")[0]) if op[0] == ABORT else op[0]
        for op in read(it.take_output())
    )


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
    assert (code, version, key, extensions) == (START, "1.0", MINE.public.raw, ("mp1",))
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


def test_another_first_byte_is_syrup_where_both_say_hello_at_once() -> None:
    it = session(dialled=True)

    it.receive(b"5:")

    assert it.state is State.GREETING
    assert not it.native
    assert b"op:start-session" in it.take_output()


# The checks of a hello.


def test_a_good_hello_gives_key_location_extensions_and_the_ids_of_both() -> None:
    found = verify_hello(HELLO, MINE, CHANNEL, native=True)

    mine, theirs = side_id(MINE.public.raw), side_id(THEIRS.public.raw)
    assert found == Hello(THEIRS.public, PLACE, ("mp1",), theirs, session_id(mine, theirs))


def signed(
    *,
    key: PrivateKey = THEIRS,
    place: PeerLocator = PLACE,
    extensions: Any = ("mp1",),
    binding: bytes = b"binding",
) -> Op:
    """Return a hello whose signature is right for what it says."""
    return make_hello(key, place, extensions, Channel(binding=binding))


def replaced(index: int, value: Any) -> Op:
    """Return the good hello with another field, still with the signature of the old one."""
    return (*HELLO[:index], value, *HELLO[index + 1 :])


STRANGER = PrivateKey.from_seed(b"s" * 32)
SMALL_ORDER = bytes([1]) + bytes(31)

BAD: dict[str, tuple[Op, str]] = {
    "too few fields": (HELLO[:5], "bad-op"),
    "too many fields": ((*HELLO, None), "bad-op"),
    "no fields": (HELLO[:1], "bad-op"),
    "another version": (replaced(1, "1.1"), "version"),
    "a version that is no text": (replaced(1, 1.0), "version"),
    "no version": (replaced(1, None), "version"),
    "a key that is text": (replaced(2, "x" * 32), "bad-key"),
    "a key that is too short": (replaced(2, THEIRS.public.raw[:31]), "bad-key"),
    "a key that is too long": (replaced(2, THEIRS.public.raw + b"\0"), "bad-key"),
    "a key of small order": (replaced(2, SMALL_ORDER), "bad-key"),
    "a key that is not canonical": (replaced(2, b"\xff" * 32), "bad-key"),
    "another key": (replaced(2, STRANGER.public.raw), "bad-signature"),
    "a place that is no list": (replaced(3, "memory"), "bad-op"),
    "a place without hints": (replaced(3, HELLO[3][:2]), "bad-op"),
    "a place with one field more": (replaced(3, (*HELLO[3], None)), "bad-op"),
    "a transport that is no text": (replaced(3, (b"memory", *HELLO[3][1:])), "bad-op"),
    "a transport that is none": (replaced(3, ("me mory", *HELLO[3][1:])), "bad-op"),
    "a designator that is none": (replaced(3, ("memory", "", {})), "bad-op"),
    "hints that are no struct": (replaced(3, (*HELLO[3][:2], ("exts", "mp1"))), "bad-op"),
    "a hint that is no text": (replaced(3, (*HELLO[3][:2], {"exts": 1})), "bad-op"),
    "other hints": (replaced(3, (*HELLO[3][:2], {"exts": "mp2"})), "bad-signature"),
    "another designator": (replaced(3, ("memory", "a" * 52, HELLO[3][2])), "bad-signature"),
    "no signature": (replaced(4, None), "bad-signature"),
    "a signature that is text": (replaced(4, "x" * 64), "bad-signature"),
    "a signature of the wrong length": (replaced(4, HELLO[4][:63]), "bad-signature"),
    "a flipped bit in the signature": (replaced(4, bytes([HELLO[4][0] ^ 1]) + HELLO[4][1:]), "bad-signature"),
    "a stranger's signature": (replaced(4, signed(key=STRANGER)[4]), "bad-signature"),
    "a signature for another channel": (signed(binding=b"other"), "bad-signature"),
    "a signature for no channel": (signed(binding=b""), "bad-signature"),
    "extensions that are no list": (replaced(5, "mp1"), "bad-op"),
    "an extension that is no text": (replaced(5, (b"mp1",)), "bad-op"),
    "an empty extension": (signed(extensions=("",)), "bad-op"),
    "an extension that is too long": (signed(extensions=("x" * 33,)), "bad-op"),
    "an extension with a comma": (signed(extensions=("mp1,mp2",)), "bad-op"),
    "an extension that is not ASCII": (signed(extensions=("mp\u00b9",)), "bad-op"),
    "extensions that were taken away": (replaced(5, ()), "bad-signature"),
    "extensions that were added": (replaced(5, ("mp1", "mp2")), "bad-signature"),
    "a location of another key": (
        signed(place=PeerLocator.make("memory", STRANGER.public.designator, {})), "identity"),
    "a location on another transport": (
        signed(place=PeerLocator.make("unix", THEIRS.public.designator, {})), "identity"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_hello_that_is_wrong_ends_the_session_with_its_code(name: str) -> None:
    op, code = BAD[name]
    it = listening()

    effects = it.receive(spelled(op))

    assert [(e.code, e.remote) for e in effects] == [(code, False)]
    assert it.state is State.ENDED
    assert it.hello is None
    ((opcode, reason),) = read(it.take_output())
    assert (opcode, reason.partition(":")[0]) == (ABORT, code)


def test_the_dialler_checks_the_hello_it_gets_too() -> None:
    it = greeting()

    (end,) = it.receive(spelled(signed(binding=b"other")))

    assert end.code == "bad-signature"
    assert said(it) == ("bad-signature",)


def test_no_extensions_and_unknown_ones_are_let_in() -> None:
    for extensions in ((), ("x" * 32,), ("mp1", "future-9")):
        it = listening()
        it.receive(spelled(signed(extensions=extensions)))
        assert it.state is State.VERIFIED
        assert it.extensions == tuple(e for e in extensions if e == "mp1")


def test_where_no_key_is_proved_the_location_is_taken_as_said() -> None:
    place = PeerLocator.make("elsewhere", STRANGER.public.designator, {})

    found = verify_hello(signed(place=place), MINE, Channel(None, b"binding", "memory"), native=True)

    assert found.location == place


def test_the_own_hello_that_comes_back_is_refused() -> None:
    it = session()
    it.start()
    echo = it.take_output().removeprefix(PREAMBLE)
    own = Channel(MINE.public.raw, b"binding", "memory")

    (end,) = it.receive(echo)
    assert end.code == "identity"

    # Also where the proved key would fit, and where none is proved.
    for channel in (own, Channel(None, b"binding", "memory")):
        with pytest.raises(RemoteProtocolError, match="connected to itself"):
            verify_hello(read(echo)[0], MINE, channel, native=True)


# Order and size of what comes before the session is open.


def test_a_call_right_behind_the_hello_is_refused() -> None:
    it = listening()

    effects = it.receive(GOOD + OTHER)

    assert [named(e) for e in effects] == ["established", "expected-start"]
    assert said(it) == ("expected-start",)


def test_a_second_hello_right_behind_the_first_is_refused() -> None:
    it = listening()

    effects = it.receive(GOOD + GOOD)

    assert [named(e) for e in effects] == ["established", "already-started"]
    assert said(it) == ("already-started",)


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
    for it in (greeting(), listening(), verified(), open_()):
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
        assert it.end(Disconnected("over")) == []
        assert {k: v for k, v in it.dump().items() if v} == {"state": ["ended"]}
