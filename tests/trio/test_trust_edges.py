"""Where a handle in the loop could do harm: to others' effects, to a vat, to an object that has gone."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

import captp


class Box(captp.Object):
    runs: int = 0

    @captp.method
    def run(self) -> int:
        self.runs += 1
        return self.runs

    @captp.method
    async def wait(self, promise: captp.Promise[None]) -> None:
        await promise


async def rises(_box: Box) -> int:
    return _box.run()


async def test_a_launch_cancelled_before_its_turn_never_runs() -> None:
    async with captp.open_vat() as vat:
        target = Box()
        box, ref = vat.entrust(target), vat.export(target)
        promise, resolver = vat.promise()
        waits = ref.wait(promise)
        await trio.testing.wait_all_tasks_blocked()

        with trio.move_on_after(0):
            await box.launch(rises)
        resolver.fulfill(None)
        await waits

        assert await box.apply(lambda b: b.runs) == 0


async def test_a_callback_that_raises_is_logged_and_the_vat_lives(caplog: pytest.LogCaptureFixture) -> None:
    def raises(_outcome: Any) -> None:
        raise KeyError("in a callback")

    async with captp.open_vat() as vat:
        box = vat.entrust(Box())
        box.apply_then(Box.run, then=raises)
        await trio.testing.wait_all_tasks_blocked()

        assert await box.apply(Box.run) == 2
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert [type(r.exc_info[1]) for r in errors if r.exc_info] == [KeyError]


async def test_a_queued_function_that_looks_for_a_task_fails_alone() -> None:
    told: list[Any] = []

    def look(_box: Box) -> None:
        trio.lowlevel.current_task()

    async with captp.open_vat() as vat:
        box = vat.entrust(Box())
        box.apply_then(look, then=told.append)
        await trio.testing.wait_all_tasks_blocked()

        (error,) = [outcome.error for outcome in told]
        assert isinstance(error, captp.ForeignAwait)
        assert "look(), line" in str(error)
        assert await box.apply(lambda _: 1) == 1


class Odd:
    """A function that answers some questions about itself with an error of its own."""

    def __getattr__(self, name: str) -> Any:
        raise (KeyError if name == "__wrapped__" else AttributeError)(name)

    def __call__(self, _box: Box) -> None:
        trio.lowlevel.current_task()


async def test_a_queued_function_that_says_nothing_of_itself_fails_alone_too() -> None:
    told: list[Any] = []
    async with captp.open_vat() as vat:
        box = vat.entrust(Box())
        box.apply_then(Odd(), then=told.append)
        await trio.testing.wait_all_tasks_blocked()

        assert [type(outcome.error) for outcome in told] == [RuntimeError]
        assert await box.apply(lambda _: 1) == 1


async def test_a_handle_that_goes_while_its_call_pauses_raises_and_harms_nobody() -> None:
    async with captp.open_vat() as vat:
        box, other = vat.entrust(Box()), vat.entrust(Box())
        dropped = 0

        async def call() -> None:
            nonlocal dropped
            try:
                while True:
                    await box.apply(Box.run)
            except captp.Dropped:
                dropped += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.lowlevel.checkpoint()
            box.drop()

        assert dropped == 1
        assert await other.apply(Box.run) == 1


async def test_a_turn_that_raises_undoes_its_own_sends_and_nobody_elses() -> None:
    async with captp.open_vat() as vat:
        box, ref = vat.entrust(Box()), vat.export(Box())
        sent = ref.run()
        # The driver has been told, and has not had its go: as after a connection was lost.
        vat.peer.vat.awake = False

        def fails(_box: Box) -> None:
            raise captp.Refused("no")

        with pytest.raises(captp.Refused):
            await box.apply(fails)
        assert await sent == 1


async def test_a_poisoned_object_waits_to_be_healed() -> None:
    def spoils(box: Box) -> None:
        box.run()
        raise KeyError("half done")

    async def spoils_later(box: Box) -> None:
        spoils(box)

    async with captp.open_vat() as vat:
        for is_async in (False, True):
            box = vat.entrust(Box(), on_error="poison")
            with pytest.raises(KeyError):
                await (box.launch(spoils_later) if is_async else box.apply(spoils))
            with pytest.raises(captp.Poisoned, match="half done"):
                await box.apply(Box.run)
            with pytest.raises(captp.Poisoned):
                box.apply_now(Box.run)
            outcomes = await box.apply_many([captp.Call(Box.run)] * 2)
            assert [type(o.error) for o in outcomes] == [captp.Poisoned] * 2
            box.heal()
            assert await box.apply(Box.run) == 1


async def test_what_was_queued_behind_the_turn_that_spoils_does_not_run() -> None:
    def spoils(_box: Box) -> None:
        raise KeyError("half done")

    async with captp.open_vat() as vat:
        box = vat.entrust(Box(), on_error="poison")
        calls = [captp.Call(Box.run), captp.Call(spoils), captp.Call(Box.run)]
        outcomes: list[captp.Outcome[Any]] = await box.apply_many(calls)

        assert [type(o.error) for o in outcomes] == [type(None), KeyError, captp.Poisoned]


async def test_an_object_that_somebody_else_holds_is_not_entrusted_alone() -> None:
    async with captp.open_vat() as vat:
        held = Box()
        with pytest.raises(captp.StillShared, match="Box"):
            vat.entrust(held, alone=True)
        shelf = [Box()]
        with pytest.raises(captp.StillShared):
            vat.entrust(shelf[0], alone=True)
        assert await vat.entrust(Box(), alone=True).apply(Box.run) == 1
        assert await vat.entrust(shelf.pop(), alone=True).apply(Box.run) == 1
        assert await vat.entrust(held).apply(Box.run) == 1
