"""One task of the driver that waits for one promise; it knows no promise and no engine."""

from __future__ import annotations

from typing import Any

import trio
from trio.lowlevel import reschedule


class TaskWaiter:
    """A trio task that waits for a promise; emptied when the task is cancelled.

    new --park--> parked --wake | cancel--> done; new --wake--> done.
    """

    __slots__ = ("task",)

    def __init__(self) -> None:
        #: None while it is not parked.
        self.task: trio.lowlevel.Task | None = None

    def cancel(self, _raise: Any) -> trio.lowlevel.Abort:
        """Forget the task: trio's answer to a cancellation while it is parked."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Let the task run again, if it still waits."""
        task = self.task
        if task is not None:
            self.task = None
            reschedule(task)
