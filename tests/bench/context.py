"""``python -m tests.bench.context``: what context costs; exits 1 where a bound is missed.

What one access costs is told in looks at a plain context variable. What turns cost is told of two servers:
in the one a capability was made, so that each of its turns runs in a context of its own. One client calls
either by turns, 1,000 calls outstanding, so that what disturbs the machine disturbs both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import timeit
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import trio

import captp
from tests.bench.pairs import compare, serve
from tests.bench.product import Board
from tests.bench.report import table

KINDS = ("plain", "context")
#: What an access costs in looks at a plain context variable, at most.
MOST = 3.0
#: What calls per second with a capability made are of those with none, at least.
LEAST = 0.9
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


async def made(kind: str, _vat: captp.LiveVat) -> Board:
    """Return a board, where a capability was made or not."""
    if kind == "context":
        captp.Cap("Words", list[str])
    return Board()


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
        trio.run(serve, partial(made, options.serve))
        return 0
    times = accesses(options.accesses)
    passes = [trio.run(compare, "tests.bench.context", KINDS, options.seconds) for _ in range(options.passes)]
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
