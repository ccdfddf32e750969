"""What it costs a vat to be durable, and how much it can keep; exits 1 where a bound is missed.

``python -m tests.bench.durable --json FILE``. A vat in a process of its own, called over unix sockets by 100
clients in another; each has 100 of 1,000 objects, calls one at random, waits for its answer, and calls the
next. Every call writes a field. Volatile and durable passes take turns; the delay of the disk is injected.
What a call waits longer for the disk is measured at 3,000 calls a second: with as many calls as there can be
it would be the length of the queue.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import trio
from attrs import frozen

import captp
from captp import E
from captp.net.unix import UnixNetlayer
from captp.run.store import Change
from captpd.daemon.daemon import SWITCH_S
from captpd.store.sqlite import SqliteStore
from tests.bench.report import table

KEY = captp.PrivateKey.from_seed(b"b" * 32)
CLIENTS, OBJECTS, EACH = 100, 1_000, 100
PASS_S = 5.0
#: Seconds of the same calls before it, in which both processes load what they load with their first ticks.
SETTLE_S = 1.0
#: Calls a second at which waiting is compared.
PACE = 3_000
#: Objects of one shelf, of which a vat with many objects has many.
SHELF = 1_000

Figures = dict[str, float]


class Cell(captp.Interface):
    @captp.method
    def add(self, number: int) -> int: ...


class Shelf(captp.Interface):
    @captp.method
    def fill(self, count: int) -> None: ...

    @captp.method
    def cells(self, first: int, end: int) -> list[Any]: ...


class TheCell(captp.Object, Cell):
    total: int = 0
    note: str = "some words that every object has"

    @captp.method
    def add(self, number: int) -> int:
        self.total += number
        return self.total


class TheShelf(captp.Object, Shelf):
    rows: captp.Map[int, Cell]

    @captp.method
    def fill(self, count: int) -> None:
        for number in range(len(self.rows), len(self.rows) + count):
            self.rows[number] = TheCell()

    @captp.method
    def cells(self, first: int, end: int) -> list[Any]:
        return [self.rows[number] for number in range(first, end)]


class Library(captp.Object):
    shelves: captp.Map[int, Shelf]

    @captp.method
    def shelf(self, number: int) -> Shelf:
        if number not in self.shelves:
            self.shelves[number] = TheShelf()
        return self.shelves[number]


class SlowStore(SqliteStore):  # type: ignore[misc]
    """A store whose disk takes some time more for each commit."""

    sync_s = 0.0

    def commit(self, changes: Sequence[Change]) -> None:
        super().commit(changes)
        if self.sync_s:
            time.sleep(self.sync_s)


# The vat that is measured.


async def serve(folder: Path, kind: str, sync_ms: float) -> None:
    """Serve one library until the standard input ends."""
    store = None
    if kind == "durable":
        store = SlowStore(folder / "vat.db")
        store.sync_s = sync_ms / 1000
    layer = UnixNetlayer(str(folder / "socket"))
    limits = captp.Limits(objects_in_memory=50_000)
    async with captp.open_vat(key=KEY, listen=[layer], store=store, limits=limits) as vat:
        # As captpd does: what is there at the start is not looked at in each collection, and threads of
        # the vat and of its store do not wait long for each other.
        gc.freeze()
        sys.setswitchinterval(SWITCH_S)
        print(vat.mint(vat.root("library", Library), swiss=b"l" * 32).reveal(), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


@contextmanager
def serving(folder: Path, kind: str, sync_ms: float = 0.0) -> Any:
    """Give the process of a library, and the URI by which it is reached."""
    command = [sys.executable, "-m", "tests.bench.durable", "--serve", kind]
    command += ["--folder", str(folder), "--sync-ms", str(sync_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait()


# The clients.


async def load(uri: str, seconds: float, pace: float = math.inf) -> tuple[float, list[float]]:
    """Call from all clients for so long, ``pace`` times a second at most.

    Return calls a second, and the seconds that each took from when it was due.
    """
    took: list[float] = []

    async def client(number: int) -> None:
        chooser = random.Random(number)
        async with captp.connect(uri, netlayers=[UnixNetlayer()]) as library:
            shelf = E(await E(library).shelf(0))
            first = chooser.randrange(OBJECTS // EACH) * EACH
            cells = await shelf.cells(first, first + EACH)
            # What is done once, such as to read each object from disk, is not what is measured.
            for promise in [E(cell).add(1) for cell in cells]:
                await promise
            ready.append(number)
            if len(ready) == CLIENTS:
                # This process only measures: it is not to collect what all that has left behind.
                gc.freeze()
            while len(ready) < CLIENTS:
                await trio.sleep(0.01)
            rest = CLIENTS / pace
            due = trio.current_time() + rest * chooser.random()
            begun = due + SETTLE_S
            until = begun + seconds
            while due < until:
                await trio.sleep_until(due)
                await E(chooser.choice(cells)).add(1)
                now = trio.current_time()
                if due >= begun:
                    took.append(now - due)
                due = due + rest if rest else now

    ready: list[int] = []
    async with captp.connect(uri, netlayers=[UnixNetlayer()]) as library:
        await E(E(library).shelf(0)).fill(OBJECTS)
    async with trio.open_nursery() as nursery:
        for number in range(CLIENTS):
            nursery.start_soon(client, number)
    return len(took) / seconds, took


def one_pass(kind: str, sync_ms: float = 0.0, pace: float = math.inf) -> tuple[float, float]:
    """Return the rate of one pass, and the 99th percentile of waiting, in seconds."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name), kind, sync_ms) as (_, uri):
        rate, took = trio.run(load, uri, PASS_S, pace)
    return rate, quantiles(took, n=100)[98]


def rates(count: int) -> Figures:
    """Calls a second with and without a store, on the disk as it is and with one that takes 2 ms more."""
    volatile, durable, slow = [], [], []
    for _ in range(count):
        volatile.append(one_pass("volatile")[0])
        durable.append(one_pass("durable")[0])
        slow.append(one_pass("durable", 2.0)[0])
    return {
        "volatile_per_s": round(median(volatile)),
        "durable_per_s": round(median(durable)),
        "slow_per_s": round(median(slow)),
        "of_volatile": round(median(d / v for d, v in zip(durable, volatile, strict=True)), 3),
    }


def waiting(count: int) -> Figures:
    """What 99 of 100 calls wait at most, at 3,000 calls a second, without a store and with a slow one."""
    volatile, slow, made = [], [], []
    for _ in range(count):
        volatile.append(one_pass("volatile", pace=PACE)[1])
        rate, worst = one_pass("durable", 2.0, PACE)
        slow.append(worst)
        made.append(rate)
    return {
        "calls_per_s": round(median(made)),
        "volatile_p99_ms": round(1000 * median(volatile), 1),
        "slow_p99_ms": round(1000 * median(slow), 1),
        "p99_added_ms": round(1000 * median(s - v for s, v in zip(slow, volatile, strict=True)), 1),
    }


# Many objects.


def fill(folder: Path, objects: int) -> None:
    """Have so many objects stored."""

    async def run(uri: str) -> None:
        async with captp.connect(uri, netlayers=[UnixNetlayer()]) as library:
            for number in range(objects // SHELF):
                await E(E(library).shelf(number)).fill(SHELF)

    with serving(folder, "durable") as (_, uri):
        trio.run(run, uri)


def recovery(_count: int) -> Figures:
    """Seconds from the start of a killed vat with 100,000 objects to the first answer of one of them."""
    objects = 100_000

    async def first(uri: str) -> None:
        async with captp.connect(uri, netlayers=[UnixNetlayer()]) as library:
            shelf = E(E(library).shelf(7))
            (cell,) = await shelf.cells(3, 4)
            assert await E(cell).add(1) == 1

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, objects)
        with serving(folder, "durable") as (process, uri):
            process.kill()
            process.wait()
        (folder / "socket").unlink(missing_ok=True)
        began = time.monotonic()
        with serving(folder, "durable") as (_, uri):
            trio.run(first, uri)
            took = time.monotonic() - began
    return {"seconds": round(took, 2), "objects": objects}


def many(_count: int, objects: int = 1_000_000) -> Figures:
    """A million objects, of which 20,000 are called at random: the most memory that the vat has had."""

    async def wander(uri: str) -> None:
        chooser = random.Random(1)
        async with captp.connect(uri, netlayers=[UnixNetlayer()]) as library:
            for _ in range(2_000):
                shelf = E(E(library).shelf(chooser.randrange(objects // SHELF)))
                first = chooser.randrange(SHELF - 10)
                for cell in await shelf.cells(first, first + 10):
                    await E(cell).add(1)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, objects)
        with serving(folder, "durable") as (process, uri):
            began = time.monotonic()
            trio.run(wander, uri)
            took = time.monotonic() - began
            status = Path(f"/proc/{process.pid}/status").read_text()
        size = (folder / "vat.db").stat().st_size
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return {
        "objects": objects,
        "rss_mb": round(int(peak.split()[1]) / 1000),
        "calls_per_s": round(20_000 / took),
        "file_mb": round(size / 1e6),
    }


@frozen
class Gate:
    """One bound of one figure: at least, or at most."""

    figure: str
    least: float | None = None
    most: float | None = None

    def holds(self, found: float) -> bool:
        return (self.least is None or found >= self.least) and (self.most is None or found <= self.most)

    def __str__(self) -> str:
        return f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"


MEASURED: list[tuple[Callable[[int], Figures], str, list[Gate]]] = [
    (
        rates,
        "1,000 objects, 100 clients, a field written per call",
        [Gate("slow_per_s", least=3000), Gate("of_volatile", least=0.1)],
    ),
    (waiting, "the same at 3,000 calls/s, with 2 ms a commit", [Gate("p99_added_ms", most=10)]),
    (recovery, "a start after a kill, 100,000 objects", [Gate("seconds", most=2)]),
    (many, "1,000,000 objects stored, 20,000 calls at random", [Gate("rss_mb", most=300)]),
]


def main() -> int:
    """Measure, print a table, and return 1 if a bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.durable", description=__doc__)
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--only", help="names of measurements, a comma list")
    parser.add_argument("--passes", type=int, default=3, help="passes of the rates")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sync-ms", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        trio.run(serve, options.folder, options.serve, options.sync_ms)
        return 0
    only = options.only.split(",") if options.only else None
    rows, figures, missed = [], {}, 0
    for function, title, gates in MEASURED:
        if only is not None and function.__name__ not in only:
            continue
        found = figures[function.__name__] = function(options.passes)
        for gate in gates:
            holds = gate.holds(found[gate.figure])
            missed += not holds
            rows.append([title, gate.figure, f"{found[gate.figure]:g}", str(gate), "ok" if holds else "MISS"])
        others = ", ".join(f"{k} {v:g}" for k, v in found.items() if k not in {g.figure for g in gates})
        print(f"{title}: {others}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))
    print(table(["measurement", "figure", "measured", "bound", ""], rows))
    print(f"{len(rows) - missed} of {len(rows)} bounds hold")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
