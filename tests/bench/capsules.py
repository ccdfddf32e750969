"""``python -m tests.bench.capsules``: what capsules cost the turns of a vat; exits 1 where a bound is missed.

Two servers hold the same object, in the one it was made in a capsule and merged into the vat that runs its
turns, so that they run within a capsule that somebody has asked about. One client writes a field of either by
turns, 1,000 calls outstanding, so that what disturbs the machine disturbs both.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import trio

import captp
from captp import Access, Capsule, Data
from tests.bench.product import SEED, SWISS, Board, ProductSubject, listener
from tests.bench.report import table
from tests.bench.scenarios import OUTSTANDING

KINDS = ("plain", "capsule")
#: What calls per second within a capsule are of those without one, at least.
LEAST = 0.95
#: Bursts of one kind before the other has its go.
BURSTS = 5


class Merger(captp.Object):
    """Takes what a capsule holds into its vat."""

    @captp.method
    def merge(self) -> captp.Interface:
        key: captp.Key[captp.Brand] = Capsule.create()

        def wrap(access: Access[captp.Brand]) -> Data[Board, captp.Brand]:
            return Data.wrap(access, Board())

        board, key = key.access(wrap)
        return board.unwrap(key.destroy())


async def serve(kind: str) -> None:
    """Serve one board until killed; say the port on the first line."""
    key = captp.PrivateKey.from_seed(SEED)
    async with captp.open_vat(key=key, listen=[listener("plain", key, 0)]) as vat:
        merged: Any = Board()
        if kind == "capsule":
            merged = await captp.E(vat.export(Merger())).merge()
        vat.mint(merged, swiss=SWISS)
        print(vat.locators[0].hint("port"), flush=True)
        await trio.sleep_forever()


@contextmanager
def served(kind: str) -> Iterator[int]:
    """Run a server for the length of the block; yield its port."""
    command = [sys.executable, "-m", "tests.bench.capsules", "--serve", kind]
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
    """Measure, print a table, and return 1 if the bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.capsules", description=__doc__)
    parser.add_argument("--passes", type=int, default=5, help="passes, with servers of their own (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each kind in a pass (2)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        trio.run(serve, options.serve)
        return 0
    passes = [trio.run(compare, options.seconds) for _ in range(options.passes)]
    ratio = statistics.median(one["capsule"] / one["plain"] for one in passes)
    if options.json is not None:
        options.json.write_text(json.dumps({"passes": passes, "ratio": ratio}, indent=2))
    rows = [[str(n + 1), *(f"{one[kind]:,.0f}" for kind in KINDS)] for n, one in enumerate(passes)]
    print(table(["pass", *(f"{kind}, calls/s" for kind in KINDS)], rows))
    holds = ratio >= LEAST
    print(f"{ratio:.3f} of the calls without a capsule, median of {len(passes)} passes; bound {LEAST}")
    print(f"{int(holds)} of 1 bounds hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
