"""A turn that needs an object whose state is not in memory: it is undone, and runs again when that is there.

running --it looks into a cold object--> undone, its target held --the state was read--> running, as if new.
"""

from __future__ import annotations

from typing import Any

from captp.errors import Broken, NotNear
from captp.model.object import Object

__all__ = ["Cold", "Postponed", "look_into"]


class Cold(BaseException):
    """Ends a turn that cannot go on now; no ``except Exception`` of user code is to catch it."""

    def __init__(self, obj: Object) -> None:
        super().__init__()
        self.obj = obj


class Postponed(Broken):
    """Stands for the result of a turn that was undone and is to run again, once ``obj`` is in memory."""

    def __init__(self, obj: Object) -> None:
        super().__init__()
        self.obj = obj


def look_into(vat: Any, obj: Object) -> None:
    """Make sure that a turn finds the state of an object, which it is to see now. Raises Cold, NotNear."""
    latch = obj._latch
    if latch is not None and latch.is_cold:
        if vat.turns.fiber_runs:
            raise NotNear(
                f"this {type(obj).__name__} is not in memory, and an async method cannot begin anew: await a"
                " call of it, or do this in a def method"
            )
        raise Cold(obj)
