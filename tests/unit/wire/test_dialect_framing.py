"""How the OCapN codec cuts its stream: raw or framed, sniffed or told, in pieces of any size."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import DecodeError, LimitExceeded, RemoteProtocolError
from captp.limits import Limits
from captp.model.values import FrozenMap, Symbol
from captp.wire.dialect import SyrupCodec, Vocabulary
from captp.wire.ops import ABORT, GC_ANSWERS, GET, START, Deliver, Desc, Kind, Listen, Op
from captp.wire.syrup import Deframer

LIMITS = Limits()
TO = Desc(Kind.EXPORT, 3)
OUR = Desc(Kind.IMPORT_OBJECT, 7)
DELIVER_F_F = b"<10'op:deliver<11'desc:export3+>[]ff>"


class Names:
    """Refs by which every descriptor is its own reference."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(value)

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(kind, position)


def codec(vocabulary: Vocabulary = "unknown", framed: bool | None = None) -> SyrupCodec:
    made = SyrupCodec(Names(), LIMITS, framed)
    made.vocabulary = vocabulary
    return made


def code_of(data: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        list(codec().feed(data))
    return caught.value.code


OPS: list[Op] = [
    (START, "1.0", bytes(32), ("tls", "x", FrozenMap(host="h")), bytes(64)),
    Deliver(TO, (Symbol("go"), 1, "björn", b"x" * 70, (1.5, None)), 4, OUR),
    Listen(TO, OUR),
    (GET, TO, "name", 5),
    Deliver(TO, (Desc(Kind.CERTIFICATE, b"<17'desc:sig-envelope<1'x7+>[]>"),)),
    (GC_ANSWERS, (1, 2)),
    (ABORT, "bye"),
]
MESSAGES = [(op, codec("d2").encode(op)) for op in OPS]


def test_messages_are_raw_until_the_peer_frames() -> None:
    own = codec("d2")
    message = own.encode((ABORT, "x"))
    assert own.frame([message, message]) == message * 2

    assert list(own.feed(b"%d:%b" % (len(message), message))) == [(ABORT, "x")]

    assert own.framed is True
    assert own.frame([message, message]) == b"15:%b15:%b" % (message, message)


def test_messages_are_raw_when_the_peer_is() -> None:
    own = codec("d2")

    assert list(own.feed(b"")) == []
    assert own.framed is None
    assert list(own.feed(b"<8'op:abort1\"x>")) == [(ABORT, "x")]
    assert own.framed is False


def test_framing_can_be_told() -> None:
    own = codec("d2", framed=True)

    assert own.frame([b"<8'op:abort1\"x>"]) == b"15:<8'op:abort1\"x>"
    with pytest.raises(DecodeError):
        list(own.feed(b"<8'op:abort1\"x>"))


def test_the_release_messages_of_d0_have_a_frame_each() -> None:
    own = codec("d0", framed=True)

    message = own.encode((GC_ANSWERS, (1, 2)))

    assert own.frame([message]) == b"19:<12'op:gc-answer1+>19:<12'op:gc-answer2+>"


@pytest.mark.parametrize("first", [b"G", b"\xc1", b" ", b",", b"[", b"{"])
def test_a_session_starts_with_a_record_or_a_length(first: bytes) -> None:
    assert code_of(first) == "bad-frame"


@pytest.mark.parametrize("payload", [DELIVER_F_F[:-1], DELIVER_F_F + b" ", DELIVER_F_F * 2])
def test_a_frame_holds_exactly_one_message(payload: bytes) -> None:
    assert code_of(b"%d:%b" % (len(payload), payload)) == "bad-frame"


@pytest.mark.parametrize("framed", [True, False])
@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=1), comma=st.booleans())
def test_operations_do_not_depend_on_how_the_bytes_were_cut(
    framed: bool, sizes: list[int], comma: bool
) -> None:
    messages = [data for _, data in MESSAGES]
    data = b"".join(messages)
    if framed:
        data = b"".join(b"%d:%b%b" % (len(m), m, b"," * comma) for m in messages)
    found: list[Op] = []
    own, start = codec(), 0
    while start < len(data):
        size = sizes[len(found) % len(sizes)]
        found += own.feed(data[start : start + size])
        start += size

    assert found == [op for op, _ in MESSAGES]
    assert not own.is_mid_message


@settings(max_examples=300, deadline=None)
@given(st.data(), st.booleans(), st.integers(1, 5))
def test_damaged_messages_end_the_same_however_they_are_cut(
    data: st.DataObject, framed: bool, size: int
) -> None:
    def outcome(stream: bytes, size: int) -> list[Any]:
        limits = Limits(nodes=40, depth=5, message_bytes=200, container_entries=8)
        own = SyrupCodec(Names(), limits, None)
        found: list[Any] = []
        try:
            for start in range(0, len(stream), size):
                found += own.feed(stream[start : start + size])
        except RemoteProtocolError as problem:
            found.append(problem.code)
        return found

    stream = b""
    for _, good in data.draw(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=3)):
        message = bytearray(good)
        for _ in range(data.draw(st.integers(0, 2))):
            at, old = data.draw(st.integers(0, len(message))), data.draw(st.integers(0, 4))
            message[at : at + old] = data.draw(st.text("09+-:\"'<>[]{}tfDF#", max_size=3)).encode()
        stream += b"%d:%b" % (len(message), bytes(message)) if framed else message

    assert outcome(stream, size) == outcome(stream, len(stream) + 1)


def test_a_codec_knows_whether_it_waits_for_the_rest_of_a_message() -> None:
    for data in (b"<8'op", b"12:<8", b"1"):
        own = codec()
        assert list(own.feed(data)) == []
        assert own.is_mid_message


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_a_deframer_cuts_payloads_with_and_without_commas(size: int) -> None:
    frames = Deframer(LIMITS, 100)
    data = b"3:abc,2:de12:fghijklmnopq,"

    found = [p for i in range(0, len(data), size) for p in frames.feed(data[i : i + size])]

    assert found == [b"abc", b"de", b"fghijklmnopq"]
    assert not frames.is_mid_message


@pytest.mark.parametrize(
    "data", [b"0:", b"01:a", b"+1:a", b" 1:a", b"1 :a", b"1,a", b"1:a,,1:b", b"1:ax", b":"]
)
def test_a_frame_without_a_proper_length_is_a_bad_value(data: bytes) -> None:
    for size in (1, 100):
        frames = Deframer(LIMITS, 100)
        with pytest.raises(DecodeError, match="bad-value"):
            [p for i in range(0, len(data), size) for p in frames.feed(data[i : i + size])]


def test_a_frame_length_at_the_limit_and_over() -> None:
    assert list(Deframer(LIMITS, 12).feed(b"12:" + b"x" * 12)) == [b"x" * 12]
    with pytest.raises(LimitExceeded, match="too-large"):
        list(Deframer(LIMITS, 12).feed(b"13:"))
    with pytest.raises(LimitExceeded, match="too-large"):
        list(Deframer(LIMITS, 12).feed(b"999999999:"))
    with pytest.raises(DecodeError, match="bad-value"):
        list(Deframer(LIMITS, 12).feed(b"1000000000"))
    held = Deframer(LIMITS, 12)
    assert list(held.feed(b"12")) == []
    assert held.is_mid_message
