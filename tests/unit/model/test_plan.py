"""Recording: what a function does with its stand-in becomes data, and what cannot be data is refused."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.errors import BadArguments
from captp.model.passable import equal
from captp.model.plan import BINARY, RESULT, UNARY, record, select
from captp.model.values import FrozenMap, Symbol, Tagged
from tests.support import Solo

ROOT = Tagged(RESULT, 0)
ORDERED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}


def step(number: int) -> Tagged:
    return Tagged(RESULT, number)


# What is recorded.


def test_a_plan_without_steps_is_its_result_alone() -> None:
    assert record(lambda _c: 7) == ((), 7)
    assert record(lambda _c: None) == ((), None)
    assert record(lambda c: c) == ((), ROOT)


def test_a_call_is_recorded_with_its_name_arguments_and_keywords() -> None:
    plan = record(lambda c: c.put("k", 1, flag=True))

    assert plan == ((("call", ROOT, Symbol("put"), ("k", 1), {"flag": True}),), step(1))


def test_a_call_may_have_keywords_that_are_named_like_anything() -> None:
    plan = record(lambda c: c.put(self=1, args=2, name=3))

    assert plan[0][0][3:] == ((), {"self": 1, "args": 2, "name": 3})


def test_a_step_uses_what_an_earlier_one_gives_in_arguments_and_keywords() -> None:
    plan = record(lambda c: c.put(c.get("a"), to=c.get("b")))

    assert plan[0][2] == ("call", ROOT, Symbol("put"), (step(1),), {"to": step(2)})
    assert plan[1] == step(3)


def test_a_call_on_a_result_is_a_step_on_that_result() -> None:
    plan = record(lambda c: c.find("x").get())

    assert plan[0][1] == ("call", step(1), Symbol("get"), (), {})


def test_steps_are_in_the_order_they_were_done_whatever_is_returned() -> None:
    def two(c: Any) -> Any:
        first = c.one()
        c.two()
        return first

    plan = record(two)

    assert [s[2].name for s in plan[0]] == ["one", "two"]
    assert plan[1] == step(1)


@pytest.mark.parametrize("key", ["name", 0, -1, True])
def test_a_look_up_is_recorded_with_its_key(key: Any) -> None:
    steps, result = record(lambda c: c[key])

    assert steps == (("item", ROOT, key),)
    assert type(steps[0][2]) is type(key)
    assert result == step(1)


def test_a_look_up_by_a_result_is_recorded() -> None:
    assert record(lambda c: c["a"][c.key()])[0][2] == ("item", step(1), step(2))


@pytest.mark.parametrize("verb", BINARY)
def test_an_operator_is_recorded_with_the_stand_in_at_its_side(verb: str) -> None:
    apply = getattr(operator, verb)

    assert record(lambda c: apply(c, 2)) == (((verb, ROOT, 2),), step(1))
    assert record(lambda c: apply(c, c)) == (((verb, ROOT, ROOT),), step(1))


@pytest.mark.parametrize("verb", [v for v in BINARY if v not in ORDERED])
def test_a_reflected_operator_keeps_the_order_of_its_operands(verb: str) -> None:
    apply = getattr(operator, verb)

    assert record(lambda c: apply(2, c)) == (((verb, 2, ROOT),), step(1))


@pytest.mark.parametrize("verb", ORDERED)
def test_a_comparison_from_the_other_side_means_the_same(verb: str) -> None:
    apply = getattr(operator, verb)

    assert record(lambda c: apply(2, c)) == (((ORDERED[verb], ROOT, 2),), step(1))


def test_lists_and_texts_are_joined_from_either_side() -> None:
    assert record(lambda c: [1] + c)[0] == (("add", (1,), ROOT),)  # noqa: RUF005 - this is the operator
    assert record(lambda c: "a" + c)[0] == (("add", "a", ROOT),)
    assert record(lambda c: c + b"a")[0] == (("add", ROOT, b"a"),)


@pytest.mark.parametrize(("apply", "verb"), [(operator.neg, "neg"), (abs, "abs"), (operator.invert, "not")])
def test_an_operator_of_one_operand_is_recorded(apply: Callable[[Any], Any], verb: str) -> None:
    assert verb in UNARY
    assert record(apply) == (((verb, ROOT),), step(1))


def test_a_choice_is_recorded_when_any_part_of_it_is_known_there_only() -> None:
    assert record(lambda c: select(c, 1, 2)) == ((("select", ROOT, 1, 2),), step(1))
    assert record(lambda c: select(True, c, 2)) == ((("select", True, ROOT, 2),), step(1))
    assert record(lambda c: select(False, 1, c)) == ((("select", False, 1, ROOT),), step(1))


def test_a_choice_between_what_is_here_is_made_here() -> None:
    assert select(True, "one", "other") == "one"
    assert select(0, "one", "other") == "other"


def test_results_are_found_inside_lists_tuples_and_dicts() -> None:
    plan = record(lambda c: c.put([c.a(), (c.b(), {"x": [c]})], {"y": (c,)}))

    assert plan[0][2][3] == ((step(1), (step(2), {"x": (ROOT,)})), {"y": (ROOT,)})
    assert record(lambda c: {"a": [c, 1]}) == ((), {"a": (ROOT, 1)})


@pytest.mark.parametrize(
    "value", [None, captp.NULL, True, 3, 2.5, "s", b"b", Symbol("s"), Tagged("money", 3), FrozenMap(a=1)]
)
def test_a_constant_stays_what_it_is(value: Any) -> None:
    steps, result = record(lambda c: [c.put(value), value])

    assert equal(steps[0][3], (value,))
    assert equal(result, (step(1), value))


def test_what_is_given_besides_the_stand_in_is_given_to_the_function() -> None:
    assert record(lambda c, n, *, m: c.put(n, m), 1, m=2)[0][0][3] == (1, 2)


def test_a_function_that_raises_raises_here() -> None:
    with pytest.raises(ZeroDivisionError):
        record(lambda _c: 1 // 0)


def test_a_stand_in_says_what_it_is() -> None:
    seen: list[str] = []

    record(lambda c: seen.extend([repr(c), f"{c.get()!r}"]))

    assert seen == ["<step 0 of a plan>", "<step 1 of a plan>"]


def test_a_result_is_found_inside_what_is_tagged() -> None:
    assert record(lambda c: Tagged("money", [c.get()]))[1] == Tagged("money", (step(1),))


# Recorded and run, it does what it does on the object.


class Shelf(captp.Object):
    held: captp.Map[str, int]
    log: captp.List[int]

    @captp.method
    def get(self, key: str, other: int = 0) -> int:
        return self.held.get(key, other)

    @captp.method
    def put(self, key: str, value: int) -> int:
        self.held[key] = value
        self.log.append(value)
        return value

    @captp.method
    def all(self) -> Any:
        return {"held": dict(self.held), "log": list(self.log)}

    @captp.method
    def echo(self, what: Any) -> Any:
        return what


def here_and_there(function: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return what a function does with an object, and what its plan does with one like it."""
    plain, hosted, solo = Shelf(), Shelf(), Solo()
    ref = solo.ref(hosted)
    there = solo.value(ref.apply(function))
    assert solo.failures == []
    return [function(plain), plain.all()], [there, hosted.all()]


@pytest.mark.parametrize(
    "function",
    [
        lambda c: c.put("k", c.get("k") + 1),
        lambda c: [c.put("k", 3), c.put("j", c.get("k") * 2 - 1), c.get("none", other=4)],
        lambda c: {"a": c.put("a", 2), "b": [c.get("a"), c.get("b")]},
        lambda c: c.put("k", 7 // c.put("d", 2)),
        lambda c: (c.put("a", 1), c.all())[1]["log"][0],
        lambda c: select(c.put("k", 4) > 3, c.get("k"), c.get("none")),
        lambda c: select(c.put("k", 4) == c.get("k"), "same", "other"),
        lambda c: select(c.put("k", 4) != c.get("k"), "other", "same"),
        lambda c: -abs(-c.put("k", 4)) + 10 % c.get("k") + 1 / c.get("k"),
        lambda c: c.echo("a") + "b" + ("c" + c.echo("d")),
        lambda c: operator.add(c.echo([1]), [2, {"x": 3}]),
        lambda c: [c.echo("a") < "b", c.echo(b"b") <= b"a", c.echo(2.5) < 3, c.echo(1) <= 1],
        lambda _c: "nothing of it",
    ],
)
def test_a_plan_gives_and_does_what_the_function_gives_and_does(function: Callable[[Any], Any]) -> None:
    here, there = here_and_there(function)

    assert equal(here, there), (here, there)


ARITHMETIC = [v for v in BINARY if v not in ORDERED]
NUMBERS = st.integers(-5, 5) | st.integers() | st.floats() | st.sampled_from([0, 0.0, -0.0, 1, -1])
LEAVES = st.tuples(st.booleans(), NUMBERS)
TREES = st.recursive(
    LEAVES,
    lambda t: st.tuples(st.sampled_from(ARITHMETIC), t, t) | st.tuples(st.sampled_from(["neg", "abs"]), t),
    max_leaves=12,
)


def computed(tree: Any, c: Any) -> Any:
    """Compute a tree, its marked leaves by way of an object."""
    match tree:
        case (str(verb), *parts):
            return getattr(operator, verb)(*(computed(p, c) for p in parts))
        case (is_there, number):
            return c.echo(number) if is_there else number


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(set(ORDERED) - {"eq", "ne"})), TREES, TREES)
def test_numbers_are_computed_and_compared_as_python_does(verb: str, one: Any, other: Any) -> None:
    def function(c: Any) -> Any:
        left, right = computed(one, c), computed(other, c)
        return [left, right, getattr(operator, verb)(left, right)]

    try:
        expected: Any = function(Shelf())
    except ArithmeticError:
        with pytest.raises((ArithmeticError, BadArguments)):
            here_and_there(function)
        return
    solo, shelf = Solo(), Shelf()
    value = solo.value(solo.ref(shelf).apply(function))

    assert equal(expected, value), (expected, value)
    assert [type(v) for v in expected] == [type(v) for v in value]


def test_equality_is_that_of_the_model_where_pythons_is_another() -> None:
    _here, there = here_and_there(lambda c: [c.echo(1) == 1.0, c.echo(1) == True, c.echo([1]) == (1,)])  # noqa: E712

    assert there[0] == (False, False, True)


def test_no_is_that_of_truth_where_pythons_is_of_bits() -> None:
    solo = Solo()

    assert solo.value(solo.ref(Shelf()).apply(lambda c: [~(c.get("k") == 0), ~(c.get("k") > 0)])) == (
        False,
        True,
    )
