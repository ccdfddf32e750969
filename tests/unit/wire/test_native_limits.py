"""What the native codec refuses, and with which code: each bound at N and N+1, each malformed byte."""

from __future__ import annotations

import time
from typing import Any

import pytest

from captp.errors import LimitExceeded, Unpassable
from captp.limits import Limits
from captp.model.values import Symbol
from captp.wire.native import FRAME_BYTES
from captp.wire.ops import ABORT, CALL, GET, RESOLVE, START, Kind
from tests.unit.wire.native_names import (
    LIMITS,
    Reference,
    array,
    binary,
    code_of,
    codec,
    ext,
    framed,
    mapping,
    outcome,
    read,
    result,
    text,
)

NIL = b"\xc0"
#: What makes a message so large that it has a frame, and a way of decoding, of its own.
BULK = binary(bytes(FRAME_BYTES))


def in_bulk(value: bytes) -> bytes:
    """Give a large message that carries the value one level deeper than ``result`` does."""
    return result(b"\x92" + BULK + value)


def nested(depth: int, opening: bytes = b"\x91") -> bytes:
    return opening * depth + NIL


# Bounds.


def test_a_message_of_the_limit_is_read_and_one_byte_more_is_refused() -> None:
    limits = Limits(message_bytes=100)

    assert read(result(binary(bytes(92))), limits) == (RESOLVE, 1, bytes(92))
    assert code_of(result(binary(bytes(93))), limits) == "too-large"


def test_a_frame_over_the_limit_that_is_no_frame_of_many_is_refused_at_its_length() -> None:
    limits = Limits(message_bytes=100)

    assert list(codec(limits).feed(FRAME_BYTES.to_bytes(4, "big"))) == []
    for claim in (FRAME_BYTES + 1, 2**32 - 1):
        with pytest.raises(LimitExceeded, match="too-large"):
            list(codec(limits).feed(claim.to_bytes(4, "big")))


def test_the_limit_on_frames_holds_for_large_messages_and_while_bytes_are_held() -> None:
    limits = Limits(message_bytes=100_000)
    own = codec(limits)

    assert read(result(binary(bytes(99_992))), limits) == (RESOLVE, 1, bytes(99_992))
    assert list(own.feed((100_001).to_bytes(4, "big")[:3])) == []
    with pytest.raises(LimitExceeded, match="too-large"):
        list(own.feed((100_001).to_bytes(4, "big")[3:]))


def test_each_message_of_a_frame_of_many_has_the_limit_for_itself() -> None:
    limits, small = Limits(message_bytes=100), result(NIL)

    assert len(list(codec(limits).feed(framed(*[small] * 26)))) == 26
    assert len(list(codec(limits).feed(framed(small, result(binary(bytes(92))), small)))) == 3
    assert len(list(codec(limits).feed(framed(*[small] * (FRAME_BYTES // len(small)))))) == 16_384
    for large in (result(binary(bytes(93))), result(b"\xdb\x00\x00\x00\x5d" + b"s" * 93)):
        with pytest.raises(LimitExceeded, match="too-large"):
            list(codec(limits).feed(framed(*[small] * 26, large, small)))


DEEPER = {
    "lists": b"\x91",
    "structs": b"\x81\xa1k",
    "tagged values": b"\x93" + ext(3) + b"\xa1t",
    "lists in large messages": b"\x91",
}


@pytest.mark.parametrize("what", DEEPER)
def test_depth_at_the_limit_and_over(what: str) -> None:
    # A message is the first level.
    wrap, above = (in_bulk, 2) if "large" in what else (result, 1)

    for limits in (LIMITS, Limits(depth=7)):
        assert read(wrap(nested(limits.depth - above, DEEPER[what])), limits)
        assert code_of(wrap(nested(limits.depth - above + 1, DEEPER[what])), limits) == "too-deep"


@pytest.mark.parametrize("operation", [START, ABORT, GET, CALL, RESOLVE])
def test_depth_is_limited_in_every_operation(operation: int) -> None:
    message = array(bytes([operation]), b"\x01", b"\xa1m", nested(3), b"\xc2")
    deeper = array(bytes([operation]), b"\x01", b"\xa1m", nested(4), b"\xc2")

    assert read(message, Limits(depth=4))
    assert code_of(deeper, Limits(depth=4)) == "too-deep"


@pytest.mark.parametrize("flat", [b"\x90", b"\x92\x01\x02"])
def test_a_depth_that_lists_of_plain_values_have_can_be_the_limit(flat: bytes) -> None:
    message = array(bytes([CALL]), b"\x01", b"\xa1m", b"\x91" + flat)

    assert read(message, Limits(depth=3))
    assert code_of(message, Limits(depth=2)) == "too-deep"


@pytest.mark.parametrize("depth", [1_023, 1_024, 1_025, 60_000, 100_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa0"])
def test_any_depth_is_refused_without_recursion(depth: int, opening: bytes) -> None:
    assert code_of(result(nested(depth, opening))) == "too-deep"


def test_nodes_at_the_limit_and_over() -> None:
    limits = Limits(nodes=12)
    lists, structs = [array(*[array(NIL)] * n) for n in (4, 5)], [mapping(text("k"), array(NIL))] * 3
    marked = [array(*[array(ext(3), text("t"), NIL)] * n) for n in (2, 3)]

    # The message's own three parts, one list, and two for each list in it.
    assert read(result(lists[0]), limits)
    assert code_of(result(lists[1]), limits) == "too-many"
    assert read(result(array(*structs)), limits)
    assert code_of(result(array(*structs, NIL)), limits) == "too-many"
    assert read(result(marked[0]), limits)
    assert code_of(result(marked[1]), limits) == "too-many"


@pytest.mark.parametrize("bulk", [False, True])
def test_a_hundred_thousand_empty_lists_are_too_many(bulk: bool) -> None:
    halves = [array(*[b"\x90"] * 49_900)] * 2
    message = result(array(*halves, BULK) if bulk else array(*halves))

    assert read(message)
    assert code_of(message, Limits(nodes=3 + 2 + bulk + 99_799)) == "too-many"
    assert read(message, Limits(nodes=3 + 2 + bulk + 99_800))
    assert code_of(result(array(*halves, array(*[NIL] * 300)))) == "too-many"


@pytest.mark.parametrize("bulk", [False, True])
def test_container_entries_at_the_limit_and_over(bulk: bool) -> None:
    limits, wrap = Limits(container_entries=5), in_bulk if bulk else result
    entries = [part for key in "abcdef" for part in (text(key), NIL)]

    assert read(wrap(array(*[NIL] * 5)), limits)
    assert code_of(wrap(array(*[NIL] * 6)), limits) == "too-many"
    assert read(wrap(mapping(*entries[:10])), limits)
    assert code_of(wrap(mapping(*entries)), limits) == "too-many"
    assert read(result(array(*[NIL] * 50_000)))
    assert code_of(result(array(*[NIL] * 50_001))) == "too-many"


@pytest.mark.parametrize("claim", [b"\xdd\xff\xff\xff\xff", b"\xdf\x05\xf5\xe1\x00", b"\xdd\0\0\xc3\x51"])
def test_a_claim_of_too_many_entries_is_refused_before_they_come(claim: bytes) -> None:
    assert code_of(result(claim)) == "too-many"
    # A large frame is first looked through for what is missing.
    assert code_of(in_bulk(claim)) == "bad-frame"


@pytest.mark.parametrize("sign", [1, -1])
def test_big_integers_are_limited_by_the_bytes_that_their_digits_can_need(sign: int) -> None:
    largest = 2 ** (1701 * 8) - 1
    assert largest > 10**4096

    for value in (10**4096 - 1, largest):
        assert read(codec().encode((RESOLVE, 1, sign * value))) == (RESOLVE, 1, sign * value)
    with pytest.raises(Unpassable, match="4096 digits"):
        codec().encode((RESOLVE, 1, sign * (largest + 1)))
    data = (b"+" if sign > 0 else b"-") + (largest + 1).to_bytes(1702, "big")
    assert code_of(result(ext(1, data))) == "bad-value"


def test_a_million_digits_are_refused_at_once() -> None:
    data = framed(result(ext(1, b"+" + b"\xff" * 415_000)))
    begin = time.perf_counter()

    with pytest.raises(LimitExceeded, match="bad-value"):
        list(codec().feed(data))

    assert time.perf_counter() - begin < 0.05


def test_symbol_bytes_at_the_limit_and_over() -> None:
    most = "ö" * 512

    assert read(codec().encode((RESOLVE, 1, Symbol(most)))) == (RESOLVE, 1, Symbol(most))
    assert code_of(result(ext(2, most.encode() + b"x"))) == "bad-value"
    with pytest.raises(Unpassable, match="1024 bytes"):
        codec().encode((RESOLVE, 1, Symbol(most + "x")))


@pytest.mark.parametrize("kind", [Kind.IMPORT_OBJECT, Kind.IMPORT_PROMISE, Kind.EXPORT, Kind.ANSWER])
@pytest.mark.parametrize("bulk", [False, True])
def test_references_in_one_message_at_the_limit_and_over(kind: Kind, bulk: bool) -> None:
    wrap, one = in_bulk if bulk else result, ext(kind, b"\x05")

    assert read(wrap(array(*[one] * 256)))
    assert code_of(wrap(array(*[one] * 257))) == "too-many"
    assert code_of(wrap(array(*[array(ext(3), text("t"), one)] * 257))) == "too-many"


@pytest.mark.parametrize("wrap", [result, in_bulk])
def test_references_are_counted_by_message(wrap: Any) -> None:
    own, message = codec(), wrap(array(*[ext(Kind.EXPORT, b"\x05")] * 200))
    frames = [message * 2] if wrap is result else [message] * 2

    assert len([op for frame in frames for op in own.feed(framed(frame))]) == 2
    assert len(list(own.feed(framed(message)))) == 1


@pytest.mark.parametrize("kind", [16, 17, 18, 19])
def test_a_position_has_one_to_seven_bytes(kind: int) -> None:
    assert read(result(ext(kind, b"\xff" * 7)))[2] == Reference(Kind(kind), 2**56 - 1)
    assert code_of(result(ext(kind, b"\xff" * 8))) == "bad-value"
    assert code_of(result(ext(kind))) == "bad-value"


# What is no operation.


@pytest.mark.parametrize(
    "message",
    [
        *(
            b"\x90",
            NIL,
            b"\x01",
            b"\x81\xa1k\x01",
            b"\xa1x",
            b"\x91\xc3",
            b"\x91\xcb" + bytes(8),
            b"\x91\xa11",
        ),
        *(array(ext(2, b"op:abort"), text("x")), array(ext(3), text("t"), NIL), ext(18, b"\x01")),
    ],
)
def test_a_message_that_is_no_list_with_a_number_first_is_unknown(message: bytes) -> None:
    assert code_of(message) == "unknown-op"


def test_a_large_message_that_is_no_operation_is_unknown() -> None:
    for message in (BULK, array(BULK), array(b"\xc3", BULK), array(ext(3), text("t"), BULK)):
        assert code_of(message) == "unknown-op"


def test_the_codec_leaves_unknown_numbers_to_the_session() -> None:
    assert read(b"\x92\xcc\xff\x01") == (255, 1)
    assert read(b"\x91" + ext(1, b"+\x11")) == (CALL,)


# Malformed.

BAD = {
    "the byte that MessagePack never uses": (b"\xc1", "bad-value"),
    "a list without its items": (array(NIL, NIL)[:-1], "bad-frame"),
    "a string longer than its frame": (b"\xdb\0\1\0\0x", "bad-frame"),
    "a string that claims four gigabytes": (b"\xdb\xff\xff\xff\xffx", "bad-frame"),
    "bytes longer than their frame": (b"\xc6\0\1\0\0x", "bad-frame"),
    "an extension that claims four gigabytes": (b"\xc9\xff\xff\xff\xff\2x", "bad-frame"),
    "invalid UTF-8": (b"\xa1\xff", "bad-value"),
    "overlong UTF-8": (b"\xa2\xc0\x80", "bad-value"),
    "a character cut in the middle": (b"\xa1\xc3", "bad-value"),
    "a lone surrogate": (b"\xa3\xed\xa0\x80", "bad-value"),
    "a symbol that is no UTF-8": (ext(2, b"\xff"), "bad-value"),
    "a struct with a key twice": (mapping(text("a"), NIL, text("a"), NIL), "bad-value"),
    "a struct with a key of bytes": (mapping(binary(b"a"), NIL), "bad-value"),
    "a struct with a number as key": (mapping(b"\x01", NIL), "bad-frame"),
    "a struct with a nil key": (mapping(NIL, NIL), "bad-frame"),
    "a struct with a list as key": (mapping(array(), NIL), "bad-frame"),
    "a struct with a symbol as key": (mapping(ext(2, b"a"), NIL), "bad-frame"),
    "a struct with a marker as value": (mapping(text("a"), ext(3)), "bad-value"),
    "null with a payload": (ext(0, b"\0"), "bad-value"),
    "a big integer without a sign": (ext(1, b"\x01\x02"), "bad-value"),
    "a big integer of nothing": (ext(1), "bad-value"),
    "a big integer without magnitude": (ext(1, b"+"), "bad-value"),
    "a big minus zero": (ext(1, b"-\0"), "bad-value"),
    "a big integer with a leading zero": (ext(1, b"+\0\1" + bytes(8)), "bad-value"),
    "a tagged value inside its extension": (ext(3, b"\x92\xa1t\x01"), "bad-value"),
    "a tagged value without a value": (array(ext(3), text("t")), "bad-value"),
    "a tagged value with two": (array(ext(3), text("t"), NIL, NIL), "bad-value"),
    "a tagged value whose tag is a symbol": (array(ext(3), ext(2, b"t"), NIL), "bad-value"),
    "a marker by itself": (ext(3), "bad-value"),
    "a marker alone in a list": (array(ext(4)), "bad-value"),
    "a marker inside a list": (array(NIL, ext(3), text("t"), NIL), "bad-value"),
    "an error inside its extension": (ext(4, b"\x93\xa1m\xc0\xc0"), "bad-value"),
    "an error without an incident": (array(ext(4), text("m"), NIL), "bad-value"),
    "an error with a field too many": (array(ext(4), text("m"), NIL, NIL, NIL), "bad-value"),
    "an error whose text is bytes": (array(ext(4), binary(b"m"), NIL, NIL), "bad-value"),
    "an error whose data is a list": (array(ext(4), text("m"), array(), NIL), "bad-value"),
    "an error whose incident is text": (array(ext(4), text("m"), NIL, text("i")), "bad-value"),
    "an extension that is none of ours": (ext(5), "bad-value"),
    "a reserved extension": (ext(22, b"\1"), "bad-value"),
    "the extension for foreign records": (ext(31, b"<1'x>"), "bad-value"),
    "a negative extension": (ext(-2, b"\1"), "bad-value"),
    "a timestamp of wrong length": (ext(-1, b"\1\2\3\4\5"), "bad-frame"),
}
PLACE = [text("tls"), text("x"), mapping(text("host"), text("h")), binary(b"swiss")]
BAD |= {
    f"a sturdyref {what}": (ext(21, data), "bad-value")
    for what, data in {
        "of nothing": b"",
        "that is no list": NIL,
        "without a swiss number": array(*PLACE[:3]),
        "with a field too many": array(*PLACE, NIL),
        "and something more": array(*PLACE) + NIL,
        "cut short": array(*PLACE)[:-1],
        "with an empty swiss number": array(*PLACE[:3], binary(b"")),
        "with a swiss number of text": array(*PLACE[:3], text("swiss")),
        "with an impossible transport": array(text("T L S"), *PLACE[1:]),
        "with an empty designator": array(PLACE[0], text(""), *PLACE[2:]),
        "with nil for hints": array(*PLACE[:2], NIL, PLACE[3]),
        "with a hint that is a number": array(*PLACE[:2], mapping(text("host"), b"\1"), PLACE[3]),
        "with too long a hint": array(*PLACE[:2], mapping(text("host"), text("h" * 5000)), PLACE[3]),
        "that is nested deeply": nested(5000),
        "that is no UTF-8": array(b"\xa1\xff", *PLACE[1:]),
    }.items()
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("wrap", [result, in_bulk])
def test_a_malformed_value_is_refused(what: str, wrap: Any) -> None:
    value, code = BAD[what]

    assert code_of(wrap(value)) == code


@pytest.mark.parametrize("more", [NIL, b"\x01", b"\xa1x", result(NIL)])
def test_a_frame_with_a_large_message_holds_nothing_else(more: bytes) -> None:
    assert code_of(in_bulk(NIL) + more) == "bad-frame"
    assert code_of(in_bulk(NIL)[:-1]) == "bad-frame"


def test_a_message_never_goes_on_in_the_next_frame() -> None:
    message = result(array(text("hello"), NIL, NIL))

    found, code = outcome(framed(message, message[:-2]) + framed(message[-2:]))

    assert (found, code) == ([(RESOLVE, 1, ("hello", None, None))], "bad-frame")


def test_an_empty_frame_is_no_operation() -> None:
    assert list(codec().feed(framed() + framed(result(NIL)) + framed())) == [(RESOLVE, 1, None)]
