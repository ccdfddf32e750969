"""A client of the ledger with a vat of its own: writes until its session breaks, and knows what it wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import trio

import captp
from captp.peer import router
from captpd.store.sqlite import SqliteStore
from tests.durability.kill.ledger import COMMON, FUNDS
from tests.durability.kill.model import Sender, Write

__all__ = ["Client", "opened", "short_rests"]

#: Seconds in which an answer has to come, or the session to break.
LONGEST_S = 20.0
#: Accounts that a client has opened at most.
MOST_OPEN = 5
#: Writes of a sender at most that no audit has seen: a report has them all.
MOST_UNSETTLED = 3000
#: Seconds that one who makes durable calls rests now and then.
PAUSE_S = 0.01
#: Durable calls of a client that are under way at a time.
DURABLE_CALLS = 3
#: How often each method is called, and the sum is read.
OFTEN = {"transfer": 70, "note": 10, "open": 3, "close": 3, "forget": 1, "refuse": 3, "read": 10}


@contextmanager
def short_rests() -> Iterator[None]:
    """Let nobody rest long before a dial: a daemon is back within a second, and is soon killed again."""
    usual, router.LONGEST_REST_S = router.LONGEST_REST_S, 0.1
    try:
        yield
    finally:
        router.LONGEST_REST_S = usual


def _watcher(senders: dict[str, Sender]) -> captp.Object:
    class Watcher(captp.Object):
        """Is told what others wrote, in the turns that wrote it."""

        @captp.method
        def saw(self, client: str, number: int) -> None:
            senders[client].seen.add(number)

    return Watcher()


class Client:
    """One client: its vat lives as long as the run, its sessions as long as the daemons."""

    def __init__(self, vat: captp.LiveVat, name: str, chance: Random) -> None:
        self._vat = vat
        self.sender = Sender(name)
        self.durable = Sender(f"lasting {name}", is_durable=True)
        self._chance = chance
        self.is_ending = False

    def dial(self, sturdyref: captp.SturdyRef, retry_for: float = 0.0) -> Any:
        """Return the ledger, or the promise of it."""
        return captp.E(self._vat.enliven(sturdyref, retry_for=retry_for))

    async def write(self, sturdyref: captp.SturdyRef, senders: dict[str, Sender]) -> None:
        """Write, with some calls under way at a time, until the session breaks."""
        ledger = self.dial(sturdyref)
        with suppress(captp.Disconnected), trio.fail_after(LONGEST_S):
            await ledger.watch(self.sender.name, self._vat.export(_watcher(senders)))
            async with trio.open_nursery() as nursery:
                for _ in range(self._chance.randint(1, 12)):
                    nursery.start_soon(self._go_on, ledger)

    async def _go_on(self, ledger: Any) -> None:
        with suppress(captp.Disconnected):
            while True:
                method = self._method(self.sender)
                if method == "read":
                    total = await ledger.total()
                    if total != FUNDS * len(COMMON):
                        self.sender.failed.append(f"the sum was read as {total}")
                elif (write := self._next(self.sender, method)) is not None:
                    call = getattr(ledger, write.method)
                    await _made(self.sender, write, call(self.sender.name, write.number, *write.args))

    async def write_durably(self, sturdyref: captp.SturdyRef) -> None:
        """Make durable calls, some at a time, whatever becomes of sessions; until ``is_ending``."""
        async with trio.open_nursery() as nursery:
            for _ in range(DURABLE_CALLS):
                nursery.start_soon(self._go_on_durably, sturdyref)

    async def _go_on_durably(self, sturdyref: captp.SturdyRef) -> None:
        sender = self.durable
        while not self.is_ending:
            method = self._method(sender)
            # Neither a read nor what takes several turns is a durable call.
            if method in ("read", "note") or (write := self._next(sender, method)) is None:
                await trio.sleep(PAUSE_S)
                continue
            args = (sender.name, write.number, *write.args)
            await _made(sender, write, self._vat.send_durable(sturdyref, write.method, *args))

    def _method(self, sender: Sender) -> str:
        if len(sender.sent) > MOST_UNSETTLED:
            return "read"
        return self._chance.choices([*OFTEN], [*OFTEN.values()])[0]

    def _next(self, sender: Sender, method: str) -> Write | None:
        """Return a write that is entered as sent; None where there is nothing of its kind to do."""
        choice = self._chance.choice
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
            case "forget" if sender.settled:
                return sender.write(method, sender.settled)
            case "refuse":
                return sender.write(method, choice(COMMON))
        return None


async def _made(sender: Sender, write: Write, answer: Any) -> None:
    """Wait for the answer to a write."""
    try:
        made = await answer
        assert made == write.number, f"{write} was answered {made!r}"
    except captp.Refused:
        assert write.method == "refuse", f"{write} was refused"
    except captp.RemoteFault as fault:
        sender.failed.append(f"{write}: {fault}")
        return
    sender.acknowledged.add(write.number)


@asynccontextmanager
async def opened(folder: Path, name: str, chance: Random) -> AsyncIterator[Client]:
    """Open the vat of one client, durable and with a key of its own, for the length of the run."""
    key = captp.PrivateKey.from_seed(chance.randbytes(32))
    async with captp.open_vat(key=key, store=SqliteStore(folder / f"{name}.db")) as vat:
        yield Client(vat, name, chance)
