"""Hides trio's current task while the vat runs, so that trio refuses what a vat method must not await.

Without it ``with trio.move_on_after(1): await promise`` inside a method would attach its cancel scope
to the driver's task and silently end the vat. It touches one private name of trio and nothing else.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final

import trio
from trio._core import _run

from captp.errors import InvariantBroken
from captp.model.current import CURRENT_VAT


def _find_context() -> Any:
    context = getattr(_run, "GLOBAL_RUN_CONTEXT", None)
    if context is None:
        raise InvariantBroken(
            f"trio {trio.__version__} keeps its current task elsewhere; use a trio that captp knows"
        )
    return context


_CONTEXT: Final = _find_context()


class HiddenTask:
    """While entered, the running thread looks to trio as if no task were running."""

    __slots__ = ("_task", "_token", "_vat")

    def __init__(self, vat: Any) -> None:
        self._vat = vat

    def __enter__(self) -> None:
        self._token = CURRENT_VAT.set(self._vat)
        self._task = _CONTEXT.task
        del _CONTEXT.task

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _CONTEXT.task = self._task
        CURRENT_VAT.reset(self._token)
