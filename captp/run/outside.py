"""Runs what ``captp.outside`` asked for under trio, and cancels it when whoever waits for it lets go."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from captp.model.promise import BROKEN, FULFILLED
from captp.run.outside_call import OutsideCall
from captp.vat.vat import Vat

if TYPE_CHECKING:
    from captp.run.child_outside import OutsideThread

__all__ = ["run_outside", "serve"]


async def run_outside(call: OutsideCall, vat: Vat, under_way: set[OutsideCall]) -> None:
    """Run a function of a vat that this very loop drives, a plain one in a worker thread."""
    soon = _soon(trio.lowlevel.current_trio_token())
    try:
        with trio.CancelScope() as scope:
            call.watch(lambda: soon(scope.cancel))
            call.settle(vat, *await _outcome(call))
    finally:
        under_way.discard(call)


def serve(thread: OutsideThread) -> None:
    """Run the functions of a vat that another thread drives, until that closes this one."""
    trio.run(_serve, thread)


async def _serve(thread: OutsideThread) -> None:
    async with trio.open_nursery() as nursery:

        def take() -> None:
            while thread.told:
                call = thread.told.popleft()
                if call is None:
                    nursery.cancel_scope.cancel()
                elif call.scope is not None:
                    call.scope.cancel()
                else:
                    call.scope = trio.CancelScope()
                    nursery.start_soon(_run, call, thread)

        soon = _soon(trio.lowlevel.current_trio_token())
        thread.wake = lambda: soon(take)
        take()
        await trio.sleep_forever()


async def _run(call: OutsideCall, thread: OutsideThread) -> None:
    outcome = None
    with call.scope:
        outcome = await _outcome(call)
    thread.over(call, outcome)


async def _outcome(call: OutsideCall) -> tuple[int, Any]:
    function, args = call.function, call.args
    try:
        if _is_async(function):
            return FULFILLED, await function(*args)
        return FULFILLED, await trio.to_thread.run_sync(lambda: function(*args))
    except Exception as problem:  # the function's own error breaks its promise, no more
        return BROKEN, problem


def _soon(token: trio.lowlevel.TrioToken) -> Callable[[Callable[[], object]], None]:
    """Return what has something called in the loop, from any thread, unless the loop has ended."""

    def soon(function: Callable[[], object]) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(function)

    return soon


def _is_async(function: Any) -> bool:
    target = function.__call__ if not inspect.isroutine(function) else function
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(target)
