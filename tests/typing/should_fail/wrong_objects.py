# mypy: disable-error-code="empty-body"
"""Mistakes in Objects that a type checker must report; each line says what it expects."""

from __future__ import annotations

import captp


class Account(captp.Interface):
    @captp.method
    def deposit(self, amount: int) -> int: ...
    @captp.method
    async def slow(self) -> str: ...


class Narrow(captp.Object, Account):
    @captp.method
    def deposit(self, amount: str) -> int:  # E: [override]
        return len(amount)

    @captp.method
    async def slow(self) -> int:  # E: [override]
        return 3


class More(captp.Object, Account):
    @captp.method
    def deposit(self, amount: int, note: str) -> int:  # E: [override]
        return amount

    @captp.method
    async def slow(self) -> str:
        return 3  # E: [return-value]


class Purse(captp.Object, Account):
    total: int = 0
    log: captp.List[str]
    peers: captp.Map[str, Account]

    @captp.method
    def deposit(self, amount: int) -> int:
        self.total = "x"  # E: [assignment]
        self.log.append(amount)  # E: [arg-type]
        self.peers["x"] = 3  # E: [assignment]
        self.peers[3] = self  # E: [index]
        return str(amount)  # E: [return-value]

    @captp.method
    async def slow(self) -> str:
        return "x"


def use(purse: Purse) -> None:
    purse.deposit("x")  # E: [arg-type]
    purse.deposit()  # E: [call-arg]
    text: str = purse.deposit(3)  # E: [assignment]
    purse.colour = "red"  # E: [attr-defined]
    Purse(5)  # E: [call-arg]
    print(text)


async def wait(purse: Purse) -> None:
    await purse.deposit(3)  # E: [misc]
    number: int = await purse.slow()  # E: [assignment]
    print(number)


@captp.portable_error  # E(basedpyright): [reportArgumentType]
class Wrong(Exception):  # E(mypy): [type-var]
    pass
