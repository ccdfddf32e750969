"""Batches of calls as a peer may send them: each part is checked, and a limit holds at N and N+1."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.limits import Limits
from captp.model.faults import from_wire
from captp.model.plan import MANY
from captp.model.promise import Promise
from captp.model.weight import weight_of
from tests.support import Solo
from tests.unit.peer.pair import Counter, outcome, pair


def ask(*batch: Any, limits: Limits | None = None) -> Any:
    it = pair(theirs=limits)
    counter = it.a.want(it.a.enliven(it.b.mint(Counter())))
    promise = it.a.want(it.a.vat.send(counter, MANY, batch, None, Promise))
    it.net.rest()
    it.a.peer.check()
    it.b.peer.check()
    return outcome(promise)


@pytest.mark.parametrize(
    "batch",
    [
        (),
        (1,),
        ("add", 1),
        ("add", 1, 2),
        ("add", 0, ()),
        ("add", -1, (1,)),
        ("add", True, (1,)),
        ("add", (1, "x"), (1,)),
        ("add", (1, True), (1, 2)),
        ("add", (2, -1), (1,)),
        ("add", 2, (1, 2, 3)),
        ("add", (1, 1), (1,)),
        ("add", (1,), (1, 2)),
        (("add", "add"), (1,), (1,)),
        (("add", 7), 1, (1, 2)),
        (7, 1, (1,)),
        (("add",), 1, (1,), ()),
        (("add",), 0, (), (7,)),
        (("add",), 0, (), 7),
        (("add",), 1, (1,), (None,), ()),
    ],
)
def test_what_is_no_batch_is_refused_whole(batch: tuple[Any, ...]) -> None:
    with pytest.raises(captp.BadArguments):
        ask(*batch)


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("add", ("x",), captp.BadArguments),
        ("add", (), captp.BadArguments),
        ("", (1,), captp.NoSuchMethod),
        ("_on_add", (), captp.NoSuchMethod),
        ("captp:plan", (((), 1),), captp.NoSuchMethod),
        ("captp:many", ((), ()), captp.NoSuchMethod),
        ("never", (), captp.Broken),
    ],
)
def test_a_call_that_does_not_fit_breaks_alone(name: Any, args: Any, error: type) -> None:
    values, broken = ask(("add", name, "add"), (1, len(args), 1), (1, *args, 2))

    assert values == (1, None, 2)
    assert [at for at, _fault in broken] == [1]
    assert isinstance(from_wire(broken[0][1]), error)


@pytest.mark.parametrize("count", [4, 5])
def test_a_batch_has_a_limit(count: int) -> None:
    batch = ("add", 1, (1,) * count)

    if count == 4:
        assert len(ask(*batch, limits=Limits(plan_steps=4))[0]) == 4
    else:
        with pytest.raises(captp.BadArguments):
            ask(*batch, limits=Limits(plan_steps=4))


def test_keyword_arguments_are_checked() -> None:
    values, broken = ask("add", 0, (), ({"number": 2}, {"other": 2}))

    assert values == (2, None)
    assert [at for at, _fault in broken] == [1]


@pytest.mark.parametrize("names", ["add", ("add", "add")])
@pytest.mark.parametrize("counts", [1, (1, 1)])
def test_what_all_calls_have_may_be_said_once(names: Any, counts: Any) -> None:
    assert ask(names, counts, (1, 2)) == ((1, 2), ())


class Echo(captp.Object):
    @captp.method
    def say(self, what: Any) -> Any:
        if what is None:
            raise captp.Refused("nothing to say")
        return what


@pytest.mark.parametrize("what", [(7,) * 5, ("x" * 5000, b"y" * 700), ((1, ("z" * 900,)), 2), (None, "a")])
def test_the_answer_to_a_batch_weighs_what_looking_through_it_gives(
    what: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = pair()
    echo = it.a.want(it.a.enliven(it.b.mint(Echo())))
    it.net.rest()
    weights: list[int] = []
    settle = it.b.vat.settle_now

    def settling(promise: Any, state: int, value: Any, weight: int | None = None) -> None:
        if weight is not None:
            weights.append(weight)
            assert weight == pytest.approx(weight_of(value), abs=300)
        settle(promise, state, value, weight)

    monkeypatch.setattr(it.b.vat, "settle_now", settling)
    it.a.want(it.a.vat.send(echo, MANY, ("say", 1, what), None, Promise))
    it.net.rest()

    assert len(weights) == 1


def test_a_batch_of_no_calls_does_nothing() -> None:
    assert ask((), (), ()) == ((), ())


def test_each_call_of_a_batch_counts_as_a_delivery_so_that_others_have_their_go() -> None:
    solo, counter = Solo(), Counter()
    ref = solo.ref(counter)
    for _ in range(3):
        solo.vat.send(ref, MANY, ("add", 1, (1,) * 8), None, Promise)

    solo.run(8)
    assert len(counter.seen) == 8
    solo.run()
    assert len(counter.seen) == 24


class Busy(captp.Object):
    """Has itself to itself while it waits."""

    count: int = 0

    @captp.method
    def add(self, number: int) -> int:
        self.count += number
        return self.count

    @captp.method
    async def wait(self, when: captp.Promise[None]) -> None:
        await when


def batches(solo: Solo, target: Any, *sizes: int) -> list[Any]:
    """Send batches of so many calls each, and let them wait."""
    sent = [solo.vat.send(target, MANY, ("add", 1, (1,) * size), None, Promise) for size in sizes]
    solo.run()
    return sent


@pytest.mark.parametrize("place", ["latch", "promise"])
@pytest.mark.parametrize("sizes", [(4, 3), (4, 4), (8,), (1, 7), (6, 1)])
def test_a_batch_that_waits_counts_as_its_calls(place: str, sizes: tuple[int, ...]) -> None:
    solo, busy = Solo(Limits(latch_queue=7, pipeline_queue=7)), Busy()
    target: Any = solo.ref(busy)
    promise, resolver = solo.promise()
    if place == "latch":
        captp.E(target).wait.only(promise)
    else:
        target = promise
    *fit, last = batches(solo, target, *sizes)

    assert not any(batch.settled for batch in fit)
    assert last.settled is (sum(sizes) > 7)
    if last.settled:
        with pytest.raises(captp.Overloaded, match="7 calls already wait"):
            outcome(last)
        (more,) = batches(solo, target, 7 - sum(sizes[:-1]))
        assert not more.settled
    (one_more,) = batches(solo, target, 1)
    assert one_more.settled is (sum(sizes) >= 7)
    solo.peer.check()
    resolver.fulfill(None if place == "latch" else solo.ref(busy))
    solo.run()
    assert busy.count == 7
    # The queue is empty again, and takes as many.
    promise, resolver = solo.promise()
    again = promise if place == "promise" else target
    if place == "latch":
        captp.E(target).wait.only(promise)
    assert [batch.settled for batch in batches(solo, again, 7, 1)] == [False, True]


def test_a_batch_that_is_none_counts_as_one_call() -> None:
    solo = Solo(Limits(pipeline_queue=2))
    promise, _ = solo.promise()
    sent = [solo.vat.send(promise, MANY, ("add", 0, ()), None, Promise) for _ in range(3)]
    solo.run()

    assert [s.settled for s in sent] == [False, False, True]


def test_calls_that_move_on_to_another_promise_are_counted_there() -> None:
    solo, busy = Solo(Limits(pipeline_queue=7)), Busy()
    one, resolver = solo.promise()
    other, final = solo.promise()
    batches(solo, one, 4)
    resolver.fulfill(other)
    solo.run()

    assert [batch.settled for batch in batches(solo, other, 3, 1)] == [False, True]
    final.fulfill(solo.ref(busy))
    solo.run()
    assert busy.count == 7


def test_a_batch_that_gives_way_to_a_deadlock_makes_room() -> None:
    class Caller(captp.Object):
        @captp.method
        async def call(self, target: Any, when: captp.Promise[None]) -> str:
            await when
            try:
                await self._home.vat.send(target, MANY, ("add", 1, (1, 1)), None, Promise)
            except captp.Deadlock:
                return "gave way"
            return "ran"

    class Tied(Busy):
        @captp.method
        async def wait_for(self, result: captp.Promise[Any]) -> Any:
            return await result

    solo, tied = Solo(Limits(latch_queue=2)), Tied()
    target, caller = solo.ref(tied), solo.ref(Caller())
    when, resolver = solo.promise()
    told = captp.E(caller).call(target, when)
    captp.E(target).wait_for.only(told)
    solo.run()
    resolver.fulfill(None)

    assert solo.value(told) == "gave way"
    assert tied.count == 0
