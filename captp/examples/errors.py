"""What goes wrong and how it shows: every line it prints is an error that arrived where it was waited for.

Run it with ``python -m captp.examples.errors``.
"""

from __future__ import annotations

import logging
import os

import trio

import captp
from captp.examples.bank import Bank, Vault
from captp.net.tls import TlsNetlayer, TlsPort


@captp.portable_error
class Overdrawn(captp.Broken):
    """An error of one's own: its class and its annotated fields cross, where both sides register it."""

    missing: int

    def __init__(self, message: str = "", *, missing: int = 0) -> None:
        super().__init__(message)
        self.missing = missing


class Till(captp.Object):
    """An object whose methods fail in the ways that methods can."""

    total: int = 0

    @captp.method
    def pay(self, amount: int) -> int:
        self.total -= amount  # undone, since the turn does not end well
        if self.total < 0:
            raise Overdrawn(f"{-self.total} is missing", missing=-self.total)
        return self.total

    @captp.method
    def audit(self) -> int:
        return self.total

    @captp.method
    def divide(self, by: int) -> float:
        return self.total / by

    @captp.method
    async def count(self) -> str:
        await captp.within(0.05, captp.sleep(3600))
        return "counted"


async def main() -> None:
    """Host a bank and a till, and go wrong with them from another vat."""
    key = captp.PrivateKey.from_seed(os.urandom(32))
    async with captp.open_vat(key=key, listen=[TlsNetlayer(key, TlsPort())]) as host:
        bank_ref, till_ref = host.mint(Vault()), host.mint(Till())
        async with captp.open_vat() as vat:
            await with_a_bank(vat.enliven(bank_ref, Bank))
            await with_a_till(captp.E(vat.enliven(till_ref)))
            forged = captp.SturdyRef(bank_ref.peer, os.urandom(32))
            await told("a wrong swiss number", vat.enliven(forged, Bank).open("ada"))
    async with captp.connect(bank_ref, Bank) as bank:
        await told("a host that is away", bank.open("ada").balance())


async def with_a_bank(bank: Bank) -> None:
    """Go wrong with a typed reference."""
    ada = bank.open("ada")
    await told("the object says no", ada.deposit(-5))
    await told("a wrong type", captp.E(ada).deposit("five"))
    await told("no such method", captp.E(ada).steal())
    await told("a call on a broken promise", captp.E(captp.E(bank).opn("ada")).balance())
    try:
        captp.E(ada).deposit([1, {"amount": object()}])
    except captp.Unpassable as problem:
        print(f"{'what cannot cross, before it is sent:':40}{problem}")


async def with_a_till(till: captp.E) -> None:
    """Go wrong with an untyped one."""
    try:
        await till.pay(30)
    except Overdrawn as problem:
        left = await till.audit()
        print(f"{'an error with data:':40}{problem.missing} is missing; the till holds {left} as before")
    await told("a bug in the object", till.divide(0))
    await told("a time limit in the object", till.count())


async def told(what: str, promise: captp.Promise[object] | captp.Interface) -> None:
    """Wait for what will break, and print how."""
    try:
        await promise
    except captp.Error as problem:
        print(f"{what + ':':40}{type(problem).__name__}: {problem}")


if __name__ == "__main__":
    logging.disable(logging.ERROR)  # the owner's log, which has the bug above with its traceback
    trio.run(main)
