"""What trustees cost beside locks, threads and a Manager, and whether it is what it should be.

``python -m tests.bench.trustees --json FILE`` runs each measurement some times, takes the median of each
ratio and exits 1 if one misses its bound. Both sides of a ratio alternate in one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.bench import trustees_loop, trustees_process, trustees_thread
from tests.bench.report import table


@frozen
class Gate:
    """One figure of a measurement, and its bound."""

    title: str
    figure: str
    bound: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Tell whether a value is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def words(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


MEASURED: list[tuple[str, Callable[[], dict[str, float]], list[Gate]]] = [
    (
        "loop",
        trustees_loop.apply,
        [Gate("await apply in the loop / trio.Lock", "to_lock", 0.10)],
    ),
    (
        "readers",
        trustees_loop.readers,
        [Gate("reader p99, two turns / a lock held across the await", "to_lock", 0.05)],
    ),
    (
        "batches",
        trustees_thread.throughput,
        [Gate("16 OS threads, batches of 64 / threading.Lock", "batches_to_lock", 2.5, at_least=True)],
    ),
    (
        "tails",
        trustees_thread.tails,
        [Gate("worst latency of a 10 us section / Lock", "worst_to_lock", 0.35)],
    ),
    (
        "fairness",
        trustees_thread.fairness,
        [Gate("Jain fairness of 16 OS threads", "trustee", 0.98, at_least=True)],
    ),
    (
        "crossing",
        trustees_thread.crossing,
        [Gate("256 tasks to a thread / to_thread.run_sync(with lock)", "to_to_thread", 0.15)],
    ),
    (
        "lag",
        trustees_thread.loop_lag,
        [Gate("loop lag p99 of an object shared by loop and threads / Lock", "p99_to_lock", 0.10)],
    ),
    (
        "process",
        trustees_process.one_by_one,
        [Gate("process, one by one from a task / Manager", "ratio", 0.5, at_least=True)],
    ),
    (
        "process-16",
        partial(trustees_process.many, 16),
        [Gate("process, apply_many of 16 / Manager", "ratio", 8, at_least=True)],
    ),
    (
        "process-256",
        partial(trustees_process.many, 256),
        [Gate("process, apply_many of 256 / Manager", "ratio", 15, at_least=True)],
    ),
    (
        "cores",
        trustees_process.cpu_bound,
        [Gate("CPU-bound on two workers, in fours / two bare ones", "share_of_bare", 0.9, at_least=True)],
    ),
]


def measure(passes: int, only: list[str]) -> tuple[dict[str, Any], list[list[str]], int]:
    """Return all figures, the rows of the table, and how many gates were missed."""
    figures: dict[str, Any] = {}
    rows, missed = [], 0
    for name, function, gates in MEASURED:
        if only and name not in only:
            continue
        samples = figures[name] = [function() for _ in range(passes)]
        for gate in gates:
            values = [sample[gate.figure] for sample in samples]
            value = statistics.median(values)
            holds = gate.holds(value)
            missed += not holds
            spread = f"{min(values):.3g}-{max(values):.3g}"
            rows.append([gate.title, f"{value:.3g}", spread, gate.words, "ok" if holds else "MISS"])
            print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    return figures, rows, missed


def main() -> int:
    """Measure, print a table, and return 1 if a gate was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write all figures of all passes there")
    parser.add_argument("--passes", type=int, default=3, help="runs of each measurement (3)")
    parser.add_argument("--only", nargs="*", default=[], help="names of measurements")
    options = parser.parse_args()
    figures, rows, missed = measure(options.passes, options.only)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))
    print(table(["ratio", "median", "of all passes", "bound", ""], rows))
    print(f"{len(rows) - missed} of {len(rows)} gates hold, medians of {options.passes} passes")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
