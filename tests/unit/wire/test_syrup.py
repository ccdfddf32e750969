"""Syrup values out and back: canonical form, pieces of any size, and every bound at N and N+1."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import RemoteProtocolError, Unpassable
from captp.limits import Limits
from captp.model.values import NULL, Fault, FrozenMap, Symbol, Tagged
from captp.wire.syrup import Encoded, Reader, Record, decode_one, encode

LIMITS = Limits()
NAN = b"D" + bytes.fromhex("7ff8000000000000")

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
symbols = text.map(Symbol)
leaves = st.one_of(
    st.none(),
    st.just(NULL),
    st.booleans(),
    st.integers(),
    st.integers(-(10**1400), 10**1400),
    st.floats(allow_nan=False),
    st.binary(max_size=40),
    text,
    symbols,
    text.map(Fault),
)
labels = text.filter(lambda name: not name.startswith(("void", "null", "desc:", "user-", "exn:")))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(text, inner, max_size=4).map(lambda d: FrozenMap(sorted(d.items()))),
        st.builds(Record, labels, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Tagged, text, inner),
    ),
    max_leaves=12,
)


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


CANONICAL: list[tuple[Any, bytes]] = [
    (None, b"<4'void>"),
    (NULL, b"<4'null>"),
    (True, b"t"),
    (False, b"f"),
    (0, b"0+"),
    (72, b"72+"),
    (-1, b"1-"),
    (10**30, b"1" + b"0" * 30 + b"+"),
    (1.5, b"D\x3f\xf8" + bytes(6)),
    (0.0, b"D" + bytes(8)),
    (-0.0, b"D\x80" + bytes(7)),
    (b"cat", b"3:cat"),
    (b"", b"0:"),
    ("björn", '6"björn'.encode()),
    (Symbol("fetch"), b"5'fetch"),
    ((1, (2,)), b"[1+[2+]]"),
    ((), b"[]"),
    (FrozenMap({"aa": 2, "b": 1}), b'{1"b1+2"aa2+}'),
    (Record("r", (1, "x")), b"<1'r1+1\"x>"),
    (Tagged("t", 1), b"<11'desc:tagged1't1+>"),
    (Fault("no"), b"<10'desc:error2\"no>"),
]


@pytest.mark.parametrize(("value", "data"), CANONICAL)
def test_a_value_has_one_spelling(value: Any, data: bytes) -> None:
    back = decode_one(data, LIMITS, strict=True)

    assert encode(value) == data
    assert type(back) is type(value)
    assert back == value


def test_zeros_keep_their_sign() -> None:
    assert math.copysign(1, one(encode(-0.0))) == -1
    assert math.copysign(1, one(encode(0.0))) == 1


def test_every_nan_is_written_as_the_one_nan() -> None:
    odd = struct.unpack(">d", bytes.fromhex("fff8000000000001"))[0]

    assert encode(odd) == NAN
    assert math.isnan(one(NAN))


def test_mutable_values_are_written_like_their_frozen_forms() -> None:
    assert encode([1, {"b": 1, "aa": 2}]) == b'[1+{1"b1+2"aa2+}]'
    assert encode(bytearray(b"cat")) == encode(memoryview(b"cat")) == b"3:cat"
    assert encode(memoryview(b"c.a.t.")[::2]) == b"3:cat"


def test_struct_keys_sort_by_their_written_bytes() -> None:
    keys = {"c": 1, "bb": 2, "a" * 10: 3, Symbol("d"): 4}

    assert encode(keys) == b'{1"c1+1\'d4+10"aaaaaaaaaa3+2"bb2+}'


@settings(max_examples=300, deadline=None)
@given(values)
def test_what_is_written_reads_back(value: Any) -> None:
    data = encode(value)

    assert decode_one(data, LIMITS, strict=True) == value
    assert encode(one(data)) == data


@settings(max_examples=150, deadline=None)
@given(st.lists(values, min_size=1, max_size=4), st.integers(1, 9))
def test_pieces_of_any_size_give_the_same_values(many: list[Any], size: int) -> None:
    data = b"".join(map(encode, many))

    assert fed(data, len(data)) == many
    assert fed(data, size) == many


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text("0123456789+-:\"'<>[]{}Dft #voidnull", max_size=40)))
def test_any_bytes_give_values_or_a_protocol_error_however_cut(noise: bytes | str) -> None:
    data = noise if isinstance(noise, bytes) else noise.encode()

    assert repr(fed(data, 1)) == repr(fed(data, max(len(data), 1)))


@settings(max_examples=200, deadline=None)
@given(values, st.data())
def test_a_changed_byte_gives_a_value_or_a_protocol_error(value: Any, data: st.DataObject) -> None:
    good = bytearray(encode(value))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))

    try:
        back = one(bytes(good))
    except RemoteProtocolError:
        return
    encode(back)


def test_a_default_hook_gives_a_form_to_other_types() -> None:
    def default(value: Any) -> Any:
        return Record("obj", (1,)) if isinstance(value, set) else Encoded(b"<3'any>")

    assert encode((set(), object(), [set()]), default=default) == b"[<3'obj1+><3'any>[<3'obj1+>]]"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "value"),
        ([1, [2, object()]], "value[1][1]"),
        ({"a": 1, "owner": (0, object())}, "value.owner[1]"),
        (Tagged("t", [object()]), "value.value[0]"),
        (Record("r", (1, {1: 2})), "value[1]"),
        ([{Symbol("k"): 1, "k": 2}], "value[0]"),
        (["\ud800"], "value[0]"),
        ({"\udfff": 1}, "value"),
        ([Symbol("\ud800")], "value[0]"),
        ([Symbol("x" * 1025)], "value[0]"),
        ([Fault("\ud800")], "value[0]"),
        ([Tagged(1, 2)], "value[0]"),  # type: ignore[arg-type]
        ([10**4096], "value[0]"),
        ([-(10**4096)], "value[0]"),
    ],
)
def test_what_cannot_cross_is_named_by_its_path(value: Any, path: str) -> None:
    with pytest.raises(Unpassable) as caught:
        encode(value)

    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: ")


def test_the_path_goes_on_where_the_hook_left_off() -> None:
    def default(value: Any) -> Any:
        raise Unpassable(".part: not this", ".part")

    with pytest.raises(Unpassable) as caught:
        encode([0, object()], default=default, at="args")

    assert caught.value.path == "args[1].part"
    assert str(caught.value) == "args[1].part: not this"


def test_a_cycle_is_refused_and_so_is_a_hook_that_never_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(Unpassable, match="cycle"):
        encode(loop)
    with pytest.raises(Unpassable, match="cycle"):
        encode(object(), default=lambda value: value)


@pytest.mark.parametrize("value", [Fault("x"), ((),), {"a": 1}, Tagged("t", 1), Record("r", (1,)), (None,)])
def test_values_in_a_message_at_the_limit_and_over(value: Any) -> None:
    count = 3 if type(value) in (dict, Tagged) else 2

    assert one(encode(value, limits=Limits(nodes=count)), Limits(nodes=count)) == value
    with pytest.raises(Unpassable, match=f"over {count - 1} values"):
        encode(value, limits=Limits(nodes=count - 1))


@pytest.mark.parametrize("value", [(1, 2, 3), {"a": 1, "b": 2, "c": 3}, Record("r", (1, 2, 3))])
def test_entries_of_a_container_at_the_limit_and_over(value: Any) -> None:
    assert one(encode(value, limits=Limits(container_entries=3)), Limits(container_entries=3)) == value
    with pytest.raises(Unpassable, match="over 2 entries"):
        encode(value, limits=Limits(container_entries=2))


def test_a_small_value_that_unfolds_without_end_is_refused() -> None:
    value: Any = ()
    for _ in range(60):
        value = (value, value)

    with pytest.raises(Unpassable, match="100000 values"):
        encode(value)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(nodes=6),
        Limits(depth=2),
        Limits(container_entries=2),
        Limits(symbol_bytes=7),
        Limits(int_digits=2),
    ],
)
@settings(max_examples=60, deadline=None)
@given(value=values)
def test_what_is_written_under_limits_can_be_read_under_them(limits: Limits, value: Any) -> None:
    try:
        data = encode(value, limits=limits)
    except Unpassable:
        return
    # Labels that the writer itself adds are longer than the odd limit above.
    if limits.symbol_bytes < 100 and b"<1" in data:
        return
    assert one(data, limits) == value


def test_integers_do_not_depend_on_the_interpreters_digit_limit() -> None:
    import sys

    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert one(encode(-(7**4000))) == -(7**4000)
    finally:
        sys.set_int_max_str_digits(before)
