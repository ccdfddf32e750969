"""The Syrup reader: hooks, laziness, other spellings, every bound at N and N+1."""

from __future__ import annotations

import time
from typing import Any

import pytest

from captp.errors import DecodeError, LimitExceeded, LocalProtocolError, RemoteProtocolError
from captp.limits import Limits
from captp.model.values import Fault, FrozenMap, Symbol, Tagged
from captp.wire.syrup import Deframer, Reader, Record, decode_one, encode

LIMITS = Limits()


def reader(limits: Limits = LIMITS, **kwargs: Any) -> Reader:
    return Reader(limits, limits.message_bytes, **kwargs)


def one(data: bytes, limits: Limits = LIMITS) -> Any:
    return decode_one(data, limits)


def fed(data: bytes, size: int, limits: Limits = LIMITS) -> list[Any]:
    """Feed pieces of ``size`` bytes; give the values, and the code of the error as last item."""
    found: list[Any] = []
    stream = reader(limits)
    try:
        for start in range(0, len(data), size):
            found += stream.feed(data[start : start + size])
    except RemoteProtocolError as problem:
        found.append(problem.code)
    return found


def code_of(data: bytes, limits: Limits = LIMITS) -> str:
    """Give the error code of ``data``, which is the same whole and in single bytes."""
    with pytest.raises(RemoteProtocolError) as caught:
        list(reader(limits).feed(b"t" + data))
    stream = reader(limits)
    with pytest.raises(RemoteProtocolError) as bytewise:
        [list(stream.feed(data[i : i + 1])) for i in range(len(data))]
    assert bytewise.value.code == caught.value.code
    if caught.value.code != "too-large":
        assert str(bytewise.value) == str(caught.value)
    assert isinstance(caught.value, LimitExceeded) == caught.value.code.startswith("too-")
    return caught.value.code


def test_values_are_read_only_when_asked_for() -> None:
    built: list[str] = []

    def build(label: str, fields: tuple[Any, ...]) -> str:
        built.append(label)
        return label

    found = reader(build=build).feed(b"<1'a><1'b>)")

    assert next(found) == "a"
    assert built == ["a"]
    assert next(found) == "b"
    with pytest.raises(DecodeError):
        next(found)


def test_records_are_built_inner_ones_first_with_their_fields() -> None:
    calls: list[tuple[str, tuple[Any, ...]]] = []

    def build(label: str, fields: tuple[Any, ...]) -> str:
        calls.append((label, fields))
        return label.upper()

    assert list(reader(build=build).feed(b"<1'a[<1'b1+>]<4'void>>")) == ["A"]
    assert calls == [("b", (1,)), ("a", (("B",), None))]


def test_the_outermost_record_can_have_its_own_maker() -> None:
    stream = reader(message=lambda label, fields: (label, fields))

    assert list(stream.feed(b"<4'void><1'a<1'a>>")) == [("void", ()), ("a", (Record("a", ()),))]
    with pytest.raises(DecodeError, match="unknown-op"):
        list(stream.feed(b"[]"))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_an_opaque_record_keeps_its_bytes_and_builds_nothing_inside(size: int) -> None:
    sealed = b"<3'env{1\"b<3'env001+>}<4'void>[<5'inner<1'x>>]>"
    data = b"<1'o" + sealed + b"<1'x>" + sealed + b">"
    stream = reader(opaque=frozenset({"env"}))

    found = [v for i in range(0, len(data), size) for v in stream.feed(data[i : i + size])]

    raw = Record("env", (sealed,))
    assert found == [Record("o", (raw, Record("x", ()), raw))]


def test_an_index_error_in_a_hook_is_not_taken_for_missing_bytes() -> None:
    def build(label: str, fields: tuple[Any, ...]) -> Any:
        return fields[5]

    with pytest.raises(IndexError):
        list(reader(build=build).feed(b"<1'a>"))


def test_a_reader_that_failed_refuses_to_go_on() -> None:
    stream = reader()
    with pytest.raises(DecodeError):
        list(stream.feed(b"1+]"))

    with pytest.raises(LocalProtocolError):
        list(stream.feed(b"1+"))


def test_a_reader_knows_whether_it_holds_a_part_of_a_message() -> None:
    stream = reader()

    assert not stream.is_mid_message
    assert list(stream.feed(b"1+[")) == [1]
    assert stream.is_mid_message
    assert list(stream.feed(b"]")) == [()]
    assert not stream.is_mid_message


def test_what_was_not_asked_for_is_still_there_at_the_next_feed() -> None:
    stream = reader()
    assert next(stream.feed(b"1+2+")) == 1

    assert list(stream.feed(b"3+")) == [2, 3]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"007+", 7),
        (b"0-", 0),
        (b'{2"aa1+1"b2+}', FrozenMap({"aa": 1, "b": 2})),
        (b"{1'b1+}", FrozenMap({"b": 1})),
        (b"<8'desc:tag1\"t1+>", Tagged("t", 1)),
        (b"<11'user-record1't[1+]>", Tagged("t", (1,))),
        (b"<10'desc:error>", Fault("")),
        (b'<10\'desc:error1"x2:id{1"k1+}>', Fault("x", FrozenMap({"k": 1}), b"id")),
        (b"<10'desc:error1\"xff>", Fault("x")),
        (b"<16'exn:fail:mystery>", Fault("exn:fail:mystery")),
    ],
)
def test_other_spellings_are_accepted_in_messages_but_not_in_signed_material(data: bytes, value: Any) -> None:
    assert one(data) == value
    assert list(one(data)) == sorted(value) if isinstance(value, FrozenMap) else True
    with pytest.raises(DecodeError, match="bad-value"):
        decode_one(data, LIMITS, strict=True)


@pytest.mark.parametrize(
    "data",
    [
        b'05"hello',
        b"00:",
        b"<04'void>",
        b' 5"hello',
        b'+5"hello',
        b'-5"hello',
        b"-0",
        b"- 1",
        b'5 "hello',
        b"5?",
        b"/+",
        b";+",
        b"1/+",
        b"1;+",
        b"1+\n",
        b"F\x00\x00\x00\x00",
        b"#1+$",
        b"(1+)",
        b"l1+e",
        b"d1+1+e",
        b"D" + bytes.fromhex("7ff8000000000001"),
        b"D" + bytes.fromhex("fff8000000000000"),
        b'{1"a1+1"a2+}',
        b"{1\"a1+1'a2+}",
        b"{1+1+}",
        b"{1:a1+}",
        b'{1"a}',
        b'1"\xff',
        b'2"\xc0\x80',
        b'3"\xed\xa0\x80',
        b'1"\xc3\xb6',
        b"1'\xff",
        b"<1'\xff>",
        b"<4'void1+>",
        b"<4'null1+>",
        b"<11'desc:tagged1+1+>",
        b"<11'desc:tagged1't>",
        b"<10'desc:error1+>",
        b"<10'desc:error1\"x2:id>",
        b"<10'desc:error1\"x1+f>",
    ],
)
def test_what_is_no_value_is_a_bad_value(data: bytes) -> None:
    assert code_of(data) == "bad-value"


@pytest.mark.parametrize("data", [b"[1+}", b"{>", b"<1'a]", b"]", b">", b"[<1'a}"])
def test_a_wrong_closer_is_a_bad_frame(data: bytes) -> None:
    assert code_of(data) == "bad-frame"


@pytest.mark.parametrize(
    "data",
    [
        b"<>",
        b'<1"a>',
        b"<1:a>",
        b"<1+>",
        b"<[]>",
        b"<<1'a>>",
        b"<10+>",
        b"</'a>",
        b"<:'a>",
        b"<1/'a>",
        b"<1:'a>",
    ],
)
def test_a_record_needs_a_symbol_for_a_label(data: bytes) -> None:
    assert code_of(data) == "unknown-op"


@pytest.mark.parametrize("data", [b"", b"1", b"[", b'5"hell', b"<4'void", b"D\x00"])
def test_a_whole_value_that_is_cut_short_is_a_bad_frame(data: bytes) -> None:
    with pytest.raises(DecodeError, match="bad-frame: the message is cut short"):
        one(data)


def test_bytes_after_a_whole_value_are_a_bad_frame() -> None:
    with pytest.raises(DecodeError, match=r"bad-frame: .*\(byte 2 of the message\)"):
        one(b"1+ ")


def test_a_whole_value_over_the_message_limit_is_too_large() -> None:
    limits = Limits(message_bytes=4)

    assert one(b"[ff]", limits)
    with pytest.raises(LimitExceeded, match="too-large"):
        one(b"[fff]", limits)


def test_a_long_string_tag_is_read_but_is_not_canonical() -> None:
    data = b"<8'desc:tag2000\"" + b"x" * 2000 + b"1+>"

    assert one(data) == Tagged("x" * 2000, 1)
    with pytest.raises(DecodeError, match="bad-value"):
        decode_one(data, LIMITS, strict=True)


def test_errors_say_at_which_byte_of_the_message() -> None:
    stream = reader()
    found = stream.feed(b"[1+][1+")
    assert next(found) == (1,)
    assert list(found) == []

    with pytest.raises(DecodeError, match=r"byte 3 of the message"):
        list(stream.feed(b"}"))


def test_depth_at_the_limit_and_over() -> None:
    assert one(b"[" * 64 + b"]" * 64)
    assert code_of(b"[" * 65) == "too-deep"
    assert code_of(b'{1"a' * 65) == "too-deep"
    assert code_of(b"<1'a" * 65) == "too-deep"
    assert code_of(b"[" * 100_000) == "too-deep"


@pytest.mark.parametrize("item", [b"[]", b"1+", b"<1'r>", b"f", b"D" + bytes(8)])
def test_nodes_at_the_limit_and_over(item: bytes) -> None:
    limits = Limits(nodes=50)

    assert len(one(b"[" + item * 49 + b"]", limits)) == 49
    assert code_of(b"[" + item * 50, limits) == "too-many"
    assert code_of(b"[" + item * 60 + b"]", limits) == "too-many"
    assert fed((b"[" + item * 49 + b"]") * 3, 1000, limits)[-1] != "too-many"


def test_a_hundred_thousand_empty_lists_are_too_many() -> None:
    assert one(b"[" + b"[]" * 49_999 + b"]")
    with pytest.raises(LimitExceeded, match="too-many"):
        one(b"[" + b"[]" * 100_001 + b"]")


def test_container_entries_at_the_limit_and_over() -> None:
    limits = Limits(container_entries=5)
    struct_of = [b"{%b}" % b"".join(b'1"%c1+' % (97 + i) for i in range(n)) for n in (5, 6)]

    assert len(one(b"[" + b"1+" * 5 + b"]", limits)) == 5
    assert code_of(b"[" + b"1+" * 6 + b"]", limits) == "too-many"
    assert code_of(b"<1'r" + b"1+" * 6 + b">", limits) == "too-many"
    assert len(one(struct_of[0], limits)) == 5
    assert code_of(struct_of[1], limits) == "too-many"


def test_integer_digits_at_the_limit_and_over() -> None:
    assert one(b"9" * 4096 + b"+") == 10**4096 - 1
    assert one(b"9" * 4096 + b"-") == 1 - 10**4096
    assert code_of(b"9" * 4097 + b"+") == "bad-value"
    assert code_of(b"0" * 4097 + b"+") == "bad-value"
    assert code_of(b"1234+", Limits(int_digits=3)) == "bad-value"


def test_a_million_digits_are_refused_at_once() -> None:
    begin = time.perf_counter()

    assert fed(b"9" * 10**6, 10**6) == ["bad-value"]
    assert time.perf_counter() - begin < 0.05


@pytest.mark.parametrize("mark", [b":", b'"', b"'"])
def test_length_digits_at_the_limit_and_over(mark: bytes) -> None:
    limits = Limits(length_digits=2, symbol_bytes=99)

    assert one(b"12" + mark + b"x" * 12, limits)
    assert code_of(b"123" + mark + b"x" * 123, limits) == "bad-value"
    assert code_of(b"1" * 10_000 + mark) == "bad-value"


def test_symbol_bytes_at_the_limit_and_over() -> None:
    assert one(b"1024'" + b"x" * 1024) == Symbol("x" * 1024)
    assert code_of(b"1025'") == "bad-value"
    assert one(b"<1024'" + b"x" * 1024 + b">").label == "x" * 1024
    assert code_of(b"<1025'") == "bad-value"
    assert code_of(b"<" + b"9" * 5000) == "bad-value"
    assert code_of(b"<6'", Limits(symbol_bytes=5)) == "bad-value"


@pytest.mark.parametrize("mark", [b":", b'"'])
def test_a_length_over_the_message_limit_is_refused_at_its_prefix(mark: bytes) -> None:
    assert code_of(b"999999999" + mark) == "too-large"

    limits = Limits(message_bytes=20)
    assert one(b"17" + mark + b"x" * 17, limits)
    assert code_of(b"18" + mark, limits) == "too-large"
    assert code_of(b"[17" + mark, limits) == "too-large"


def test_a_message_without_prefixes_is_refused_at_the_first_byte_too_many() -> None:
    limits = Limits(message_bytes=10)
    stream = reader(limits)

    assert fed(b"[ffffffff]" * 3, 1, limits) == [(False,) * 8] * 3
    assert list(stream.feed(b"[fffffffff")) == []
    with pytest.raises(LimitExceeded, match="too-large"):
        list(stream.feed(b"f"))
    assert code_of(b"[fffffffff]", limits) == "too-large"
    assert code_of(b"[ffffffffffff!", limits) == "too-large"
    assert code_of(b"[fffffffff!", limits) == "too-large"
    assert one(b"123456789+", limits)
    assert code_of(b"1234567890+", limits) == "too-large"
    assert code_of(b"<10'" + b"x" * 10 + b">", limits) == "too-large"
    assert code_of(b"[ffffffff!", limits) == "bad-value"


@pytest.mark.parametrize("size", [1, 100])
def test_nothing_is_built_of_what_ends_over_the_limit(size: int) -> None:
    def refuse(label: str, fields: tuple[Any, ...]) -> Any:
        raise AssertionError((label, fields))

    data = b"<1'affffffff>"
    stream = Reader(LIMITS, 12, build=refuse)

    with pytest.raises(LimitExceeded, match="too-large"):
        [list(stream.feed(data[i : i + size])) for i in range(0, len(data), size)]


@pytest.mark.parametrize("shape", ["items", "bytes", "frame"])
def test_feeding_single_bytes_costs_linear_time(shape: str) -> None:
    def cost(size: int) -> float:
        stream = Deframer(LIMITS, LIMITS.message_bytes) if shape == "frame" else reader()
        data = b"[" + b"1+" * (size // 2) + b"]" if shape == "items" else b"%d:" % size + b"x" * size
        begin = time.perf_counter()
        found = [v for i in range(len(data)) for v in stream.feed(data[i : i + 1])]
        assert len(found) == 1
        return time.perf_counter() - begin

    small, large = (min(cost(size) for _ in range(2)) for size in (8_000, 80_000))
    assert large < 40 * small


def test_the_symbols_of_a_peer_are_kept_in_bounds() -> None:
    stream = reader()
    data = b"".join(encode(Symbol(f"s{i}")) for i in range(3_000))

    assert list(stream.feed(data)) == [Symbol(f"s{i}") for i in range(3_000)]
    first, again = stream.feed(b"2's02's0")
    assert first is again
    late, later = stream.feed(b"5's29995's2999")
    assert late is not later
