"""A key-value store in shards, each behind a lock or with a trustee; some keys are wanted more than others.

Run it with ``python -m captp.examples.kv``; ``--calls N`` is how many operations each line does. Keys are
drawn as Zipf has it, one operation in twenty is a write, and all lines do the same ones.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

import trio

import captp
from captp.examples.fetch_and_add import CLIENTS, Log, by_tasks, by_threads, row
from captp.examples.store import shard_of

SHARDS: Final = 4
BATCH: Final = 64
KEYS: Final = tuple(f"key-{rank}" for rank in range(10_000))
DATA: Final = b"v" * 100

#: A key, and whether it is written; and those that are for one shard.
Operation: TypeAlias = tuple[str, bool]
Part: TypeAlias = list[Operation]
#: What the clients did, and how many writes have come to the shards.
Ran: TypeAlias = tuple[list[Log], int]


class Table:
    """A shard in plain Python, for locks, the loop and threads."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[int, bytes]] = dict.fromkeys(KEYS, (0, DATA))
        self.writes = 0

    def do(self, part: Part) -> int:
        for key, is_write in part:
            if is_write:
                self.writes += 1
                self.entries[key] = (self.writes, DATA)
            assert self.entries[key][1] == DATA
        return self.writes


def drawn(count: int, seed: int = 7) -> list[Operation]:
    """Draw operations: the key of rank n is wanted 1/n as often as the first."""
    numbers = random.Random(seed)  # noqa: S311 - so that all lines do the same
    keys = numbers.choices(KEYS, [1 / (1 + rank) for rank in range(len(KEYS))], k=count)
    return [(key, numbers.random() < 0.05) for key in keys]


def taken(todo: Iterator[Operation], size: int) -> Iterator[tuple[int, Part]]:
    """Take so many of the operations, and sort them by their shards."""
    parts: dict[int, Part] = {}
    for key, is_write in islice(todo, size):
        parts.setdefault(shard_of(key, SHARDS), []).append((key, is_write))
    return iter(parts.items())


async def locked_tasks(locks: int, todo: Iterator[Operation], size: int, share: int) -> Ran:
    """Have tasks take a lock of trio, of each shard or of all."""
    tables, held = [Table() for _ in range(SHARDS)], [trio.Lock() for _ in range(locks)]

    async def do() -> int:
        for at, part in taken(todo, size):
            async with held[at % locks]:
                tables[at].do(part)
        return size

    return await by_tasks(do, share), sum(table.writes for table in tables)


async def the_loop(todo: Iterator[Operation], size: int, share: int) -> Ran:
    """Have tasks delegate to their own loop."""
    async with captp.open_vat() as vat:
        tables = [vat.entrust(Table()) for _ in range(SHARDS)]

        async def do() -> int:
            for at, part in taken(todo, size):
                await tables[at].apply(Table.do, part)
            return size

        return await by_tasks(do, share), sum([await table.apply(Table.do, []) for table in tables])


async def locked_threads(locks: int, todo: Iterator[Operation], size: int, share: int) -> Ran:
    """Have threads take a lock, of each shard or of all."""
    tables, held = [Table() for _ in range(SHARDS)], [threading.Lock() for _ in range(locks)]

    def do() -> int:
        for at, part in taken(todo, size):
            with held[at % locks]:
                tables[at].do(part)
        return size

    return await by_threads(do, share), sum(table.writes for table in tables)


async def the_threads(todo: Iterator[Operation], size: int, share: int) -> Ran:
    """Have threads delegate to a thread for each shard."""
    async with captp.open_vat() as vat, AsyncExitStack() as stack:
        trustees = [await stack.enter_async_context(vat.trustee("thread")) for _ in range(SHARDS)]
        tables = [trustee.entrust(Table()).blocking for trustee in trustees]

        def do() -> int:
            for at, part in taken(todo, size):
                tables[at].apply(Table.do, part)
            return size

        logs = await by_threads(do, share)
        return logs, sum(await trio.to_thread.run_sync(lambda: [t.apply(Table.do, []) for t in tables]))


PLACES: Final[dict[str, Callable[[Iterator[Operation], int, int], Awaitable[Ran]]]] = {
    "a lock": partial(locked_tasks, 1),
    "locks": partial(locked_tasks, SHARDS),
    "the loop": the_loop,
    "a thread lock": partial(locked_threads, 1),
    "thread locks": partial(locked_threads, SHARDS),
    "threads": the_threads,
}


def main(calls: int) -> None:
    """Print the table, for operations that come one by one, and in batches."""
    for size in (1, BATCH):
        print(f"{f'batches of {size}':14} clients     ops/s   p99.9 µs   worst µs  fairness")
        share = calls // CLIENTS // size
        operations = drawn(CLIENTS * share * size)
        for place, run in PLACES.items():
            logs, writes = trio.run(run, iter(operations), size, share)
            assert writes == sum(is_write for _, is_write in operations), "a write was lost"
            print(row(place, logs, size), flush=True)
    print("every write has come to its shard")


if __name__ == "__main__":
    main(int(sys.argv[2]) if sys.argv[1:2] == ["--calls"] else 40_000)
