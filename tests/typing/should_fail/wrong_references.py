# mypy: disable-error-code="empty-body"
"""Mistakes with references that a type checker must report; each line says what it expects."""

from __future__ import annotations

import captp


class Account(captp.Interface):
    @captp.method
    def deposit(self, amount: int) -> int: ...
    @captp.method
    def balance(self) -> int: ...
    @captp.method
    async def slow(self) -> str: ...


class Bank(captp.Interface):
    @captp.method
    def open(self, owner: str) -> Account: ...


class Purse(captp.Object, Account):
    total: int = 0

    @captp.method
    def deposit(self, amount: int) -> int:
        return amount

    @captp.method
    def balance(self) -> int:
        return self.total

    @captp.method
    async def slow(self) -> str:
        return "x"


async def client(uri: str) -> None:
    async with captp.connect(uri, Bank) as bank:
        bank.opn("ada")  # E: [attr-defined]
        await bank.open("ada").withdraw(3)  # E: [attr-defined]


async def sends(bank: Bank, account: Account) -> None:
    bank.opn("ada")  # E: [attr-defined]
    bank.open(3)  # E: [call-overload]
    bank.open()  # E: [call-overload]
    bank.open("ada", "bob")  # E: [call-overload]
    bank.open(name="ada")  # E: [call-overload]
    bank.open.only(3)  # E: [arg-type]
    bank.open.now(3)  # E: [arg-type]
    bank.open("ada").deposit("5")  # E: [arg-type]
    print(bank.open("ada").total)  # E: [attr-defined]
    account.deposit(1).deposit(2)  # E: [attr-defined]


async def results(account: Account) -> None:
    one: int = account.balance()  # E: [assignment]
    two: str = await account.balance()  # E: [assignment]
    three = account.balance() + 1  # E: [operator]
    four: int = await account.slow()  # E: [assignment]
    five: int = account.deposit.now("x")  # E: [arg-type]
    print(one, two, three, four, five)


def verbs(vat: captp.LiveVat, account: Account, purse: Purse) -> None:
    wrong: Account = vat.enliven("uri", Bank)  # E: [assignment]
    text: str = captp.near(account, Purse)  # E: [assignment]
    captp.within("5", account.balance())  # E: [call-overload]
    purse.deposit.only(3)  # E: [attr-defined]
    bank: Bank = purse  # E: [assignment]
    print(wrong, text, bank)


async def timeouts(account: Account) -> None:
    text: str = await captp.within(5, account.balance())  # E: [arg-type]
    print(text)
