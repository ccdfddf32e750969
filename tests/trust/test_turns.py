"""What a turn gives back, wherever it ran: results, errors and outcomes, and what it gives to nobody."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Call, Outcome
from tests.trust.places import Place

# Results.


async def test_a_method_is_applied_whatever_it_says_that_it_returns(place: Place) -> None:
    assert list(await place.trust.apply(place.cls.listed)) == [0]


# Errors.


async def test_an_error_reaches_the_caller_as_its_class_and_the_trustee_lives(place: Place) -> None:
    trust, cls = place.trust, place.cls
    await trust.apply(cls.set, 5)

    for fn in (cls.refuse, lambda c, n: c.refuse(n)):
        with pytest.raises(captp.Refused, match="after all"):
            await trust.apply(fn, 2)

    assert await trust.apply(cls.get) == (5 if place.ways.undoes else 9)
    assert await trust.apply(cls.add, 1) == (6 if place.ways.undoes else 10)


async def test_an_error_that_no_border_knows_reaches_the_caller_by_its_name(place: Place) -> None:
    with pytest.raises(place.ways.key_error, match="no error of captp") as caught:
        await place.trust.apply(place.cls.fail)

    if isinstance(caught.value, captp.RemoteFault):
        assert caught.value.class_name == "KeyError"
    assert await place.trust.apply(place.cls.add, 1) == 1


async def test_what_is_no_call_is_refused_before_any_is_sent(place: Place) -> None:
    some: list[Any] = [Call(place.cls.add, 1), place.cls.add]

    with pytest.raises(captp.UsageError, match=r"takes calls: captp.Call\(function"):
        await place.trust.apply_many(some)

    assert await place.trust.apply(place.cls.get) == 0


async def test_the_error_is_made_anew_where_functions_run_on_the_object(place: Place) -> None:
    def raises(_: Any, problem: Exception) -> None:
        raise problem

    problem = KeyError("mine")
    if place.ways.runs_functions:
        with pytest.raises(KeyError) as caught:
            await place.trust.apply(raises, problem)
        assert caught.value is not problem
        assert caught.value.args == problem.args
        assert "raises" not in [entry.name for entry in caught.traceback]
    else:
        # It runs here, while it is recorded: nothing was sent.
        with pytest.raises(KeyError) as caught:
            await place.trust.apply(raises, problem)
        assert caught.value is problem
        with pytest.raises(captp.Unpassable):
            await place.trust.apply(place.cls.note, problem)


# Outcomes.


async def test_then_is_told_how_each_call_ended_in_order(place: Place) -> None:
    told: list[Outcome[Any]] = []
    for _ in range(50):
        place.trust.apply_then(place.cls.add, 1, then=told.append)
        place.trust.apply_then(place.cls.refuse, 1, then=told.append)
        place.trust.apply_then(lambda c, n: c.add(n), 1, then=told.append)
        # Between two outcomes a collection may come at any time.
        await trio.lowlevel.checkpoint()
        gc.collect(0)
    await place.trust.apply(place.cls.get)
    await trio.testing.wait_all_tasks_blocked(0.01)

    assert [type(o.error) for o in told] == [type(None), captp.Refused, type(None)] * 50
    sums = [o.value for o in told if o.error is None]
    assert sums == sorted(sums)


async def test_then_may_raise_and_harms_nobody(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    def raises(_: Outcome[int]) -> None:
        raise ZeroDivisionError("in then")

    place.trust.apply_then(place.cls.add, 1, then=raises)
    assert await place.trust.apply(place.cls.add, 1) == 2
    await trio.testing.wait_all_tasks_blocked(0.01)

    assert logged(caplog) == [ZeroDivisionError]


async def test_a_failure_that_nobody_waits_for_is_logged_where_it_was_asked_for(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.trust.apply_then(place.cls.fail)
    place.trust.apply_then(place.cls.add, 1)
    assert await place.trust.apply(place.cls.add, 1) == 2
    await trio.testing.wait_all_tasks_blocked(0.01)

    kinds = logged(caplog)
    if place.name == "far":
        # The host is in this process too, and logs what its own object did.
        kinds.remove(KeyError)
    assert kinds == [place.ways.key_error]


def logged(caplog: pytest.LogCaptureFixture) -> list[type[BaseException] | None]:
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    return [r.exc_info[0] for r in errors if r.exc_info]


async def test_each_of_many_calls_has_its_own_turn_and_its_own_outcome(place: Place) -> None:
    cls = place.cls
    calls = [
        Call(cls.add, 1),
        Call(cls.refuse, 10),
        Call(lambda c, n: c.add(n), 2),
        Call(cls.fail),
        Call(cls.add, number=3),
        Call(cls.get),
    ]
    ends = await place.trust.apply_many(calls)

    spilt = 0 if place.ways.undoes else 10
    assert [o.value for o in ends] == [1, None, 3 + spilt, None, 6 + spilt, 6 + spilt]
    kinds = [type(None), captp.Refused, type(None), place.ways.key_error, type(None), type(None)]
    assert [type(o.error) for o in ends] == kinds
    with pytest.raises(captp.Refused):
        ends[1].unwrap()
    assert await place.trust.apply_many([]) == []


@pytest.mark.parametrize("count", [1, 256, 257])
async def test_many_calls_may_be_any_number(place: Place, count: int) -> None:
    ends = await place.trust.apply_many([Call(place.cls.add, 1)] * count)

    assert [o.unwrap() for o in ends] == list(range(1, count + 1))


# Payloads.


async def test_a_payload_is_taken_as_it_is_now(place: Place) -> None:
    payload = {"lines": [1, 2]}
    async with trio.open_nursery() as nursery, place.busy():
        nursery.start_soon(place.trust.apply_with, place.cls.note, payload)
        await trio.testing.wait_all_tasks_blocked()
        payload["lines"].append(3)

    assert await place.noted() == [{"lines": (1, 2)}]
    with pytest.raises(captp.Unpassable, match="odd"):
        await place.trust.apply_with(place.cls.note, {"odd": object()})
    assert len(await place.noted()) == 1


async def test_a_payload_of_a_megabyte_arrives_whole(place: Place) -> None:
    payload = {"bytes": bytes(range(256)) * 4096, "text": "é" * 500_000}

    assert await place.trust.apply_with(place.cls.note, payload) == 1
    assert await place.noted() == [payload]


# Cancelled calls.


async def test_a_call_that_is_cancelled_before_its_turn_never_runs(place: Place) -> None:
    trust, cls = place.trust, place.cls
    async with place.busy():
        for fn in (cls.add, lambda c, n: c.add(n)):
            with trio.move_on_after(0.02) as scope:
                await trust.apply(fn, 10)
            assert scope.cancelled_caught

    assert await trust.apply(cls.get) == 1


async def test_many_calls_that_are_cancelled_before_their_turn_never_run(place: Place) -> None:
    async with place.busy():
        with trio.move_on_after(0.02) as scope:
            await place.trust.apply_many([Call(place.cls.add, 10)] * 3)
        assert scope.cancelled_caught

    assert await place.trust.apply(place.cls.get) == 1


async def test_a_call_in_a_scope_that_is_cancelled_already(place: Place) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await place.trust.apply(place.cls.add, 1)

    runs = place.ways.runs_when_cancelled
    assert await place.trust.apply(place.cls.get) in ((0, 1) if runs is None else (runs,))


async def test_a_cancelled_caller_leaves_the_others_their_turns(place: Place) -> None:
    found: list[int] = []

    async def call() -> None:
        found.append(await place.trust.apply(place.cls.add, 1))

    async with trio.open_nursery() as nursery, place.busy():
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.02):
            await place.trust.apply(place.cls.get)
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()

    assert sorted(found) == [2, 3]


# Leaks.


async def test_the_object_itself_does_not_leave(place: Place) -> None:
    if place.ways.leak is None:
        found = await place.trust.apply(lambda c: c)
        assert isinstance(found, captp.Reference)
        assert await captp.E(found).add(1) == 1
        [inside] = await place.trust.apply(lambda c: [c])
        assert captp.same(inside, found)
        [outcome] = await place.trust.apply_many([Call(lambda c: c)])
        assert captp.same(outcome.value, found)
    else:
        with pytest.raises(place.ways.leak):
            await place.trust.apply(lambda c: c)
        [outcome] = await place.trust.apply_many([Call(lambda c: c)])
        assert type(outcome.error) is place.ways.leak
        told: list[Outcome[Any]] = []
        place.trust.apply_then(lambda c: c, then=told.append)
        await place.trust.apply(place.cls.get)
        assert [type(o.error) for o in told] == [place.ways.leak]
        assert told[0].value is None
        # Only the result itself is looked at: to look into each list would cost more than the turn.
        assert len(await place.trust.apply(lambda c: [c])) == 1


async def test_a_result_that_cannot_cross_is_refused_where_results_cross(place: Place) -> None:
    if place.ways.odd is None:
        assert type(await place.trust.apply(place.cls.odd)) is object
    else:
        with pytest.raises(place.ways.odd, match="cannot cross"):
            await place.trust.apply(place.cls.odd)
    assert await place.trust.apply(place.cls.add, 1) == 1
