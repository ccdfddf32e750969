"""What a peer with the extension frz1 may do with bodies and hashes, and what ends its session."""

from __future__ import annotations

import struct
from typing import Any

import msgpack
import pytest

import captp
from captp.limits import Limits
from captp.model.values import FrozenMap, Symbol, Tagged
from captp.model.weight import PART
from captp.peer.care import account_of
from captp.wire.ops import BODY, BREAK, CALL, FORGET, RESOLVE
from tests.unit.session.boxes import Frz, aborted, digest, name, spelled
from tests.unit.session.raw import promise

BODY_OF_LIST = spelled((1, "two", FrozenMap(a=3.0)))


def note(raw: Frz, index: int = -1) -> Any:
    return raw.keeper.had[index]


def test_a_body_and_then_its_hash_are_frozen_data() -> None:
    raw = Frz()

    assert raw.puts(BODY_OF_LIST) == []
    assert raw.notes(name(BODY_OF_LIST)) == [(RESOLVE, 9, 1)]
    assert type(note(raw)) is captp.Data
    assert note(raw).project() == (1, "two", {"a": 3.0})


def test_a_body_may_come_byte_by_byte_and_messages_between_its_parts() -> None:
    raw, body = Frz(), BODY_OF_LIST

    for at in range(len(body)):
        assert raw.send((BODY, digest(body), len(body) - at - 1, body[at : at + 1])) == []
        assert raw.send((CALL, 1, "note", (at,), False, False)) == []

    assert raw.notes(name(body)) == [(RESOLVE, 9, len(body) + 1)]
    assert note(raw).project() == (1, "two", {"a": 3.0})


def test_the_same_value_a_thousand_times_in_one_message_is_one_object() -> None:
    raw = Frz()
    raw.puts(BODY_OF_LIST)

    assert raw.notes([name(BODY_OF_LIST)] * 1_000) == [(RESOLVE, 9, 1)]
    assert len(note(raw)) == 1_000
    assert len({id(one) for one in note(raw)}) == 1


def test_a_value_that_comes_again_is_the_same_object_also_over_another_session() -> None:
    raw = Frz()
    raw.puts(BODY_OF_LIST)
    raw.notes(name(BODY_OF_LIST))
    raw.forgets(BODY_OF_LIST)
    raw.puts(BODY_OF_LIST)
    raw.notes(name(BODY_OF_LIST), at=10)
    raw.joins(b"other", "frz1")
    raw.puts(BODY_OF_LIST)
    raw.notes(name(BODY_OF_LIST))

    assert note(raw, 0) is note(raw, 1) is note(raw, 2)


def test_who_knows_a_hash_does_not_get_what_another_peer_has_sent() -> None:
    raw = Frz()
    raw.puts(BODY_OF_LIST)
    raw.notes(name(BODY_OF_LIST))
    raw.joins(b"thief", "frz1")

    assert aborted(raw, raw.notes(name(BODY_OF_LIST))) == "bad-ref"
    assert len(raw.keeper.had) == 1


@pytest.mark.parametrize("is_last_byte", [True, False])
def test_a_body_of_another_hash_ends_the_session(is_last_byte: bool) -> None:
    raw = Frz()
    wrong = BODY_OF_LIST[:-1] + b"\xff" if is_last_byte else spelled("another")

    assert aborted(raw, raw.puts(wrong, hash_=digest(BODY_OF_LIST))) == "bad-hash"
    assert raw.host.peer.vat.owning.boxes.known(digest(BODY_OF_LIST)) is None


def test_a_hash_of_a_value_that_is_known_takes_no_other_body() -> None:
    raw = Frz()
    raw.puts(BODY_OF_LIST)
    raw.notes(name(BODY_OF_LIST))
    raw.joins(b"liar", "frz1")

    assert aborted(raw, raw.puts(spelled("another"), hash_=digest(BODY_OF_LIST))) == "bad-hash"


@pytest.mark.parametrize("hash_", [digest(BODY_OF_LIST), b"", b"h" * 31, b"h" * 33])
def test_a_hash_that_never_came_ends_the_session(hash_: bytes) -> None:
    raw = Frz()

    assert aborted(raw, raw.notes(msgpack.ExtType(26, hash_))) == "bad-ref"


def test_a_hash_whose_body_is_not_whole_ends_the_session() -> None:
    raw, body = Frz(), BODY_OF_LIST
    raw.send((BODY, digest(body), len(body) - 3, body[:3]))

    assert aborted(raw, raw.notes(name(body))) == "bad-ref"


def test_what_was_forgotten_cannot_be_named_or_forgotten_again() -> None:
    for is_named in (True, False):
        raw = Frz()
        raw.puts(BODY_OF_LIST)
        assert raw.forgets(BODY_OF_LIST) == []
        assert raw.table.known_weight == 0
        heard = raw.notes(name(BODY_OF_LIST)) if is_named else raw.forgets(BODY_OF_LIST)
        assert aborted(raw, heard) == "bad-ref"


def test_who_has_not_announced_it_names_nothing() -> None:
    raw = Frz.__new__(Frz)
    raw.host = Frz().host
    raw.joins(b"plain")

    assert aborted(raw, raw.notes(name(BODY_OF_LIST))) == "bad-value"


@pytest.mark.parametrize(
    "op",
    [
        (BODY, digest(BODY_OF_LIST), 0),
        (BODY, digest(BODY_OF_LIST), 0, b""),
        (BODY, digest(BODY_OF_LIST), 0, "text"),
        (BODY, digest(BODY_OF_LIST), -1, BODY_OF_LIST),
        (BODY, digest(BODY_OF_LIST), True, BODY_OF_LIST),
        (BODY, digest(BODY_OF_LIST), 1.0, BODY_OF_LIST),
        (BODY, "hash", 0, BODY_OF_LIST),
        (BODY, digest(BODY_OF_LIST), 0, BODY_OF_LIST, None),
        (FORGET,),
        (FORGET, b"hash"),
        (FORGET, {}),
        (FORGET, (), ()),
    ],
    ids=repr,
)
def test_an_operation_of_other_fields_ends_the_session(op: Any) -> None:
    raw = Frz()

    assert aborted(raw, raw.send(op)) == "bad-op"


@pytest.mark.parametrize("second", ["another hash", "more left", "less left", "twice"])
def test_parts_come_one_after_another(second: str) -> None:
    raw, body = Frz(), BODY_OF_LIST
    if second == "twice":
        raw.puts(body)
        assert aborted(raw, raw.puts(body)) == "bad-op"
        return
    raw.send((BODY, digest(body), len(body) - 1, body[:1]))
    left = len(body) - 2 + {"more left": 1, "less left": -1}.get(second, 0)
    hash_ = b"h" * 32 if second == "another hash" else digest(body)

    assert aborted(raw, raw.send((BODY, hash_, left, body[1:2]))) == "bad-op"


# What a body may be.


@pytest.mark.parametrize(
    "body",
    [
        bytes.fromhex("cc01"),
        bytes.fromhex("d90161"),
        bytes.fromhex("dc000101"),
        bytes.fromhex("82 a162 01 a161 02"),
        bytes.fromhex("c7 02 01 2b01"),
        bytes.fromhex("ca 3f800000"),
        b"\xcb" + struct.pack(">Q", 0xFFF8000000000001),
        bytes.fromhex("92 c70003 a174"),
        bytes.fromhex("d6ff 00000000"),
        bytes.fromhex("82 a161 01 a161 01"),
        bytes.fromhex("a1ff"),
    ],
    ids=bytes.hex,
)
def test_a_body_in_another_spelling_than_the_one_ends_the_session(body: bytes) -> None:
    raw = Frz()

    assert aborted(raw, raw.puts(body)) == "bad-value"


@pytest.mark.parametrize(
    "body", [b"\x93\x01", b"\x01\x01", b"\xdd\xff\xff\xff\xff", b"\xc1", b"\x81\x01\x01"], ids=bytes.hex
)
def test_a_body_that_is_no_one_value_ends_the_session(body: bytes) -> None:
    raw = Frz()

    assert aborted(raw, raw.puts(body)) in ("bad-frame", "bad-value", "too-many")


@pytest.mark.parametrize("code", [16, 17, 18, 19, 20, 23, 24, 25, 26])
def test_a_body_holds_no_reference_and_no_other_frozen_value(code: int) -> None:
    raw = Frz()
    raw.puts(BODY_OF_LIST)
    inner = digest(BODY_OF_LIST) if code == 26 else b"\x01"

    assert aborted(raw, raw.puts(msgpack.packb([msgpack.ExtType(code, inner)]))) == "bad-value"
    assert not raw.keeper.had


def test_a_body_is_no_deeper_than_a_value_that_is_sent() -> None:
    value: Any = 1
    for _ in range(62):
        value = (value,)
    assert Frz().puts(spelled(value)) == []

    raw = Frz()
    assert aborted(raw, raw.puts(spelled((value,)))) in ("bad-value", "too-deep")


def test_a_body_has_no_more_parts_than_a_message() -> None:
    limits = Limits(nodes=20)
    assert Frz(limits).puts(spelled((1,) * 18)) == []

    raw = Frz(limits)
    assert aborted(raw, raw.puts(spelled((1,) * 19))) == "too-many"


# Limits.


def test_a_table_takes_so_many_values() -> None:
    raw = Frz(Limits(frozen_values=3))
    bodies = [spelled(number) for number in range(4)]
    for body in bodies[:3]:
        assert raw.puts(body) == []
    raw.forgets(bodies[0])
    assert raw.puts(bodies[0]) == []

    assert aborted(raw, raw.puts(bodies[3])) == "too-many"


@pytest.mark.parametrize("over", [0, 1])
def test_a_table_takes_so_many_bytes_and_parts(over: int) -> None:
    one, other = spelled("a" * 500), spelled(("b", "c"))
    weight = len(one) + PART + len(other) + 3 * PART
    raw = Frz(Limits(frozen_bytes=weight - over))
    assert raw.puts(one) == []

    heard = raw.puts(other)

    assert heard == [] if not over else aborted(raw, heard) == "too-many"


@pytest.mark.parametrize("over", [0, 1])
def test_a_body_that_is_announced_as_too_long_is_not_waited_for(over: int) -> None:
    raw = Frz(Limits(frozen_bytes=1_000))

    heard = raw.send((BODY, b"h" * 32, 999 + over, b"a"))

    assert heard == [] if not over else aborted(raw, heard) == "too-many"


def test_calls_weigh_what_they_hold_of_what_was_forgotten() -> None:
    raw = Frz(Limits(in_flight_bytes=5_000))
    heard = []
    for at, letter in enumerate("abc"):
        body = spelled(letter * 4_000)
        raw.puts(body)
        heard += raw.send((CALL, 1, "hold", (promise(5), name(body)), 20 + at, True))
        raw.forgets(body)

    ((code, position, fault),) = [op for op in heard if op[0] == BREAK]
    assert (code, position, fault.data["class"]) == (BREAK, 22, "Overloaded")


def test_many_calls_may_hold_one_value() -> None:
    raw = Frz(Limits(in_flight_bytes=5_000))
    body = spelled("a" * 4_000)
    raw.puts(body)

    for at in range(20, 40):
        assert BREAK not in [op[0] for op in raw.send((CALL, 1, "hold", (promise(5), name(body)), at, True))]


def test_bodies_count_as_what_their_session_holds() -> None:
    raw, body = Frz(), spelled("a" * 9_000)
    before = account_of(raw.host.peer)
    raw.send((BODY, digest(body), len(body) - 5_000, body[:5_000]))
    assert account_of(raw.host.peer) == before + 5_000
    raw.send((BODY, digest(body), 0, body[5_000:]))
    assert account_of(raw.host.peer) == before + len(body) + PART
    raw.forgets(body)
    assert account_of(raw.host.peer) == before


# What the host says to a peer.


def test_what_is_announced_follows_the_limits() -> None:
    for limits, said in ((Limits(), ""), (Limits(frozen_values=7, frozen_bytes=9_000), "frz=7/9000")):
        (link,) = Frz(limits).host.peer.router.links.values()
        assert [e for e in link.session.announced if e.startswith("frz=")] == [said] * bool(said)


def test_symbols_and_tags_are_plain_data() -> None:
    raw, value = Frz(), Tagged("t", (Symbol("s"), FrozenMap(a=1)))
    raw.puts(spelled(value))

    assert raw.notes(name(spelled(value))) == [(RESOLVE, 9, 1)]
    assert note(raw).project() == value
