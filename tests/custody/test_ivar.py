"""Ivars: written once, read by any number, and never by what could be changed."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

import captp
from captp import Capsule, Data, Ivar
from captp.model.promise import FULFILLED, Settlement
from tests.support import Solo, outcome


class Reader(captp.Object):
    @captp.method
    async def read(self, number: int) -> int:
        value: int = await CELLS[number].read()
        return value + 1

    @captp.method
    def make(self) -> int:
        CELLS.append(Ivar())
        return len(CELLS) - 1


CELLS: list[Ivar[Any]] = []


async def test_tasks_and_fibers_read_what_is_filled_in_once() -> None:
    got: list[Any] = []

    async def reads(cell: Ivar[int]) -> None:
        got.append(await cell.read())

    async with captp.open_vat() as vat:
        reader = vat.export(Reader())
        cell = CELLS[number := await reader.make()]
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(reads, cell)
            early = vat.export(Reader()).read(number)
            await trio.testing.wait_all_tasks_blocked()
            cell.fill(7)
        late = reader.read(number)

        assert (await early, await late, await cell.read(), got) == (8, 8, 7, [7, 7, 7])


@pytest.mark.parametrize("seed", range(10))
def test_a_random_walk_agrees_with_the_model(seed: int) -> None:
    draw, solo = random.Random(seed), Solo()
    cell: Ivar[int] = Ivar(solo.vat)
    model: int | None = None
    promises = [cell.read()]
    for value in range(40):

        def fill(value: int = value) -> None:
            cell.fill(value)

        def fails(value: int = value) -> None:
            cell.fill(value)
            raise captp.Refused("no")

        if draw.random() < 0.1:
            how = draw.choice([fill, lambda: solo.turn(fill)])
            if model is None:
                how()
                model = value
            else:
                with pytest.raises(captp.UsageError, match="once"):
                    how()
        else:
            with pytest.raises(captp.Refused if model is None else captp.UsageError):
                solo.turn(fails)
        promises.append(cell.read())
        solo.run()
        assert all(promise.settled == (model is not None) for promise in promises)
        assert model is None or {outcome(promise) for promise in promises} == {model}


def test_what_it_holds_is_portable_and_belongs_to_its_vat() -> None:
    solo, other = Solo(), Solo(seed=1)
    data, _ = Capsule.create().access(lambda access: Data.wrap(access, [1]))
    mine, theirs = solo.ref(Reader()), other.ref(Reader())

    for value, wanted in (
        ([1, {"a": [2]}], (1, {"a": (2,)})),
        ({1: {2}}, {1: frozenset({2})}),
        (data, data),
        ((mine, data), (mine, data)),
    ):
        cell: Ivar[Any] = Ivar(solo.vat)
        cell.fill(value)
        solo.run()
        assert outcome(cell.read()) == wanted
    for wrong in (
        Reader(),
        object(),
        theirs,
        [theirs],
        {"a": theirs},
        {1: {theirs}},
        captp.Tagged("t", theirs),
        captp.Fault("f", {"a": theirs}),
        other.promise()[0],
    ):
        cell = Ivar(solo.vat)
        with pytest.raises(captp.Unpassable):
            cell.fill(wrong)
        cell.fill(1)


def test_it_is_filled_in_its_own_vat() -> None:
    solo, other = Solo(), Solo(seed=1)
    cell: Ivar[int] = Ivar(solo.vat)
    with pytest.raises(captp.UsageError, match="told its vat"):
        Ivar()

    with pytest.raises(captp.Contended, match="belongs to a vat"):
        other.turn(lambda: cell.fill(1))
    solo.vat.emit(Settlement(solo.promise()[0], FULFILLED, None))
    solo.turn(lambda: cell.fill(2))

    assert outcome(cell.read()) == 2
    assert repr(cell) == "<Ivar, filled>"
