"""What the native codec writes and reads: each operation, each value, each extension, to the byte."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import RemoteProtocolError, Unpassable
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.values import NULL, Fault, FrozenMap, Symbol, Tagged
from captp.wire.native import FRAME_BYTES, PREAMBLE
from captp.wire.ops import (
    ABORT,
    BODY,
    BREAK,
    CALL,
    DELIVER,
    FORGET,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    LISTEN,
    OP_NAMES,
    RESOLVE,
    START,
    UNTAG,
    Deliver,
    Kind,
    Op,
)
from tests.unit.wire.native_names import (
    CODES,
    EXPORT,
    MESSAGES,
    OPERATIONS,
    VALUES,
    Reference,
    codec,
    exactly,
    framed,
    outcome,
    read,
    result,
)

FLAT = (
    st.sampled_from([None, NULL, True, False, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
    | st.integers()
    | st.integers(-(10**300), 10**300)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=300)
    | st.text(max_size=40).map(Symbol)
)
POSITIONS = st.integers(0, 300) | st.integers(0, 2**56 - 1)
REFERENCES = (
    st.builds(Reference, st.sampled_from([Kind(n) for n in range(16, 20)]), POSITIONS)
    | st.builds(Reference, st.sampled_from([Kind.CERTIFICATE, Kind.CERTIFICATE_SOLE]), st.binary(max_size=50))
    | st.builds(
        SturdyRef,
        st.builds(
            PeerLocator.make,
            st.from_regex(r"[a-z0-9-]{1,9}", fullmatch=True),
            st.from_regex(r"[A-Za-z0-9._~-]{1,50}", fullmatch=True),
            st.dictionaries(st.text(min_size=1, max_size=4), st.text(max_size=20), max_size=3),
        ),
        st.binary(min_size=1, max_size=40),
    )
)


def containers(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    structs = st.dictionaries(st.text(max_size=9), parts, max_size=4).map(FrozenMap)
    incidents = st.none() | st.binary(max_size=9)
    return (
        st.lists(parts, max_size=4).map(tuple)
        | structs
        | st.builds(Tagged, st.text(max_size=9), parts)
        | st.builds(Fault, st.text(max_size=9), st.none() | structs, incidents)
    )


VALUE = st.recursive(FLAT | REFERENCES, containers, max_leaves=12)
ARGUMENTS = st.lists(VALUE, max_size=4).map(tuple)
COUNTS = st.lists(POSITIONS, max_size=9).map(tuple)
TARGET = st.builds(Reference, st.sampled_from([Kind.EXPORT, Kind.ANSWER]), POSITIONS)
PLACE = st.tuples(st.text(), st.text(), st.dictionaries(st.text(), st.text(), max_size=3).map(FrozenMap))
FIELDS: dict[int, st.SearchStrategy[Any]] = {
    START: st.tuples(st.text(), st.binary(), PLACE, st.binary(), st.lists(st.text()).map(tuple)),
    ABORT: st.tuples(st.text()),
    DELIVER: st.tuples(TARGET, ARGUMENTS, st.just(False) | POSITIONS, st.booleans()),
    LISTEN: st.tuples(TARGET, st.just(True) | POSITIONS, st.booleans()),
    GET: st.tuples(TARGET, st.text(), POSITIONS),
    INDEX: st.tuples(TARGET, st.integers(), POSITIONS),
    UNTAG: st.tuples(TARGET, st.text(), POSITIONS, st.booleans()),
    GC_EXPORTS: st.tuples(COUNTS, COUNTS),
    GC_ANSWERS: st.tuples(COUNTS),
    RESOLVE: st.tuples(POSITIONS, VALUE),
    BREAK: st.tuples(POSITIONS, VALUE),
    BODY: st.tuples(st.binary(), st.integers(), st.binary()),
    FORGET: st.tuples(st.lists(st.binary()).map(tuple)),
    CALL: st.tuples(st.integers(), st.text(), ARGUMENTS, st.just(False) | POSITIONS, st.booleans()),
}
OPS = st.one_of(
    [
        st.tuples(st.just((code,)), fields).map(lambda parts: parts[0] + parts[1])
        for code, fields in FIELDS.items()
    ]
)
IDS = [f"{OP_NAMES[op[0]]}-{message.hex()[:30]}" for op, message in MESSAGES]


# To the byte.


def test_the_preamble_is_what_neither_syrup_nor_messagepack_can_begin_with() -> None:
    assert bytes.fromhex("c1 6361707470 01 00") == PREAMBLE


@pytest.mark.parametrize(("op", "message"), MESSAGES, ids=IDS)
def test_a_message_is_written_in_exactly_these_bytes(op: Op, message: bytes) -> None:
    assert codec().encode(op).hex() == message.hex()


@pytest.mark.parametrize(("op", "message"), MESSAGES, ids=IDS)
def test_these_bytes_are_read_as_exactly_this_message(op: Op, message: bytes) -> None:
    assert exactly(read(message)) == exactly(op)


def test_every_operation_and_every_extension_has_its_bytes_above() -> None:
    assert {op[0] for op, _ in OPERATIONS} == set(FIELDS) == set(OP_NAMES)
    kinds = {value.kind for value, _ in VALUES if isinstance(value, Reference)}
    assert kinds == set(Kind) - {Kind.STURDYREF, Kind.UNKNOWN}


def test_a_frame_is_its_length_in_four_bytes_and_messages_one_after_another() -> None:
    frame = codec().frame([codec().encode((ABORT, "bye")), codec().encode((RESOLVE, 4, None))])

    assert frame == bytes.fromhex("0000000a 9202a3627965 930f04c0")


@pytest.mark.parametrize("kind", [Kind.IMPORT_OBJECT, Kind.IMPORT_PROMISE, Kind.EXPORT, Kind.ANSWER])
@pytest.mark.parametrize("position", [0, 255, 256, 2**32])
def test_a_prepared_descriptor_is_written_like_the_reference(kind: Kind, position: int) -> None:
    own = codec()

    prepared = own.encode(Deliver(own.target(kind, position), ()))

    assert prepared == own.encode(Deliver(Reference(kind, position), ()))


def test_a_prepared_symbol_is_written_like_the_symbol() -> None:
    own = codec()

    assert own.encode(Deliver(EXPORT, (own.symbol("go"),))) == own.encode(Deliver(EXPORT, (Symbol("go"),)))


def test_mutable_forms_arrive_as_their_frozen_ones() -> None:
    op = read(codec().encode((RESOLVE, 1, [{"k": [1]}, bytearray(b"b"), memoryview(b"m")])))

    assert exactly(op) == exactly((RESOLVE, 1, (FrozenMap(k=(1,)), b"b", b"m")))


@pytest.mark.parametrize("known", range(3))
def test_more_symbols_than_are_kept_are_written_and_read_alike(known: int) -> None:
    own, names = codec(), tuple(Symbol(f"s{i}") for i in range(1030))
    message = own.encode((RESOLVE, 1, names))

    for _ in range(known):
        list(own.feed(framed(message)))

    assert list(own.feed(framed(own.encode((RESOLVE, 1, names))))) == [(RESOLVE, 1, names)]


# There and back.


@pytest.mark.parametrize("code", FIELDS, ids=[OP_NAMES[code] for code in FIELDS])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_an_operation_is_read_as_it_was_written(code: int, data: st.DataObject) -> None:
    op = (code, *data.draw(FIELDS[code]))

    assert exactly(read(codec().encode(op))) == exactly(op)


@settings(max_examples=150, deadline=None)
@given(value=VALUE)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    assert exactly(read(codec().encode((RESOLVE, 1, value)))) == exactly((RESOLVE, 1, value))


@settings(max_examples=30, deadline=None)
@given(value=VALUE)
def test_a_value_in_a_large_message_is_read_as_it_was_written(value: Any) -> None:
    op = (RESOLVE, 1, (bytes(FRAME_BYTES), value))

    assert exactly(read(codec().encode(op))) == exactly(op)


@pytest.mark.parametrize(
    "value",
    [
        *(object(), {1, 2}, 1j, (1, object()), FrozenMap(k=object()), Tagged("t", object())),
        *("\ud800", {"\udfff": 1}, Symbol("\ud800"), Symbol("x" * 1025), 10**4097, -(10**4097)),
    ],
    ids=lambda value: re.sub(" at 0x.*", "", repr(value)[:40]),
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing_behind(value: Any) -> None:
    own = codec()

    with pytest.raises(Unpassable):
        own.encode((RESOLVE, 1, ("before", value, "after")))

    assert own.encode((RESOLVE, 4, None)) == bytes.fromhex("930f04c0")


# In pieces.


@settings(max_examples=40, deadline=None)
@given(
    frames=st.lists(st.lists(OPS, max_size=3), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 60), min_size=1),
)
def test_operations_do_not_depend_on_how_the_bytes_were_cut(frames: list[list[Op]], sizes: list[int]) -> None:
    own, start, turn, found = codec(), 0, 0, list[Op]()
    data = b"".join(codec().frame([codec().encode(op) for op in ops]) for ops in frames)

    while start < len(data):
        size = sizes[turn % len(sizes)]
        found += own.feed(data[start : start + size])
        start, turn = start + size, turn + 1

    ops = [op for ops in frames for op in ops]
    assert [exactly(op) for op in found] == [exactly(op) for op in codec().feed(data)]
    assert [exactly(op) for op in found] == [exactly(op) for op in ops]
    assert not own.is_mid_message


def test_byte_by_byte_each_operation_comes_with_the_last_byte_of_its_frame() -> None:
    own, ends, found, sent = codec(), set[int](), list[tuple[int, Op]](), bytearray()
    for _, message in MESSAGES:
        sent += framed(message)
        ends.add(len(sent))

    for i in range(len(sent)):
        found += [(i + 1, op) for op in own.feed(bytes(sent[i : i + 1]))]
        assert own.is_mid_message == (i + 1 not in ends)

    assert [exactly(op) for _, op in found] == [exactly(op) for op, _ in MESSAGES]
    assert {end for end, _ in found} == ends


def test_an_incomplete_frame_waits_for_its_rest() -> None:
    own, data = codec(), framed(b"\x92\x02\xa3bye")

    assert list(own.feed(data + data[:7])) == [(ABORT, "bye")]
    assert own.is_mid_message
    assert list(own.feed(b"")) == []
    assert list(own.feed(data[7:] + data)) == [(ABORT, "bye")] * 2
    assert not own.is_mid_message


def test_operations_before_a_bad_message_come_first() -> None:
    data = framed(b"\x92\x02\xa3bye", b"\x92\x02\xa3tea", b"\xc1", b"\x92\x02\xa3end")

    assert outcome(data) == ([(ABORT, "bye"), (ABORT, "tea")], "bad-value")


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([0, 9, 3000, 30_000, FRAME_BYTES - 8, FRAME_BYTES, 99_999]), max_size=9)
)
def test_a_frame_ends_at_64_kib_or_after_one_larger_message(sizes: list[int]) -> None:
    ops = [(RESOLVE, 1, bytes(size)) for size in sizes]
    own = codec()

    data = own.frame([own.encode(op) for op in ops])

    assert list(own.feed(data)) == ops
    while data:
        length = int.from_bytes(data[:4], "big")
        assert length <= FRAME_BYTES or len(list(codec().feed(data[: 4 + length]))) == 1
        data = data[4 + length :]


# Corrupted.


def check_outcome(data: bytes) -> None:
    """Fail unless the bytes mean operations of passable values or are refused as the peer's mistake."""
    ops, code = outcome(data)
    for op in ops:
        exactly(op)
    assert code is None or code in CODES


@pytest.mark.parametrize(("op", "message"), MESSAGES, ids=IDS)
def test_a_frame_that_ends_inside_its_message_is_refused(op: Op, message: bytes) -> None:
    for size in range(1, len(message)):
        with pytest.raises(RemoteProtocolError) as caught:
            list(codec().feed(framed(message[:size])))
        # A string may be completed by what shows that it was not complete.
        assert caught.value.code in ("bad-frame", "bad-value")


@pytest.mark.parametrize(("op", "message"), MESSAGES, ids=IDS)
def test_a_changed_byte_makes_another_message_or_is_refused(op: Op, message: bytes) -> None:
    for i, byte in enumerate(message):
        for new in {byte ^ 1 << bit for bit in range(8)} | {0x00, 0xC1, 0xC7, 0xDF, 0xFF}:
            check_outcome(framed(message[:i] + bytes([new]) + message[i + 1 :]))


EDITS = st.lists(
    st.tuples(st.sampled_from(["flip", "insert", "delete", "cut"]), st.integers(0, 400), st.integers(0, 255)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=400, deadline=timedelta(seconds=1))
@given(
    message=st.sampled_from([m for _, m in MESSAGES]) | OPS.map(lambda op: codec().encode(op)), edits=EDITS
)
def test_a_corrupted_message_is_read_or_refused_and_soon(
    message: bytes, edits: list[tuple[str, int, int]]
) -> None:
    bad = bytearray(message)
    for edit, place, byte in edits:
        at = place % (len(bad) + 1)
        if edit == "insert" or at == len(bad):
            bad.insert(at, byte)
        elif edit == "flip":
            bad[at] ^= byte
        elif edit == "delete":
            del bad[at]
        else:
            del bad[at:]

    check_outcome(framed(bytes(bad)))
    check_outcome(bytes(bad))


@settings(max_examples=300, deadline=timedelta(seconds=1))
@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_and_soon(data: bytes) -> None:
    check_outcome(framed(data))
    check_outcome(framed(result(data)))
