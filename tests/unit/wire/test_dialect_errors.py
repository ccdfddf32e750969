"""What the OCapN codec refuses, and with which code: each operation, each field, each bound."""

from __future__ import annotations

from typing import Any

import pytest

from captp.errors import DecodeError, LimitExceeded, RemoteProtocolError, Unpassable
from captp.limits import Limits
from captp.model.values import FrozenMap, Symbol
from captp.wire.canonical import location_record, public_key_list, signature_list
from captp.wire.dialect import SyrupCodec
from captp.wire.ops import ABORT, GC_ANSWERS, GET, Deliver, Desc, Kind, Op
from captp.wire.syrup import Record, encode

LIMITS = Limits()
PLACE = ("tls", "abc", FrozenMap(host="h", port="1"))
KEY = bytes(range(32))
SIGNATURE = bytes(range(64))

TO = Desc(Kind.EXPORT, 3)
OUR = Desc(Kind.IMPORT_OBJECT, 7)
TO_BYTES = b"<11'desc:export3+>"
DELIVER_F_F = b"<10'op:deliver" + TO_BYTES + b"[]ff>"


class Names:
    """Refs by which every descriptor is its own reference."""

    def describe(self, value: object) -> Desc:
        raise Unpassable(f"a {type(value).__name__} cannot cross")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(kind, position)


def codec(vocabulary: Any = "unknown") -> SyrupCodec:
    made = SyrupCodec(Names(), LIMITS, None)
    made.vocabulary = vocabulary
    return made


def read(data: bytes) -> Op:
    (op,) = codec().feed(data)
    return op


def code_of(data: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        list(codec().feed(data))
    return caught.value.code


@pytest.mark.parametrize(
    "data",
    [
        b"<6'op:new>",
        b"<6'op:Get>",
        b"<4'void>",
        b"<11'desc:export0+>",
        b"<17'desc:sig-envelope1+1+>",
        b"<10'op:resolve1+2+>",
        b'<10"op:deliver>',
        b"<>",
    ],
)
def test_an_unknown_operation_is_refused(data: bytes) -> None:
    assert code_of(data) == "unknown-op"


def test_a_message_that_is_no_record_is_refused() -> None:
    own = codec()
    list(own.feed(DELIVER_F_F))

    with pytest.raises(DecodeError, match="unknown-op"):
        list(own.feed(b"[3+1+[]ff]"))


E, I, P, A = TO, OUR, Desc(Kind.IMPORT_PROMISE, 1), Desc(Kind.ANSWER, 1)
STURDY = Desc(Kind.STURDYREF, ("tls", "x", {}, b"s"))
CERTIFICATE = Desc(Kind.CERTIFICATE, b"<17'desc:sig-envelope1+1+>")
NOT_TARGETS = [None, 1, "x", True, [E], Record("x", (E,)), I, P, STURDY, CERTIFICATE]
NOT_RESOLVERS = [None, 1, "x", True, [I], Record("x", (I,)), E, A, STURDY, CERTIFICATE]
NOT_LISTS = [None, 1, False, b"x", {"a": 1}, E]
NOT_ANSWERS = [None, True, "1", 1.0, [1]]
GOOD: dict[str, tuple[list[Any], list[list[Any]]]] = {
    "op:abort": (["x"], [[None, 1, b"x", Symbol("x"), False]]),
    "op:deliver": ([E, [], 1, I], [NOT_TARGETS, NOT_LISTS, NOT_ANSWERS, NOT_RESOLVERS]),
    "op:deliver-only": ([E, []], [NOT_TARGETS, NOT_LISTS]),
    "op:listen": ([A, I, False], [NOT_TARGETS, [False, *NOT_RESOLVERS], [None, 1, "t"]]),
    "op:get": ([A, "k", 1], [NOT_TARGETS, [None, 1, Symbol("k"), b"k"], [False, *NOT_ANSWERS]]),
    "op:index": ([A, 1, 1], [NOT_TARGETS, [None, "1", True, 1.0], [False, *NOT_ANSWERS]]),
    "op:untag": ([A, "k", 1], [NOT_TARGETS, [None, 1, Symbol("k")], [False, *NOT_ANSWERS]]),
    "op:gc-exports": ([[1], [1]], [[None, True, "1", ["1"], [True]], [None, True, {"a": 1}, [1.0]]]),
    "op:gc-answers": ([[1]], [[None, True, b"1", [None], [False]]]),
}
WRONG = [
    (label, [*fields[:i], wrong, *fields[i + 1 :]])
    for label, (fields, wrongs) in GOOD.items()
    for i in range(len(fields))
    for wrong in wrongs[i]
]


def record(label: str, fields: list[Any]) -> bytes:
    own = codec("d2")
    parts = [own.encode((GET, E, field, 0)) for field in fields]
    head, tail = b"<6'op:get" + TO_BYTES, b"0+>"
    assert all(part.startswith(head) and part.endswith(tail) for part in parts)
    inner = b"".join(part[len(head) : -len(tail)] for part in parts)
    return b"<%d'%b%b>" % (len(label), label.encode(), inner)


@pytest.mark.parametrize("label", list(GOOD))
def test_an_operation_needs_exactly_its_fields(label: str) -> None:
    fields = GOOD[label][0]

    assert read(record(label, fields))
    assert code_of(record(label, [*fields, 1])) == "bad-op"
    if label != "op:listen":  # its last field may be missing
        assert code_of(record(label, fields[:-1])) == "bad-op"
    assert code_of(record(label, [])) == "bad-op"


@pytest.mark.parametrize(("label", "fields"), WRONG)
def test_a_field_of_the_wrong_type_is_a_bad_operation(label: str, fields: list[Any]) -> None:
    with pytest.raises(DecodeError, match=f"bad-op: {label}"):
        list(codec().feed(record(label, fields)))


def test_an_integer_as_target_is_refused_though_a_descriptor_follows() -> None:
    assert code_of(record("op:deliver", [1, [E], 1, I])) == "bad-op"
    assert code_of(record("op:deliver", [E, [I], 1, "x"])) == "bad-op"


@pytest.mark.parametrize("label", ["import-object", "import-promise", "export", "answer"])
def test_a_position_is_an_integer_from_zero_to_two_to_the_53(label: str) -> None:
    name = f"desc:{label}".encode()

    def data(position: bytes) -> bytes:
        desc = b"<%d'%b%b>" % (len(name), name, position)
        return b"<10'op:deliver" + TO_BYTES + b"[" + desc + b"]ff>"

    assert read(data(b"0+"))
    assert read(data(b"%d+" % 2**53))
    for bad in (b"%d+" % (2**53 + 1), b"1-", b"t", b'1"1', b"D" + bytes(8), b"", b"1+1+", b"9" * 4000 + b"+"):
        assert code_of(data(bad)) == "bad-value"


@pytest.mark.parametrize("answer", [-1, 2**53 + 1])
def test_an_answer_position_out_of_range_is_a_bad_value(answer: int) -> None:
    assert code_of(record("op:deliver", [E, [], answer, I])) == "bad-value"
    assert code_of(record("op:get", [E, "k", answer])) == "bad-value"


@pytest.mark.parametrize(
    "data",
    [
        b"<13'op:gc-exports[1+][]>",
        b"<13'op:gc-exports[1+2+]1+>",
        b"<13'op:gc-exports[1+][0+]>",
        b"<13'op:gc-exports[1+][1-]>",
        b"<13'op:gc-exports[1-][1+]>",
        b"<13'op:gc-answers[1-]>",
        b"<12'op:gc-answer1->",
        b"<13'op:gc-answers[%d+]>" % (2**53 + 1),
    ],
)
def test_release_messages_with_odd_numbers_are_a_bad_gc(data: bytes) -> None:
    assert code_of(data) == "bad-gc"


def test_a_release_message_may_name_the_first_and_the_last_position() -> None:
    assert read(record("op:gc-answers", [[0, 2**53]])) == (GC_ANSWERS, (0, 2**53))


@pytest.mark.parametrize(
    "sturdyref",
    [
        b"<15'ocapn-sturdyref1:s>",
        b"<15'ocapn-sturdyref1+1:s>",
        b"<15'ocapn-sturdyref<10'ocapn-peer3'tls1\"xf>>",
        b"<15'ocapn-sturdyref<10'ocapn-peer3'tls1\"xf>1\"s>",
        b"<15'ocapn-sturdyref<10'ocapn-peer3'tls1\"x>1:s>",
        b"<15'ocapn-sturdyref<10'ocapn-peer3'tls1\"x{4\"port1+}>1:s>",
    ],
)
def test_an_odd_sturdyref_is_a_bad_value(sturdyref: bytes) -> None:
    assert code_of(b"<10'op:deliver" + TO_BYTES + b"[" + sturdyref + b"]ff>") == "bad-value"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({0: 1}, "version"),
        ({0: None}, "version"),
        ({1: public_key_list(KEY[:31])}, "bad-key"),
        ({1: public_key_list(KEY + b"x")}, "bad-key"),
        ({1: KEY}, "bad-key"),
        ({2: "x"}, "bad-op"),
        ({2: location_record("tls", "x", {"port": 1})}, "bad-op"),  # type: ignore[dict-item]
        ({3: signature_list(SIGNATURE[:63])}, "bad-signature"),
        ({3: SIGNATURE}, "bad-signature"),
        ({4: 1}, "bad-op"),
    ],
)
def test_an_odd_start_session_says_what_is_odd(changes: dict[int, Any], code: str) -> None:
    fields = dict(
        enumerate(["1.0", public_key_list(KEY), location_record(*PLACE), signature_list(SIGNATURE)])
    )

    data = encode(Record("op:start-session", tuple((fields | changes).values())))

    assert code_of(data) == code


def test_a_start_session_without_its_version_is_a_bad_version() -> None:
    fields = (public_key_list(KEY), location_record(*PLACE), signature_list(SIGNATURE))

    assert code_of(encode(Record("op:start-session", fields))) == "version"
    assert code_of(b"<16'op:start-session>") == "version"


def test_a_message_over_the_size_that_we_would_read_ourselves_is_not_written() -> None:
    limits = Limits(message_bytes=100)
    own, peer = SyrupCodec(Names(), limits, None), SyrupCodec(Names(), limits, None)

    assert list(peer.feed(own.encode((ABORT, "x" * 85))))
    with pytest.raises(Unpassable, match="101 bytes"):
        own.encode((ABORT, "x" * 86))


def test_arguments_count_their_depth_from_the_message() -> None:
    def nested(levels: int) -> Any:
        value: Any = ()
        for _ in range(levels - 1):
            value = (value,)
        return value

    own = codec("d2")

    assert list(codec().feed(own.encode(Deliver(TO, nested(63)))))
    with pytest.raises(Unpassable, match="nested"):
        own.encode(Deliver(TO, nested(64)))
    with pytest.raises(LimitExceeded, match="too-deep"):
        list(codec().feed(b"<10'op:deliver" + TO_BYTES + b"[" * 64))
