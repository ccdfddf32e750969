"""Spellings that the native form does not have, and those that it reads as what they mean."""

from __future__ import annotations

from typing import Any

import pytest

from captp.model.values import Fault, FrozenMap, Symbol, Tagged
from captp.wire.ops import RESOLVE, Kind
from tests.unit.wire.native_names import (
    Reference,
    array,
    binary,
    code_of,
    exactly,
    ext,
    mapping,
    read,
    result,
    text,
)

PLACE = [text("tls"), text("x"), mapping(text("host"), text("h")), binary(b"swiss")]

STRANGE = {
    "a timestamp": ext(-1, b"\0\0\0\1"),
    "a timestamp in a list": array(ext(-1, b"\0\0\0\1")),
    "a marker inside a tagged value": array(ext(3), text("t"), ext(3)),
    "a sturdyref with a hint's name in bytes": (
        ext(21, array(*PLACE[:2], mapping(binary(b"host"), text("h")), PLACE[3]))
    ),
    "a sturdyref with a hint twice": (
        ext(21, array(*PLACE[:2], mapping(*[text("host"), text("h")] * 2), PLACE[3]))
    ),
}  # fmt: skip


@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE)
def test_a_value_that_the_model_does_not_have_is_refused(value: bytes) -> None:
    assert code_of(result(value)) == "bad-value"


# Not canonical, and read all the same: only what is signed has one spelling, and that is Syrup.

SPELLINGS: list[tuple[str, Any]] = [
    *[(data, 5) for data in ("cc05", "cd0005", "ce00000005", "cf0000000000000005")],
    *[(data, 5) for data in ("d005", "d10005", "d200000005", "d30000000000000005", "c702012b05")],
    ("d3ffffffffffffffff", -1),
    ("c702012d05", -5),
    ("ca3fc00000", 1.5),
    ("cb7ff8000000000001", float("nan")),
    ("cbfff8000000000000", float("nan")),
    ("d90178", "x"),
    ("da000178", "x"),
    ("db0000000178", "x"),
    ("c500017f", b"\x7f"),
    ("c6000000017f", b"\x7f"),
    ("dc000101", (1,)),
    ("dd0000000101", (1,)),
    ("de0001a16b01", FrozenMap(k=1)),
    ("df00000001a16b01", FrozenMap(k=1)),
    ("82a16201a16102", FrozenMap(a=2, b=1)),
    ("d40278", Symbol("x")),
    ("c800010278", Symbol("x")),
    ("dc0003c8000003a17401", Tagged("t", 1)),
    ("94c70004a16d80c400", Fault("m", FrozenMap(), b"")),
    ("d5120003", Reference(Kind.EXPORT, 3)),
    ("c70712" + "00" * 6 + "03", Reference(Kind.EXPORT, 3)),
]


@pytest.mark.parametrize(("data", "value"), SPELLINGS)
def test_another_spelling_of_a_value_is_read_as_that_value(data: str, value: Any) -> None:
    assert exactly(read(result(bytes.fromhex(data)))) == exactly((RESOLVE, 1, value))
