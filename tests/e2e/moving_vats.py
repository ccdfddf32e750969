"""A bank that moves its purses for their owners, or a shop that takes them; durable, in its own process.

It prints the URI of what it shares, and ends itself with SIGKILL where it is told to.
"""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import trio

import captp
from captp.net.tcp import TcpNetlayer
from captpd.store.sqlite import SqliteStore


class Purse(captp.Interface):
    @captp.method
    def put(self, coins: int) -> int: ...


class Leather(captp.Object, Purse):
    coins: int = 0

    @captp.method
    def put(self, coins: int) -> int:
        self.coins += coins
        return self.coins


class Shop(captp.Interface):
    @captp.method
    def arrive(self, coins: int) -> captp.Unique[Purse]: ...

    @captp.method
    def arrived(self) -> tuple[int, ...]: ...


class Till(captp.Object, Shop):
    coins: captp.List[int]

    @captp.method
    def arrive(self, coins: int) -> captp.Unique[Purse]:
        if "arriving" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)
        self.coins.append(coins)
        return Leather(coins=coins)

    @captp.method
    def arrived(self) -> tuple[int, ...]:
        return tuple(self.coins)


class Bank(captp.Interface):
    @captp.method
    def make(self) -> captp.Unique[Purse]: ...

    @captp.method
    async def move(self, purse: captp.Unique[Purse], shop: Shop) -> captp.Unique[Purse]: ...


class Vault(captp.Object, Bank):
    @captp.method
    def make(self) -> captp.Unique[Purse]:
        return Leather()

    @captp.method(latch=False)
    async def move(self, purse: captp.Unique[Purse], shop: Shop) -> captp.Unique[Purse]:
        try:
            moved = await shop.arrive(captp.near(purse, Leather).coins)
        except captp.Refused:
            return purse
        if "arrived" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)
        return moved


async def main(role: str, folder: str) -> None:
    key = captp.PrivateKey.from_seed(role.ljust(32).encode())
    store = SqliteStore(Path(folder, f"{role}.db"))
    async with captp.open_vat(key=key, listen=[TcpNetlayer()], store=store) as vat:
        shared = vat.root(role, Till if role == "shop" else Vault)
        print(vat.mint(shared).reveal(), flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:3])
