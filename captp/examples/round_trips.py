"""Calls a bank one by one and as a chain, and counts at its own socket how often it had to wait.

Run it with ``python -m captp.examples.round_trips bank.cap``; it prints a line of JSON for each step.
It goes on when it reads a line: first it drops what it holds, then it calls the bank again.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, ClassVar, cast, final

import trio
from attrs import define

import captp
from captp.examples.bank import Account, Bank
from captp.net.base import Accept, Conduit
from captp.net.tls import TlsNetlayer

SETTLE_S = 10.0


@final
@define(eq=False)
class MeteredNetlayer:
    """A netlayer that counts round trips: something was written, and then the next read was waited for."""

    transport: ClassVar[str] = "tls"

    layer: TlsNetlayer
    round_trips: int = 0
    has_written: bool = False

    async def dial(self, locator: captp.PeerLocator) -> Conduit:
        return cast("Conduit", MeteredConduit(await self.layer.dial(locator), self))

    async def serve(self, accept: Accept, *, task_status: trio.TaskStatus[Any]) -> None:
        await self.layer.serve(accept, task_status=task_status)

    def hints(self) -> dict[str, str]:
        return self.layer.hints()


@final
@define(eq=False)
class MeteredConduit:
    """A connection that tells its netlayer what goes through it."""

    conduit: Conduit
    meter: MeteredNetlayer

    def send_nowait(self, data: bytes) -> None:
        self.meter.has_written = True
        self.conduit.send_nowait(data)

    async def receive(self) -> bytes:
        data = await self.conduit.receive()
        self.meter.round_trips += self.meter.has_written
        self.meter.has_written = False
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conduit, name)


async def one_by_one(bank: Bank) -> tuple[Account, int]:
    """Wait for each answer before the next call, as most libraries make you do."""
    bob = await bank.open("bob")
    await bob.deposit(100)
    await bob.withdraw(30)
    return bob, await bob.balance()


async def as_a_chain(bank: Bank) -> tuple[Account, int]:
    """Call what the call before will give, and wait once."""
    ada = bank.open("ada")
    ada.deposit(100)
    ada.withdraw(30)
    return ada, await ada.balance()


async def main(source: str) -> None:
    """Show it, step by step."""
    key = captp.PrivateKey.from_seed(os.urandom(32))
    meter = MeteredNetlayer(TlsNetlayer(key))
    async with captp.open_vat(key=key, netlayers=[meter]) as vat:
        bank = await vat.enliven(source, Bank)
        held: list[captp.Interface] = [bank]
        for step in (one_by_one, as_a_chain):
            trips, started = meter.round_trips, trio.current_time()
            account, balance = await step(bank)
            seconds = trio.current_time() - started
            held.append(account)
            tell(step.__name__, calls=4, round_trips=meter.round_trips - trips, s=seconds, balance=balance)
        tell("held", **tables(vat))
        if not await heard_a_line():
            return
        del bank, account
        held.clear()
        with trio.move_on_after(SETTLE_S):
            while any(tables(vat).values()):  # noqa: ASYNC110 - the engine tells no event for it
                await trio.sleep(0.05)
        tell("dropped", **tables(vat))
        if await heard_a_line():
            tell("again", balance=await vat.enliven(source, Bank, retry_for=5).open("ada").balance())


def tables(vat: captp.LiveVat) -> dict[str, int]:
    """Count the entries of the session, without the bootstrap object at position 0."""
    (session,) = vat.view().sessions
    return {
        "exports": session.exports,
        "imports": session.imports,
        "questions": sum(session.questions.values()),
        "answers": sum(session.answers.values()),
    }


def tell(step: str, **found: Any) -> None:
    """Write what a step found."""
    print(json.dumps({"step": step, **found}), flush=True)


async def heard_a_line() -> bool:
    """Wait until somebody says to go on, or went away."""
    return bool(await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True))


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
