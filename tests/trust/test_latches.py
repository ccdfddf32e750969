"""Turns that run at once, fibers that have an object to themselves, and calls that would wait for ever."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import captp
from tests.trust.places import Place


async def test_apply_now_runs_before_it_returns_or_raises_not_now(place: Place) -> None:
    if not place.ways.has_now:
        with pytest.raises(captp.NotNow, match="use apply"):
            place.trust.apply_now(place.cls.add, 1)
        assert await place.trust.apply(place.cls.get) == 0
        return
    assert place.trust.apply_now(place.cls.add, 1) == 1
    assert place.trust.apply_now(lambda c, n: c.add(n), 1) == 2
    with pytest.raises(captp.Refused):
        place.trust.apply_now(place.cls.refuse, 0)
    place.trust.apply_then(place.cls.add, 1)
    with pytest.raises(captp.NotNow, match="wait"):
        place.trust.apply_now(place.cls.get)
    async with place.busy():
        with pytest.raises(captp.NotNow, match="busy"):
            place.trust.apply_now(place.cls.get)
    assert place.trust.apply_now(place.cls.get) == 4


async def test_a_launched_function_has_the_object_to_itself(place: Place) -> None:
    seen: list[Any] = []

    async def look(number: int) -> None:
        seen.append((number, await place.trust.apply(place.cls.add, 1)))

    async with trio.open_nursery() as nursery, place.busy():
        for number in range(3):
            nursery.start_soon(look, number)
            await trio.testing.wait_all_tasks_blocked()
        assert seen == []

    # Whoever held it has counted one, and those behind it came in their order.
    assert sorted(seen) == [(0, 2), (1, 3), (2, 4)]


async def test_launch_gives_what_the_function_returns_and_raises_what_it_raises(place: Place) -> None:
    promise, resolver = place.vat.promise()
    resolver.fulfill(None)

    async def outside_of_the_class(counter: Any) -> int:
        await promise
        return int(counter.add(5))

    async def refuses(_: Any) -> None:
        await promise
        raise captp.Refused("after all")

    if place.ways.launches == "nothing":
        with pytest.raises(captp.UsageError, match="no async functions"):
            await place.trust.launch(place.cls.hold, promise)
    else:
        assert await place.trust.launch(place.cls.hold, promise) == 1
    if place.ways.launches == "any":
        assert await place.trust.launch(outside_of_the_class) == 6
        with pytest.raises(captp.Refused):
            await place.trust.launch(refuses)
    else:
        with pytest.raises(captp.UsageError):
            await place.trust.launch(outside_of_the_class)
    assert (
        await place.trust.apply(place.cls.add, 0)
        == {"nothing": 0, "marked": 1, "any": 6}[place.ways.launches]
    )


async def test_a_launch_that_is_cancelled_lets_others_have_the_object(place: Place) -> None:
    promise, resolver = place.vat.promise()
    if place.ways.launches == "nothing":
        with pytest.raises(captp.UsageError):
            await place.trust.launch(place.cls.hold, promise)
        return
    with trio.move_on_after(0.02) as scope:
        await place.trust.launch(place.cls.hold, promise)
    assert scope.cancelled_caught
    if place.ways.launches == "marked":
        # Who is gone from here has not let go there: `captp.within` in the method bounds it.
        resolver.fulfill(None)
    with trio.fail_after(0.5):
        assert await place.trust.apply(place.cls.add, 1) == (2 if place.ways.launches == "marked" else 1)


@pytest.mark.parametrize("how", ["sleep", "checkpoint"])
async def test_a_launched_function_that_uses_an_event_loop_is_told_what_to_use(
    place: Place, how: str
) -> None:
    if place.ways.launches == "nothing":
        return
    with pytest.raises(
        (captp.ForeignAwait, captp.RemoteFault), match=r"nap\(\), line \d+: .*outside"
    ) as caught:
        await place.trust.launch(place.cls.nap, how)

    if isinstance(caught.value, captp.RemoteFault):
        assert caught.value.class_name == "ForeignAwait"
    assert await place.trust.apply(place.cls.add, 1) == 1


async def test_launch_refuses_a_function_that_is_not_async(place: Place) -> None:
    with pytest.raises(captp.UsageError):
        await place.trust.launch(place.cls.add, 1)
    assert await place.trust.apply(place.cls.get) == 0


# Calls that would wait for themselves.


async def test_a_turn_that_asks_its_own_object_never_hangs(place: Place) -> None:
    trust, cls = place.trust, place.cls
    with pytest.raises(captp.Reentrant if place.ways.has_now else captp.NotNow):
        await trust.apply(lambda _: trust.apply_now(cls.add, 1))

    with trio.fail_after(5):
        if place.ways.reentrant is None:
            await trust.apply(lambda _: trust.apply_then(cls.add, 1))
        else:
            with pytest.raises(place.ways.reentrant):
                await trust.apply(lambda _: trust.apply_then(cls.add, 1))
        assert await trust.apply(cls.get) == (place.ways.reentrant is None)


async def test_two_that_hold_what_the_other_asks_for_do_not_wait_for_ever(place: Place) -> None:
    one, other = place.trust, await place.new()
    promise, resolver = place.vat.promise()
    ends: list[Any] = []

    async def asks_back(_: Any, asked: captp.Trust[Any], get: Any) -> Any:
        await promise
        return await asked.apply(get)

    async def launch(trust: captp.Trust[Any], fn: Any, *args: Any) -> None:
        try:
            ends.append(await trust.launch(fn, *args))
        except captp.Deadlock as problem:
            ends.append(type(problem))

    if place.ways.launches == "nothing":
        # Nothing there holds an object while it waits.
        with pytest.raises(captp.UsageError):
            await one.launch(asks_back, other, place.cls.get)
        return
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            if place.ways.launches == "any":
                nursery.start_soon(launch, one, asks_back, other, place.cls.get)
                nursery.start_soon(launch, other, asks_back, one, place.cls.get)
            else:
                refs = [await trust.apply(lambda c: c) for trust in (one, other)]
                nursery.start_soon(launch, one, place.cls.ask, promise, refs[1])
                nursery.start_soon(launch, other, place.cls.ask, promise, refs[0])
            await trio.testing.wait_all_tasks_blocked(0.01)
            resolver.fulfill(None)

    # The newer of the two waits breaks, and the other goes on.
    assert sorted(ends, key=str) == [0, captp.Deadlock]


async def test_one_that_asks_for_what_it_holds_itself_does_not_wait_for_ever(place: Place) -> None:
    trust, cls = place.trust, place.cls
    promise, resolver = place.vat.promise()
    resolver.fulfill(None)

    async def asks_itself(_: Any) -> Any:
        return await trust.apply(cls.get)

    with trio.fail_after(5):
        if place.ways.launches == "any":
            with pytest.raises(captp.Deadlock):
                await trust.launch(asks_itself)
        elif place.ways.launches == "marked":
            itself = await trust.apply(lambda c: c)
            with pytest.raises(captp.Deadlock):
                await trust.launch(cls.ask, promise, itself)
        assert await trust.apply(cls.add, 1) == 1
