# mypy: disable-error-code="empty-body"
"""Right programs that one of the checkers rejects all the same; a line goes when its checker learns."""

from __future__ import annotations

import captp


class Account(captp.Interface):
    @captp.method
    def deposit(self, amount: int) -> int: ...


class Bank(captp.Interface):
    @captp.method
    def find(self, owner: str) -> Account | None: ...


class Purse(captp.Object, Account):
    @captp.method
    def deposit(self, amount: int) -> int:
        return amount


class Wider(Purse):
    # Substitution allows it; basedpyright takes the parameters of a method as invariant.
    @captp.method
    def deposit(self, amount: int, note: str = "") -> int:  # E(basedpyright): [override]
        return amount + len(note)


class Named(captp.Object):
    # A keyword argument could be called self; writing (self, /, **named) satisfies mypy.
    @captp.method  # E(mypy): [arg-type]
    def set(self, **named: int) -> None:
        print(named)


async def optional(bank: Bank) -> None:
    # mypy lets an optional interface through as itself, not as a promise for it.
    found = await bank.find("eve")  # E(mypy): [misc]
    if found is not None:
        print(await found.deposit(1))
