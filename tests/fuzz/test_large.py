"""Messages that unfold most: small values by the ten thousand, as many as the limits let through and more."""

from __future__ import annotations

import pytest

from tests.fuzz.bar import timed, unfolded
from tests.fuzz.targets import tried


def _array(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big")


def _result(value: bytes) -> bytes:
    """Give a native frame with one operation, which carries an encoded value."""
    return (len(value) + 3).to_bytes(4, "big") + b"\x93\x0f\1" + value


INPUTS = {
    "syrup-structs": b"[" + b'{1"af}' * 33_000 + b"]",
    "syrup-lists": b"[[" + b"[f]" * 49_000 + b"]]",
    "syrup-integers": b"[" + b"300+" * 49_000 + b"][",
    "native-structs": _result(_array(49_000) + b"\x81\xa1a\1" * 49_000),
    "native-empty-structs": _result(_array(49_000) + b"\x80" * 49_000),
    "native-lists-in-a-batch": _result(_array(32_000) + b"\x91\1" * 32_000),
    "native-too-many-structs": _result(_array(8) + (_array(49_000) + b"\x81\xa1a\1" * 49_000) * 8),
    "native-too-many-lists": _result(_array(8) + (_array(49_000) + b"\x91\1" * 49_000) * 8),
    "native-claims": _result(b"\xdc\xc3\x50" * 1_000),
    "native-claims-in-much": _result(b"\xdc\xc3\x50" * 1_000 + b"\0" * 49_000),
}


@pytest.mark.parametrize("name", INPUTS)
def test_it_is_read_or_refused_in_time(name: str) -> None:
    timed(tried(name.partition("-")[0]), INPUTS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
def test_it_takes_no_more_than_the_most_values_that_are_allowed(name: str) -> None:
    unfolded(tried(name.partition("-")[0]), INPUTS[name])
