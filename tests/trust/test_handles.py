"""How long an object and its trustee live, how much may wait, and what an error may spoil; in every place."""

from __future__ import annotations

import copy
import gc
import operator
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Call, Outcome
from tests.trust.places import Place, opened_alone
from tests.trust.things import Gate, passes

Opens = Callable[..., AbstractAsyncContextManager[Place]]


async def until_live(place: Place, count: int) -> None:
    """Wait until so many objects are left; what lets go of them may be another thread or process."""
    with trio.fail_after(5):
        while await place.live() != count:
            await trio.sleep(0.002)


async def test_a_dropped_handle_is_of_no_use_and_the_others_are(place: Place) -> None:
    trust, cls = place.trust, place.cls
    kept = trust.clone()
    trust.drop()
    trust.drop()

    waits: list[Callable[[], Any]] = [
        partial(trust.apply, cls.add, 1),
        partial(trust.apply, lambda c: c.add(1)),
        partial(trust.apply_with, cls.add, 1),
        partial(trust.apply_many, [Call(cls.add, 1)]),
    ]
    if place.ways.launches != "nothing":
        waits.append(partial(trust.launch, cls.hold, 1))
    uses: list[Callable[[], Any]] = [partial(trust.apply_then, cls.add, 1), trust.clone]
    if place.ways.has_now:
        uses.append(partial(trust.apply_now, cls.add, 1))
    for wait in waits:
        with pytest.raises(captp.Dropped):
            await wait()
    for use in uses:
        with pytest.raises(captp.Dropped):
            use()
    assert repr(trust) == "<Trust, dropped>"
    assert "Counter" in repr(kept) or "Plain" in repr(kept)
    assert await kept.apply(cls.add, 1) == 1


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, operator.methodcaller("__reduce_ex__", 4)])
async def test_a_handle_is_not_copied_or_serialised(place: Place, way: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="handle cannot be copied or serialised: clone"):
        way(place.trust)

    gc.collect()
    assert await place.trust.apply(place.cls.add, 1) == 1


async def test_its_reference_has_the_methods_of_the_class_wherever_the_object_is(place: Place) -> None:
    if not issubclass(place.cls, captp.Object):
        with pytest.raises(captp.Unpassable, match="stays in its vat"):
            _ = place.trust.reference
        return
    reference = place.trust.reference

    assert await reference.add(2) == 2
    assert await reference.listed() == (2,)
    del reference
    assert await place.trust.apply(place.cls.get) == 2


async def test_the_object_goes_with_the_last_handle(place: Place) -> None:
    first = await place.live()
    one = await place.new()
    assert await place.live() == first + 1
    other, third = one.clone(), one.clone()

    one.drop()
    # Not dropped: the garbage collector does it.
    del other
    assert await third.apply(place.cls.add, 1) == 1
    assert await place.live() == first + 1
    third.drop()

    await until_live(place, first)
    assert await place.trust.apply(place.cls.add, 1) == 1


async def test_an_object_whose_handle_is_dropped_does_first_what_was_asked(place: Place) -> None:
    first = await place.live()
    other = await place.new()
    key = f"dropped in {place.name}"
    for number in range(5):
        other.apply_then(place.cls.stamp, key, number)
    other.drop()

    await place.trust.apply(place.cls.get)
    await until_live(place, first)
    found: Any = await place.trust.apply(place.cls.stamps, key)
    assert list(found) == list(range(5))


# How much may wait.


@pytest.mark.parametrize("beyond", [0, 1])
async def test_as_many_calls_wait_as_may_and_then_no_more(open_place: Opens, beyond: int) -> None:
    async with open_place(most=20) as place:
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(20):
            place.trust.apply_then(place.cls.add, 1)
        if beyond:
            with pytest.raises(captp.Overloaded, match="20"):
                place.trust.apply_then(place.cls.add, 1)

        # To wait is the advice of the error, and the way out.
        assert await place.trust.apply(place.cls.get) == 20
        for _ in range(20):
            place.trust.apply_then(place.cls.add, 1)
        assert await place.trust.apply(place.cls.get) == 40


async def test_calls_that_wait_are_not_refused(open_place: Opens) -> None:
    found: list[int] = []
    async with open_place(most=20) as place:

        async def call() -> None:
            found.append(await place.trust.apply(place.cls.add, 1))

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(call)

    assert sorted(found) == list(range(1, 101))


# What an error may spoil.


async def test_an_object_that_a_turn_may_have_spoilt_waits_to_be_healed(open_place: Opens) -> None:
    async with open_place(on_error="poison") as place:
        trust, cls = place.trust, place.cls
        with pytest.raises(captp.Refused):
            await trust.apply(cls.refuse, 5)
        if not place.ways.poisons:
            # Its turn was undone: there is nothing to heal.
            trust.heal()
            assert await trust.apply(cls.add, 1) == 1
            return
        for fn in (cls.get, lambda c: c.get()):
            with pytest.raises(captp.Poisoned, match="after all"):
                await trust.apply(fn)
        ends = await trust.apply_many([Call(cls.get)] * 2)
        assert [type(o.error) for o in ends] == [captp.Poisoned] * 2
        if place.ways.has_now:
            with pytest.raises(captp.Poisoned):
                trust.apply_now(cls.get)
        other = await place.new()
        assert await other.apply(cls.add, 1) == 1

        trust.clone().heal()
        assert await trust.apply(cls.get) == (0 if place.ways.undoes else 5)
        assert await trust.apply(cls.add, 1) == (1 if place.ways.undoes else 6)


async def test_without_it_no_error_spoils_anything(place: Place) -> None:
    for _ in range(3):
        with pytest.raises(captp.Refused):
            await place.trust.apply(place.cls.refuse, 0)
        assert await place.trust.apply(place.cls.get) == 0
    place.trust.heal()
    assert await place.trust.apply(place.cls.get) == 0


# The end of a trustee.


async def test_a_trustee_that_has_ended_runs_nothing(name: str, shop: str) -> None:
    async with opened_alone(name, shop) as place:
        trust, cls = place.trust, place.cls
        assert await trust.apply(cls.add, 1) == 1

        await place.close()

        with trio.fail_after(5):
            try:
                ends = await trust.apply_many([Call(cls.get)] * 2)
            except captp.Closed as problem:
                ends = [Outcome(None, problem)] * 2
            assert [type(o.error) for o in ends] == [place.ways.closed] * 2
            told: list[Outcome[int]] = []
            try:
                trust.apply_then(cls.add, 1, then=told.append)
            except captp.Closed as problem:
                told.append(Outcome(0, problem))
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert [type(o.error) for o in told] == [place.ways.closed]
        trust.clone().drop()
        trust.drop()


async def test_a_call_after_the_end_of_its_trustee_is_refused(name: str, shop: str) -> None:
    async with opened_alone(name, shop) as place:
        await place.close()

        with trio.fail_after(5):
            for fn in (place.cls.add, lambda c, n: c.add(n)):
                with pytest.raises(place.ways.closed):
                    await place.trust.apply(fn, 1)


async def test_everybody_who_waits_is_told_of_the_end_once(name: str, shop: str) -> None:
    ends: list[Any] = []
    told = trio.Event()

    async def call(fn: Callable[..., Any], *args: Any) -> None:
        try:
            ends.append(await fn(*args))
        except (captp.Broken, captp.Closed) as problem:
            ends.append(type(problem))
        if len(ends) == 10:
            told.set()

    async def open_when_told(gate: Gate) -> None:
        await told.wait()
        gate.open.set()

    with trio.fail_after(0.5 if name in ("loop", "plain") else 10):
        async with trio.open_nursery() as nursery, opened_alone(name, shop) as place:
            trust, cls = place.trust, place.cls
            if name == "thread":
                gate = Gate()
                trust.apply_then(passes, gate)
                assert await trio.to_thread.run_sync(gate.entered.wait, 5)
                nursery.start_soon(open_when_told, gate)
            else:
                promise, _ = place.vat.promise()
                nursery.start_soon(call, trust.launch, cls.hold, promise)
                await trio.testing.wait_all_tasks_blocked(0.01)
            for _ in range(9):
                nursery.start_soon(call, trust.apply, cls.get)
            if name == "thread":
                nursery.start_soon(call, trust.apply, cls.get)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await place.close()

    assert ends == [place.ways.closed] * 10
