"""``python -m tests.bench.cow``: what copy on write saves; exits 1 where a bound is missed.

A list and a map of 10,000 items are changed in place, and changed each time after they were shared, which
copies them. Then 10,000 rows are changed and passed to an object of the same vat, as cow.List and as list.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import trio

import captp
from captp import cow
from tests.bench.report import table

ITEMS = 10_000
CHANGES = 300
CALLS = 20
#: How many times as long as what is named the other takes, at least.
BOUNDS = {"list in place": 20.0, "map in place": 20.0, "rows passed": 20.0}


class Reader(captp.Object):
    """Takes rows."""

    @captp.method
    def read(self, rows: list[Any]) -> int:
        return len(rows)


def changes(value: Any, keys: list[Any], shares: Callable[[Any], Any] | None) -> float:
    """Return the seconds that one change takes, with the sharing before it."""
    began = perf_counter()
    for n in range(CHANGES):
        if shares is not None:
            shares(value)
        value[keys[n]] = n
    return (perf_counter() - began) / CHANGES


async def calls(reader: Any, rows: Any) -> float:
    """Return the seconds that one change and a call take."""
    began = perf_counter()
    for n in range(CALLS):
        rows[n] = {"id": n, "name": "changed"}
        await reader.read(rows)
    return (perf_counter() - began) / CALLS


async def one_pass() -> dict[str, tuple[float, float]]:
    """Return the seconds with and without what copy on write saves."""
    items: Any = cow.List(range(ITEMS))
    names = [f"{n:05d}" for n in range(ITEMS)]
    entries: Any = cow.Map(dict.fromkeys(names, 0))
    rows = [{"id": n, "name": "row"} for n in range(ITEMS)]
    shared: Any = cow.List(rows)
    places = list(range(ITEMS))
    async with captp.open_vat() as vat:
        reader = captp.E(vat.export(Reader()))
        return {
            "list in place": (changes(items, places, None), changes(items, places, captp.cow.List)),
            "map in place": (changes(entries, names, None), changes(entries, names, captp.cow.Map)),
            "rows passed": (await calls(reader, shared), await calls(reader, rows)),
        }


def _us(seconds: list[float]) -> str:
    return f"{1e6 * statistics.median(seconds):,.1f} us"


def main() -> int:
    """Measure, print a table, and return 1 if a bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cow", description=__doc__)
    parser.add_argument("--passes", type=int, default=5, help="passes (5)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    passes = [trio.run(one_pass) for _ in range(options.passes)]
    ratios = {name: statistics.median(p[name][1] / p[name][0] for p in passes) for name in BOUNDS}
    if options.json is not None:
        options.json.write_text(json.dumps({"passes": passes, "ratios": ratios}, indent=2))
    rows = [
        [name, *(_us([p[name][i] for p in passes]) for i in (0, 1)), f"{ratios[name]:,.0f}", f"{bound:g}"]
        for name, bound in BOUNDS.items()
    ]
    print(table(["what", "with", "without", "times", "bound"], rows))
    holds = sum(ratios[name] >= bound for name, bound in BOUNDS.items())
    print(f"{holds} of {len(BOUNDS)} bounds hold")
    return 0 if holds == len(BOUNDS) else 1


if __name__ == "__main__":
    sys.exit(main())
