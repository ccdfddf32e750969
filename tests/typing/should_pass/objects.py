# mypy: disable-error-code="empty-body"
"""An Object's own methods are plain Python, its fields are what they are annotated with."""

from __future__ import annotations

from typing import Any, assert_type

import captp


class Account(captp.Interface):
    @captp.method
    def deposit(self, amount: int) -> int: ...
    @captp.method
    async def settle(self, other: Account) -> int: ...


class Named(captp.Interface):
    @captp.method
    def name(self) -> str: ...


class Bank(captp.Interface):
    @captp.method
    def open(self, owner: str) -> Account: ...


class Purse(captp.Object, Account):
    total: int = 0
    log: captp.List[str]
    peers: captp.Map[str, Account]
    tags: captp.Set[str]
    parent: Purse | None = None

    @captp.method
    def deposit(self, amount: int) -> int:
        self.total += amount
        self.log.append(f"+{amount}")
        self.tags.add("used")
        return self.total

    @captp.method
    async def settle(self, other: Account) -> int:
        assert_type(other, Account)
        theirs = await other.deposit(self.total)
        assert_type(theirs, int)
        near = captp.near(other, Purse)
        assert_type(near, Purse)
        assert_type(near.deposit(1), int)
        return self.deposit(theirs)

    @captp.method
    def anything(self, /, *args: int, **kwargs: str) -> Any:
        return args, kwargs

    def helper(self) -> str:
        return ", ".join(self.log)


class NamedPurse(Purse, Named):
    title: str = "purse"

    @captp.method
    def name(self) -> str:
        return self.title

    @captp.method
    def deposit(self, amount: int) -> int:
        return super().deposit(amount) + len(self.title)


class Vault(captp.Object, Bank):
    purses: captp.Map[str, Account]
    own: captp.List[Purse]

    @captp.method
    def open(self, owner: str) -> Account:
        if owner not in self.purses:
            purse = Purse(total=5)
            assert_type(purse.deposit(3), int)
            assert_type(purse.total, int)
            assert_type(purse.log, captp.List[str])
            assert_type(purse.log[0], str)
            self.purses[owner] = purse
            self.own.append(purse)
        assert_type(self.purses[owner].deposit(1), captp.Promise[int])
        return self.purses[owner]


async def plain_calls(purse: Purse, vault: Vault) -> None:
    assert_type(purse.deposit(1), int)
    assert_type(NamedPurse(title="x", total=3).deposit(1), int)
    assert_type(vault.open("ada"), Account)
    assert_type(await purse.settle(vault.open("ada")), int)
    account: Account = purse
    print(account)


@captp.portable_error
class OverDrawn(captp.Broken):
    missing: int = 0


def raise_it() -> None:
    error = OverDrawn("too little")
    assert_type(error.missing, int)
    raise error
