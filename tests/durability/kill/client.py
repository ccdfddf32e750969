"""A client of the ledger with a vat of its own: writes until its session breaks, and knows what it wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import trio

import captp
from tests.durability.kill.ledger import COMMON, FUNDS
from tests.durability.kill.model import Sender, Write

__all__ = ["Client", "opened"]

#: Seconds in which an answer has to come, or the session to break.
LONGEST_S = 20.0
#: Accounts that a client has opened at most.
MOST_OPEN = 5
#: How often each method is called, and the sum is read.
OFTEN = {"transfer": 70, "note": 10, "open": 3, "close": 3, "forget": 1, "refuse": 3, "read": 10}


def _watcher(senders: dict[str, Sender]) -> captp.Object:
    class Watcher(captp.Object):
        """Is told what others wrote, in the turns that wrote it."""

        @captp.method
        def saw(self, client: str, number: int) -> None:
            senders[client].seen.add(number)

    return Watcher()


class Client:
    """One client: its vat lives as long as the run, its sessions as long as the daemons."""

    def __init__(self, vat: captp.LiveVat, sender: Sender, chance: Random) -> None:
        self._vat = vat
        self.sender = sender
        self._chance = chance
        self._settled = 0

    def dial(self, sturdyref: captp.SturdyRef) -> Any:
        """Return the ledger, or the promise of it."""
        return captp.E(self._vat.enliven(sturdyref))

    async def write(self, sturdyref: captp.SturdyRef, senders: dict[str, Sender]) -> None:
        """Write, with some calls under way at a time, until the session breaks."""
        ledger = self.dial(sturdyref)
        # All that was sent before has been audited.
        self._settled = self.sender.last
        with suppress(captp.Disconnected), trio.fail_after(LONGEST_S):
            await ledger.watch(self.sender.name, self._vat.export(_watcher(senders)))
            async with trio.open_nursery() as nursery:
                for _ in range(self._chance.randint(1, 12)):
                    nursery.start_soon(self._go_on, ledger)

    async def _go_on(self, ledger: Any) -> None:
        with suppress(captp.Disconnected):
            while True:
                method = self._chance.choices([*OFTEN], [*OFTEN.values()])[0]
                if method == "read":
                    total = await ledger.total()
                    assert total == FUNDS * len(COMMON), f"the sum was read as {total}"
                elif (write := self._next(method)) is not None:
                    await self._send(ledger, write)

    async def _send(self, ledger: Any, write: Write) -> None:
        """Send one write; durable messages, whose outcome is never unknown, would take their way here."""
        if write.method == "refuse":
            with suppress(captp.Refused):
                await getattr(ledger, write.method)(self.sender.name, write.number, *write.args)
            return
        made = await getattr(ledger, write.method)(self.sender.name, write.number, *write.args)
        assert made == write.number, f"{write} was answered {made!r}"
        self.sender.acknowledged.add(write.number)

    def _next(self, method: str) -> Write | None:
        """Return a write that is entered as sent; None where there is nothing of its kind to do."""
        sender, choice = self.sender, self._chance.choice
        places = (*COMMON, *sender.opened)
        amount = self._chance.randint(1, 99)
        match method:
            case "transfer":
                return sender.write(method, choice(places), choice(places), amount)
            case "open" if len(sender.opened) < MOST_OPEN:
                name = f"{sender.name} {sender.last + 1}"
                write = sender.write(method, name, choice(places), amount)
                sender.opened.append(name)
                return write
            case "close" if sender.opened:
                return sender.write(method, sender.opened.pop(0), choice(COMMON))
            case "note":
                return sender.write(method)
            case "forget" if self._settled:
                return sender.write(method, self._settled)
            case "refuse":
                return sender.write(method, choice(COMMON))
        return None


@asynccontextmanager
async def opened(name: str, chance: Random) -> AsyncIterator[Client]:
    """Open the vat of one client, whose key is kept over the run."""
    async with captp.open_vat(key=captp.PrivateKey.from_seed(chance.randbytes(32))) as vat:
        yield Client(vat, Sender(name), chance)
