"""Measures a thread trustee beside the locks that it stands for, in one run; it judges nothing.

Each figure is the median of rounds in which both sides alternate, as others may use the machine, too.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import trio

from captp.model.trust import Call
from captp.run.threads import ThreadTrust, open_thread_trustee

Figures: TypeAlias = dict[str, float]
Step: TypeAlias = Callable[[], object]

THREADS = 16
BATCH = 64
TASKS = 256
#: Seconds that a section is to take, when one thread does one after the other.
SECTION_S = 10e-6


class Counter:
    """What is shared; ``section`` is how many slots a section fills."""

    def __init__(self, section: int = 0) -> None:
        self.number = 0
        self.section = section
        self.slots: dict[int, int] = {}

    def add(self, amount: int) -> int:
        self.number += amount
        return self.number

    def work(self) -> None:
        """Be a section."""
        slots = self.slots
        for at in range(self.section):
            slots[at] = at

    def block(self) -> None:
        """Take 0.3 ms, without the interpreter's lock."""
        time.sleep(0.0003)
        self.number += 1


def section() -> int:
    """Return how many slots are filled in ``SECTION_S`` here and now."""
    counter, took = Counter(500), []
    for _ in range(1000):
        began = time.perf_counter()
        counter.work()
        took.append(time.perf_counter() - began)
    return round(counter.section * SECTION_S / statistics.median(took))


class Run:
    """So many threads that do one step over and over for a while."""

    def __init__(self, step: Step, seconds: float, *, timed: bool = False) -> None:
        self._step = step
        self._is_over = False
        self._start = threading.Barrier(THREADS + 1)
        #: Steps of each thread, and seconds that each step took.
        self.counts: list[int] = []
        self.took: list[float] = []
        threads = [threading.Thread(target=self._timed if timed else self._plain) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        self._start.wait()
        begun = time.perf_counter()
        time.sleep(seconds)
        self._is_over = True
        for thread in threads:
            thread.join()
        self.rate = sum(self.counts) / (time.perf_counter() - begun)

    def _plain(self) -> None:
        count, step = 0, self._step
        self._start.wait()
        while not self._is_over:
            step()
            count += 1
        self.counts.append(count)

    def _timed(self) -> None:
        took, step, clock = list[float](), self._step, time.perf_counter
        self._start.wait()
        while True:
            begun = clock()
            step()
            ended = clock()
            if self._is_over:
                # Threads that end keep the interpreter meanwhile, and are neither side's doing.
                break
            took.append(ended - begun)
        self.counts.append(len(took))
        self.took += took

    @property
    def fairness(self) -> float:
        """Jain's index of the threads' shares: 1 when all are equal."""
        return sum(self.counts) ** 2 / (THREADS * sum(count * count for count in self.counts))


def locked(fn: Callable[[Counter], object], slots: int) -> Step:
    """Make the step of a thread that takes a lock for it."""
    counter, lock = Counter(slots), threading.Lock()

    def step() -> None:
        with lock:
            fn(counter)

    return step


def locked_add() -> Step:
    """Make the increment under a lock."""
    counter, lock = Counter(), threading.Lock()

    def step() -> int:
        with lock:
            return counter.add(1)

    return step


async def delegated(
    make: Callable[[ThreadTrust[Counter]], Step], seconds: float, *, timed: bool = False, slots: int = 0
) -> Run:
    """Run the steps of threads that share an entrusted counter."""
    async with open_thread_trustee() as trustee:
        step = make(trustee.entrust(Counter(slots)))
        return await trio.to_thread.run_sync(partial(Run, step, seconds, timed=timed))


def throughput(rounds: int = 5, seconds: float = 0.25) -> Figures:
    """Fetch-and-add of 16 OS threads: millions per second, each under a lock, or in batches of 64.

    ``read`` are batches of which each outcome is looked at, ``held`` is a lock that is taken for 64.
    """
    calls = [Call(Counter.add, 1)] * BATCH

    def batches(trust: ThreadTrust[Counter]) -> Step:
        return partial(trust.blocking.apply_many, calls)

    def read(trust: ThreadTrust[Counter]) -> Step:
        blocking = trust.blocking
        return lambda: [outcome.unwrap() for outcome in blocking.apply_many(calls)]

    def one(trust: ThreadTrust[Counter]) -> Step:
        blocking = trust.blocking
        return lambda: blocking.apply(Counter.add, 1)

    def held() -> Step:
        counter, lock = Counter(), threading.Lock()

        def step() -> None:
            with lock:
                for _ in range(BATCH):
                    counter.add(1)

        return step

    sides: dict[str, Callable[[], float]] = {
        "lock": lambda: Run(locked_add(), seconds).rate,
        "batches": lambda: BATCH * trio.run(delegated, batches, seconds).rate,
        "read": lambda: BATCH * trio.run(delegated, read, seconds).rate,
        "held": lambda: BATCH * Run(held(), seconds).rate,
        "one": lambda: trio.run(delegated, one, seconds).rate,
    }
    rows = alternating(sides, rounds)
    figures = {f"{side}_m_per_s": middle(rows, side) / 1e6 for side in sides}
    for side in ("batches", "read", "one"):
        figures[f"{side}_to_lock"] = ratio(rows, side, "lock")
    figures["batches_to_held"] = ratio(rows, "batches", "held")
    return figures


def tails(rounds: int = 15, seconds: float = 0.25) -> Figures:
    """Sections of 10 µs, one at a time, from 16 OS threads: how long they take, in milliseconds."""

    def one(trust: ThreadTrust[Counter]) -> Step:
        return partial(trust.blocking.apply, Counter.work)

    slots = section()
    sides: dict[str, Callable[[], Run]] = {
        "lock": lambda: Run(locked(Counter.work, slots), seconds, timed=True),
        "trustee": lambda: trio.run(partial(delegated, one, seconds, timed=True, slots=slots)),
    }
    rows = [{side: sorted(run.took) for side, run in row.items()} for row in alternating(sides, rounds)]
    figures: Figures = {}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
        cut = [{side: 1e3 * percentile(took, share) for side, took in row.items()} for row in rows]
        figures |= {f"{side}_{name}_ms": middle(cut, side) for side in sides}
        figures[f"{name}_to_lock"] = ratio(cut, "trustee", "lock")
    return figures


def fairness(rounds: int = 3, seconds: float = 0.25) -> Figures:
    """Jain's index of 16 OS threads' shares, in sections of 10 µs."""

    def one(trust: ThreadTrust[Counter]) -> Step:
        return partial(trust.blocking.apply, Counter.work)

    slots = section()
    sides: dict[str, Callable[[], float]] = {
        "lock": lambda: Run(locked(Counter.work, slots), seconds).fairness,
        "trustee": lambda: trio.run(partial(delegated, one, seconds, slots=slots)).fairness,
    }
    rows = alternating(sides, rounds)
    return {side: middle(rows, side) for side in sides}


def crossing(rounds: int = 5) -> Figures:
    """256 tasks that use one object: microseconds for each call."""

    async def tasks(call: Callable[[], Awaitable[object]], each: int) -> float:
        async def task() -> None:
            for _ in range(each):
                await call()

        begun = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(task)
        return 1e6 * (time.perf_counter() - begun) / (TASKS * each)

    async def in_threads() -> float:
        step = locked_add()
        return await tasks(partial(trio.to_thread.run_sync, step), 8)

    async def in_trustee() -> float:
        async with open_thread_trustee() as trustee:
            trust = trustee.entrust(Counter())
            return await tasks(lambda: trust.apply(Counter.add, 1), 40)

    rows = alternating(
        {"to_thread": lambda: trio.run(in_threads), "trustee": lambda: trio.run(in_trustee)}, rounds
    )
    return {
        "to_thread_us": middle(rows, "to_thread"),
        "trustee_us": middle(rows, "trustee"),
        "to_to_thread": ratio(rows, "trustee", "to_thread"),
    }


def loop_lag(rounds: int = 3, seconds: float = 0.6) -> Figures:
    """An object used by 16 tasks, and by 4 OS threads for 0.3 ms: how late the loop is, in milliseconds."""

    async def watch(call: Callable[[], Awaitable[object]], work: Step) -> list[float]:
        late: list[float] = []
        is_over = False

        async def tick() -> None:
            while True:
                due = time.perf_counter() + 0.001
                await trio.sleep(0.001)
                late.append(time.perf_counter() - due)

        async def task() -> None:
            while True:
                await call()
                await trio.sleep(0.0005)

        def thread() -> None:
            while not is_over:
                work()

        async with trio.open_nursery() as threads, trio.open_nursery() as nursery:
            for _ in range(4):
                threads.start_soon(trio.to_thread.run_sync, thread)
            nursery.start_soon(tick)
            for _ in range(THREADS):
                nursery.start_soon(task)
            await trio.sleep(seconds)
            is_over = True
            nursery.cancel_scope.cancel()
        return sorted(late)

    async def on_lock() -> list[float]:
        counter, lock = Counter(), threading.Lock()

        def work() -> None:
            with lock:
                counter.block()

        async def call() -> None:
            with lock:
                counter.add(1)

        return await watch(call, work)

    async def on_trustee() -> list[float]:
        async with open_thread_trustee() as trustee:
            trust = trustee.entrust(Counter())
            return await watch(
                lambda: trust.apply(Counter.add, 1), partial(trust.blocking.apply, Counter.block)
            )

    sides = {"lock": lambda: trio.run(on_lock), "trustee": lambda: trio.run(on_trustee)}
    rows = alternating(sides, rounds)
    figures: Figures = {}
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        cut = [{side: 1e3 * percentile(late, share) for side, late in row.items()} for row in rows]
        figures |= {f"{side}_{name}_ms": middle(cut, side) for side in sides}
        figures[f"{name}_to_lock"] = ratio(cut, "trustee", "lock")
    return figures


def alternating(sides: dict[str, Callable[[], Any]], rounds: int) -> list[dict[str, Any]]:
    """Measure every side once in each round, every other round the other way round."""
    rows = []
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(reversed(sides))
        rows.append({name: sides[name]() for name in names})
    return rows


def middle(rows: list[dict[str, float]], side: str) -> float:
    """Return the median of one side."""
    return statistics.median(row[side] for row in rows)


def ratio(rows: list[dict[str, float]], side: str, base: str) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(row[side] / row[base] for row in rows)


def percentile(ordered: list[float], share: float) -> float:
    """Return the value below which that share of an ordered list is."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> None:
    """Print all figures."""
    for measure in (throughput, tails, fairness, crossing, loop_lag):
        print(measure.__name__)
        for name, figure in measure().items():
            print(f"  {name:20} {figure:12.3f}", flush=True)


if __name__ == "__main__":
    main()
