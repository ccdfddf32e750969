# mypy: disable-error-code="empty-body"
"""What is delegated is typed as the function that is: its arguments, its result, and the object it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import captp
from captpd.store.sqlite import SqliteStore


class Account(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...
    @captp.method
    def history(self, first: int = 0, *, newest: bool = True) -> list[str]: ...
    @captp.method
    async def settle(self, other: Account) -> str: ...


class Purse(captp.Object, Account):
    total: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    @captp.method
    def history(self, first: int = 0, *, newest: bool = True) -> list[str]:
        return []

    @captp.method
    async def settle(self, other: Account) -> str:
        return "settled"

    def unmarked(self) -> bytes:
        return b""


class Tally:
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def add(self, amount: int) -> int:
        self.count += amount
        return self.count


def double(tally: Tally) -> float:
    return tally.count * 2.0


async def slowly(purse: Purse, amount: int) -> str:
    return str(purse.add(amount))


async def in_the_loop(vat: captp.LiveVat) -> None:
    tally = vat.entrust(Tally())
    assert_type(tally, captp.Trust[Tally])
    assert_type(await tally.apply(double), float)
    assert_type(await tally.apply(Tally.add, 3), int)
    assert_type(await tally.apply(Tally.add, amount=3), int)
    assert_type(await tally.apply(lambda t: t.count), int)
    assert_type(await tally.apply(lambda t, n: t.add(n), 3), int)
    assert_type(tally.apply_now(Tally.add, 3), int)
    assert_type(await tally.apply_with(Tally.add, 3), int)
    purse = vat.entrust(Purse(), alone=True, on_error="poison")
    assert_type(purse, captp.Trust[Purse])
    assert_type(await purse.apply(Purse.add, 3), int)
    assert_type(await purse.apply(Purse.history, 1, newest=False), list[str])
    assert_type(await purse.apply(Account.add, 3), int)
    assert_type(await purse.launch(Account.settle, vat.export(Purse())), str)
    assert_type(await purse.apply(Purse.unmarked), bytes)
    assert_type(await purse.apply(lambda p: p.total), int)
    assert_type(await purse.launch(slowly, 3), str)
    assert_type(purse.clone(), captp.Trust[Purse])
    purse.heal()
    purse.drop()


async def outcomes(tally: captp.Trust[Tally]) -> None:
    def hear(outcome: captp.Outcome[int]) -> None:
        assert_type(outcome.value, int)
        assert_type(outcome.error, BaseException | None)

    tally.apply_then(Tally.add, 3, then=hear)
    tally.apply_then(Tally.add, 3)
    calls = [captp.Call(Tally.add, 1), captp.Call(Tally.add, 2)]
    assert_type(calls, list[captp.Call[int]])
    ends = await tally.apply_many(calls)
    assert_type(ends, list[captp.Outcome[int]])
    assert_type(ends[0].unwrap(), int)


async def beside_the_loop(vat: captp.LiveVat) -> None:
    async with vat.trustee("thread", quota=8, window=10, max_inflight=100) as thread:
        tally = thread.entrust(Tally(), on_error="poison")
        assert_type(await tally.apply(Tally.add, 3), int)
        assert_type(tally.blocking.apply(Tally.add, 3), int)
        assert_type(tally.blocking.apply(lambda t: t.count), int)
        made = await thread.entrust_new(Tally, start=5)
        assert_type(await made.apply(double), float)
        trust: captp.Trust[Tally] = made
        print(trust, thread.stats().turns)
    async with vat.trustee("process", [Purse], turn_s=1.0) as process:
        purse = await process.entrust_new(Purse, total=5)
        assert_type(purse, captp.Trust[Purse])
        assert_type(await purse.apply(Purse.add, 3), int)
        print(process.stats().pid)
    async with vat.trustee("process", [Purse], store=SqliteStore(Path("purses.db"))) as durable:
        kept = await durable.root("purse", Purse, total=5)
        assert_type(kept, captp.Trust[Purse])
        assert_type(await kept.apply(Purse.add, 3), int)


async def elsewhere(vat: captp.LiveVat, uri: str, account: Account) -> None:
    far = captp.trust(vat.enliven(uri), Account)
    assert_type(far, captp.Trust[Account])
    assert_type(await far.apply(Account.add, 3), int)
    assert_type(await far.apply(Account.history, newest=False), list[str])
    assert_type(captp.trust(account, Purse), captp.Trust[Purse])
    assert_type(await captp.trust(account, Purse).apply(Purse.add, 3), int)
    assert_type(await captp.trust(account, Purse).apply(lambda p: p.add(p.add(1))), int)
    assert_type(await captp.trust(account, Purse).launch(Purse.settle, account), str)


# Ownership.


class Desk(captp.Interface):
    @captp.method
    def read(self, account: captp.Borrowed[Account]) -> int: ...
    @captp.method
    def take(self, account: captp.Unique[Account]) -> captp.Unique[Account]: ...
    @captp.method
    def own(self, account: captp.Exclusive[Account]) -> int: ...


class Office(captp.Object, Desk):
    @captp.method
    def read(self, account: captp.Borrowed[Account]) -> int:
        assert_type(account, Account)
        return 0

    @captp.method
    def take(self, account: captp.Unique[Account]) -> captp.Unique[Account]:
        assert_type(account, Account)
        return account

    @captp.method
    def own(self, account: captp.Exclusive[Account]) -> int:
        assert_type(account, Account)
        return 0


async def owning(desk: Desk, account: Account) -> None:
    assert_type(await desk.read(account), int)
    assert_type(await desk.own(account), int)
    assert_type(desk.take(account), Account)
    assert_type(await desk.take(account), Account)
    assert_type(await desk.take(account).add(1), int)
    assert_type(captp.share(account), Account)
    assert_type(captp.lend(account), Account)
    assert_type(await captp.make_unique(account), Account)
    found: Any = await captp.E(desk).read(captp.lend(account))
    print(found)
