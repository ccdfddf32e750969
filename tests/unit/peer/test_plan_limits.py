"""What a peer may write into a plan: every verb, operand and size is checked, and breaks that plan alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.limits import Limits
from captp.model.passable import equal
from captp.model.plan import BINARY, PLAN, RESULT, select
from captp.model.send import UntypedSend
from captp.model.values import NULL, Fault, Symbol, Tagged
from captp.model.weight import PART
from tests.unit.peer.planned import ROOT, Office, office


def step(number: Any) -> Tagged:
    return Tagged(RESULT, number)


def put(key: str = "k", value: Any = 1) -> tuple[Any, ...]:
    return ("call", ROOT, Symbol("put"), (key, value), {})


def refused(it: Office, *args: Any, **kwargs: Any) -> str:
    """Send a plan that must break as one with bad arguments, do nothing and be nobody's fault."""
    before = it.state
    kind, text = it.breaks(UntypedSend(it.ref, PLAN)(*args, **kwargs))
    assert kind == "BadArguments", (kind, text)
    assert it.state == before
    assert it.b.faults == []
    assert it.is_open
    return text


# Its shape.


@pytest.mark.parametrize(
    "plan",
    [
        None, NULL, True, 3, 2.5, "text", b"bytes", Symbol("s"), {}, {"steps": (), "result": 1},
        (), ((),), ((), 1, 2), (1, 2), ("ab", 1), (b"ab", 1), ({}, 1), (((),), 1), ((1,), 1), (("eq",), 1),
        (((1, 2, 3),), 1), (((Symbol("add"), 1, 2),), 1), (((b"add", 1, 2),), 1), (((None,),), 1),
        ((put(), ()), 1), ((put(), "text"), 1), ((put(), {"verb": "add"}), 1),
        ((put(), Tagged("t", put())), 1),
        Tagged("plan", ((), 1)), Fault("plan"), step(0),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_not_shaped_as_a_plan_is_refused(plan: Any) -> None:
    assert refused(office(), plan) == "bad-args: a plan is a list of steps and a result"


def test_a_plan_is_one_argument() -> None:
    it = office()

    refused(it)
    refused(it, ((), 1), ((), 1))
    refused(it, ((), 1), other=1)
    refused(it, other=((), 1))
    assert it.raw(((), 1)) == 1


@pytest.mark.parametrize(
    "bad",
    [
        ("",), ("nothing",), ("nothing", 1, 2), ("call",), ("item",), ("__class__", 1), ("pow", 2, 3),
        ("ADD", 1, 2),
        ("call", ROOT), ("call", ROOT, Symbol("put")), ("call", ROOT, Symbol("put"), ()),
        ("call", ROOT, "put", ("k", 1), {}), ("call", ROOT, b"put", ("k", 1), {}),
        ("call", ROOT, Symbol("put"), "k1", {}), ("call", ROOT, Symbol("put"), {}, {}),
        ("call", ROOT, Symbol("put"), ("k", 1), ()), ("call", ROOT, Symbol("put"), ("k", 1), None),
        ("call", ROOT, Symbol("put"), ("k", 1), {}, 1), ("call", ROOT, ROOT, ("k", 1), {}),
        ("item", (1, 2), -1), ("item", (1, 2), 2), ("item", (1, 2), True), ("item", (1, 2), 0.0),
        ("item", (1, 2), 2**70), ("item", (1, 2), "0"), ("item", {"a": 1}, "b"), ("item", {"a": 1}, 0),
        ("item", {"a": 1}, Symbol("a")), ("item", "text", 0), ("item", b"bytes", 0), ("item", ROOT, "held"),
        ("item", (1, 2)), ("item", (1, 2), 0, 0), ("item", Tagged("t", (1,)), 0), ("item", {"a": 1}, "keys"),
        ("select", 1, 2, 3), ("select", None, 2, 3), ("select", "", 2, 3), ("select", True, 2),
        ("select", True, 1, 2, 3), ("select", NULL, 1, 2),
        ("not",), ("not", "text"), ("not", None), ("not", True, True), ("not", NULL),
        ("eq", 1), ("eq", 1, 2, 3), ("ne",), ("add", 1), ("add", 1, 2, 3), ("neg",), ("neg", 1, 2), ("abs",),
        ("abs", 1, 2), ("add", "a", b"a"), ("add", "a", 1), ("add", (1,), 1), ("add", (1,), "a"),
        ("add", True, 1), ("add", None, None), ("add", {}, {}), ("add", NULL, NULL), ("add", ROOT, ROOT),
        ("add", Symbol("a"), Symbol("b")), ("sub", "a", "a"), ("sub", (1,), (1,)), ("mul", "a", 3),
        ("mul", 3, (1,)), ("mul", b"a", 2**40), ("mod", "%s", 1), ("mod", "%s", "a"), ("mod", b"%b", b"a"),
        ("truediv", "a", "b"), ("floordiv", True, 1), ("neg", "a"), ("neg", True), ("abs", (1,)),
        ("lt", "a", 1), ("lt", True, False), ("lt", (1,), (2,)), ("le", {}, {}), ("gt", None, None),
        ("ge", ROOT, ROOT), ("lt", Symbol("a"), Symbol("b")), ("lt", "a", b"b"),
        ("truediv", 1, 0), ("floordiv", 1, 0), ("mod", 1, 0), ("truediv", 1.0, 0.0), ("floordiv", 1.0, 0),
        ("mod", 1.0, 0), ("truediv", 10**400, 3), ("add", 10**400, 1.0), ("mul", 1.0, 10**400),
        ("mod", 10**400, 1.5), ("floordiv", 2.0, 10**400),
    ],
    ids=lambda s: repr(s)[:60],
)  # fmt: skip
def test_a_step_that_does_not_fit_is_refused_and_undoes_those_before(bad: Any) -> None:
    assert "step 2" in refused(office(), ((put(), bad), 1))


@pytest.mark.parametrize("value", [0, 1, 2.5])
def test_no_of_a_number_is_refused(value: Any) -> None:
    assert "step 2" in refused(office(), ((put(), ("not", value)), 1))


@pytest.mark.parametrize("number", [-1, 2, 3, 2**70, True, False, 0.0, "0", None, (0,), NULL, ROOT])
def test_a_result_that_is_not_there_yet_cannot_be_used(number: Any) -> None:
    """A step stands for what came before it alone, wherever in an operand it is."""
    it = office()
    place = step(number)
    inside: tuple[Any, ...] = (place, (place,), {"a": place}, ((1, ({"a": place},)),), Tagged("t", place))

    for operand in inside:
        text = refused(it, ((put(), ("eq", operand, 1)), 1))
        assert "step 2 uses the result of a step that comes later" in text
    if number == 2 and type(number) is int:
        assert it.raw(((put(), put("j", 2)), place)) == 2
    else:
        assert "the result uses" in refused(it, ((put(),), place))


def test_what_a_step_gives_is_not_read_as_a_plan() -> None:
    """A value of the object that looks like a result of a step stays what it is."""
    it = office()

    class Box(captp.Object):
        held: Any = None

        @captp.method
        def get(self) -> Any:
            return self.held

    box = it.settled(it.a.enliven(it.b.mint(Box(held=Tagged(RESULT, 7)))))

    assert it.settled(box.apply(lambda c: [c.get(), c.get() == c.get()])) == (Tagged(RESULT, 7), True)


def test_results_are_put_in_wherever_they_stand() -> None:
    it = office()

    value = it.raw(((put("k", 5),), (step(1), {"a": (step(1),)}, Tagged("money", step(1)), "x")))

    assert equal(value, (5, {"a": (5,)}, Tagged("money", 5), "x"))


def test_what_can_be_computed_is() -> None:
    it = office()
    steps = [
        (("add", 1, 2.5), 3.5), (("sub", 1, 3), -2), (("mul", 4, 5), 20), (("truediv", 1, 4), 0.25),
        (("floordiv", -7, 2), -4), (("mod", -7, 2), 1), (("neg", 3), -3), (("abs", -3.5), 3.5),
        (("not", True), False), (("add", "a", "b"), "ab"), (("add", b"a", b"b"), b"ab"),
        (("add", (1,), ("b",)), (1, "b")), (("lt", 1, 1.5), True), (("ge", "b", "a"), True),
        (("gt", b"a", b"b"), False),
        (("le", 2, 2), True), (("eq", {"a": (1,)}, {"a": (1,)}), True), (("eq", 1, 1.0), False),
        (("ne", 1, True), True), (("ne", "a", "a"), False), (("select", True, 1, "a"), 1),
        (("select", False, 1, "a"), "a"), (("item", {"a": 7}, "a"), 7), (("item", (7, 8), 1), 8),
        (("mul", math.inf, 2), math.inf), (("mul", 1e308, 10), math.inf), (("lt", math.nan, 1), False),
        (("sub", math.inf, math.inf), math.nan), (("neg", 0.0), -0.0),
    ]  # fmt: skip

    value = it.raw((tuple(s for s, _ in steps), tuple(step(n) for n in range(1, len(steps) + 1))))

    for (spelled, expected), given_ in zip(steps, value, strict=True):
        assert equal(given_, expected), (spelled, given_)


# Its size.


def test_a_host_runs_as_many_steps_as_it_says_and_not_one_more() -> None:
    it = office(Limits(plan_steps=3))

    assert it.raw(((put(), put("k", 2), put("k", 3)), step(3))) == 3
    assert "at most 3 steps" in refused(it, ((put(), put("k", 2), put("k", 3), put("k", 4)), step(4)))
    with pytest.raises(captp.BadArguments, match="at most 3 steps"):
        it.apply(lambda c: [c.put("k", n) for n in range(4)])


DIGITS = 20


@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_of_as_many_digits_as_a_message_may_have_is_computed(sign: int) -> None:
    it = office(Limits(int_digits=DIGITS))

    most = sign * (10**DIGITS - 1)
    assert it.raw(((("sub", most, 0), put()), step(1))) == most
    assert it.raw(((("add", most - sign, sign), put()), step(1))) == most


def test_an_integer_of_far_more_digits_is_refused() -> None:
    it = office(Limits(int_digits=DIGITS))
    digits = 10 ** (DIGITS - 1)

    assert f"more than {DIGITS} digits" in refused(it, ((put(), ("mul", digits, digits)), 1))
    assert f"more than {DIGITS} digits" in refused(it, ((put(), ("mul", digits, -digits)), 1))


def test_integers_that_grow_by_squares_stop_at_the_first_that_is_too_large() -> None:
    it = office()

    def grow(c: Any) -> Any:
        value = c.put("k", 10**9)
        for _ in range(200):
            value *= value
        return value

    with pytest.raises(captp.BadArguments, match="gives an integer of more than 4096 digits"):
        it.apply(grow)
    assert it.desk.held == {}


@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_of_one_digit_more_is_refused(sign: int) -> None:
    it = office(Limits(int_digits=DIGITS))

    most = sign * (10**DIGITS - 1)
    assert f"more than {DIGITS} digits" in refused(it, ((put(), ("add", most, sign)), 1))


MOST = 16 * 1024


def test_texts_that_double_stop_at_the_first_that_is_too_long() -> None:
    it = office()

    def double(c: Any) -> Any:
        c.put("k", 1)
        text = c.echo("x" * 1024)
        for _ in range(200):
            text += text
        return text

    with pytest.raises(captp.BadArguments, match="are more than 4194304 bytes"):
        it.apply(double)
    assert it.state == ({}, [], 0)


@pytest.mark.parametrize("kind", [str, bytes])
def test_a_text_of_as_many_bytes_as_a_message_is_computed_and_not_one_more(kind: type) -> None:
    it = office(Limits(message_bytes=MOST))
    text: Any = ("x" if kind is str else b"x") * (MOST // 2)

    assert it.raw(((("add", text, text[PART:]),), 2)) == 2
    assert "at step 1 the values of this plan are more than" in refused(
        it, ((("add", text, text[PART - 1 :]),), 2)
    )


def test_lists_that_double_stop_too() -> None:
    it = office(Limits(message_bytes=MOST))
    items = (1,) * 10

    with pytest.raises(captp.BadArguments, match="are more than 16384 bytes"):
        it.raw((tuple(("add", step(n) if n else items, step(n) if n else items) for n in range(10)), 1))


def half(c: Any) -> Any:
    text = c.echo("x" * 1024)
    for _ in range(3):
        text += text
    return text


TOO_MUCH: dict[str, Callable[[Any, Any], Any]] = {
    "argument": lambda c, text: c.keep([text] * 8),
    "result": lambda _c, text: [text] * 8,
    "many": lambda _c, text: [[text + str(n) for n in range(8)], None][1],
}


def test_a_text_cannot_be_multiplied_in_what_a_step_gives() -> None:
    it = office(Limits(message_bytes=MOST))

    def choose(c: Any) -> Any:
        text = half(c)
        return select(c.put("k", 1) == 1, [text] * 8, 1)

    kind, _text = it.breaks(it.ref.apply(choose))

    assert (kind, it.state, it.b.faults) == ("BadArguments", ({}, [], 0), [])


@pytest.mark.parametrize("how", ["argument", "result", "many"])
def test_a_text_cannot_be_multiplied_by_naming_it_often(how: str) -> None:
    it = office(Limits(message_bytes=MOST))

    kind, _text = it.breaks(it.ref.apply(lambda c: [c.put("k", 1), TOO_MUCH[how](c, half(c))][1]))

    assert (kind, it.state, it.b.faults) == ("BadArguments", ({}, [], 0), [])


def deep(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("sink", ["keep", "echo", None])
def test_levels_do_not_add_up(sink: str | None) -> None:
    it = office()

    def build(c: Any) -> Any:
        value = c.put("k", 1)
        for _ in range(3):
            value = select(c.get("k") == 1, deep(value, 40), None)
        return value if sink is None else getattr(c, sink)(value)

    kind, _text = it.breaks(it.ref.apply(build))

    assert (kind, it.state, it.b.faults) == ("BadArguments", ({}, [], 0), [])


# Whatever it is.

NAMES = [
    "put",
    "get",
    "keep",
    "echo",
    "kind",
    "me",
    "beside",
    "take",
    "refuse",
    "slow",
    "promised",
    "nothing",
    PLAN,
]
#: Of a number, 'not' has a test of its own above.
VERBS = ["call", "item", "select", *BINARY, "neg", "abs", "nothing", ""]
REFS = st.integers(-1, 5).map(step)
ATOMS = st.one_of(
    REFS, REFS, st.none(), st.booleans(), st.integers(-3, 3), st.integers(), st.floats(), st.text(max_size=3),
    st.binary(max_size=3), st.just(NULL), st.sampled_from(NAMES).map(Symbol), st.sampled_from(VERBS),
)  # fmt: skip
JUNK = st.recursive(
    ATOMS,
    lambda v: st.one_of(
        st.lists(v, max_size=3),
        st.dictionaries(st.text(max_size=3), v, max_size=3),
        st.builds(Tagged, st.sampled_from([RESULT, "captp:kwargs", "t"]), v),
    ),
    max_leaves=6,
)
CALLS = st.tuples(
    st.just("call"), REFS, st.sampled_from(NAMES).map(Symbol), st.lists(JUNK, max_size=2), st.just({})
)
PUTS = st.integers().map(lambda n: put("k", n))
NUMBERS = REFS | st.integers(-3, 3) | st.floats() | st.booleans() | st.text(max_size=2)
SUMS = st.tuples(st.sampled_from(BINARY), NUMBERS, NUMBERS) | st.tuples(
    st.sampled_from(["neg", "abs"]), NUMBERS
)
STEPS = (
    PUTS
    | SUMS
    | CALLS
    | st.lists(JUNK, max_size=4).flatmap(lambda o: st.sampled_from(VERBS).map(lambda v: (v, *o)))
)
#: Keywords that are no struct never leave their sender.
PLANS = st.tuples(st.lists(STEPS, max_size=6), JUNK) | JUNK.filter(
    lambda p: type(p) is not Tagged or p.tag != "captp:kwargs"
)

#: What a plan can break with: a method of the desk that says no, and what the plan itself did wrong.
KINDS = {"BadArguments", "NoSuchMethod", "Refused"}


@settings(max_examples=200, deadline=None)
@given(PLANS, st.lists(st.integers(), max_size=2))
def test_whatever_is_sent_as_a_plan_breaks_it_alone(plan: Any, more: list[int]) -> None:
    it = office()
    it.settled(captp.E(it.ref).put("k", 1))
    before = it.state

    promise = UntypedSend(it.ref, PLAN)(plan, *more)
    it.a.want(promise)
    it.net.rest()
    kind = it.ended(promise)

    assert kind in KINDS or (kind is None and not more)
    assert kind is None or it.state == before
    assert it.b.faults == []
    assert it.is_open
    it.b.peer.check()
    assert it.apply(lambda c: c.put("k", 1)) == 1
