# mypy: disable-error-code="empty-body"
"""References are typed as their interface, chains of calls as what they will be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

import captp


class Account(captp.Interface):
    @captp.method
    def deposit(self, amount: int) -> int: ...
    @captp.method
    def balance(self) -> int: ...
    @captp.method
    def history(self, first: int = 0, *, newest: bool = True) -> list[str]: ...
    @captp.method
    async def slow(self) -> str: ...
    @captp.method
    def close(self) -> None: ...


class Bank(captp.Interface):
    @captp.method
    def open(self, owner: str) -> Account: ...
    @captp.method
    async def open_slowly(self, owner: str) -> Account: ...
    @captp.method(latch=False)
    async def merge(self, one: Account, other: Account) -> int: ...


class Caller(captp.Interface):
    @captp.method
    def __call__(self, number: int) -> str: ...


async def client(uri: str) -> None:
    async with captp.connect(uri, Bank) as bank:
        assert_type(bank, Bank)
        assert_type(await bank.open("ada").balance(), int)
    async with captp.connect(uri) as untyped:
        assert_type(captp.E(untyped).open("ada"), captp.Promise[Any])


async def chains(bank: Bank) -> None:
    ada = bank.open("ada")
    assert_type(ada, Account)
    assert_type(await ada, Account)
    assert_type(await ada.deposit(5), int)
    assert_type(await bank.open("ada").balance(), int)
    assert_type(ada.balance(), captp.Promise[int])
    assert_type(await ada.history(1, newest=False), list[str])
    assert_type(ada.slow(), captp.Promise[str])
    assert_type(await ada.slow(), str)
    assert_type(bank.open_slowly("bob"), Account)
    assert_type(await bank.open_slowly("bob").balance(), int)
    assert_type(await bank.merge(ada, bank.open("bob")), int)
    await ada.close()


async def forms(account: Account) -> None:
    account.deposit.only(5)
    assert_type(account.deposit.now(5), int)
    send: captp.Send[[int], int] = account.deposit
    assert_type(send(3), captp.Promise[int])
    assert_type(captp.E(account).anything(1, "x", key=[1]), captp.Promise[Any])
    assert_type(captp.E(account)(1), captp.Promise[Any])
    assert_type(account.history()[0], captp.Promise[Any])
    assert_type(captp.untag(captp.E(account).tagged(), "t"), captp.Promise[Any])


async def vat_verbs(vat: captp.LiveVat, uri: str) -> None:
    assert_type(vat.enliven(uri, Bank), Bank)
    assert_type(vat.enliven(uri), captp.Promise[Any])
    promise, resolver = vat.promise()
    assert_type(resolver, captp.Resolver)
    resolver.fulfill(3)
    assert_type(await promise, Any)
    reason = await vat.when_broken(vat.enliven(uri, Bank))
    print(reason)


async def door() -> None:
    async with captp.open_vat() as vat:
        assert_type(vat, captp.LiveVat)
        assert_type(vat.mint(vat.enliven("x", Bank), label="l", uses=1), captp.SturdyRef)


async def errors(account: Account) -> int:
    try:
        return await account.deposit(-1)
    except captp.Refused as refused:
        print(refused)
        return 0
    except captp.Disconnected as gone:
        assert_type(gone.peer, str)
        return 1
    except captp.RemoteFault as fault:
        assert_type(fault.class_name, str)
        return 2


async def powers(account: Account, other: Account, work: Callable[[], int]) -> None:
    assert_type(await captp.within(5, account.balance()), int)
    assert_type(await captp.within(5, account), Account)
    assert_type(await captp.within(5, account).balance(), int)
    assert_type(captp.same(account, other), bool | None)
    await captp.sleep(1)
    await captp.outside(work)
