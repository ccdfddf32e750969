"""What ``captp bench`` compares within this machine's own Python: short loops, ours and theirs."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import cycle, islice
from multiprocessing import active_children, get_context
from multiprocessing.managers import BaseManager
from typing import Any, Final, TypeAlias
from zlib import crc32

import trio

import captp

__all__ = [
    "BATCH",
    "Plain",
    "Side",
    "Sides",
    "Total",
    "apart",
    "by_step",
    "by_task",
    "in_loop",
    "in_process",
    "in_thread",
    "keys_in_loop",
    "keys_in_threads",
]

BATCH: Final = 64
THREADS: Final = 16
SHARDS: Final = 4
KEYS: Final = 10_000

#: Works for so many seconds, and returns how many operations it did in each.
Side: TypeAlias = Callable[[float], Awaitable[float]]
#: Ours, and theirs where there is something to compare with.
Sides: TypeAlias = tuple[Side, ...]
#: A key, and whether it is written.
Operation: TypeAlias = tuple[int, bool]


class Plain:
    """The counter, for locks, for trustees in this process, and for others' servers."""

    count = 0

    def add(self, amount: int) -> int:
        self.count += amount
        return self.count


class Total(captp.Object):
    """The counter where it lives in another process."""

    count: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.count += amount
        return self.count


class Table:
    """A shard of a key-value store."""

    def __init__(self) -> None:
        self.values = [b"v" * 100] * KEYS

    def do(self, part: list[Operation]) -> int:
        """Read and write; return how many there were."""
        for key, is_write in part:
            if is_write:
                self.values[key] = b"w" * 100
            assert len(self.values[key]) == 100
        return len(part)


def by_task(step: Callable[[], Awaitable[int]]) -> Side:
    """Have one task do a step over and over, which tells how many operations it was."""

    async def side(seconds: float) -> float:
        count, begun = 0, time.perf_counter()
        while (passed := time.perf_counter() - begun) < seconds:
            count += await step()
        return count / passed

    return side


def by_step(step: Callable[[], int]) -> Side:
    """Do a step that blocks over and over, here."""

    async def call() -> int:
        return step()

    return by_task(call)


def by_threads(pool: ThreadPoolExecutor, step: Callable[[], int]) -> Side:
    """Have each of the threads do a step over and over."""

    async def side(seconds: float) -> float:
        start = threading.Barrier(THREADS)

        def work(_: int) -> int:
            start.wait()
            count, until = 0, time.perf_counter() + seconds
            while time.perf_counter() < until:
                count += step()
            return count

        begun = time.perf_counter()
        counts = await trio.to_thread.run_sync(list, pool.map(work, range(THREADS)))
        return sum(counts) / (time.perf_counter() - begun)

    return side


@asynccontextmanager
async def in_loop() -> AsyncIterator[Sides]:
    """Compare a trustee in the loop with trio's lock."""
    async with captp.open_vat() as vat:
        trust, counter, lock = vat.entrust(Plain()), Plain(), trio.Lock()

        async def ours() -> int:
            for _ in range(BATCH):
                await trust.apply(Plain.add, 1)
            return BATCH

        async def theirs() -> int:
            for _ in range(BATCH):
                async with lock:
                    counter.add(1)
            return BATCH

        yield by_task(ours), by_task(theirs)


@asynccontextmanager
async def in_thread(size: int) -> AsyncIterator[Sides]:
    """Compare a trustee in a thread, with batches of a size, with a lock that is taken for each operation."""
    calls = [captp.Call(Plain.add, 1)] * size
    counter, lock = Plain(), threading.Lock()
    async with captp.open_vat() as vat, vat.trustee("thread") as trustee:
        blocking = trustee.entrust(Plain()).blocking

        def one() -> int:
            blocking.apply(Plain.add, 1)
            return 1

        def many() -> int:
            blocking.apply_many(calls)
            return size

        def theirs() -> int:
            with lock:
                return bool(counter.add(1))

        with ThreadPoolExecutor(THREADS) as pool:
            yield by_threads(pool, one if size == 1 else many), by_threads(pool, theirs)


class Manager(BaseManager):
    """The standard library's way to have an object in another process."""


Manager.register("Plain", Plain)


@asynccontextmanager
async def in_process(size: int) -> AsyncIterator[Sides]:
    """Compare a trustee in a process, with batches of a size, with a Manager's proxy, which has none."""
    calls = [captp.Call(Total.add, 1)] * size
    with Manager(ctx=get_context("spawn")) as manager:
        proxy: Any = manager.Plain()  # type: ignore[attr-defined]
        async with captp.open_vat() as vat, vat.trustee("process", [Total]) as trustee:
            trust = await trustee.entrust_new(Total)

            async def one() -> int:
                return bool(await trust.apply(Total.add, 1))

            async def many() -> int:
                return len(await trust.apply_many(calls))

            pids = [child.pid for child in active_children()] + [trustee.stats().pid]
            with apart(pids):
                yield by_task(one if size == 1 else many), by_step(lambda: bool(proxy.add(1)))


@contextmanager
def apart(pids: list[int | None]) -> Iterator[None]:
    """Keep this process on one core and others on another: which they share changes all that is measured."""
    cores = sorted(os.sched_getaffinity(0))
    try:
        for pid in pids:
            _keep(pid, set(cores[1:2] or cores))
        _keep(os.getpid(), set(cores[:1]))
        yield
    finally:
        _keep(os.getpid(), set(cores))


def _keep(pid: int | None, cores: set[int]) -> None:
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), cores)


def drawn() -> Iterator[Operation]:
    """Draw keys as Zipf has it, of which one in twenty is written; the same ones each time, over and over."""
    numbers = random.Random(7)  # noqa: S311 - both sides have the same
    keys = numbers.choices(range(KEYS), [1 / (1 + rank) for rank in range(KEYS)], k=8192)
    return cycle([(key, numbers.random() < 0.05) for key in keys])


def taken(todo: Iterator[Operation], size: int) -> list[tuple[int, list[Operation]]]:
    """Take so many operations, and sort them by their shards."""
    parts: dict[int, list[Operation]] = {}
    for key, is_write in islice(todo, size):
        parts.setdefault(crc32(b"%d" % key) % SHARDS, []).append((key, is_write))
    return list(parts.items())


@asynccontextmanager
async def keys_in_loop() -> AsyncIterator[Sides]:
    """Compare a store in shards, each entrusted to the loop, with one behind a lock of trio."""
    todo, table, lock = drawn(), Table(), trio.Lock()
    async with captp.open_vat() as vat:
        shards = [vat.entrust(Table()) for _ in range(SHARDS)]

        async def ours() -> int:
            for at, part in taken(todo, 1):
                await shards[at].apply(Table.do, part)
            return 1

        async def theirs() -> int:
            part = list(islice(todo, 1))
            async with lock:
                return table.do(part)

        yield by_task(ours), by_task(theirs)


@asynccontextmanager
async def keys_in_threads(size: int) -> AsyncIterator[Sides]:
    """Compare a store in shards with a thread each, used in batches, with one behind a lock."""
    todo, table, lock = drawn(), Table(), threading.Lock()
    async with captp.open_vat() as vat, AsyncExitStack() as stack:
        trustees = [await stack.enter_async_context(vat.trustee("thread")) for _ in range(SHARDS)]
        shards = [trustee.entrust(Table()).blocking for trustee in trustees]

        def ours() -> int:
            for at, part in taken(todo, size):
                shards[at].apply(Table.do, part)
            return size

        def theirs() -> int:
            part = list(islice(todo, 1))
            with lock:
                return table.do(part)

        with ThreadPoolExecutor(THREADS) as pool:
            yield by_threads(pool, ours), by_threads(pool, theirs)
