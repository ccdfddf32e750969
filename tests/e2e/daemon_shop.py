"""Classes that the daemons of the tests host."""

from __future__ import annotations

import time

import captp


class Till(captp.Object):
    total: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    @captp.method
    def grind(self, seconds: float) -> str:
        time.sleep(seconds)
        return "done"

    @captp.method
    async def slow(self, seconds: float) -> str:
        await captp.sleep(seconds)
        return "done"

    @captp.method
    def fail(self, text: str) -> None:
        raise RuntimeError(text)


class Needy(captp.Object):
    owner: str


class Faulty(captp.Object):
    def __init__(self) -> None:
        raise ValueError("no luck")


NOT_A_CLASS = 3
