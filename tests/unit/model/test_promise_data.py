"""Promises for plain data: steps into it, and calls that find no object there."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Broken, UsageError
from tests.support import Solo


class Count(captp.Object):
    count: int = 0
    log: captp.List[int]

    @captp.method
    def add(self, amount: int) -> int:
        self.log.append(amount)
        self.count += amount
        return self.count

    @captp.method
    def data(self) -> Any:
        return {"k": [10, captp.Tagged("t", "inside")], "ref": self}


@pytest.mark.parametrize("value", [3, "x", None, (1,), {"a": 1}, captp.Tagged("t", 1)], ids=str)
def test_calling_a_promise_that_became_plain_data_breaks(value: Any) -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    before = captp.E(promise).add(1)
    resolver.fulfill(value)
    solo.run()

    for broken in (before, captp.E(promise).add(1), captp.E(promise)(1)):
        with pytest.raises(Broken, match="not-callable"):
            solo.value(broken)


def test_items_and_fields_of_a_promised_value_are_promises_at_once() -> None:
    solo = Solo()
    data = captp.E(solo.ref(Count())).data()

    item = data["k"][0]
    inside = captp.untag(data["k"][1], "t")
    count = captp.E(data["ref"]).add(4)

    assert solo.value(item) == 10
    assert solo.value(inside) == "inside"
    assert solo.value(count) == 4


@pytest.mark.parametrize(
    ("value", "step"),
    [
        ({"a": 1}, lambda p: p["b"]),
        ({"a": 1}, lambda p: p[0]),
        ([1], lambda p: p[1]),
        ([1], lambda p: p[-1]),
        ([1], lambda p: p["a"]),
        ("abc", lambda p: p[0]),
        (b"abc", lambda p: p[0]),
        (3, lambda p: p["a"]),
        (None, lambda p: p["a"]),
        (captp.Tagged("t", 1), lambda p: captp.untag(p, "u")),
        (captp.Tagged("t", {"a": 1}), lambda p: p["a"]),
        ([1], lambda p: captp.untag(p, "t")),
    ],
)
def test_a_step_that_does_not_fit_the_value_breaks(value: Any, step: Any) -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    before = step(promise)
    resolver.fulfill(value)
    solo.run()

    for broken in (before, step(promise)):
        with pytest.raises(Broken, match="bad-select"):
            solo.value(broken)


def test_a_step_into_a_reference_breaks_and_runs_no_method() -> None:
    solo, count = Solo(), Count()
    promise, resolver = solo.promise()
    resolver.fulfill(solo.ref(count))
    solo.run()

    for step in (promise["add"], promise[0], captp.untag(promise, "t")):
        with pytest.raises(Broken):
            solo.value(step)
    assert count.log == []


@pytest.mark.parametrize("key", [True, None, 1.0, b"a", slice(0, 1), (1,)], ids=str)
def test_a_promise_is_indexed_by_str_or_int_only(key: Any) -> None:
    promise, _resolver = Solo().promise()

    with pytest.raises(UsageError, match="indexed by str or int"):
        promise[key]
