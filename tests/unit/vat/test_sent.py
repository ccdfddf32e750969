"""Arguments as they leave: nothing that a caller changes afterwards is seen by who gets them."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from tests.support import Solo


class Purse(captp.Object):
    total: int = 3


class Keeper(captp.Object):
    @captp.method
    def kinds(self, value: Any) -> Any:
        """Return the names of the types, outermost first, along the first parts."""
        names = [type(value).__name__]
        while isinstance(value, tuple | dict) and value:
            value = next(iter(value.values() if isinstance(value, dict) else value))
            names.append("Reference" if isinstance(value, captp.Reference) else type(value).__name__)
        return names


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ((), ["tuple"]),
        ((1, "a"), ["tuple", "int"]),
        (([1],), ["tuple", "tuple", "int"]),
        ((([1],), 2), ["tuple", "tuple", "tuple", "int"]),
        (({"a": 1},), ["tuple", "FrozenMap", "int"]),
        ((bytearray(b"a"),), ["tuple", "bytes"]),
        ((Purse(),), ["tuple", "Reference"]),
    ],
    ids=["empty", "flat", "list", "deeper", "dict", "bytearray", "object"],
)
def test_what_is_in_a_list_is_frozen_when_it_is_sent(value: Any, kinds: list[str]) -> None:
    solo = Solo()
    ref = solo.ref(Keeper())

    assert list(solo.value(ref.kinds(value))) == kinds


def test_what_cannot_cross_is_refused_where_it_stands_in_a_list() -> None:
    solo = Solo()
    ref = solo.ref(Keeper())

    with pytest.raises(captp.Unpassable, match=r"args\[0\]\[1\]"):
        ref.kinds((1, object()))


def test_a_caller_changes_nothing_of_what_it_has_sent() -> None:
    solo, inner = Solo(), [1]
    ref = solo.ref(Keeper())

    promise = ref.kinds((inner,))
    inner[0] = "changed"  # type: ignore[call-overload]

    assert list(solo.value(promise)) == ["tuple", "tuple", "int"]
