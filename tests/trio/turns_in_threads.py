"""What tests of thread trustees entrust, and what holds their thread in a turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from captp.run.threads import ThreadTrust


class Log:
    """Keeps what turns did, and in which thread."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.thread = threading.get_ident()

    def add(self, line: Any) -> int:
        self.lines.append(line)
        return len(self.lines)

    def copy(self) -> list[Any]:
        return list(self.lines)


class Gate:
    """Holds the trustee's thread inside a turn."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def enter(self) -> None:
        self.entered.set()
        assert self.open.wait(10)

    async def shut(self, trust: ThreadTrust[Log]) -> None:
        """Return when the thread is in it."""
        trust.apply_then(passes, self)
        assert await trio.to_thread.run_sync(self.entered.wait, 10)


def passes(log: Log, gate: Gate) -> str:
    gate.enter()
    log.add("gate")
    return "through"


class Sensed:
    """Tells in which thread it went."""

    def __init__(self, gone: list[int]) -> None:
        self.gone = gone
        self.made = threading.get_ident()

    def __del__(self) -> None:
        self.gone.append(threading.get_ident())


def ident(_: object) -> int:
    return threading.get_ident()


async def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work(number)`` in so many threads; raise what any of them raises."""
    limiter = trio.CapacityLimiter(count)
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(partial(trio.to_thread.run_sync, work, number, limiter=limiter))
