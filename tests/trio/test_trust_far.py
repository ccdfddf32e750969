"""A Trust over a reference: calls, plans and batches that run where the object is."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Call, Outcome
from captp.limits import Limits
from captp.net.tcp import TcpNetlayer


class Count(captp.Interface):
    @captp.method
    def add(self, number: int) -> int: ...  # type: ignore[empty-body]


class Counter(captp.Object, Count):
    count: int = 0

    @captp.method
    def add(self, number: int) -> int:
        if number == 13:
            raise captp.Refused("not that one")
        self.count += number
        return self.count

    @captp.method
    def now(self, *, times: int = 1) -> int:
        return self.count * times

    @captp.method
    def draw(self, size: int) -> bytes:
        return bytes(size)

    @captp.method
    def later(self, promise: captp.Promise[int]) -> Any:
        return promise

    @captp.method
    async def wait(self, promise: captp.Promise[int]) -> int:
        return await promise

    def unmarked(self) -> int:
        return self.count


@asynccontextmanager
async def far_counter(cls: type = Counter) -> AsyncIterator[tuple[captp.LiveVat, captp.Trust[Any]]]:
    key = captp.PrivateKey.from_seed(os.urandom(32))
    async with captp.open_vat(key=key, listen=[TcpNetlayer()]) as host, captp.open_vat() as vat:
        yield vat, captp.trust(vat.enliven(host.mint(Counter())), cls)


async def test_marked_methods_travel_as_calls_and_other_functions_as_plans() -> None:
    async with far_counter() as (_vat, counter):
        assert await counter.apply(Counter.add, 3) == 3
        assert await counter.apply(lambda c: c.add(c.now() + 1)) == 7
        assert await counter.apply(Counter.now, times=2) == 14
        assert await counter.apply_with(Counter.add, 1) == 8


async def test_a_handle_typed_as_an_interface_calls_its_methods() -> None:
    async with far_counter(Count) as (_vat, counter):
        assert await counter.apply(Count.add, 3) == 3
        assert await counter.apply(lambda c, n: c.add(n), 4) == 7


class Shelf(captp.Object):
    goods: captp.Map[str, int]

    @captp.method
    def find(self, name: str) -> int | None:
        return self.goods.get(name)


async def test_a_method_that_was_taken_before_its_first_plain_call_travels_as_a_call_after_it() -> None:
    before = Shelf.find
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as vat:
        far = captp.trust(vat.enliven(host.mint(Shelf(goods=captp.Map(pears=5)))), Shelf)

        assert await far.apply(before, "pears") == 5
        assert Shelf().find("pears") is None
        assert Shelf.find is not before
        for taken in (before, Shelf.find):
            assert await far.apply(taken, "pears") == 5
            assert await far.apply_many([Call(taken, "pears"), Call(taken, "plums")]) == [
                Outcome(5),
                Outcome(None),
            ]


async def test_what_is_not_marked_is_recorded_and_refused_there() -> None:
    async with far_counter() as (_vat, counter):
        with pytest.raises(captp.UsageError):
            await counter.apply(Counter.unmarked)
        with pytest.raises(captp.UsageError, match="marked async method"):
            await counter.launch(Counter.add, 1)  # type: ignore[arg-type]
        with pytest.raises(captp.NotNow):
            counter.apply_now(Counter.now)


async def test_a_batch_has_an_outcome_for_each_call_in_order() -> None:
    async with far_counter() as (_vat, counter):
        calls = [Call(Counter.add, n) for n in (1, 13, 2)]
        calls += [Call(Counter.now, times=3), Call(Counter.add, "x")]
        outcomes = await counter.apply_many(calls)

        assert [o.value for o in outcomes] == [1, None, 3, 9, None]
        assert [type(o.error) for o in outcomes] == [
            type(None),
            captp.Refused,
            type(None),
            type(None),
            captp.BadArguments,
        ]


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
async def test_a_batch_may_have_any_number_of_calls(count: int) -> None:
    async with far_counter() as (_vat, counter):
        outcomes = await counter.apply_many([Call(Counter.add, 1)] * count)

        assert [o.unwrap() for o in outcomes] == list(range(1, count + 1))


async def test_plans_in_a_batch_keep_their_place() -> None:
    async with far_counter() as (vat, counter):
        promise, resolver = vat.promise()
        resolver.fulfill(5)
        plan = Call(lambda c: c.add(c.now()))
        calls: list[Call[Any]] = [Call(Counter.add, 1), plan, Call(Counter.wait, promise), Call(Counter.now)]
        outcomes = await counter.apply_many(calls)

        assert outcomes == [Outcome(1), Outcome(2), Outcome(5), Outcome(2)]


async def test_a_result_that_comes_later_is_waited_for() -> None:
    async with far_counter() as (vat, counter):
        promise, resolver = vat.promise()
        outcomes: list[Outcome[Any]] = []

        async def call() -> None:
            outcomes.extend(await counter.apply_many([Call(Counter.later, promise), Call(Counter.now)]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not outcomes
            resolver.fulfill(5)

        assert outcomes == [Outcome(5), Outcome(0)]


async def test_large_results_of_a_batch_break_alone() -> None:
    async with far_counter() as (_vat, counter):
        outcomes = await counter.apply_many([Call(Counter.draw, Limits().message_bytes * 3 // 10)] * 8)

        sizes = [0 if o.error is not None else len(o.value) for o in outcomes]
        assert sizes == [Limits().message_bytes * 3 // 10] * 3 + [0] * 5
        assert {type(o.error) for o in outcomes[3:]} == {captp.Overloaded}
        assert await counter.apply(Counter.now) == 0


async def test_outcomes_are_told_and_failures_that_nobody_hears_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with far_counter() as (vat, counter):
        told: list[Outcome[int]] = []
        counter.apply_then(Counter.add, 2, then=told.append)
        counter.apply_then(Counter.add, 13, then=told.append)
        counter.apply_then(Counter.add, 13)
        counter.apply_then(Counter.add, 4, then=lambda _o: 1 / 0)  # type: ignore[arg-type, return-value]
        assert await counter.apply(Counter.now) == 6
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not vat.peer.vat.unheard

    assert [o.value for o in told] == [2, None]
    logged = [r.exc_info[1] for r in caplog.records if r.levelno == logging.ERROR and r.exc_info]
    assert {type(problem) for problem in logged} >= {captp.Refused, ZeroDivisionError}


async def test_a_dropped_handle_reaches_nothing() -> None:
    async with far_counter() as (_vat, counter):
        other = counter.clone()
        counter.drop()
        counter.drop()

        with pytest.raises(captp.Dropped):
            await counter.apply(Counter.now)
        with pytest.raises(captp.Dropped):
            counter.apply_then(Counter.now)
        with pytest.raises(captp.Dropped):
            counter.clone()
        assert await other.apply(Counter.now) == 0


async def test_a_launched_method_has_the_object_to_itself() -> None:
    async with far_counter() as (vat, counter):
        promise, resolver = vat.promise()
        seen: list[Any] = []

        async def launch() -> None:
            seen.append(await counter.launch(Counter.wait, promise))

        async def look() -> None:
            seen.append(await counter.apply(Counter.now))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(launch)
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.start_soon(look)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not seen
            resolver.fulfill(5)

        assert sorted(seen) == [0, 5]


async def test_only_references_and_classes_with_marked_methods_make_a_handle() -> None:
    async with captp.open_vat() as vat:
        with pytest.raises(captp.UsageError, match=r"vat\.entrust"):
            captp.trust(Counter(), Counter)
        with pytest.raises(captp.BadClass):
            captp.trust(vat.export(Counter()), int)
        near = captp.trust(vat.export(Counter()), Counter)
        assert await near.apply(Counter.add, 3) == 3
        assert await near.apply(lambda c: c.add(c.now())) == 6
        assert [o.value for o in await near.apply_many([Call(Counter.add, 1)] * 2)] == [7, 8]


async def test_what_a_plan_captures_is_checked_as_everywhere() -> None:
    async with far_counter() as (_vat, counter):
        config = {"step": 1}
        with pytest.raises(captp.CaptureError, match="'config'"):
            await counter.apply(lambda c: c.add(config["step"]))


class Keeper(captp.Object):
    kept: Any = None

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept = what

    @captp.method
    async def add_to_kept(self, number: int) -> int:
        total: int = await captp.E(self.kept).add(number)
        return total


async def test_a_handle_that_is_passed_arrives_as_its_reference() -> None:
    class Plain:
        pass

    async with far_counter() as (vat, counter):
        keeper: Any = captp.E(vat.export(Keeper()))
        near = vat.entrust(Counter())
        for handle in (counter, near):
            await keeper.keep(handle)
            assert await keeper.add_to_kept(4) == 4
            assert await handle.apply(Counter.now) == 4
        with pytest.raises(captp.Unpassable):
            keeper.keep(vat.entrust(Plain()))


async def test_a_method_that_waits_too_long_for_another_host_is_told() -> None:
    class Waiter(captp.Object):
        @captp.method
        async def wait_for(self, counter: Any, promise: captp.Promise[int]) -> str:
            try:
                await captp.trust(counter, Counter).launch(Counter.wait, promise)
            except captp.Deadlock as problem:
                return str(problem)
            return "it came"

    key = captp.PrivateKey.from_seed(os.urandom(32))
    async with (
        captp.open_vat(key=key, listen=[TcpNetlayer()]) as host,
        captp.open_vat(limits=Limits(launch_s=0.05)) as vat,
    ):
        counter, waiter = vat.enliven(host.mint(Counter())), captp.E(vat.export(Waiter()))
        promise, resolver = vat.promise()
        assert "has not ended in 0.05 s" in await waiter.wait_for(counter, promise)
        resolver.fulfill(5)
        assert await waiter.wait_for(counter, promise) == "it came"


async def test_results_that_are_references_have_the_methods_of_their_interface() -> None:
    class Maker(captp.Object):
        @captp.method
        def make(self) -> Count:
            return Counter()

    async with captp.open_vat() as vat:
        key = captp.PrivateKey.from_seed(os.urandom(32))
        async with captp.open_vat(key=key, listen=[TcpNetlayer()]) as host:
            maker = captp.trust(vat.enliven(host.mint(Maker())), Maker)
            made = [await maker.apply(Maker.make)]
            made += [outcome.unwrap() for outcome in await maker.apply_many([Call(Maker.make)] * 2)]
            assert [await counter.add(2) for counter in made] == [2, 2, 2]
