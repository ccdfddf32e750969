"""What runs at the end of each step of a trio task: a flush, which costs no switch to a task that way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from captp.run.pump import Pump

__all__ = ["AfterSteps"]


class AfterSteps(trio.abc.Instrument):
    """Lets the pump flush at the end of a task's step, which costs no switch to a task of its own.

    It is in place while few tasks wait: with many, one flush a tick by the pump's task is cheaper.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        """Flush when the step that has just ended rang."""
        if self._pump.rung:
            self._pump.stepped()
