"""What is written reads back, what is canonical is written again to the byte, and both encodings agree."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from captp.errors import RemoteProtocolError
from captp.limits import Limits
from captp.wire.native import NativeCodec
from captp.wire.ops import RESOLVE
from captp.wire.syrup import decode_one, encode
from tests.fuzz.targets import Names
from tests.fuzz.values import SYRUP, VALUES

LIMITS = Limits()


def exactly(value: Any) -> str:
    """Return a form that is equal for values that are equal with their types, all NaNs being one."""
    return f"{type(value).__name__} {value!r}"


def through_native(value: Any) -> tuple[Any, bytes]:
    codec = NativeCodec(Names(), LIMITS)
    data = codec.frame([codec.encode((RESOLVE, 1, value))])
    ((_, _, read),) = NativeCodec(Names(), LIMITS).feed(data)
    return read, data


@settings(max_examples=500, deadline=None)
@given(value=VALUES)
def test_a_value_comes_back_from_syrup(value: Any) -> None:
    data = encode(value)

    read = decode_one(data, LIMITS, strict=True)

    assert exactly(read) == exactly(value)
    assert encode(read) == data


@settings(max_examples=500, deadline=None)
@given(value=VALUES)
def test_a_value_comes_back_from_native(value: Any) -> None:
    read, data = through_native(value)

    assert exactly(read) == exactly(value)
    assert through_native(read)[1] == data


@settings(max_examples=500, deadline=None)
@given(value=VALUES)
def test_syrup_and_native_agree_on_a_value(value: Any) -> None:
    from_syrup = decode_one(encode(value), LIMITS)
    from_native, _ = through_native(value)

    assert exactly(from_syrup) == exactly(from_native)
    assert encode(from_native) == encode(value)
    assert through_native(from_syrup)[1] == through_native(value)[1]


@settings(max_examples=500, deadline=None)
@given(data=SYRUP)
def test_bytes_that_are_canonical_are_written_again_as_they_were(data: bytes) -> None:
    try:
        value = decode_one(data, LIMITS, strict=True)
    except RemoteProtocolError:
        return

    assert encode(value) == data
