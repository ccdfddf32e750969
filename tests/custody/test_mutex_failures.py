"""Mutexes whose holders fail: poison, and what becomes of it when a turn is undone."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import trio
import trio.testing

import captp
from tests.custody.counters import BOXES, Adder, Box, Odd, settle
from tests.support import Solo, outcome


@pytest.mark.parametrize("how", ["access", "block"])
async def test_what_is_raised_poisons_whoever_waits_and_whoever_comes(how: str) -> None:
    async with captp.open_vat() as vat:
        box = Box(vat)
        guard, waiting = await box.mutex.lock(), box.mutex.lock()
        if how == "access":
            with pytest.raises(captp.Encapsulated), guard:
                guard.access(box.add_and_fail)
        else:
            with pytest.raises(Odd), guard:
                raise Odd

        for promise in (waiting, box.mutex.lock()):
            with pytest.raises(captp.Poisoned, match="heal"):
                await promise
        with pytest.raises(captp.Poisoned):
            box.mutex.destroy()
        box.mutex.heal()
        (await box.mutex.lock()).release()
        box.check()
        assert box.mutex.destroy().access(box.add, 0)[0] == (1 if how == "access" else 0)


async def test_poison_vs_rollback() -> None:
    async with captp.open_vat() as vat:
        adder = vat.export(Adder())

        async def after(how: str) -> tuple[int, str]:
            """Let a fiber fail; return what is in the capsule then, and whether the mutex is poisoned."""
            box = BOXES[number := await adder.make()]
            try:
                await adder.fail(number, how)
            except captp.Encapsulated:
                assert how != "caught"
            gc.collect()
            await settle()
            state = repr(box.mutex).split()[-1][:-1]
            box.mutex.heal()
            with trio.fail_after(5):
                guard = await box.mutex.lock()
            n = guard.access(box.add, 0)
            guard.release()
            box.check()
            return n, state

        # The turn is undone, with what it wrote and with the poison.
        assert await after("in a block") == (0, "open")
        assert await after("in finally") == (0, "open")
        # The turn commits, half done.
        assert await after("caught") == (1, "poisoned")
        # What the step before wrote is committed, and the step that fails is undone.
        assert await after("later") == (1, "poisoned")


async def test_what_a_failed_turn_did_with_the_lock_is_undone() -> None:
    solo = Solo()
    box = Box(solo.vat)
    guard = outcome(box.mutex.lock())
    waiting = box.mutex.lock()
    others: list[Any] = []

    def fails() -> None:
        guard.release()
        others.append(box.mutex.lock())
        raise Odd

    with pytest.raises(Odd):
        solo.turn(fails)
    assert "held" in repr(guard)
    assert not waiting.settled
    assert len(box.mutex._line.waiting) == 1

    def destroys() -> None:
        guard.release()
        box.mutex._line.waiting.clear()
        others.append(box.mutex.destroy())
        raise Odd

    del waiting
    with pytest.raises(Odd):
        solo.turn(destroys)
    with pytest.raises(captp.Contended, match="used by a turn that failed"):
        others[-1].access(box.add)
    assert guard.access(box.add) == 1
    guard.release()
    assert box.mutex.destroy().access(box.add)[0] == 2


def test_a_lock_that_a_failed_turn_took_is_free_whoever_keeps_what_it_got() -> None:
    solo = Solo()
    box = Box(solo.vat)
    kept: list[Any] = []

    def fails() -> None:
        kept.append(box.mutex.lock())
        raise Odd

    with pytest.raises(Odd):
        solo.turn(fails)

    guard = outcome(box.mutex.lock())
    with pytest.raises(captp.Contended, match="given back"):
        outcome(kept[0]).access(box.add)
    assert guard.access(box.add) == 1


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_more_than_the_access_poisons_too(problem: BaseException) -> None:
    def fail(_: Any) -> None:
        raise problem

    async with captp.open_vat() as vat:
        box = Box(vat)
        guard = await box.mutex.lock()
        with pytest.raises(type(problem)):
            guard.access(fail)
        guard.release()

        with pytest.raises(captp.Poisoned):
            await box.mutex.lock()
