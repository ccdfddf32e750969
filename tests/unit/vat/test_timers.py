"""Vat timers: sleep and within, driven by the clock that is handed in."""

from __future__ import annotations

import math
import weakref
from typing import Any

import pytest

import captp
from captp.errors import UsageError
from captp.model.promise import Promise
from captp.session.entries import Answer
from tests.support import Solo, outcome

LOG: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


class Account(captp.Interface):
    @captp.method
    def balance(self) -> int: ...


class Purse(captp.Object, Account):
    @captp.method
    def balance(self) -> int:
        return 3


class Sleeper(captp.Object):
    count: int = 0

    @captp.method
    async def nap(self, seconds: float) -> float:
        self.count += 1
        await captp.sleep(seconds)
        self.count += 1
        LOG.append(seconds)
        return seconds

    @captp.method
    async def timed(self, seconds: float, promise: captp.Promise[Any]) -> Any:
        try:
            return await captp.within(seconds, promise)
        except captp.Timeout as error:
            return f"late: {error}"

    @captp.method
    async def naps_in_time(self, seconds: float, sleeper: captp.Reference) -> Any:
        return await captp.within(seconds, captp.E(sleeper).nap(1.0))

    @captp.method
    async def reference_in_time(self, account: Account) -> Any:
        return await captp.within(5, account)

    @captp.method
    async def pipelined_in_time(self, account: Account) -> Any:
        return await captp.within(5, account).balance()

    @captp.method
    def plain(self, fails: bool) -> captp.Promise[None]:
        promise = captp.sleep(1)
        if fails:
            raise captp.Refused("no")
        return promise


def test_sleep_goes_on_when_its_time_has_come_and_not_before() -> None:
    solo, sleeper = Solo(), Sleeper()
    running = solo.ref(sleeper).nap(2.0)
    solo.run()

    assert solo.peer.wake_at() == 2.0
    solo.tick(1.999)
    assert (running.settled, sleeper.count) == (False, 1)
    solo.tick(2.0)

    assert outcome(running) == 2.0
    assert sleeper.count == 2
    assert solo.peer.wake_at() is None


def test_time_counts_from_the_turn_that_asked() -> None:
    solo = Solo()
    solo.tick(100.0)

    running = solo.ref(Sleeper()).nap(2.0)
    solo.run()
    solo.tick(101.9)
    assert not running.settled
    solo.tick(102.0)

    assert running.settled


def test_sleepers_wake_in_the_order_of_their_times_and_ties_in_the_order_they_came() -> None:
    solo = Solo()
    for seconds in (3.0, 1.0, 2.0, 1.0, 0.0):
        solo.ref(Sleeper()).nap.only(seconds)
    solo.run()

    solo.tick(5.0)

    assert LOG == [0.0, 1.0, 1.0, 2.0, 3.0]


def test_one_tick_wakes_all_that_are_due_and_no_other() -> None:
    solo = Solo()
    for i in range(1_000):
        solo.ref(Sleeper()).nap.only(float(i))
    solo.run()

    solo.tick(499.0)

    assert [float(i) for i in range(500)] == LOG
    assert solo.peer.wake_at() == 500.0


def test_a_sleeping_fiber_holds_its_own_object_and_no_other() -> None:
    solo = Solo()
    ref, other = solo.ref(Sleeper()), solo.ref(Sleeper())
    ref.nap.only(5.0)
    held = ref.nap(0.0)
    free = other.nap(0.0)
    solo.run()
    solo.tick(1.0)

    assert (held.settled, free.settled) == (False, True)
    solo.tick(5.0)
    solo.tick(6.0)
    assert held.settled


@pytest.mark.parametrize("seconds", [math.nan, "1", None, [1], 1j, 10**400], ids=lambda s: repr(s)[:9])
def test_a_time_that_is_no_number_fails_its_own_turn_and_stops_no_other_timer(seconds: Any) -> None:
    solo = Solo()
    promise, _resolver = solo.promise()

    for power in (lambda: captp.sleep(seconds), lambda: captp.within(seconds, promise)):
        with pytest.raises(UsageError, match="seconds"):
            solo.turn(power)
    running = solo.ref(Sleeper()).nap(1.0)
    solo.run()
    solo.tick(1.0)

    assert outcome(running) == 1.0


def test_a_time_that_never_comes_stops_no_other_timer() -> None:
    solo = Solo()
    never = solo.ref(Sleeper()).nap(math.inf)
    past = solo.ref(Sleeper()).nap(-5.0)
    running = solo.ref(Sleeper()).nap(1.0)
    solo.run()
    solo.tick(1.0)

    assert (never.settled, past.settled, running.settled) == (False, True, True)


def test_within_holds_the_result_of_a_method_that_nobody_else_holds_until_its_time_is_over() -> None:
    solo = Solo()
    others = solo.ref(Sleeper()), solo.ref(Sleeper())
    running = solo.ref(Sleeper()).naps_in_time(2.0, others[0])
    late = solo.ref(Sleeper()).naps_in_time(0.5, others[1])
    solo.run()
    assert len(solo.vat.turns.fibers) == 4
    solo.tick(0.5)
    assert len(solo.vat.turns.fibers) == 2, "what is waited for no longer is cancelled"

    solo.tick(1.0)

    assert outcome(running) == 1.0
    with pytest.raises(captp.Timeout):
        outcome(late)
    assert not solo.vat.turns.fibers


def test_within_holds_its_value_no_longer_than_whoever_asked() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    follower = solo.turn(lambda: captp.within(60, promise))
    resolver.fulfill("value")
    solo.run()
    assert outcome(follower) == "value"
    gone = weakref.ref(follower)

    del follower

    assert gone() is None
    solo.tick(60.0)


def test_within_gives_the_value_when_it_comes_in_time() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    running = solo.ref(Sleeper()).timed(2.0, promise)
    solo.run()

    resolver.fulfill("in time")

    assert solo.value(running) == "in time"
    solo.tick(3.0)
    assert outcome(running) == "in time"


def test_within_breaks_with_timeout_when_it_does_not_and_leaves_the_promise_alone() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    running = solo.ref(Sleeper()).timed(2.0, promise)
    solo.run()

    solo.tick(1.9)
    assert not running.settled
    solo.tick(2.0)
    assert solo.value(running).startswith("late: ")
    assert not promise.settled
    resolver.fulfill("after all")

    assert solo.value(promise) == "after all"


@pytest.mark.parametrize("in_time", [True, False])
def test_whichever_settles_a_within_first_wins_for_good(in_time: bool) -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    made: list[captp.Promise[Any]] = []
    solo.turn(lambda: made.append(captp.within(2.0, promise)))

    if in_time:
        resolver.fulfill("in time")
        solo.run()
        solo.tick(3.0)
        assert outcome(made[0]) == "in time"
    else:
        solo.tick(3.0)
        resolver.fulfill("late")
        solo.run()
        with pytest.raises(captp.Timeout):
            outcome(made[0])


def test_within_passes_on_what_broke_the_promise() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    running = solo.ref(Sleeper()).timed(2.0, promise)
    solo.run()

    resolver.break_(captp.Refused("no"))

    with pytest.raises(captp.Refused, match="no"):
        solo.value(running)


def test_within_of_what_is_settled_already_is_settled_at_once() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    resolver.fulfill(1)
    solo.run()

    assert solo.value(solo.ref(Sleeper()).timed(2.0, promise)) == 1


def test_within_takes_references_and_promises_for_them_and_keeps_their_methods() -> None:
    solo, purse = Solo(), Purse()
    ref = solo.ref(purse, Account)
    promise, resolver = solo.promise()

    assert solo.value(solo.ref(Sleeper()).reference_in_time(ref)) is ref
    assert solo.value(solo.ref(Sleeper()).pipelined_in_time(ref)) == 3
    running = solo.ref(Sleeper()).pipelined_in_time(promise)
    solo.run()
    resolver.fulfill(ref)
    assert solo.value(running) == 3


def test_within_of_a_peer_s_answer_is_a_promise_of_the_vat_s_own() -> None:
    solo = Solo()
    answer: Promise[Any] = Answer(solo.vat)

    made: list[Any] = []
    solo.turn(lambda: made.append(captp.within(1, answer)))
    solo.tick(2.0)

    assert type(made[0]) is not Answer
    with pytest.raises(captp.Timeout):
        outcome(made[0])


def test_a_turn_that_fails_starts_no_timer() -> None:
    solo = Solo()
    ref = solo.ref(Sleeper())

    with pytest.raises(captp.Refused):
        solo.value(ref.plain(True))
    assert solo.peer.wake_at() is None

    running = ref.plain(False)
    solo.run()
    assert solo.peer.wake_at() == 1.0
    solo.tick(1.0)
    assert outcome(running) is None


def test_a_sleeper_whose_result_is_dropped_is_cancelled_at_once() -> None:
    solo, sleeper = Solo(), Sleeper()
    running = solo.ref(sleeper).nap(1_000.0)
    solo.run()

    del running
    solo.run()

    assert solo.vat.dump()["fibers"] == []
    assert sleeper.count == 1
    solo.tick(2_000.0)
    assert LOG == []
    solo.peer.check()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("sleep", lambda: captp.sleep(1)),
        ("within", lambda: captp.within(1, Solo().promise()[0])),
        ("outside", lambda: captp.outside(print)),
    ],
)
def test_the_powers_of_a_method_are_refused_elsewhere(name: str, call: Any) -> None:
    with pytest.raises(UsageError, match=rf"captp\.{name}\(\) works inside the methods of a vat's objects"):
        call()


def test_outside_asks_for_a_call_after_the_commit_and_its_promise_waits() -> None:
    class Caller(captp.Object):
        @captp.method
        async def ask(self) -> Any:
            return await captp.outside(LOG.append, "never run by the engine")

    solo = Solo()
    running = solo.ref(Caller()).ask()
    solo.run()

    (call,) = solo.calls
    assert (call.function, call.args) == (LOG.append, ("never run by the engine",))
    assert LOG == []
    solo.vat.settle(call.promise, 1, "result")
    assert solo.value(running) == "result"
