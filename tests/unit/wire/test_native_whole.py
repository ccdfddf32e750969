"""A frame is whole or it is not, however few or many headers it takes to see that."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import DecodeError
from captp.wire.native_whole import FEW, check_whole

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.builds(msgpack.ExtType, st.integers(0, 30), st.binary(max_size=300))
)
VALUES: Any = st.recursive(
    ATOMS, lambda v: st.lists(v, max_size=40) | st.dictionaries(st.text(max_size=40), v, max_size=20)
)


def is_whole(frame: bytes) -> bool:
    try:
        check_whole(memoryview(frame))
    except (DecodeError, msgpack.UnpackException):
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(value=VALUES, data=st.data())
def test_a_message_is_whole_and_no_part_of_it_is(value: Any, data: st.DataObject) -> None:
    message = msgpack.packb(value)
    cut = data.draw(st.integers(1, len(message)), label="bytes cut off")

    assert is_whole(message)
    assert is_whole(message * 2)
    assert len(message) == cut or not is_whole(message[:-cut])
    assert not is_whole(message + message[:-cut]) or len(message) == cut


@pytest.mark.parametrize("count", [FEW - 2, FEW - 1, FEW, FEW + 1, 5000])
def test_as_many_headers_as_are_looked_at_and_one_more(count: int) -> None:
    message = msgpack.packb([bytes(3)] * count)

    assert is_whole(message)
    assert not is_whole(message[:-1])


@pytest.mark.parametrize("head", ["dd7fffffff", "dfffffffff", "c67fffffff", "c97fffffff10", "db7fffffff"])
def test_a_header_that_claims_more_than_there_is(head: str) -> None:
    assert not is_whole(bytes.fromhex(head) + bytes(100))


def test_headers_nested_without_end_are_no_message() -> None:
    assert not is_whole(b"\xdd\x00\x00\xc3\x50" * 1000)
