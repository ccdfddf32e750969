"""The end of a vat: its fibers end, what it lent is back, and whoever asks for work then is told so."""

from __future__ import annotations

from typing import Any

from captp.model.promise import ENDED, PENDING, Promise


def end(vat: Any) -> None:
    """End all fibers and refuse new work for good."""
    vat.turns.close()

    def refuse() -> None:
        vat.awake = False
        raise vat.closed()

    async def refuse_pause() -> None:
        vat.budget = 0
        raise vat.closed()

    def refuse_park(promise: Promise[Any]) -> tuple[()]:
        if promise._state == PENDING:
            # Nothing settles it any more.
            raise vat.closed()
        return ()

    vat.doorbell = refuse
    if vat.parker is not None:
        vat.parker = refuse_park
    # Calls of handles that would run at once ask for a pause first.
    vat.pause, vat.budget = refuse_pause, 0
    vat.awake = False
    for waiter in tuple(vat.unheard):
        if type(waiter) in ENDED:
            waiter.undo()
    vat.is_closed = True
