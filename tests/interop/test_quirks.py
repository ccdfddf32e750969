"""What Endo 1.1 does otherwise: what it refuses, by a strict model; how it shows; what we then write.

The model's refusals are expectations of their own: when Endo mends one, change the model, and only then
what is written for it.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captp.errors import Unpassable
from captp.limits import Limits
from captp.model.values import Symbol, Tagged
from captp.wire.canonical import handoff_give, my_location
from captp.wire.dialect import SyrupCodec
from captp.wire.ops import DELIVER, START, Deliver, Desc, Kind
from tests.interop.endo_like import message_with, read_as_endo
from tests.interop.keys import an_object, answer, export
from tests.interop.syrup import Malformed, Raw, Sym, read, rec, same, utf16, write

PEER = rec("ocapn-peer", Sym("tcp-testing-only"), "x", {"host": "h", "port": "1"})
TO = Desc(Kind.EXPORT, 3)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
RAW, CANONICAL = ["aaa", "b", "zz"], ["b", "zz", "aaa"]


# What Endo refuses.


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        Raw(b"D" + bytes.fromhex("7ff8000000000001")),
        Raw(b"D" + bytes.fromhex("fff8000000000000")),
        Raw(b"F\0\0\0\0"),
        {"b": 1, "aa": 2},
        {Sym("k"): 1},
        Raw(b'{1"a1+1"a2+}'),
        {"\ue000": 1, "\U00010000": 2},
        {1, 2},
        Sym("@@iterator"),
        rec("desc:tagged", Sym("@@x"), 1),
        rec("desc:tagged", "string", 1),
        rec("desc:tag", "string", 1),
        rec("user-record", Sym("x"), 1),
        rec("desc:error"),
        rec("desc:error", "x", b"id", {}),
        rec("exn:fail:mystery"),
        rec("what:is-this", 1),
        PEER,
        [{"deep": PEER}],
        rec("void", 1),
    ],
)
def test_endo_ends_a_session_over_such_an_argument(value: Any) -> None:
    with pytest.raises(Malformed):
        read_as_endo(message_with(value))


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        math.nan,
        math.inf,
        {"aa": 2, "b": 1},
        {"\U00010000": 2, "\ue000": 1},
        Sym("@one"),
        rec("desc:tagged", Sym("t"), [1]),
        rec("desc:error", "x"),
        rec("ocapn-sturdyref", PEER, b"s"),
        rec("void"),
        rec("null"),
        rec("desc:import-promise", 3),
    ],
)
def test_endo_reads_such_an_argument(value: Any) -> None:
    assert same(read_as_endo(message_with(value)).fields[1][0], value)


@pytest.mark.parametrize(
    "message",
    [
        rec("op:listen", export(1), an_object(2)),
        rec("op:index", answer(1), 0, 0),
        rec("op:get", answer(1), "k", 0),
        rec("op:untag", answer(1), "k", 0),
        rec("op:deliver-only", export(1), []),
        rec("op:gc-export", [1], [1]),
        rec("op:gc-answer", [1]),
        rec("op:gc-exports", 1, 1),
        rec("op:deliver", export(1), [], True, False),
        rec("op:what"),
        rec("desc:export", 1),
    ],
)
def test_endo_ends_a_session_over_such_a_message(message: Any) -> None:
    with pytest.raises(Malformed):
        read_as_endo(write(message))


# How it shows, and what the codec then writes.


class Names:
    """Refs by which every descriptor is its own reference."""

    def describe(self, value: object) -> Desc:
        raise Unpassable(f"a {type(value).__name__} cannot cross")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(kind, position)


def codec() -> SyrupCodec:
    made = SyrupCodec(Names(), Limits(), framed=False)
    made.vocabulary = "d2"
    return made


def told(*values: Any) -> SyrupCodec:
    """Give a codec that has read a call with these arguments, spelled as they are given."""
    made = codec()
    target = rec("desc:export", 1)
    for value in values:
        list(made.feed(write(rec("op:deliver", target, [value], False, False), "given")))
    return made


def written(made: SyrupCodec, value: Any) -> Any:
    """Have a value written as an argument; give it as another codec reads it, structs in their order."""
    return read(made.encode(Deliver(TO, (value,)))).fields[1][0]


@pytest.mark.parametrize(
    "value",
    [
        dict.fromkeys(CANONICAL, 0),
        {"a": 0, "b": 0},
        {"only": 0},
        {},
        {"zz": 0, "aaa": 0, "b": 0},
        {Sym("aaa"): 0, Sym("b"): 0},
        {"\ue000": 0, "\U00010000": 0},
    ],
)
def test_no_order_but_endos_own_is_taken_for_a_sign_of_it(value: Any) -> None:
    made = told(value)

    assert not made.raw_order
    assert list(written(made, dict.fromkeys(RAW, 0))) == CANONICAL


@pytest.mark.parametrize(
    "value",
    [
        dict.fromkeys(RAW, 0),
        [{"deep": [dict.fromkeys(RAW, 0)]}],
        rec("desc:tagged", Sym("t"), {"aa": 1, "b": 2}),
        {"a0123456789": 0, "b": 0},
        {"ab": 0, "b0123456789": 0},
        {"aa": 0, "\U00010000": 1, "\ue000": 2},
    ],
)
def test_a_struct_in_endos_order_shows_it_for_the_whole_session(value: Any) -> None:
    made = told(value, dict.fromkeys(CANONICAL, 0))

    assert made.raw_order
    assert list(written(made, dict.fromkeys(CANONICAL, 0))) == RAW


def test_a_sign_in_one_session_is_none_in_another() -> None:
    told(dict.fromkeys(RAW, 0))

    assert list(written(codec(), dict.fromkeys(RAW, 0))) == CANONICAL


def test_a_sign_that_comes_in_pieces_is_read_too() -> None:
    made = codec()
    for byte in message_with(dict.fromkeys(RAW, 0)):
        list(made.feed(bytes([byte])))

    assert made.raw_order


@pytest.mark.parametrize(
    "opaque",
    [
        rec("ocapn-sturdyref", rec("ocapn-peer", Sym("x"), "y", {"at": "1", "b": "2"}), b"s"),
        rec("desc:sig-envelope", rec("desc:handoff-give", {"at": "1", "b": "2"}), []),
    ],
)
def test_what_a_peer_only_passes_on_says_nothing_of_itself(opaque: Any) -> None:
    assert not told(opaque).raw_order


@given(st.dictionaries(TEXT, st.integers(), max_size=6))
def test_structs_are_then_in_endos_order_and_otherwise_canonical(value: dict[str, int]) -> None:
    endo, other = told(dict.fromkeys(RAW, 0)), codec()

    assert list(written(endo, value)) == sorted(value, key=utf16)
    assert list(written(other, value)) == sorted(value, key=write)
    read_as_endo(endo.encode(Deliver(TO, (value,))))


@given(st.lists(TEXT, unique=True, max_size=6))
def test_a_struct_is_a_sign_exactly_when_its_order_is_endos_alone(keys: list[str]) -> None:
    ordered = sorted(keys, key=utf16)

    assert told(dict.fromkeys(ordered, 0)).raw_order is (ordered != sorted(keys, key=write))


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"k": x}, lambda x: Tagged("t", x)])
def test_a_negative_zero_loses_its_sign_for_endo_only(wrap: Any) -> None:
    endo, other = told(dict.fromkeys(RAW, 0)), codec()

    assert b"D" + bytes(8) in endo.encode(Deliver(TO, (wrap(-0.0),)))
    assert b"D\x80" + bytes(7) in other.encode(Deliver(TO, (wrap(-0.0),)))
    for value in (1.5, -1.5, 5e-324, math.inf, -math.inf, math.nan):
        assert same(written(endo, value), value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Symbol("@@x"), r"args\[0\]"),
        ([1, {"k": Symbol("@@x")}], r"args\[0\]\[1\]\.k"),
        (Tagged("@@x", 1), r"args\[0\]"),
    ],
)
def test_a_symbol_that_endo_reserves_is_refused_to_it_by_its_path(value: Any, path: str) -> None:
    with pytest.raises(Unpassable, match=rf"^{path}: .*@@") as caught:
        told(dict.fromkeys(RAW, 0)).encode(Deliver(TO, (value,)))
    assert caught.value.path

    assert b"@@x" in codec().encode(Deliver(TO, (value,)))


def test_hints_in_a_sturdyref_follow_but_nothing_that_is_signed_does() -> None:
    endo = told(dict.fromkeys(RAW, 0))
    place = ("tls", "x", {"url": "u", "exts": "e"})
    raw, canonical = b'{4"exts1"e3"url1"u}', b'{3"url1"u4"exts1"e}'
    give = handoff_give(bytes(32), place, bytes(32), bytes(32), b"id")

    assert raw in endo.encode((DELIVER, TO, (Desc(Kind.STURDYREF, (*place, b"s")),)))
    assert canonical in endo.encode((START, "1.0", bytes(32), place, bytes(64)))
    assert canonical in give
    assert give in endo.encode((DELIVER, TO, (Desc(Kind.CERTIFICATE, give),)))
    assert canonical in my_location(place)
