"""A plan is one turn of the host: all of it or nothing, on what is near there, by the objects' own rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp.model.plan import MOST_STEPS, PLAN, select
from captp.model.send import E, UntypedSend
from captp.model.values import Symbol
from tests.unit.peer.pair import outcome
from tests.unit.peer.planned import ROOT, Notes, Office, office

COUNT = 40


def increment(c: Any) -> Any:
    return c.put("k", c.get("k") + 1)


def busy(it: Office) -> Any:
    """Latch the till for as long as the result is held."""
    counting = it.a.want(E(E(it.ref).beside()).count())
    it.net.rest()
    return counting


# One turn.


def test_many_increments_under_way_at_once_are_all_counted() -> None:
    it = office()
    third = it.net.host(3)
    other = third.want(third.enliven(it.sturdyref))
    it.net.rest()
    mine, theirs = it.ref, outcome(other)

    promises = [it.a.want(mine.apply(increment)) for _ in range(COUNT)]
    promises += [third.want(theirs.apply(increment)) for _ in range(COUNT)]
    it.net.rest()

    assert sorted(outcome(p) for p in promises) == list(range(1, 2 * COUNT + 1))
    assert it.desk.held["k"] == 2 * COUNT
    assert it.b.faults == []


def test_increments_in_two_messages_each_are_lost_where_plans_are_not() -> None:
    """The same load without plans: what the test above would see if a plan were not one turn."""
    it = office()

    seen = [it.a.want(E(it.ref).get("k")) for _ in range(COUNT)]
    it.net.rest()
    for promise in seen:
        it.a.want(E(it.ref).put("k", outcome(promise) + 1))
    it.net.rest()

    assert it.desk.held["k"] == 1


def test_a_plan_keeps_its_place_among_other_calls() -> None:
    it = office()

    E(it.ref).put.only("k", 1)
    promise = it.a.want(it.ref.apply(lambda c: [c.get("k"), c.put("k", 2)]))
    E(it.ref).put.only("k", 3)
    it.net.rest()

    assert outcome(promise) == (1, 2)
    assert it.desk.held["k"] == 3


def test_a_plan_is_sent_through_a_promise_before_that_is_settled() -> None:
    it = office()

    assert it.settled(it.a.enliven(it.sturdyref).apply(increment)) == 1
    assert it.settled(E(it.ref).beside().apply(lambda t: t.take(3))) == 3


def test_a_plan_through_a_promise_for_data_or_for_nothing_breaks() -> None:
    it = office()

    assert "not-callable" in it.breaks(E(it.ref).get("k").apply(increment))[1]
    assert it.breaks(E(it.ref).refuse().apply(increment)) == ("Refused", "no")


def test_a_plan_on_an_object_of_ones_own_runs_there() -> None:
    it = office()
    mine = it.b.vat.reference(it.desk)

    promise = it.b.want(mine.apply(increment))
    it.net.rest()

    assert outcome(promise) == 1


def test_what_steps_send_leaves_after_the_last_of_them() -> None:
    it = office()
    notes = Notes()
    stranger = it.settled(it.a.enliven(it.b.mint(notes)))
    it.settled(E(it.ref).meet(stranger))

    it.apply(lambda c: [c.tell("first"), c.tell(c.put("k", 2))])
    assert list(notes.seen) == ["first", 2]

    it.breaks(it.ref.apply(lambda c: [c.tell("never"), c.refuse()]))
    assert list(notes.seen) == ["first", 2]


# All or nothing.


def changed(c: Any) -> Any:
    """Change two objects."""
    c.put("k", 5)
    c.keep([1, 2])
    return c.beside().take(7)


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (lambda c: c.refuse(), "Refused"),
        (lambda c: c.nothing(), "NoSuchMethod"),
        (lambda c: c.put("k", "text"), "BadArguments"),
        (lambda c: c.put("k"), "BadArguments"),
        (lambda c: c.put("k", 1, 2), "BadArguments"),
        (lambda c: c.put("k", value=1, other=2), "BadArguments"),
        (lambda c: c.beside().take("text"), "BadArguments"),
        (lambda c: c.get("k") // c.get("none"), "BadArguments"),
        (lambda c: c.get("k")["x"], "BadArguments"),
        (lambda c: c.get("k").get(), "Refused"),
        (lambda c: c.slow(), "Refused"),
        (lambda c: c.beside().count(), "Refused"),
        (lambda c: c.fail(), "ValueError"),
    ],
)
def test_a_late_step_that_fails_undoes_what_all_others_did(late: Callable[[Any], Any], expected: str) -> None:
    it = office()
    it.apply(lambda c: [c.put("k", 1), c.keep("old"), c.beside().take(1)])
    before = it.state
    assert before == ({"k": 1}, ["old"], 1)

    kind, _text = it.breaks(it.ref.apply(lambda c: [changed(c), late(c)]))

    assert kind == expected
    assert it.state == before
    assert it.is_open
    assert it.apply(changed) == 8
    assert it.state == ({"k": 5}, ["old", (1, 2)], 8)


def test_a_result_that_names_no_step_undoes_what_the_steps_did() -> None:
    it = office()

    kind, text = it.breaks(UntypedSend(it.ref, PLAN)(((put(1),), captp.Tagged("captp:step", 2))))

    assert kind == "BadArguments"
    assert "the result" in text
    assert it.desk.held == {}


def put(value: int) -> tuple[Any, ...]:
    return ("call", ROOT, Symbol("put"), ("k", value), {})


# What a step may call.


def test_an_object_that_an_earlier_step_gave_can_be_called() -> None:
    it = office()

    assert it.apply(lambda c: [c.beside().take(2), c.echo([c.beside()])[0].take(3)]) == (2, 5)
    assert it.apply(lambda c: c.me().me().put("k", 1)) == 1
    assert it.desk.till.total == 5


def test_an_object_of_the_host_that_the_caller_already_has_can_be_called() -> None:
    it = office()
    till = it.settled(E(it.ref).beside())

    assert it.apply(lambda c: c.echo(till).take(c.put("k", 4))) == 4


def test_an_object_of_the_caller_or_of_a_third_vat_is_not_near() -> None:
    it = office()
    third = it.net.host(3)
    theirs = it.settled(it.a.enliven(third.mint(Notes())))
    mine = it.a.vat.reference(Notes())

    for far in (mine, theirs):
        kind, text = it.breaks(it.ref.apply(lambda c, far=far: c.echo(far).note(1)))
        assert (kind, text[:31]) == ("Refused", "step 2 calls what is not near: ")


def test_a_promise_and_data_are_not_near() -> None:
    it = office()

    for name in ("promised", "kind"):
        args = () if name == "promised" else (1,)
        kind, text = it.breaks(it.ref.apply(lambda c, n=name, a=args: getattr(c, n)(*a).note(1)))
        assert (kind, text[:31]) == ("Refused", "step 2 calls what is not near: ")


def test_an_object_of_another_capsule_is_not_near() -> None:
    it = office()
    it.desk.till._entry.capsule = it.desk._entry.capsule + 1

    kind, text = it.breaks(it.ref.apply(lambda c: [c.put("k", 1), c.beside().take(1)]))

    assert (kind, "not near" in text) == ("Refused", True)
    assert it.state == ({}, [], 0)


def test_what_is_not_near_may_be_given_to_a_method_all_the_same() -> None:
    it = office()
    mine = it.a.vat.reference(Notes())

    assert it.apply(lambda c: [c.keep(mine), c.echo(mine)])[1] == mine


def test_an_object_beside_that_is_busy_is_refused_and_later_is_not() -> None:
    it = office()
    counting = busy(it)

    kind, text = it.breaks(it.ref.apply(lambda c: [c.put("k", 1), c.beside().take(1)]))
    assert (kind, "step 3 calls an object that is busy" in text) == ("Refused", True)
    assert it.state == ({}, [], 0)

    it.net.wait(2)
    assert outcome(counting) == 0
    assert it.apply(lambda c: c.beside().take(1)) == 1


def test_a_plan_for_an_object_that_is_busy_waits_for_it() -> None:
    it = office()
    slow = it.a.want(E(it.ref).slow())
    promise = it.a.want(it.ref.apply(lambda c: c.get("slow")))
    it.net.rest()
    assert not promise.settled

    it.net.wait(2)

    assert (outcome(slow), outcome(promise)) == (1, 1)


def test_a_plan_within_a_plan_is_no_method() -> None:
    it = office()

    assert it.breaks(it.ref.apply(lambda c: getattr(c, PLAN)(((), 1))))[0] == "NoSuchMethod"


@pytest.mark.parametrize("name", ["_entry", "__init__", "held", "till", "", "put ", "captp:ping", "x" * 256])
def test_only_marked_methods_can_be_called(name: str) -> None:
    it = office()

    kind, text = it.breaks(UntypedSend(it.ref, PLAN)(((("call", ROOT, Symbol(name), (), {}),), 1)))

    assert (kind, text) == ("NoSuchMethod", "there is no such method")


def test_an_object_that_takes_bare_arguments_is_given_the_name_as_an_argument() -> None:
    class Bare(captp.Object):
        @captp.method
        def __call__(self, *args: Any) -> Any:
            return args

    it = office()
    bare = it.settled(it.a.enliven(it.b.mint(Bare())))

    assert it.settled(bare.apply(lambda c: c.any(1, 2))) == (Symbol("any"), 1, 2)


def test_the_object_is_given_to_its_methods_as_others_would_give_it() -> None:
    it = office()

    assert it.apply(lambda c: [c.kind(c), c.kind([c][0])]) == it.apply(lambda c: [c.kind(c.me())] * 2)


def test_the_object_equals_the_references_to_it() -> None:
    it = office()

    assert it.apply(lambda c: [c.me() == c, c == it.ref, select(c != c.me(), 1, 2)]) == (True, True, 2)


# Whose fault it is.


def test_what_an_object_raises_itself_is_told_where_it_lives() -> None:
    it = office()

    kind, text = it.breaks(it.ref.apply(lambda c: c.fail()))

    assert (kind, text) == ("ValueError", "the shelf is empty")
    (fault,) = it.b.faults
    assert fault.event == "turn failed"
    assert isinstance(fault.error, ValueError)


@pytest.mark.parametrize(
    "function",
    [
        lambda c: c.refuse(),
        lambda c: c.nothing(),
        lambda c: c.put("k", "text"),
        lambda c: c.get("k") / 0,
        lambda c: c.get("k")["x"],
        lambda c: c.put("k", 1) + "text",
    ],
)
def test_what_a_caller_did_wrong_is_no_fault_of_the_object(function: Callable[[Any], Any]) -> None:
    it = office()

    it.breaks(it.ref.apply(function))

    assert (it.b.faults, it.b.peer.vat.turns.faults) == ([], [])


@pytest.mark.parametrize(
    ("prepare", "function"),
    [
        (lambda _it: None, lambda c: c.get("k").get()),
        (lambda _it: None, lambda c: c.promised().get()),
        (lambda _it: None, lambda c: c.slow()),
        (busy, lambda c: c.beside().take(1)),
    ],
    ids=["data", "promise", "async", "busy"],
)
def test_a_step_that_cannot_be_done_here_and_now_is_no_fault_of_the_object(
    prepare: Callable[[Office], Any], function: Callable[[Any], Any]
) -> None:
    it = office()
    held = prepare(it)

    kind, _text = it.breaks(it.ref.apply(function))

    assert kind == "Refused"
    assert held is None or not held.settled
    assert it.b.faults == []


def test_a_plan_of_as_many_steps_as_can_be_recorded_runs() -> None:
    it = office()

    def longest(c: Any) -> Any:
        value = c.get("k")
        for _ in range(MOST_STEPS - 2):
            value += 1
        return c.put("k", value)

    assert it.apply(longest) == MOST_STEPS - 2
