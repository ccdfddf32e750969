"""How fibers end early: cancelled when nobody wants their result, or by awaiting what is no promise."""

from __future__ import annotations

import gc
import inspect
import types
from collections.abc import Generator
from typing import Any

import pytest

import captp
from captp.errors import ForeignAwait
from captp.model.interface import rows_of
from tests.support import Solo, outcome

LOG: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


@types.coroutine
def foreign(what: Any) -> Generator[Any, Any, Any]:
    return (yield what)


class Careful(captp.Object):
    state: str = "new"
    kept: Any = None

    @captp.method
    async def wait(self, promise: captp.Promise[Any]) -> str:
        try:
            await promise
        except captp.Cancelled as error:
            self.state = "cleaned"
            LOG.append(str(error))
            return "cleaned up"
        return "done"

    @captp.method
    async def wait_twice(self, first: captp.Promise[Any], second: captp.Promise[Any]) -> None:
        for promise in (first, second):
            try:
                await promise
            except captp.Cancelled:
                LOG.append("cancelled")
            else:
                LOG.append("went on")

    @captp.method
    async def stubborn(self, promise: captp.Promise[Any]) -> None:
        for _ in range(3):
            try:
                await promise
                LOG.append("went on")
            except captp.Cancelled:
                LOG.append("cancelled")

    @captp.method
    def keep(self, value: Any) -> None:
        self.kept = value

    @captp.method
    def drop(self) -> None:
        self.kept = None

    @captp.method
    def note(self, what: str) -> None:
        LOG.append(what)


class Unspeakable:
    def __str__(self) -> str:
        raise KeyError("no text")


class Rude(captp.Object):
    count: int = 0
    sink: Any = None

    @captp.method
    async def step(self, promise: captp.Promise[Any]) -> None:
        self.count = 1
        await promise
        self.count = 2
        captp.E(self.sink).note.only("sent before the mistake")
        await foreign("junk")

    @captp.method
    async def at_once(self, what: Any) -> None:
        self.count = 1
        await foreign(JUNK[what])

    @captp.method
    async def swallow(self) -> int:
        self.count = 1
        captp.E(self.sink).note.only("sent before the mistake")
        try:
            await foreign(None)
        except ForeignAwait:
            captp.E(self.sink).note.only("sent after it")
        self.count += 10
        return self.count

    @captp.method
    async def swallow_often(self, promise: captp.Promise[Any]) -> str:
        for _ in range(3):
            try:
                await foreign("x")
            except ForeignAwait as error:
                LOG.append(str(error).split(":", maxsplit=1)[0])
        return str(await promise)

    @captp.method
    def nurse(self) -> None:
        raise RuntimeError("must be called from async context")

    @captp.method
    def unspeakable(self) -> None:
        self.count = 1
        raise RuntimeError(Unspeakable())

    @captp.method
    async def deep(self) -> None:
        await self.helper()

    async def helper(self) -> None:
        await foreign("junk")


JUNK: dict[str, Any] = {
    "none": None,
    "text": "junk",
    "object": object(),
    "exception": ValueError("not raised"),
    "generator": (i for i in ()),
    "class": captp.Promise,
}


def line_of(method: str, text: str) -> int:
    """Return the line of the first line of a method that contains ``text``."""
    lines, start = inspect.getsourcelines(rows_of(Rude)[method].function)
    return start + next(i for i, line in enumerate(lines) if text in line)


@pytest.mark.parametrize("junk", JUNK)
def test_awaiting_what_is_no_promise_is_an_error_that_names_method_and_line(junk: str) -> None:
    solo, rude = Solo(), Rude()
    line = line_of("at_once", "await foreign")

    with pytest.raises(captp.RemoteFault) as fault:
        solo.value(solo.ref(rude).at_once(junk))

    assert fault.value.class_name == "ForeignAwait"
    assert str(fault.value).startswith(f"Rude.at_once(), line {line}: a vat method awaits promises only")
    assert "captp.outside" in str(fault.value)
    assert rude.count == 0
    solo.peer.check()


def test_who_looks_for_a_task_is_told_the_line_and_the_log_gets_what_was_raised() -> None:
    solo = Solo()
    line = line_of("nurse", "raise RuntimeError")

    with pytest.raises(captp.RemoteFault, match=rf"^Rude\.nurse\(\), line {line}: a vat method awaits"):
        solo.value(solo.ref(Rude()).nurse())

    (failure,) = solo.failures
    assert type(failure) is ForeignAwait
    assert type(failure.__cause__) is RuntimeError


def test_an_error_whose_text_raises_breaks_its_call_and_not_the_vat() -> None:
    solo, rude = Solo(), Rude()

    with pytest.raises(captp.RemoteFault) as fault:
        solo.value(solo.ref(rude).unspeakable())

    assert (fault.value.class_name, str(fault.value)) == ("RuntimeError", "")
    assert rude.count == 0
    solo.peer.check()


def test_a_promise_of_another_vat_is_no_promise_here() -> None:
    solo, other, rude = Solo(), Solo(seed=1), Rude()
    promise, _resolver = other.promise()
    JUNK["foreign"] = promise

    with pytest.raises(captp.RemoteFault, match=r"Rude\.at_once\(\)"):
        solo.value(solo.ref(rude).at_once("foreign"))
    del JUNK["foreign"]


def test_a_foreign_await_in_a_helper_names_the_method_that_was_called() -> None:
    solo = Solo()
    line = line_of("deep", "await self.helper")

    with pytest.raises(captp.RemoteFault, match=rf"^Rude\.deep\(\), line {line}: "):
        solo.value(solo.ref(Rude()).deep())


def test_a_foreign_await_rolls_back_that_step_only_and_leaves_other_fibers_alone() -> None:
    solo, sink = Solo(), Careful()
    rude, calm = Rude(), Careful()
    solo.ref(rude)
    solo.turn(lambda: setattr(rude, "sink", solo.ref(sink)))
    promise, resolver = solo.promise()
    bad, good = solo.ref(rude).step(promise), solo.ref(calm).wait(promise)
    solo.run()

    resolver.fulfill(None)
    with pytest.raises(captp.RemoteFault, match="awaits promises only"):
        solo.value(bad)

    assert outcome(good) == "done"
    assert rude.count == 1
    assert LOG == []
    assert [type(f) for f in solo.failures] == [ForeignAwait]


def test_a_fiber_that_swallows_the_error_goes_on_from_the_rolled_back_step() -> None:
    solo, rude, sink = Solo(), Rude(), Careful()
    solo.ref(rude)
    solo.turn(lambda: setattr(rude, "sink", solo.ref(sink)))

    assert solo.value(solo.ref(rude).swallow()) == 10

    assert LOG == ["sent after it"]
    assert rude.count == 10


def test_a_fiber_may_swallow_many_times_and_still_wait_for_a_promise() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    running = solo.ref(Rude()).swallow_often(promise)
    solo.run()
    line = line_of("swallow_often", "await foreign")

    resolver.fulfill("end")

    assert solo.value(running) == "end"
    assert [f"Rude.swallow_often(), line {line}"] * 3 == LOG


def test_dropping_the_result_throws_cancelled_at_the_await_and_cleanup_commits() -> None:
    solo, careful = Solo(), Careful()
    promise, _resolver = solo.promise()
    running = solo.ref(careful).wait(promise)
    solo.run()
    assert careful.state == "new"

    del running
    solo.run()

    assert careful.state == "cleaned"
    assert LOG == ["wait() was cancelled: nobody waits for its result"]
    assert solo.vat.dump()["fibers"] == []
    solo.peer.check()


def test_a_fiber_started_with_only_is_not_cancelled() -> None:
    solo, careful = Solo(), Careful()
    promise, resolver = solo.promise()
    solo.ref(careful).wait.only(promise)
    solo.run()
    gc.collect()
    solo.run()

    assert LOG == []
    resolver.fulfill(None)
    solo.run()
    assert solo.vat.dump()["fibers"] == []


@pytest.mark.parametrize("holder", ["state", "follower", "call", "select", "fiber", "message"])
def test_a_result_that_somebody_still_waits_for_is_not_dropped(holder: str) -> None:
    solo, careful, other = Solo(), Careful(), Careful()
    promise, resolver = solo.promise()
    running: Any = solo.ref(careful).wait(promise)
    keeper = solo.ref(other)
    mine, my_resolver = solo.promise()
    kept: list[Any] = []

    match holder:
        case "state":
            keeper.keep.only(running)
        case "follower":
            my_resolver.fulfill(running)
            kept.append(mine)
        case "call":
            captp.E(running).note.only("x")
        case "select":
            kept.append(running["x"])
        case "fiber":
            kept.append(keeper.wait(running))
        case "message":
            captp.E(mine).keep.only(running)
    solo.run()
    del running
    gc.collect()
    solo.run()
    assert LOG == []

    resolver.fulfill(None)
    solo.run()
    assert careful.state == "new"
    assert LOG == []


def test_cancelling_throws_once_per_drop_and_not_at_later_awaits() -> None:
    solo = Solo()
    (first, _), (second, two) = solo.promise(), solo.promise()
    running = solo.ref(Careful()).wait_twice(first, second)
    solo.run()

    del running
    solo.run()
    assert LOG == ["cancelled"]
    two.fulfill(None)
    solo.run()

    assert LOG == ["cancelled", "went on"]
    assert solo.vat.dump()["fibers"] == []


def test_a_fiber_that_ignores_its_cancellation_is_not_woken_by_the_await_it_left() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    running = solo.ref(Careful()).stubborn(promise)
    solo.run()
    del running
    solo.run()
    assert LOG == ["cancelled"]

    resolver.fulfill(None)
    solo.run()

    assert LOG == ["cancelled", "went on", "went on"]
    assert solo.vat.dump()["fibers"] == []
    solo.peer.check()


def test_a_result_dropped_while_the_next_step_was_already_due_still_cancels() -> None:
    solo, careful, holder = Solo(), Careful(), Careful()
    keeper = solo.ref(holder)
    (first, one), (second, _) = solo.promise(), solo.promise()
    running = solo.ref(careful).wait_twice(first, second)
    keeper.keep.only(running)
    del running
    solo.run()

    # The drop runs in one run of the vat, the fiber's step in the next.
    keeper.drop.only()
    one.fulfill(None)
    solo.run(budget=1)
    solo.run()

    assert LOG.count("cancelled") == 1
    solo.peer.check()


def test_dropping_the_result_of_a_call_that_waits_in_the_latch_still_runs_the_call() -> None:
    solo, careful = Solo(), Careful()
    ref = solo.ref(careful)
    promise, resolver = solo.promise()
    running = ref.wait(promise)
    queued = ref.note("queued")
    solo.run()

    del queued
    solo.run()
    resolver.fulfill(None)

    assert solo.value(running) == "done"
    assert LOG == ["queued"]


def test_cancelled_is_raised_to_whoever_calls_through_a_chain_of_fibers() -> None:
    solo = Solo()
    promise, _resolver = solo.promise()
    inner, outer = Careful(), Careful()
    running = solo.ref(outer).wait(solo.ref(inner).wait(promise))
    solo.run()

    del running
    solo.run()
    gc.collect()
    solo.run()

    assert (outer.state, inner.state) == ("cleaned", "cleaned")
