"""``python -m tests.bench.context``: what context costs; exits 1 where a bound is missed.

What one access costs is told in looks at a plain context variable. What turns cost is told of two servers:
in the one a capability was made, so that each of its turns runs in a context of its own. One client calls
either by turns, 1,000 calls outstanding, so that what disturbs the machine disturbs both.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import trio

import captp
from tests.bench.product import SEED, SWISS, Board, ProductSubject, listener
from tests.bench.report import table
from tests.bench.scenarios import OUTSTANDING

KINDS = ("plain", "context")
#: What an access costs in looks at a plain context variable, at most.
MOST = 3.0
#: What calls per second with a capability made are of those with none, at least.
LEAST = 0.9
#: Bursts of one kind before the other has its go.
BURSTS = 5
#: How each way to a value is written; the first is the measure of the others.
WAYS = {
    "ContextVar.get()": "var.get()",
    "Cap.get()": "Words.get()",
    "Cap.get()[0]": "Words.get()[0]",
    "with Cap.ref()": "with Words.ref(): pass",
    "with Cap.mut()": "with Words.mut(): pass",
}


def accesses(count: int) -> dict[str, float]:
    """Return the nanoseconds that each way to a value takes, the best of seven."""
    var: ContextVar[list[str]] = ContextVar("var")
    Words = captp.Cap("Words", list[str])
    var.set(["a"])
    names = {"var": var, "Words": Words}
    with captp.bind(Words.mut(["a"])):
        empty = min(timeit.repeat("pass", globals=names, number=count, repeat=7))
        return {
            name: (min(timeit.repeat(way, globals=names, number=count, repeat=7)) - empty) / count * 1e9
            for name, way in WAYS.items()
        }


async def serve(kind: str) -> None:
    """Serve one board until killed; say the port on the first line."""
    if kind == "context":
        captp.Cap("Words", list[str])
    key = captp.PrivateKey.from_seed(SEED)
    async with captp.open_vat(key=key, listen=[listener("plain", key, 0)]) as vat:
        vat.mint(Board(), swiss=SWISS)
        print(vat.locators[0].hint("port"), flush=True)
        await trio.sleep_forever()


@contextmanager
def served(kind: str) -> Iterator[int]:
    """Run a server for the length of the block; yield its port."""
    command = [sys.executable, "-m", "tests.bench.context", "--serve", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def compare(seconds: float) -> dict[str, float]:
    """Return the calls per second of each kind."""
    async with AsyncExitStack() as stack:
        subjects = {}
        for kind in KINDS:
            subjects[kind] = ProductSubject("plain", stack)
            await subjects[kind].open(stack.enter_context(served(kind)))
            await subjects[kind].burst("put", OUTSTANDING)
        gc.collect()
        calls, taken = 0, dict.fromkeys(KINDS, 0.0)
        while sum(taken.values()) < 2 * seconds:
            for kind, subject in subjects.items():
                begin = time.perf_counter()
                for _ in range(BURSTS):
                    await subject.burst("put", OUTSTANDING)
                taken[kind] += time.perf_counter() - begin
            calls += BURSTS * OUTSTANDING
        return {kind: calls / taken[kind] for kind in KINDS}


def main() -> int:
    """Measure, print tables, and return 1 if a bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.context", description=__doc__)
    parser.add_argument("--passes", type=int, default=3, help="passes, with servers of their own (3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each kind in a pass (2)")
    parser.add_argument("--accesses", type=int, default=200_000, help="accesses of each kind (200000)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        trio.run(serve, options.serve)
        return 0
    times = accesses(options.accesses)
    passes = [trio.run(compare, options.seconds) for _ in range(options.passes)]
    plain = times["ContextVar.get()"]
    access = times["Cap.get()"] / plain
    turns = statistics.median(one["context"] / one["plain"] for one in passes)
    if options.json is not None:
        figures: dict[str, Any] = {"accesses": times, "access": access, "passes": passes, "turns": turns}
        options.json.write_text(json.dumps(figures, indent=2))
    rows = [[name, f"{taken:,.0f}", f"{taken / plain:.2f}"] for name, taken in times.items()]
    print(table(["way", "ns", "ContextVar.get()"], rows))
    rows = [[str(n + 1), *(f"{one[kind]:,.0f}" for kind in KINDS)] for n, one in enumerate(passes)]
    print(table(["pass", "no capability, calls/s", "one, calls/s"], rows))
    held = [access <= MOST, turns >= LEAST]
    print(f"an access costs {access:.2f} of ContextVar.get(); bound {MOST}")
    print(f"{turns:.3f} of the calls with no capability, median of {len(passes)} passes; bound {LEAST}")
    print(f"{sum(held)} of {len(held)} bounds hold")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
