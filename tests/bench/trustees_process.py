"""Figures of process trustees against what the standard library has, in alternating rounds; medians.

Each function opens what it measures, takes a few seconds and returns a dict. Both sides are measured in
short rounds, one right after the other, and a ratio is the median of those of the rounds: a neighbour on
the machine disturbs both sides alike.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.managers import BaseManager
from operator import truediv
from typing import Any

import trio

import captp

ROUNDS = 21
#: Calls of one round, one by one, and in batches: enough for about as long a time.
CALLS = 700
BATCHED = 11_200
#: Seconds that one burn is to take, and burns per round and process: at the end of a round one worker has
#: nothing to do while the other ends its last burns, which is not what two workers do in the long run.
BURN_S = 0.0019
BURNS = 120
#: Burns in a batch: reading a result takes this process a tenth of a millisecond of a core, which is one of
#: the two that the workers have.
BURN_BATCH = 4
#: How often all processes are made anew, and rounds of each: the same loop takes up to a tenth longer in one
#: process than in the next of the same program, as long as it lives.
BURN_SETS = 3
BURN_ROUNDS = 2

Figures = dict[str, float]
Sender = Callable[[captp.Trust["Account"]], Awaitable[None]]


def burn(iterations: int) -> int:
    """Work in plain Python."""
    value = 1
    for i in range(iterations):
        value = (value * 1103515245 + i) & 0x7FFFFFFF
    return value


def iterations_of_a_burn() -> int:
    """Return how many iterations take ``BURN_S`` here and now."""
    trial = 20_000
    took = []
    for _ in range(20):
        began = time.perf_counter()
        burn(trial)
        took.append(time.perf_counter() - began)
    return round(trial * BURN_S / statistics.median(took))


class Account(captp.Object):
    """What the trustee owns."""

    total: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    @captp.method
    def burn(self, iterations: int) -> int:
        return burn(iterations)


class PlainAccount:
    """The same for a Manager."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, amount: int) -> int:
        self.total += amount
        return self.total


class Manager(BaseManager):
    """The standard library's way to own an object in another process."""


Manager.register("PlainAccount", PlainAccount)


@contextmanager
def managed() -> Iterator[Any]:
    """A proxy of an account in a Manager's process, which is spawned: this one may run trio."""
    with Manager(ctx=multiprocessing.get_context("spawn")) as manager:
        yield manager.PlainAccount()  # type: ignore[attr-defined]


def _against_manager(
    calls: int, by_trustee: Callable[[captp.Trust[Account], int], Awaitable[None]], names: tuple[str, str]
) -> Figures:
    ours: list[float] = []
    theirs: list[float] = []

    async def main() -> None:
        with managed() as proxy:
            async with captp.open_vat() as vat, vat.trustee("process", [Account]) as trustee:
                account = await trustee.entrust_new(Account)
                for number in range(ROUNDS + 1):
                    began = time.perf_counter()
                    await by_trustee(account, calls)
                    middle = time.perf_counter()
                    for _ in range(CALLS):
                        proxy.add(1)
                    ended = time.perf_counter()
                    if number:  # the first round is a rehearsal
                        ours.append(calls / (middle - began))
                        theirs.append(CALLS / (ended - middle))

    trio.run(main)
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = statistics.median(map(truediv, ours, theirs))
    return {names[0]: round(mine), names[1]: round(other), "ratio": round(ratio, 3)}


def one_by_one() -> Figures:
    """One task that awaits each call before the next, against a Manager's proxy."""

    async def call(account: captp.Trust[Account], calls: int) -> None:
        for _ in range(calls):
            await account.apply(Account.add, 1)

    return _against_manager(CALLS, call, ("trustee_calls_per_s", "manager_calls_per_s"))


def many(batch: int) -> Figures:
    """Batches of so many calls by ``apply_many``, against a Manager's proxy, which has no batches."""

    async def call(account: captp.Trust[Account], calls: int) -> None:
        some = [captp.Call(Account.add, 1) for _ in range(batch)]
        for _ in range(calls // batch):
            await account.apply_many(some)

    return _against_manager(BATCHED // batch * batch, call, ("trustee_calls_per_s", "manager_calls_per_s"))


def _control(commands: Connection) -> None:
    while True:
        count, iterations = commands.recv()
        if not count:
            return
        for _ in range(count):
            burn(iterations)
        commands.send(count)


@contextmanager
def controls() -> Iterator[list[Connection]]:
    """Two bare processes that burn when told to, once a round."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    processes = [context.Process(target=_control, args=(there,), daemon=True) for _, there in pipes]
    for process in processes:
        process.start()
    try:
        yield [here for here, _ in pipes]
    finally:
        for here, _ in pipes:
            here.send((0, 0))
        for process in processes:
            process.join()


def cpu_bound() -> Figures:
    """Processor-bound calls on two trustees, each by itself and in batches, against two bare processes.

    ``share_of_bare`` is of batches, ``share_singly`` of calls that are sent each by itself.
    """
    iterations = iterations_of_a_burn()
    batch = [captp.Call(Account.burn, iterations)] * BURN_BATCH

    async def one(account: captp.Trust[Account]) -> None:
        await account.apply(Account.burn, iterations)

    async def some(account: captp.Trust[Account]) -> None:
        await account.apply_many(batch)

    async def work(accounts: list[captp.Trust[Account]], send: Sender, times: int) -> None:
        # As in any pool, a worker that is ahead does more: this process steals its time from one of them.
        left = iter(range(times * len(accounts)))

        async def keep_busy(account: captp.Trust[Account]) -> None:
            # Two tasks: while one reads its result, the other's calls run.
            for _ in left:
                await send(account)

        async with trio.open_nursery() as nursery:
            for account in accounts:
                nursery.start_soon(keep_busy, account)
                nursery.start_soon(keep_busy, account)

    def bare(pipes: list[Connection]) -> None:
        for pipe in pipes:
            pipe.send((BURNS, iterations))
        for pipe in pipes:
            pipe.recv()

    rates: dict[str, list[float]] = {}

    async def main() -> None:
        with controls() as pipes:
            async with AsyncExitStack() as stack:
                vat = await stack.enter_async_context(captp.open_vat())
                accounts = []
                for _ in pipes:
                    trustee = await stack.enter_async_context(vat.trustee("process", [Account]))
                    accounts.append(await trustee.entrust_new(Account))
                for number in range(BURN_ROUNDS + 1):
                    for name, count in (("one", 1), ("two", 2)):
                        began = time.perf_counter()
                        await work(accounts[:count], one, BURNS)
                        first = time.perf_counter()
                        bare(pipes[:count])
                        second = time.perf_counter()
                        await work(accounts[:count], some, BURNS // BURN_BATCH)
                        ended = time.perf_counter()
                        if number:
                            rates.setdefault(f"{name}_singly", []).append(count * BURNS / (first - began))
                            rates.setdefault(f"bare_{name}", []).append(count * BURNS / (second - first))
                            rates.setdefault(name, []).append(count * BURNS / (ended - second))

    for _ in range(BURN_SETS):
        trio.run(main)
    median = {name: statistics.median(values) for name, values in rates.items()}
    return {
        **{f"{name}_per_s": round(value) for name, value in median.items()},
        "speedup": round(median["two"] / median["one"], 2),
        "bare_speedup": round(median["bare_two"] / median["bare_one"], 2),
        "share_of_bare": _share(rates["two"], rates["bare_two"]),
        "share_singly": _share(rates["two_singly"], rates["bare_two"]),
    }


def _share(ours: list[float], bare: list[float]) -> float:
    return round(statistics.median(map(truediv, ours, bare)), 3)


if __name__ == "__main__":
    # By its name: a child process could not import the class from here.
    from tests.bench import trustees_process as bench

    print("one_by_one", bench.one_by_one())
    for size in (16, 256):
        print(f"many({size})", bench.many(size))
    print("cpu_bound", bench.cpu_bound())
