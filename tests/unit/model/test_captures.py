"""What a function for a trustee may capture: what nobody can change, and handles."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

import captp
from captp.model.captures import check_captures
from captp.model.values import Tagged
from tests.support import Solo

GLOBAL: list[int] = []


class Purse(captp.Object):
    @captp.method
    def take(self, amount: int = 1) -> int:
        return amount


def capturing(value: Any) -> Any:
    return lambda _obj: value


def over(inner: Any) -> Any:
    def call(obj: Any) -> Any:
        return inner(obj)

    return call


@pytest.mark.parametrize(
    "value",
    [1, 1.5, "x", b"x", None, True, (), (1, ("x",)), captp.NULL, captp.Symbol("s"), Tagged("t", 1), int, len,
     captp.FrozenMap({"k": (1,)}), frozenset({1}), over(capturing(1))],
    ids=lambda value: re.sub(" at 0x.*", "", repr(value)),
)  # fmt: skip
def test_what_nobody_can_change_may_be_captured(value: Any) -> None:
    check_captures(capturing(value))


@pytest.mark.parametrize(
    "value",
    [[], {}, set(), bytearray(), object(), Purse(), GLOBAL, ([],), (1, {}), Tagged("t", []),
     ValueError("x"), [].append, {}.get, capturing([]), over(capturing({}))],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_anything_else_may_not_and_the_error_names_it(value: Any) -> None:
    with pytest.raises(captp.CaptureError, match=r"value|inner"):
        check_captures(capturing(value))


def test_handles_may_be_captured() -> None:
    solo = Solo()
    promise, resolver = solo.vat.promise()

    for value in (solo.ref(Purse()), promise, resolver):
        check_captures(capturing(value))


def test_globals_and_methods_of_classes_are_free() -> None:
    check_captures(lambda obj: GLOBAL.append(obj + 1))
    check_captures(Purse.take)
    check_captures(str.upper)
    check_captures(list.append)
    check_captures(print)


def test_a_bound_method_and_a_partial_say_what_to_do() -> None:
    with pytest.raises(captp.CaptureError, match=r"give Purse\.take"):
        check_captures(Purse().take)
    with pytest.raises(captp.CaptureError, match="list"):
        check_captures([].append)
    with pytest.raises(captp.CaptureError, match="behind the function"):
        check_captures(partial(Purse.take, amount=1))


def test_defaults_are_captured_too() -> None:
    def keeps(_obj: Any, seen: list[int] = []) -> None:  # noqa: B006 - that is what is refused
        seen.append(1)

    with pytest.raises(captp.CaptureError, match="'seen'"):
        check_captures(keeps)


def test_a_function_that_captures_itself_is_no_ring_without_end() -> None:
    def again(obj: int) -> int:
        return again(obj - 1) if obj else 0

    check_captures(again)
    check_captures(over(again))
