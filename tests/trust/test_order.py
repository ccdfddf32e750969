"""In which order a trustee does what it is asked, and that nothing is lost on the way; in every place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import pytest
import trio

from captp import Call
from tests.trust.places import Place


async def test_what_one_task_asks_is_done_in_that_order_waited_for_or_not(place: Place) -> None:
    note = place.cls.note
    for number in range(0, 60, 4):
        place.trust.apply_then(note, number)
        await place.trust.apply(note, number + 1)
        place.trust.apply_then(lambda c, n: c.note(n), number + 2)
        await place.trust.apply(lambda c, n: c.note(n), number + 3)

    assert await place.noted() == list(range(60))


async def test_many_calls_together_keep_their_place_among_the_others(place: Place) -> None:
    note = place.cls.note
    place.trust.apply_then(note, 0)
    await place.trust.apply_many([Call(note, 1), Call(lambda c, n: c.note(n), 2), Call(note, 3)])
    place.trust.apply_then(note, 4)
    await place.trust.apply_many([Call(note, 5), Call(note, 6)])
    await place.trust.apply_with(note, 7)

    assert await place.noted() == list(range(8))


async def test_each_of_many_tasks_has_its_own_order(place: Place) -> None:
    async def task(number: int) -> None:
        for step in range(0, 20, 2):
            place.trust.apply_then(place.cls.note, number * 100 + step)
            await place.trust.apply(place.cls.note, number * 100 + step + 1)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(task, number)

    noted = await place.noted()
    assert len(noted) == 160
    for number in range(8):
        assert [n % 100 for n in noted if n // 100 == number] == list(range(20))


async def test_calls_on_two_objects_of_one_trustee_keep_their_order_too(place: Place) -> None:
    one, other, key = place.trust, await place.new(), uuid4().hex
    for number in range(0, 40, 4):
        one.apply_then(place.cls.stamp, key, number)
        other.apply_then(place.cls.stamp, key, number + 1)
        await one.apply(place.cls.stamp, key, number + 2)
        await other.apply(place.cls.stamp, key, number + 3)

    stamps: Any = await other.apply(place.cls.stamps, key)
    assert list(stamps) == list(range(40))


# Nothing is lost.


async def increments(place: Place, tasks: int, calls: int) -> None:
    """Increment from so many tasks, each with a handle of its own."""
    found: list[int] = []

    async def task() -> None:
        trust, add = place.trust.clone(), place.cls.add
        found.extend([await trust.apply(add, 1) for _ in range(calls)])
        trust.drop()

    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(task)

    # Fetch-and-add: nobody has fetched what somebody else has.
    assert sorted(found) == list(range(1, tasks * calls + 1))
    assert await place.trust.apply(place.cls.get) == tasks * calls


async def test_many_tasks_add_up_exactly(place: Place) -> None:
    await increments(place, *place.ways.size)


@pytest.mark.slow
async def test_ten_times_as_many_calls_add_up_exactly(place: Place) -> None:
    tasks, calls = place.ways.size
    await increments(place, tasks, 10 * calls)


async def test_what_reads_and_writes_in_one_function_loses_nothing(place: Place) -> None:
    async def task() -> None:
        for _ in range(20):
            await place.trust.apply(lambda c: c.set(c.get() + 1))

    async with trio.open_nursery() as nursery:
        for _ in range(16):
            nursery.start_soon(task)

    assert await place.trust.apply(place.cls.get) == 320


async def test_unawaited_calls_add_up_exactly(
    open_place: Callable[..., AbstractAsyncContextManager[Place]],
) -> None:
    async with open_place(most=10_000) as place:

        async def task() -> None:
            for _ in range(100):
                place.trust.apply_then(place.cls.add, 1)
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(16):
                nursery.start_soon(task)

        assert await place.trust.apply(place.cls.get) == 1600
