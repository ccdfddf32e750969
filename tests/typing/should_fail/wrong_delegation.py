# mypy: disable-error-code="empty-body"
"""Mistakes in what is delegated that a type checker must report; each line says what it expects."""

from __future__ import annotations

import captp


class Account(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...


class Purse(captp.Object, Account):
    total: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        return amount

    @captp.method
    async def slow(self) -> str:
        return "x"


class Tally:
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def add(self, amount: int) -> int:
        return amount


class Desk(captp.Interface):
    @captp.method
    def read(self, account: captp.Borrowed[Account]) -> int: ...
    @captp.method
    def take(self, account: captp.Unique[Account]) -> captp.Unique[Account]: ...


async def arguments(tally: captp.Trust[Tally], purse: captp.Trust[Purse]) -> None:
    await tally.apply(Tally.add, "x")  # E: [arg-type]
    await tally.apply(Tally.add)  # E: [call-arg]
    await tally.apply(Tally.add, 1, 2)  # E: [call-arg]
    await tally.apply(Tally.add, number=1)  # E: [call-arg]
    await tally.apply(lambda t: t.total)  # E: [attr-defined]
    await tally.apply(3)  # E: [arg-type]
    await purse.apply(Purse.add, "x")  # E: [arg-type]
    await purse.apply(Purse.add)  # E: [call-arg]
    await purse.apply(Purse.add, 1, 2)  # E: [call-arg]
    await purse.apply(Tally.add, 1)  # E: [arg-type]
    await tally.apply(Purse.add, 1)  # E: [arg-type]
    await tally.launch(Purse.slow)  # E: [arg-type]
    purse.apply_now(Purse.add, "x")  # E: [arg-type]


async def results(tally: captp.Trust[Tally], purse: captp.Trust[Purse]) -> None:
    one: str = await tally.apply(Tally.add, 1)  # E: [arg-type]
    two: int = tally.apply(Tally.add, 1)  # E: [assignment]
    three: str = await purse.apply(Purse.add, 1)  # E: [arg-type]
    four: str = await purse.apply(Purse.slow)  # E: [arg-type]
    five: int = await purse.launch(Purse.slow)  # E: [arg-type]
    await purse.launch(Purse.add, 1)  # E: [arg-type]
    six: list[captp.Outcome[str]] = await tally.apply_many([captp.Call(Tally.add, 1)])  # E: [arg-type]
    print(one, two, three, four, five, six)


async def forgotten(tally: captp.Trust[Tally], purse: captp.Trust[Purse]) -> None:
    tally.apply(Tally.add, 1)  # E: [unused-coroutine]
    purse.apply(Purse.add, 1)  # E: [unused-coroutine]
    purse.launch(Purse.slow)  # E: [unused-coroutine]
    await purse.apply(Purse.slow)  # E(mypy): [unused-coroutine]


def hears(outcome: captp.Outcome[str]) -> None:
    print(outcome)


def thens(tally: captp.Trust[Tally]) -> None:
    tally.apply_then(Tally.add, 1, then=hears)  # E: [arg-type]
    tally.apply_then(Tally.add, 1, then=print, what=3)  # E: [call-arg]


async def trustees(vat: captp.LiveVat, account: Account) -> None:
    wrong: captp.Trust[Purse] = vat.entrust(Tally())  # E: [arg-type]
    vat.entrust(Tally(), on_error="ignore")  # E: [arg-type]
    vat.trustee("fiber")  # E: [call-overload]
    vat.trustee("process")  # E: [call-overload]
    vat.trustee("process", [Tally])  # E: [call-overload]
    vat.trustee("thread", turn_s=1.0)  # E: [call-overload]
    async with vat.trustee("thread") as thread:
        await thread.entrust_new(Tally, "x")  # E: [arg-type]
        thread.entrust(Tally()).blocking.apply(Tally.add, "x")  # E: [arg-type]
        tally: captp.Trust[Purse] = thread.entrust(Tally())  # E: [arg-type]
    far: captp.Trust[Tally] = captp.trust(account, Purse)  # E: [arg-type]
    print(wrong, tally, far)


async def owning(desk: Desk, account: Account) -> None:
    desk.read(desk)  # E: [arg-type]
    desk.read("x")  # E: [arg-type]
    desk.take(3)  # E: [call-overload]
    one: Desk = captp.share(account)  # E: [assignment]
    two: Desk = captp.lend(account)  # E: [assignment]
    three: Desk = await captp.make_unique(account)  # E: [arg-type]
    four: int = captp.make_unique(account)  # E: [assignment]
    print(one, two, three, four)
