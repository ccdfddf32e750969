"""Fibers: async methods wait for promises, one turn per step, and their object is latched meanwhile."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import captp
from tests.support import Solo, outcome

LOG: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


class Account(captp.Interface):
    @captp.method
    def balance(self) -> int: ...


class Purse(captp.Object, Account):
    total: int = 3

    @captp.method
    def balance(self) -> int:
        return self.total


class Worker(captp.Object):
    name: str = ""
    count: int = 0
    kept: Any = None

    @captp.method
    def note(self, what: Any) -> Any:
        LOG.append((self.name, what) if self.name else what)
        return what

    @captp.method
    def keep(self, value: Any) -> None:
        self.kept = value

    @captp.method
    async def wait(self, promise: captp.Promise[Any], mark: Any = "") -> Any:
        LOG.append(("start", mark))
        value = await promise
        LOG.append(("end", mark))
        return value

    @captp.method(latch=False)
    async def wait_open(self, promise: captp.Promise[Any], mark: Any = "") -> Any:
        LOG.append(("start", mark))
        value = await promise
        LOG.append(("end", mark))
        return value

    @captp.method
    async def two_steps(self, first: captp.Promise[Any], second: captp.Promise[Any], sink: Any) -> int:
        self.count += 1
        captp.E(sink).note.only("first")
        await first
        self.count += 10
        captp.E(sink).note.only("second")
        await second
        self.count += 100
        captp.E(sink).note.only("third")
        raise captp.Refused("third step")

    @captp.method
    async def catch(self, promise: captp.Promise[Any]) -> str:
        try:
            await promise
        except captp.Refused as error:
            self.count += 1
            return f"caught {error}"
        return "not broken"

    @captp.method
    async def refuse_at_once(self) -> None:
        self.count = 9
        raise captp.Refused("at once")

    @captp.method
    async def references(self, ref: Account, bank: Any) -> list[Any]:
        same = await ref
        opened = await captp.E(bank).balance()
        return [same, opened, await self.helper(ref)]

    async def helper(self, ref: Account) -> int:
        return await ref.balance()

    @captp.method
    async def give(self) -> Account:
        return Purse(total=8)

    @captp.method
    async def unpassable(self, promise: captp.Promise[Any]) -> Any:
        await promise
        self.count += 1
        return object()

    @captp.method
    async def many(self, count: int, promise: captp.Promise[Any]) -> int:
        for _ in range(count):
            await promise
            self.count += 1
        return self.count

    @captp.method
    async def interrupt(self, promise: captp.Promise[Any]) -> None:
        await promise
        self.count += 1
        raise KeyboardInterrupt


def test_a_fiber_that_awaits_a_settled_promise_ends_in_one_run() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    resolver.fulfill(5)
    solo.run()

    assert solo.value(solo.ref(Worker()).wait(promise)) == 5
    assert solo.value(solo.ref(Worker()).many(2_000, promise)) == 2_000


def test_a_fiber_parks_on_a_pending_promise_and_goes_on_when_it_settles() -> None:
    solo, worker = Solo(), Worker()
    promise, resolver = solo.promise()
    running = solo.ref(worker).wait(promise)
    solo.run()

    assert LOG == [("start", "")]
    assert not running.settled
    assert solo.vat.dump()["fibers"] == ["<fiber Worker.wait>"]
    resolver.fulfill(5)

    assert solo.value(running) == 5
    assert solo.vat.dump()["fibers"] == []
    solo.peer.check()


def test_a_broken_promise_is_raised_at_the_await_and_can_be_caught() -> None:
    solo, worker = Solo(), Worker()
    promise, resolver = solo.promise()
    running = solo.ref(worker).catch(promise)
    solo.run()

    resolver.break_(captp.Refused("no"))

    assert solo.value(running) == "caught no"
    assert worker.count == 1


def test_a_fiber_awaits_references_promised_calls_and_helpers() -> None:
    solo, purse = Solo(), Purse()
    ref = solo.ref(purse, Account)

    same, opened, helped = solo.value(solo.ref(Worker()).references(ref, ref))

    assert same is ref
    assert (opened, helped) == (3, 3)


def test_a_result_of_interface_type_is_a_reference() -> None:
    solo = Solo()

    assert isinstance(solo.value(solo.ref(Worker()).give()), Account)
    assert solo.value(solo.ref(Worker()).give().balance()) == 8


def test_each_await_commits_and_a_later_failure_rolls_back_its_own_step_only() -> None:
    solo, worker, sink = Solo(), Worker(), Worker()
    (first, one), (second, two) = solo.promise(), solo.promise()
    running = solo.ref(worker).two_steps(first, second, solo.ref(sink))
    solo.run()
    assert (worker.count, LOG) == (1, ["first"])

    one.fulfill(None)
    solo.run()
    assert (worker.count, LOG) == (11, ["first", "second"])

    two.fulfill(None)
    with pytest.raises(captp.Refused, match="third step"):
        solo.value(running)
    assert (worker.count, LOG) == (11, ["first", "second"])
    solo.peer.check()


def test_a_fiber_that_fails_in_its_first_step_changes_nothing_and_latches_nothing() -> None:
    solo, worker = Solo(), Worker()
    ref = solo.ref(worker)

    failed, after = ref.refuse_at_once(), ref.note("after")
    with pytest.raises(captp.Refused, match="at once"):
        solo.value(failed)

    assert worker.count == 0
    assert outcome(after) == "after"


def test_an_unpassable_result_breaks_the_promise_and_rolls_the_last_step_back() -> None:
    solo, worker = Solo(), Worker()
    promise, resolver = solo.promise()
    running = solo.ref(worker).unpassable(promise)
    solo.run()

    resolver.fulfill(None)

    with pytest.raises(captp.RemoteFault) as fault:
        solo.value(running)
    assert fault.value.class_name == "Unpassable"
    assert worker.count == 0


def test_while_a_fiber_waits_its_object_holds_other_messages_in_order_and_others_run() -> None:
    solo = Solo()
    ref, other = solo.ref(Worker()), solo.ref(Worker(name="other"))
    promise, resolver = solo.promise()

    ref.wait.only(promise, 1)
    ref.note.only("a")
    solo.run()
    ref.note.only("b")
    other.note.only("x")
    solo.run()
    assert LOG == [("start", 1), ("other", "x")]
    ref.note.only("c")
    resolver.fulfill(None)
    ref.note.only("d")
    solo.run()

    assert LOG[2:] == [("end", 1), "a", "b", "c", "d"]


def test_held_messages_that_latch_again_keep_the_order() -> None:
    solo = Solo()
    ref = solo.ref(Worker())
    gates = [solo.promise() for _ in range(3)]
    for i, (promise, _) in enumerate(gates):
        ref.wait.only(promise, i)
        ref.note.only(i)
    solo.run()

    for _promise, resolver in reversed(gates):
        resolver.fulfill(None)
        solo.run()

    assert [s for i in range(3) for s in (("start", i), ("end", i), i)] == LOG
    solo.peer.check()


def test_without_a_latch_other_messages_run_while_the_fiber_waits() -> None:
    solo = Solo()
    ref = solo.ref(Worker())
    (first, one), (second, two) = solo.promise(), solo.promise()

    ref.wait_open.only(first, 1)
    ref.wait_open.only(second, 2)
    ref.note.only("between")
    solo.run()
    two.fulfill(None)
    solo.run()
    one.fulfill(None)
    solo.run()

    assert LOG == [("start", 1), ("start", 2), "between", ("end", 2), ("end", 1)]


@pytest.mark.parametrize("ending", ["fulfilled", "broken", "cancelled"])
def test_however_a_fiber_ends_its_object_takes_messages_again(ending: str) -> None:
    solo = Solo()
    ref = solo.ref(Worker())
    promise, resolver = solo.promise()
    running: Any = ref.wait(promise)
    after = ref.note("after")
    solo.run()

    match ending:
        case "fulfilled":
            resolver.fulfill(1)
        case "broken":
            resolver.break_(captp.Refused("no"))
        case _:
            del running

    assert solo.value(after) == "after"
    assert ref.note.now("now") == "now"
    solo.peer.check()


def test_fibers_that_wait_for_one_promise_go_on_in_the_order_they_came() -> None:
    solo = Solo()
    refs = [solo.ref(Worker()) for _ in range(5)]
    promise, resolver = solo.promise()
    for i, ref in enumerate(refs):
        ref.wait.only(promise, i)
    solo.run()

    resolver.fulfill(None)
    solo.run()

    assert [("start", i) for i in range(5)] + [("end", i) for i in range(5)] == LOG


def test_an_interrupt_out_of_a_step_goes_up_and_leaves_the_object_usable() -> None:
    solo, worker = Solo(), Worker()
    ref = solo.ref(worker)
    promise, resolver = solo.promise()
    running = ref.interrupt(promise)
    after = ref.note("after")
    solo.run()

    resolver.fulfill(None)
    with pytest.raises(KeyboardInterrupt):
        solo.run()

    assert solo.value(after) == "after"
    assert worker.count == 0
    solo.peer.check()
    del running


def test_fibers_of_many_objects_wait_at_the_same_time() -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    running = [solo.ref(Worker()).wait(promise, i) for i in range(1_000)]
    solo.run()
    assert len(solo.vat.dump()["fibers"]) == 1_000

    resolver.fulfill("done")
    solo.run()

    assert {outcome(p) for p in running} == {"done"}
    assert solo.vat.dump()["fibers"] == []


def test_closing_the_vat_ends_its_fibers_where_they_wait() -> None:
    class Tidy(captp.Object):
        open: bool = True

        @captp.method
        async def run(self, promise: captp.Promise[Any]) -> None:
            try:
                await promise
            finally:
                self.open = False
                LOG.append("tidied")

    solo, tidy = Solo(), Tidy()
    promise, _resolver = solo.promise()
    running = solo.ref(tidy).run(promise)
    solo.run()

    solo.vat.close()
    gc.collect()

    assert LOG == ["tidied"]
    assert solo.vat.dump()["fibers"] == []
    del running


def test_awaiting_the_object_itself_is_a_mistake_that_says_so() -> None:
    class Self(captp.Object, Account):
        @captp.method
        def balance(self) -> int:
            return 1

        @captp.method
        async def go(self) -> None:
            await self

    solo = Solo()

    with pytest.raises(captp.RemoteFault, match="Self is the object itself, not a reference"):
        solo.value(solo.ref(Self()).go())
