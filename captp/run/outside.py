"""Runs what ``captp.outside`` asked for, and cancels it when whoever waits for it lets go."""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import trio

from captp.model.promise import BROKEN, FULFILLED, Promise
from captp.vat.vat import Vat

log = logging.getLogger("captp")


async def run_outside(
    vat: Vat, promise: weakref.ref[Promise[Any]], function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    """Run a function for its promise, a trio async one here and a plain one in a worker thread.

    Cancels it when whoever held the promise lets go. Where nobody has ever held it, nobody waits, and
    the function runs to its end.
    """
    with trio.CancelScope() as scope:
        token = trio.lowlevel.current_trio_token()
        held = promise()
        # A promise may die in any thread that collects garbage.
        watch = None if held is None else weakref.ref(held, lambda _: _cancel_soon(token, scope))
        del held
        try:
            if _is_async(function):
                value = await function(*args)
            else:
                value = await trio.to_thread.run_sync(lambda: function(*args))
        except Exception as problem:  # the function's own error breaks its promise, no more
            _settle(vat, promise(), BROKEN, problem, function)
        else:
            _settle(vat, promise(), FULFILLED, value, function)
        del watch


def _cancel_soon(token: trio.lowlevel.TrioToken, scope: trio.CancelScope) -> None:
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(scope.cancel)


def _settle(
    vat: Vat, promise: Promise[Any] | None, state: int, value: Any, function: Callable[..., Any]
) -> None:
    if promise is None:
        if state == BROKEN:
            fields = {"function": getattr(function, "__qualname__", "?")}
            log.error("outside call failed", exc_info=value, extra={"captp": fields})
        return
    try:
        vat.settle(promise, state, value)
    except Exception as problem:  # an unpassable result breaks the promise too
        vat.settle(promise, BROKEN, problem)


def _is_async(function: Any) -> bool:
    target = function.__call__ if not inspect.isroutine(function) else function
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(target)
