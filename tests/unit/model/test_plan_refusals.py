"""What cannot be recorded is refused where it is written, with advice."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp.errors import UsageError
from captp.model.plan import MOST_STEPS, RESULT, record, select
from captp.model.values import Tagged


async def _awaits(c: Any) -> None:
    await c


def _run_await(c: Any) -> None:
    coroutine = _awaits(c)
    try:
        coroutine.send(None)
    finally:
        coroutine.close()


def _with(c: Any) -> None:
    with c:
        pass


def _async_with(c: Any) -> None:
    type(c).__aenter__(c)


def _set_attribute(c: Any) -> None:
    c.count = 1


def _delete_attribute(c: Any) -> None:
    del c.count


def _set_item(c: Any) -> None:
    c["k"] = 1


def _add_to_item(c: Any) -> None:
    c["k"] += 1


def _delete_item(c: Any) -> None:
    del c["k"]


def _branch(c: Any) -> Any:
    return 1 if c.get() > 3 else 2


@pytest.mark.parametrize(
    ("use", "advice"),
    [
        (bool, "captp.select"),
        (_branch, "captp.select"),
        (lambda c: c and 1, "captp.select"),
        (lambda c: not c, "captp.select"),
        (lambda c: 0 < c < 3, "captp.select"),
        (lambda c: 1 in c, "captp.select"),
        (lambda c: c in {"a": 1}.values(), "captp.select"),
        (lambda c: c in [1, 2], "captp.select"),
        (len, "await the value first"),
        (iter, "no loops"),
        (list, "no loops"),
        (lambda c: [*c], "no loops"),
        (lambda c: max(*c), "no loops"),
        (reversed, "no loops"),
        (next, "no loops"),
        (hash, "an argument or an operand only"),
        (lambda c: {c: 1}, "an argument or an operand only"),
        (lambda c: {c}, "an argument or an operand only"),
        (lambda c: {"a": 1}[c], "an argument or an operand only"),
        (str, "format it then"),
        (lambda c: f"{c}", "format it then"),
        (lambda c: f"{c:>3}", "format it then"),
        ("{}".format, "format it then"),
        (lambda c: "%s" % c, "format it then"),  # noqa: UP031 - this way too
        (bytes, "format it then"),
        (int, "convert it then"),
        (float, "convert it then"),
        (complex, "convert it then"),
        (round, "convert it then"),
        (math.floor, "convert it then"),
        (operator.index, "convert it then"),
        (lambda c: [1, 2][c], "convert it then"),
        (range, "convert it then"),
        (math.trunc, "convert it then"),
        (operator.pos, "let a method of the object"),
        (lambda c: divmod(7, c), "let a method of the object"),
        (lambda c: 7 @ c, "let a method of the object"),
        (lambda c: c[1:], "one entry"),
        (lambda c: c(), "by their names"),
        (copy.copy, "nothing to copy"),
        (copy.deepcopy, "nothing to copy"),
        (operator.methodcaller("__reduce_ex__", 4), "nothing to copy"),
        (_run_await, "await the whole plan"),
        (aiter, "await the whole plan"),
        (_with, "all or nothing by itself"),
        (_async_with, "all or nothing by itself"),
        (_set_attribute, "by their methods only"),
        (_delete_attribute, "by their methods only"),
        (_set_item, "by their methods only"),
        (_add_to_item, "by their methods only"),
        (_delete_item, "by their methods only"),
    ],
)
@pytest.mark.parametrize("on", [lambda c: c, lambda c: c.get()], ids=["object", "result"])
def test_a_use_that_needs_the_value_now_is_refused_with_advice(
    use: Callable[[Any], Any], advice: str, on: Callable[[Any], Any]
) -> None:
    with pytest.raises(UsageError, match=advice) as caught:
        record(lambda c: use(on(c)))

    assert "recorded to run where the object is" in str(caught.value)


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m,
        lambda m: [m],
        lambda m: 1 if m else 2,
        lambda m: not m,
        lambda m: m == 3,
        lambda m: m != 3,
        lambda m: m > 3,
        lambda m: m + 1,
        lambda m: 1 + m,
        lambda m: m["k"],
        lambda m: m.more(),
        lambda m: 3 in m,
        lambda m: select(m, 1, 2),
        operator.neg,
        len,
        list,
        hash,
        str,
        int,
        copy.copy,
        operator.methodcaller("__reduce_ex__", 4),
    ],
)
def test_a_method_that_is_not_called_is_refused_with_advice(use: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match=r"ready.* is not called: write ready\(\)"):
        record(lambda c: c.put(use(c.ready)))
    with pytest.raises(UsageError, match=r"ready.* is not called: write ready\(\)"):
        record(lambda c: use(c.ready))


def test_a_method_may_be_called_later_and_by_another_function() -> None:
    def puts(c: Any) -> Any:
        put = c.put
        return [put(number) for number in map(int, "12")]

    assert record(puts) == record(lambda c: [c.put(1), c.put(2)])


@pytest.mark.parametrize("name", ["_secret", "_captp_rows", "__copy__", "__dict__"])
def test_a_name_that_starts_with_an_underscore_is_no_method(name: str) -> None:
    with pytest.raises(AttributeError, match="names that start with _"):
        record(lambda c: getattr(c, name)())


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c.get(),
        lambda c: c["k"],
        lambda c: c + 1,
        lambda c: 1 + c,
        lambda c: -c,
        lambda c: c == 1,
        lambda c: select(c, 1, 2),
    ],
)
def test_a_stand_in_is_of_no_use_after_its_plan_was_recorded(use: Callable[[Any], Any]) -> None:
    kept: list[Any] = []
    plan = record(lambda c: kept.extend([c, c.get()]))

    for recorder in kept:
        with pytest.raises(UsageError, match="recorded already"):
            use(recorder)

    assert len(plan[0]) == 1


def test_a_stand_in_is_of_no_use_after_its_plan_failed() -> None:
    kept: list[Any] = []

    def fails(c: Any) -> None:
        kept.append(c)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        record(fails)

    with pytest.raises(UsageError, match="recorded already"):
        kept[0].get()


@pytest.mark.parametrize(
    "use",
    [
        lambda c, other: c.put(other),
        lambda c, other: c.put(k=other),
        lambda c, other: c.put([{"deep": other}]),
        lambda c, other: c[other],
        lambda c, other: c + other,
        lambda c, other: select(c, 1, other),
        lambda _c, other: other,
        lambda _c, other: [other],
    ],
)
@pytest.mark.parametrize("is_done", [True, False], ids=["recorded", "outer"])
def test_a_stand_in_of_another_plan_is_refused(use: Callable[[Any, Any], Any], is_done: bool) -> None:
    kept: list[Any] = []

    def outer(other: Any) -> None:
        kept.append(other)
        if not is_done:
            with pytest.raises(UsageError, match="another plan"):
                record(use, other)

    record(outer)

    if is_done:
        with pytest.raises(UsageError, match="recorded already"):
            record(use, kept[0])


def _many(count: int) -> Callable[[Any], None]:
    def call(c: Any) -> None:
        for _ in range(count):
            c.get()

    return call


def test_a_plan_has_so_many_steps_and_not_one_more() -> None:
    assert MOST_STEPS == 256
    assert len(record(_many(256))[0]) == 256
    with pytest.raises(UsageError, match="at most 256 steps: let a method"):
        record(_many(257))


@pytest.mark.parametrize(
    "put",
    [
        lambda c, v: c.put(v),
        lambda c, v: c.put(k=[v]),
        lambda c, v: c + v,
        lambda _c, v: v,
        lambda _c, v: [{"a": v}],
    ],
)
def test_a_value_that_looks_like_a_result_is_refused(put: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(UsageError, match="'captp:step' stands for the result of a step"):
        record(put, Tagged(RESULT, 0))


@pytest.mark.parametrize(
    "value",
    [
        Tagged("money", Tagged(RESULT, 0)),
        Tagged("money", [Tagged(RESULT, 0)]),
        captp.List([Tagged(RESULT, 0)]),
    ],
    ids=["tagged", "tagged-list", "state-list"],
)
def test_a_value_that_looks_like_a_result_is_refused_wherever_it_hides(value: Any) -> None:
    with pytest.raises(UsageError, match="'captp:step' stands for the result of a step"):
        record(lambda c: c.put(value))
