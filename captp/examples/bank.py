"""A bank: the first program to read, and what ``captp demo`` hosts; its classes know no network.

Run it with ``python -m captp.examples.bank``: one process, two vats, TLS between them.
"""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import os

import trio

import captp
from captp.net.tls import TlsNetlayer, TlsPort


class Account(captp.Interface):
    """How others see an account: all that a client needs to know."""

    @captp.method
    def deposit(self, amount: int) -> int: ...  # the new total

    @captp.method
    def withdraw(self, amount: int) -> int: ...

    @captp.method
    def balance(self) -> int: ...

    @captp.method
    def history(self) -> list[str]: ...


class Bank(captp.Interface):
    """How others see a bank."""

    @captp.method
    def open(self, owner: str) -> Account: ...  # a new one at the first time


class Purse(captp.Object, Account):
    """An account itself: the annotated fields are its state."""

    total: int = 0
    log: captp.List[str]

    @captp.method
    def deposit(self, amount: int) -> int:
        self.log.append(f"deposit {amount}")
        if amount <= 0:
            # Undoes what this turn changed, the line in the log too, and tells the caller why.
            raise captp.Refused("amount must be positive")
        self.total += amount
        return self.total

    @captp.method
    def withdraw(self, amount: int) -> int:
        if not 0 < amount <= self.total:
            raise captp.Refused(f"amount must be from 1 to {self.total}")
        self.log.append(f"withdraw {amount}")
        self.total -= amount
        return self.total

    @captp.method
    def balance(self) -> int:
        return self.total

    @captp.method
    def history(self) -> list[str]:
        return self.log


class Vault(captp.Object, Bank):
    """A bank itself. Its objects stay where they are; others get references to them."""

    purses: captp.Map[str, Purse]

    @captp.method
    def open(self, owner: str) -> Account:
        if owner not in self.purses:
            self.purses[owner] = Purse()
        return self.purses[owner]


async def main() -> None:
    """Host a bank in one vat, and use it from another."""
    key = captp.PrivateKey.from_seed(os.urandom(32))
    async with captp.open_vat(key=key, listen=[TlsNetlayer(key, TlsPort())]) as host:
        sturdyref = host.mint(Vault())
        print(f"the bank is at {sturdyref}")
        await visit(sturdyref)


async def visit(sturdyref: captp.SturdyRef) -> None:
    """Use a bank as a client does: with its sturdyref and its interface, and nothing else."""
    async with captp.connect(sturdyref, Bank) as bank:
        ada = bank.open("ada")  # no await: nothing has been waited for yet
        ada.deposit(100)  # sent after open, in order
        print("ada has", await ada.balance())
        try:
            await ada.deposit(-5)
        except captp.Refused as problem:
            print("refused:", problem)
        print("ada did:", ", ".join(await ada.history()))


if __name__ == "__main__":
    trio.run(main)
