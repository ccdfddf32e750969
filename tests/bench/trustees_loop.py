"""Figures of handles in the vat's own loop against trio's lock, in alternating rounds; medians."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

import captp

Figures: TypeAlias = dict[str, float]
Work: TypeAlias = Callable[[], Awaitable[None]]

ROUNDS = 9
CALLS = 20_000
LOCKED = 4_000
READERS, WRITERS = 32, 2
#: Seconds of one round of readers and writers, and of the wait in the middle of an update.
READ_S = 0.4
WAIT_S = 0.001


class Counter:
    """What is shared; a plain object, as the lock guards one."""

    number = 0

    def add(self, amount: int) -> int:
        self.number += amount
        return self.number


class Total(captp.Object):
    """The same with state of a vat, which is journalled."""

    number: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.number += amount
        return self.number


def apply() -> Figures:
    """One task: ``await apply`` against ``async with trio.Lock()``, with the same increment."""
    took: dict[str, list[float]] = {"apply_ns": [], "object_ns": [], "lock_ns": []}

    async def main() -> None:
        async with captp.open_vat() as vat:
            handle, total = vat.entrust(Counter()), vat.entrust(Total())
            counter, lock = Counter(), trio.Lock()
            for _ in range(ROUNDS):
                began = time.perf_counter()
                for _ in range(CALLS):
                    await handle.apply(Counter.add, 1)
                middle = time.perf_counter()
                for _ in range(LOCKED):
                    async with lock:
                        counter.add(1)
                locked = time.perf_counter()
                for _ in range(CALLS):
                    await total.apply(Total.add, 1)
                ended = time.perf_counter()
                took["apply_ns"].append((middle - began) / CALLS)
                took["lock_ns"].append((locked - middle) / LOCKED)
                took["object_ns"].append((ended - locked) / CALLS)

    trio.run(main)
    median = {name: statistics.median(values) * 1e9 for name, values in took.items()}
    return {
        **{name: round(value) for name, value in median.items()},
        "to_lock": round(median["apply_ns"] / median["lock_ns"], 3),
        "object_to_lock": round(median["object_ns"] / median["lock_ns"], 3),
    }


def readers() -> Figures:
    """Readers of an object while writers update it across an await: two turns against one held lock."""
    rounds: dict[str, list[float]] = {"turns": [], "lock": []}

    async def main() -> None:
        async with captp.open_vat() as vat:
            handle, counter, lock = vat.entrust(Counter()), Counter(), trio.Lock()

            async def read_turn() -> None:
                await handle.apply(Counter.add, 0)

            async def write_turns() -> None:
                now = await handle.apply(Counter.add, 0)
                await trio.sleep(WAIT_S)
                await handle.apply(Counter.add, 1 if now >= 0 else 0)

            async def read_locked() -> None:
                async with lock:
                    counter.add(0)

            async def write_locked() -> None:
                async with lock:
                    now = counter.add(0)
                    await trio.sleep(WAIT_S)
                    counter.add(1 if now >= 0 else 0)

            for _ in range(5):
                rounds["turns"].append(await _p99(read_turn, write_turns))
                rounds["lock"].append(await _p99(read_locked, write_locked))

    trio.run(main)
    turns, lock = statistics.median(rounds["turns"]), statistics.median(rounds["lock"])
    return {
        "turns_p99_ms": round(turns * 1e3, 4),
        "lock_p99_ms": round(lock * 1e3, 4),
        "to_lock": round(turns / lock, 4),
    }


async def _p99(read: Work, write: Work) -> float:
    took: list[float] = []

    async def reader() -> None:
        while True:
            began = time.perf_counter()
            await read()
            took.append(time.perf_counter() - began)
            await trio.lowlevel.checkpoint()

    async def writer() -> None:
        while True:
            await write()
            await trio.lowlevel.checkpoint()

    with trio.move_on_after(READ_S):
        async with trio.open_nursery() as nursery:
            for _ in range(READERS):
                nursery.start_soon(reader)
            for _ in range(WRITERS):
                nursery.start_soon(writer)
    took.sort()
    return took[math.ceil(len(took) * 0.99) - 1]
