"""An introduction: three vats, of which the one that introduced the others may leave.

Run it with ``python -m captp.examples.introduction``: one process, three vats, TLS between them.
"""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import trio

import captp
from captp.examples.bank import Account, Bank, Vault
from captp.net.tls import TlsNetlayer, TlsPort


class Friend(captp.Interface):
    """How others see somebody who can be given an account."""

    @captp.method
    async def meet(self, account: Account) -> int: ...

    @captp.method
    async def spend(self, amount: int) -> int: ...


class Host(captp.Interface):
    """How others see somebody who introduces."""

    @captp.method
    async def introduce(self, friend: captp.SturdyRef, bank: captp.SturdyRef, owner: str) -> int: ...


class Guest(captp.Object, Friend):
    """Keeps the account that it was given; where that lives is nothing to it."""

    account: Account | None = None

    @captp.method
    async def meet(self, account: Account) -> int:
        self.account = account
        return await account.balance()

    @captp.method
    async def spend(self, amount: int) -> int:
        if self.account is None:
            raise captp.Refused("nobody has given me an account")
        return await self.account.withdraw(amount)


class Introducer(captp.Object, Host):
    """Opens an account at a bank and gives it to a friend."""

    @captp.method
    async def introduce(self, friend: captp.SturdyRef, bank: captp.SturdyRef, owner: str) -> int:
        account = captp.enliven(bank, Bank).open(owner)
        await account.deposit(100)
        # The friend gets no forwarder here but the account itself, and reaches it without us.
        return await captp.enliven(friend, Friend).meet(account)


async def main() -> None:
    """Let one vat introduce another to a third, and leave."""
    async with AsyncExitStack() as here:
        async with AsyncExitStack() as gone_soon:
            bank_vat = await here.enter_async_context(new_vat())
            guest_vat = await here.enter_async_context(new_vat())
            host_vat = await gone_soon.enter_async_context(new_vat())
            bank, guest = bank_vat.mint(Vault()), guest_vat.mint(Guest())
            async with captp.connect(host_vat.mint(Introducer()), Host) as host:
                print("the friend has an account with", await host.introduce(guest, bank, "ida"))
        async with captp.connect(guest, Friend) as friend:
            print("the introducer is gone, and the friend has left of it", await friend.spend(30))


def new_vat() -> AbstractAsyncContextManager[captp.LiveVat]:
    """Open a vat that listens."""
    key = captp.PrivateKey.from_seed(os.urandom(32))
    return captp.open_vat(key=key, listen=[TlsNetlayer(key, TlsPort())])


if __name__ == "__main__":
    trio.run(main)
