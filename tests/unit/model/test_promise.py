"""Promises: settled once, followed, broken in rings, queued up to a limit, selected from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.errors import Broken, Overloaded, Unpassable, UsageError
from captp.limits import Limits
from captp.model.passable import equal
from tests.support import Solo, outcome


class Counter(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...


class Count(captp.Object, Counter):
    count: int = 0
    log: captp.List[int]

    @captp.method
    def add(self, amount: int) -> int:
        self.log.append(amount)
        self.count += amount
        return self.count


def settled(solo: Solo, value: Any) -> Any:
    promise, resolver = solo.promise()
    resolver.fulfill(value)
    solo.run()
    return promise


def test_a_promise_is_fulfilled_with_the_frozen_value() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    value = {"b": [1]}

    resolver.fulfill(value)
    value["b"].append(2)

    assert not promise.settled
    assert solo.value(promise) == {"b": (1,)}
    assert promise.settled


def test_a_broken_promise_raises_its_error_every_time_it_is_asked() -> None:
    solo = Solo()
    promise, resolver = solo.promise()

    resolver.break_(captp.Refused("no"))
    solo.run()

    for _ in range(3):
        with pytest.raises(captp.Refused, match="no"):
            outcome(promise)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt("no"), "no", None, 5], ids=repr)
def test_whatever_breaks_a_promise_those_who_await_it_see_a_broken(error: Any) -> None:
    solo = Solo()
    promise, resolver = solo.promise()

    resolver.break_(error)
    try:
        seen: Any = solo.value(promise)
    except BaseException as raised:
        seen = raised

    assert isinstance(seen, Broken)


@pytest.mark.parametrize("first", ["fulfill", "break_"])
@pytest.mark.parametrize("second", ["fulfill", "break_"])
def test_a_second_resolution_is_an_error_and_changes_nothing(first: str, second: str) -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    getattr(resolver, first)(captp.Refused("1") if first == "break_" else 1)

    with pytest.raises(UsageError, match="already resolved: a resolver settles once"):
        getattr(resolver, second)(captp.Refused("2") if second == "break_" else 2)
    solo.run()
    with pytest.raises(UsageError):
        resolver.fulfill(3)

    if first == "fulfill":
        assert solo.value(promise) == 1
    else:
        with pytest.raises(captp.Refused, match="1"):
            solo.value(promise)


def test_a_resolution_with_an_unpassable_value_is_refused_and_may_be_tried_again() -> None:
    solo = Solo()
    promise, resolver = solo.promise()

    with pytest.raises(Unpassable):
        resolver.fulfill(object())
    resolver.fulfill(1)

    assert solo.value(promise) == 1


def test_a_resolution_in_a_turn_that_rolls_back_did_not_happen() -> None:
    solo = Solo()
    promise, resolver = solo.promise()

    def body() -> None:
        resolver.fulfill(1)
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)
    assert not promise.settled
    resolver.fulfill(2)

    assert solo.value(promise) == 2


def test_a_resolution_in_a_turn_shows_only_after_it() -> None:
    solo = Solo()
    promise, resolver = solo.promise()

    def body() -> bool:
        resolver.fulfill(1)
        return promise.settled

    assert solo.turn(body) is False
    assert outcome(promise) == 1


def test_a_promise_fulfilled_with_a_promise_follows_it() -> None:
    solo = Solo()
    one, first = solo.promise()
    two, second = solo.promise()

    first.fulfill(two)
    solo.run()
    assert not one.settled
    second.fulfill(3)

    assert solo.value(one) == 3


def test_a_follower_breaks_as_its_leader_does() -> None:
    solo = Solo()
    one, first = solo.promise()
    two, second = solo.promise()

    first.fulfill(two)
    second.break_(captp.Refused("no"))

    with pytest.raises(captp.Refused, match="no"):
        solo.value(one)


@pytest.mark.parametrize("length", [1, 2, 3, 1_000])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_ring_of_promises_breaks_at_once(length: int, backwards: bool) -> None:
    solo = Solo()
    ring = [solo.promise() for _ in range(length)]
    order = range(length - 1, -1, -1) if backwards else range(length)

    for i in order:
        ring[i][1].fulfill(ring[(i + 1) % length][0])
    solo.run()

    for promise, _resolver in ring:
        with pytest.raises(Broken, match="promise-cycle"):
            outcome(promise)
    solo.peer.check()


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_of_1000_promises_is_no_ring(backwards: bool) -> None:
    solo = Solo()
    chain = [solo.promise() for _ in range(1_000)]
    order = range(998, -1, -1) if backwards else range(999)

    for i in order:
        chain[i][1].fulfill(chain[i + 1][0])
    solo.run()
    chain[-1][1].fulfill("end")
    solo.run()

    assert [outcome(p) for p, _ in chain] == ["end"] * 1_000


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 8).flatmap(
        lambda n: st.tuples(
            st.lists(
                st.one_of(st.integers(0, n - 1), st.just("value"), st.just("break")), min_size=n, max_size=n
            ),
            st.permutations(range(n)),
            st.lists(st.booleans(), min_size=n, max_size=n),
        )
    )
)
def test_any_graph_of_followers_settles_as_its_end_does(
    plan: tuple[list[int | str], list[int], list[bool]],
) -> None:
    goals, order, runs = plan
    solo = Solo()
    pairs = [solo.promise() for _ in goals]

    for i, run in zip(order, runs, strict=True):
        goal, resolver = goals[i], pairs[i][1]
        if goal == "value":
            resolver.fulfill(i)
        elif goal == "break":
            resolver.break_(captp.Refused(str(i)))
        else:
            assert isinstance(goal, int)
            resolver.fulfill(pairs[goal][0])
        if run:
            solo.run()
    solo.run()

    for start, (promise, _) in enumerate(pairs):
        seen: list[int] = []
        at: int = start
        while at not in seen and isinstance(goals[at], int):
            seen.append(at)
            at = int(goals[at])
        if isinstance(goals[at], int):
            with pytest.raises(Broken, match="promise-cycle"):
                outcome(promise)
        elif goals[at] == "value":
            assert outcome(promise) == at
        else:
            with pytest.raises(captp.Refused, match=str(at)):
                outcome(promise)


def test_calls_on_a_pending_promise_wait_and_then_run_in_order_before_later_ones() -> None:
    solo, count = Solo(), Count()
    promise, resolver = solo.promise()
    ref = solo.ref(count, Counter)

    early = [captp.E(promise).add(i) for i in range(5)]
    solo.run()
    assert count.log == []
    resolver.fulfill(ref)
    early.append(captp.E(promise).add(5))
    late = ref.add(6)
    solo.run()

    assert list(count.log)[:6] == [0, 1, 2, 3, 4, 5]
    assert [outcome(p) for p in (*early, late)] == [0, 1, 3, 6, 10, 15, 21]


def test_calls_on_a_follower_reach_what_its_leader_becomes() -> None:
    solo, count = Solo(), Count()
    one, first = solo.promise()
    two, second = solo.promise()

    captp.E(one).add.only(1)
    solo.run()
    first.fulfill(two)
    captp.E(one).add.only(2)
    solo.run()
    captp.E(two).add.only(3)
    second.fulfill(solo.ref(count))
    solo.run()

    assert list(count.log) == [1, 2, 3]


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_as_many_calls_as_the_limit_may_wait_for_a_promise_and_one_more_breaks(limit: int) -> None:
    solo, count = Solo(Limits(pipeline_queue=limit)), Count()
    promise, resolver = solo.promise()

    waiting = [captp.E(promise).add(1) for _ in range(limit)]
    solo.run()
    assert not any(p.settled for p in waiting)
    more = captp.E(promise).add(100)
    captp.E(promise).add.only(100)
    with pytest.raises(Overloaded, match=f"{limit} calls already wait"):
        solo.value(more)
    resolver.fulfill(solo.ref(count))
    solo.run()

    assert [outcome(p) for p in waiting] == list(range(1, limit + 1))
    assert count.count == limit


def test_calls_that_wait_live_on_when_nobody_holds_the_promise_itself() -> None:
    solo, count = Solo(), Count()
    promise, resolver = solo.promise()
    captp.E(promise).add.only(3)
    solo.run()

    del promise
    resolver.fulfill(solo.ref(count))
    solo.run()

    assert count.count == 3


def test_calls_on_a_broken_promise_break_the_same_way() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    before = captp.E(promise).add(1)
    chained = captp.E(before).add(2)
    resolver.break_(captp.Refused("gone"))
    solo.run()
    after = captp.E(promise).add(3)
    captp.E(promise).add.only(4)

    for broken in (before, chained, after, promise["k"]):
        with pytest.raises(captp.Refused, match="gone"):
            solo.value(broken)


def test_a_promise_has_no_truth_no_items_and_no_length() -> None:
    promise, _resolver = Solo().promise()

    with pytest.raises(UsageError, match="await it first"):
        bool(promise)
    with pytest.raises(UsageError, match="await it first"):
        list(promise)
    with pytest.raises(TypeError):
        len(promise)  # type: ignore[arg-type]


def test_awaiting_outside_any_method_or_task_says_where_it_works() -> None:
    solo = Solo()
    promise, _resolver = solo.promise()

    with pytest.raises(UsageError, match="async method, or in a task under open_vat"):
        next(promise.__await__())
    with pytest.raises(UsageError, match="async method"):
        solo.turn(lambda: next(promise.__await__()))


def test_a_promise_cannot_be_copied_and_its_repr_shows_no_value() -> None:
    solo = Solo()
    promise = settled(solo, "secret")

    for attempt in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied"):
            attempt(promise)
    assert "secret" not in repr(promise)
    assert "fulfilled" in repr(promise)
    assert not equal(promise, promise)


def test_a_promise_passed_before_it_settles_arrives_as_the_same_promise() -> None:
    class Holder(captp.Object):
        kept: Any = None

        @captp.method
        def keep(self, value: captp.Promise[int]) -> None:
            self.kept = value

    solo, holder = Solo(), Holder()
    promise, resolver = solo.promise()

    solo.ref(holder).keep.only(promise)
    solo.run()

    assert holder.kept is promise
    resolver.fulfill(5)
    assert solo.value(holder.kept) == 5
