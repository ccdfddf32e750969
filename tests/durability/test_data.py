"""What a durable vat stores of data of capsules."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.model.values import Symbol, Tagged
from captp.peer.durable.portrait import Codec
from tests.unit.session.boxes import data


@pytest.mark.parametrize(
    "value",
    [7, 2**70, "x", None, (), {}, 1.5, b"x", (1, {"a": (2**80,)}), Symbol("s"), Tagged("t", 1)],
    ids=repr,
)
def test_frozen_data_is_stored_as_the_plain_value(value: Any) -> None:
    codec = Codec(None)  # type: ignore[arg-type]

    assert codec.unpack(codec.pack([data(value)])) == (value,)
    assert not codec.has_live


def test_other_data_is_lost_with_its_vat() -> None:
    codec = Codec(None)  # type: ignore[arg-type]

    codec.pack([(captp.Data.inject([1], captp.Capsule.create()),)])

    assert codec.has_live
