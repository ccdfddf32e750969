"""What values weigh: their bytes, and a little for every part."""

from __future__ import annotations

import captp
from captp.model.values import Fault, Tagged
from captp.model.weight import PART, weight_of


def test_values_weigh_what_their_bytes_and_parts_do() -> None:
    assert weight_of() == 0
    assert weight_of(1, None) == 2 * PART
    assert weight_of(b"12345", "abc") == 2 * PART + 8
    assert weight_of((b"1", (b"2",)), captp.FrozenMap({"k": b"345"})) == 6 * PART + 5


def test_what_stands_in_a_tagged_value_or_an_error_is_weighed() -> None:
    assert weight_of(Tagged("t", b"12345")) == 2 * PART + 5
    assert weight_of(Fault("abc", captp.FrozenMap({"k": b"12"}), None)) == 4 * PART + 5
