"""Calls a bank one by one and as a chain, and counts at its own socket how often it had to wait.

Run it with ``python -m captp.examples.round_trips bank.cap``; it prints one line of JSON per step. It
goes on when it reads a line, and then calls the bank again through the same sturdyref.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, final

import trio
from attrs import define

import captp
from captp.examples.bank import Bank
from captp.net.base import Accept, Conduit, Netlayer
from captp.net.tls import TlsNetlayer

SETTLE_S = 10.0


@final
@define
class Meter:
    """Counts round trips: something was written, and then the next thing read had to be waited for."""

    round_trips: int = 0
    has_written: bool = False


@final
@define(eq=False)
class MeteredConduit:
    """A connection that tells a meter what goes through it."""

    conduit: Conduit
    meter: Meter

    @property
    def proved(self) -> bytes | None:
        return self.conduit.proved

    @property
    def binding(self) -> bytes:
        return self.conduit.binding

    @property
    def local(self) -> str | None:
        return self.conduit.local

    @property
    def remote(self) -> str:
        return self.conduit.remote

    @property
    def pending(self) -> int:
        return self.conduit.pending

    def send_nowait(self, data: bytes) -> None:
        self.meter.has_written = True
        self.conduit.send_nowait(data)

    async def receive(self) -> bytes:
        data = await self.conduit.receive()
        self.meter.round_trips += self.meter.has_written
        self.meter.has_written = False
        return data

    async def flush(self) -> None:
        await self.conduit.flush()

    async def aclose(self) -> None:
        await self.conduit.aclose()


@final
@define(eq=False)
class MeteredNetlayer:
    """A netlayer whose connections are metered."""

    layer: Netlayer
    meter: Meter

    @property
    def transport(self) -> str:
        return self.layer.transport

    async def dial(self, locator: captp.PeerLocator) -> Conduit:
        return MeteredConduit(await self.layer.dial(locator), self.meter)

    async def serve(self, accept: Accept, *, task_status: trio.TaskStatus[Any]) -> None:
        await self.layer.serve(accept, task_status=task_status)

    def hints(self) -> dict[str, str]:
        return self.layer.hints()


async def one_by_one(bank: Bank) -> int:
    """Wait for each answer before the next call, as most libraries make you do."""
    bob = await bank.open("bob")
    await bob.deposit(100)
    await bob.withdraw(30)
    return await bob.balance()


async def as_a_chain(bank: Bank) -> int:
    """Call what the call before will give, and wait once."""
    ada = bank.open("ada")
    ada.deposit(100)
    ada.withdraw(30)
    return await ada.balance()


def tables(vat: captp.LiveVat) -> dict[str, int]:
    """Count the entries of the session, without the bootstrap object at position 0."""
    (link,) = vat.peer.router.links.values()
    found = link.session.tables
    return {
        "exports": sum(1 for position in found.exports if position),
        "imports": len(found.imports),
        "questions": len(found.questions),
        "answers": len(found.answers),
    }


async def main(source: str) -> None:
    """Show it, step by step."""
    key = captp.PrivateKey.from_seed(os.urandom(32))
    meter = Meter()
    async with captp.open_vat(key=key, netlayers=[MeteredNetlayer(TlsNetlayer(key), meter)]) as vat:
        bank = await vat.enliven(source, Bank)
        for step in (one_by_one, as_a_chain):
            trips, started = meter.round_trips, trio.current_time()
            balance = await step(bank)
            seconds = trio.current_time() - started
            tell(step.__name__, calls=4, round_trips=meter.round_trips - trips, s=seconds, balance=balance)
        del bank
        with trio.move_on_after(SETTLE_S):
            while any(tables(vat).values()):  # noqa: ASYNC110 - the engine tells no event for it
                await trio.sleep(0.05)
        tell("dropped", **tables(vat))
        if await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            tell("again", balance=await vat.enliven(source, Bank).open("ada").balance())


def tell(step: str, **found: Any) -> None:
    """Write what a step found."""
    print(json.dumps({"step": step, **found}), flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
