"""A counter in a capsule behind a mutex, and an object whose fibers add to it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Capsule, Data, Mutex


class Stock(captp.Brand):
    """Names the capsules of these tests."""


class Count(captp.Object):
    n: int = 0


class Odd(Exception):
    """Stays in its capsule."""


class Box:
    """A mutex over a capsule with one counter in it."""

    def __init__(self, vat: Any, **options: Any) -> None:
        key = Capsule.create(Stock)
        self.count, self.key = key.access(lambda access: Data.wrap(access, Count()))
        self.mutex = Mutex(self.key, vat, **options)

    def add(self, access: Any, by: int = 1) -> int:
        count = self.count.unwrap(access)
        count.n += by
        n: int = count.n
        return n

    def add_and_fail(self, access: Any) -> None:
        self.add(access)
        raise Odd

    def check(self) -> None:
        """Nobody holds it or waits, once whatever was dropped has been looked at."""
        line = self.mutex._line
        line.check()
        assert ([*line.held], [*line.waiting]) == ([], [])


class Adder(captp.Object):
    """Adds in its fibers."""

    @captp.method
    async def add(self, number: int) -> int:
        box = BOXES[number]
        with await box.mutex.lock() as guard:
            before = guard.access(box.add, 0)
            await captp.sleep(0)
            return guard.access(box.add, before + 1 - guard.access(box.add, 0))

    @captp.method
    async def add_in_time(self, number: int, seconds: float) -> int:
        box = BOXES[number]
        with await captp.within(seconds, box.mutex.lock()) as guard:
            return guard.access(box.add)

    @captp.method
    async def fail(self, number: int, how: str) -> str:
        box = BOXES[number]
        guard = await box.mutex.lock()
        if how == "later":
            guard.access(box.add)
            await captp.sleep(0)
        if how == "caught":
            with pytest.raises(captp.Encapsulated):
                guard.access(box.add_and_fail)
            return "caught"
        if how == "in finally":
            try:
                guard.access(box.add_and_fail)
            finally:
                guard.release()
        with guard:
            guard.access(box.add_and_fail)
        return "never"

    @captp.method
    def make(self) -> int:
        BOXES.append(Box(None))
        return len(BOXES) - 1


BOXES: list[Box] = []


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()
