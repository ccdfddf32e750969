"""What runs at the end of each step of a trio task: a flush, which costs no switch to a task that way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from captp.run.pump import Pump

__all__ = ["AfterSteps", "join", "leave"]


class AfterSteps(trio.abc.Instrument):
    """Lets pumps flush at the end of a task's step, which costs no switch to a task of their own.

    There is one for all vats of a loop, as each would cost something in every step. A pump takes part while
    few tasks wait for it: with many, one flush a tick by the pump's task is cheaper.
    """

    def __init__(self) -> None:
        #: Those that have rung since the last step; some may have flushed already.
        self.rung: list[Pump] = []
        self.pumps = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        """Flush what rang in the step that has just ended."""
        if self.rung:
            rung, self.rung = self.rung, []
            for pump in rung:
                if pump.rung:
                    pump.stepped()


_IN_PLACE: Final = trio.lowlevel.RunVar[AfterSteps | None]("captp after steps", None)


def join(pump: Pump) -> AfterSteps:
    """Have a pump flush after steps of this loop's tasks, if it has rung."""
    steps = _IN_PLACE.get()
    if steps is None:
        steps = AfterSteps()
        _IN_PLACE.set(steps)
        trio.lowlevel.add_instrument(steps)
    steps.pumps += 1
    if pump.rung:
        steps.rung.append(pump)
    return steps


def leave(steps: AfterSteps) -> None:
    """Take note that one pump flushes in its own task from now on."""
    steps.pumps -= 1
    if not steps.pumps:
        trio.lowlevel.remove_instrument(steps)
        _IN_PLACE.set(None)
