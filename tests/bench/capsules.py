"""``python -m tests.bench.capsules``: what capsules cost the turns of a vat; exits 1 where a bound is missed.

Two servers hold the same object, in the one it was made in a capsule and merged into the vat that runs its
turns, so that they run within a capsule that somebody has asked about. One client writes a field of either by
turns, 1,000 calls outstanding, so that what disturbs the machine disturbs both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

import trio

import captp
from captp import Access, Capsule, Data
from tests.bench.pairs import compare, serve
from tests.bench.product import Board
from tests.bench.report import table

KINDS = ("plain", "capsule")
#: What calls per second within a capsule are of those without one, at least.
LEAST = 0.95


class Merger(captp.Object):
    """Takes what a capsule holds into its vat."""

    @captp.method
    def merge(self) -> captp.Interface:
        key: captp.Key[captp.Brand] = Capsule.create()

        def wrap(access: Access[captp.Brand]) -> Data[Board, captp.Brand]:
            return Data.wrap(access, Board())

        board, key = key.access(wrap)
        return board.unwrap(key.destroy())


async def made(kind: str, vat: captp.LiveVat) -> Any:
    """Return a board, merged out of a capsule or not."""
    if kind == "capsule":
        return await captp.E(vat.export(Merger())).merge()
    return Board()


def main() -> int:
    """Measure, print a table, and return 1 if the bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.capsules", description=__doc__)
    parser.add_argument("--passes", type=int, default=5, help="passes, with servers of their own (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each kind in a pass (2)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        trio.run(serve, partial(made, options.serve))
        return 0
    passes = [
        trio.run(compare, "tests.bench.capsules", KINDS, options.seconds) for _ in range(options.passes)
    ]
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
