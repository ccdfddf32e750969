"""Fetch-and-add: eight clients count with one counter, behind a lock and with a trustee in four places.

Run it with ``python -m captp.examples.fetch_and_add``; ``--calls N`` is how many calls each line makes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Final, TypeAlias

import trio

import captp
from captp.net.tcp import TcpNetlayer

CLIENTS: Final = 8
#: What one client did: when it asked, when it had its answer, and what that was.
Log: TypeAlias = list[tuple[float, float, int]]


class Counter(captp.Object):
    """The counter. A process of its own imports this class by its name."""

    count: int = 0

    @captp.method
    def fetch_and_add(self, amount: int) -> int:
        self.count += amount
        return self.count - amount


class PlainCounter:
    """The same in plain Python, for locks and for a thread, which owns no captp.Object."""

    count = 0

    def fetch_and_add(self, amount: int) -> int:
        self.count += amount
        return self.count - amount


async def a_lock(share: int) -> list[Log]:
    """Count with tasks and a lock, which nobody may forget to take."""
    counter, lock = PlainCounter(), trio.Lock()

    async def add() -> int:
        async with lock:
            return counter.fetch_and_add(1)

    return await by_tasks(add, share)


async def the_loop(share: int) -> list[Log]:
    """Count with tasks and a trustee in their own loop."""
    async with captp.open_vat() as vat:
        counter = vat.entrust(Counter())
        return await by_tasks(lambda: counter.apply(Counter.fetch_and_add, 1), share)


async def a_thread_lock(share: int) -> list[Log]:
    """Count with threads and a lock."""
    counter, lock = PlainCounter(), threading.Lock()

    def add() -> int:
        with lock:
            return counter.fetch_and_add(1)

    return await by_threads(add, share)


async def a_thread(share: int) -> list[Log]:
    """Count with threads and a trustee that has one of its own."""
    async with captp.open_vat() as vat, vat.trustee("thread") as trustee:
        counter = trustee.entrust(PlainCounter()).blocking
        return await by_threads(lambda: counter.apply(PlainCounter.fetch_and_add, 1), share)


async def a_process(share: int) -> list[Log]:
    """Count with tasks and a trustee in another process."""
    async with captp.open_vat() as vat, vat.trustee("process", [Counter]) as trustee:
        counter = await trustee.entrust_new(Counter)
        return await by_tasks(lambda: counter.apply(Counter.fetch_and_add, 1), share)


async def another_vat(share: int) -> list[Log]:
    """Count with tasks and a vat that they reach over TCP, as if it were far away."""
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as vat:
        counter = captp.trust(await vat.enliven(host.mint(Counter())), Counter)
        return await by_tasks(lambda: counter.apply(Counter.fetch_and_add, 1), share)


async def by_tasks(add: Callable[[], Awaitable[int]], share: int) -> list[Log]:
    """Have each client, which is a task, add one ``share`` times."""

    async def count(log: Log) -> None:
        for _ in range(share):
            asked, found = perf_counter(), await add()
            log.append((asked, perf_counter(), found))

    logs: list[Log] = [[] for _ in range(CLIENTS)]
    async with trio.open_nursery() as nursery:
        for log in logs:
            nursery.start_soon(count, log)
    return logs


async def by_threads(add: Callable[[], int], share: int) -> list[Log]:
    """Have each client, which is a thread, add one ``share`` times."""
    start, logs = threading.Barrier(CLIENTS), [Log() for _ in range(CLIENTS)]

    def count(log: Log) -> None:
        start.wait()
        for _ in range(share):
            asked, found = perf_counter(), add()
            log.append((asked, perf_counter(), found))

    with ThreadPoolExecutor(CLIENTS) as pool:
        await trio.to_thread.run_sync(list, pool.map(count, logs))
    return logs


def row(place: str, logs: list[Log], each: int = 1) -> str:
    """Tell how it went; fairness is Jain's index, 1 when all are as fast and 1/8 when one has it all."""
    asked, done, _ = zip(*[call for log in logs for call in log], strict=True)
    waits = sorted((end - begin) * 1e6 for begin, end in zip(asked, done, strict=True))
    rates = [len(log) / (log[-1][1] - min(asked)) for log in logs]
    fairness = sum(rates) ** 2 / (CLIENTS * sum(rate * rate for rate in rates))
    rate, tail = each * len(waits) / (max(done) - min(asked)), waits[int(0.999 * len(waits))]
    return f"{place:14}{CLIENTS:>8}{rate:>11.0f}{tail:>11.0f}{waits[-1]:>11.0f}{fairness:>10.2f}"


def main(calls: int) -> None:
    """Print the table."""
    print(f"{'place':14} clients    calls/s   p99.9 µs   worst µs  fairness")
    for place in (a_lock, the_loop, a_thread_lock, a_thread, a_process, another_vat):
        logs = trio.run(place, calls // CLIENTS)
        assert {found for log in logs for *_, found in log} == {*range(calls // CLIENTS * CLIENTS)}, place
        print(row(place.__name__.replace("_", " "), logs), flush=True)
    print(f"each counted to {calls // CLIENTS * CLIENTS}")


if __name__ == "__main__":
    from captp.examples import fetch_and_add  # noqa: PLW0406 - by its name, as a process imports the counter

    fetch_and_add.main(int(sys.argv[2]) if sys.argv[1:2] == ["--calls"] else 20_000)
