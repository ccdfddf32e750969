"""Swiss numbers: drawn whole from the given entropy, looked up by mac alone."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from captp.errors import UsageError
from captp.model.swiss import SwissIndex, mint


def test_a_swiss_number_is_32_bytes_of_the_given_entropy() -> None:
    asked: list[int] = []

    def entropy(n: int) -> bytes:
        asked.append(n)
        return bytes(range(n))

    assert mint(entropy) == bytes(range(32))
    assert asked == [32]


@pytest.mark.parametrize("length", [0, 31, 33])
def test_entropy_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(UsageError, match=f"gave {length} bytes"):
        mint(lambda n: bytes(length))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_index_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(UsageError, match=f"{length} bytes; expected 32"):
        SwissIndex(bytes(length))


@settings(max_examples=50)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_the_mac_is_hmac_sha256_by_its_definition(key: bytes, swiss: bytes) -> None:
    padded = key + bytes(32)
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded) + swiss).digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded) + inner).digest()

    assert SwissIndex(key).mac(swiss) == outer


def test_macs_differ_by_key_and_by_swiss_number() -> None:
    one, two = SwissIndex(b"\x01" * 32), SwissIndex(b"\x02" * 32)

    assert len({one.mac(b"a"), one.mac(b"b"), two.mac(b"a")}) == 3


def test_an_index_shows_nothing_of_its_key() -> None:
    index = SwissIndex(b"CANARYKEYCANARYKEYCANARYKEYCANAR")

    assert "CANARY" not in repr(index) + str(index) + f"{index}" + pretty_repr([index])
