"""Classes for durable process trustees: one that counts, and one that speaks to its store by itself."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import captp
from captp.model.locator import PeerLocator


class Ledger(captp.Object):
    """Counts what was paid in, and how often anything ran."""

    total: int = 0
    runs: int = 0
    pages: captp.Map[int, bytes]
    last: Any = None

    @captp.method
    def pay(self, amount: int) -> int:
        self.runs += 1
        self.total += amount
        return self.total

    @captp.method(idempotent=True)
    def set_to(self, total: int) -> int:
        self.runs += 1
        self.total = total
        return os.getpid()

    @captp.method(idempotent=True)
    async def set_slowly(self, total: int) -> int:
        self.set_to(total)
        await captp.sleep(0.001)
        return os.getpid()

    @captp.method
    def read(self) -> tuple[int, int]:
        return self.total, self.runs

    @captp.method
    def write(self, page: int, size: int) -> None:
        self.pages[page] = bytes([page % 256]) * size

    @captp.method
    def page(self, page: int) -> int:
        return len(self.pages[page])

    @captp.method
    def open_next(self) -> Any:
        """Have a ledger of one's own, which this one leads to."""
        self.last = Ledger()
        return self.last

    @captp.method
    def next(self) -> Any:
        return self.last

    @captp.method
    def pay_and_die(self, amount: int) -> None:
        self.total += amount
        os.kill(os.getpid(), signal.SIGKILL)

    @captp.method(idempotent=True)
    def always_die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @captp.method
    def pay_later(self, seconds: float, amount: int) -> None:
        captp.later(seconds, self.pay, amount)

    @captp.method
    async def call_durably(self, designator: str) -> Any:
        somebody = captp.SturdyRef(PeerLocator.make("tls", designator), bytes(32))
        return await captp.send_durable(somebody, "pay", 1)


class Intruder(captp.Object):
    """Has taken its process over, and says to the store what it likes."""

    held: int = 0

    @captp.method
    def hold(self, number: int) -> int:
        self.held = number
        return self.held

    @captp.method
    def say(self, packets: list[bytes]) -> None:
        for packet in packets:
            os.write(int(sys.argv[2]), packet)
        time.sleep(60)

    @captp.method
    def hang_up(self) -> None:
        os.close(int(sys.argv[2]))
        time.sleep(60)


class Shelf(captp.Object):
    """Has more than state."""

    __slots__ = ("things",)
