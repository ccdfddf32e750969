"""``python -m captp.sim cycles --seeds N --start S``: many worlds of collectors, and what became of them."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence

from captp.sim.cycles.run import run

#: What is printed, with what a count is of. Damage is what honest turns miss inside what only liars held.
COUNTS = {
    "worlds with liars": "worlds with liars",
    "started": "traces",
    "garbage": "traces that found garbage",
    "live": "traces that found a use",
    "changed": "traces that something changed",
    "expired": "traces that took too long",
    "broken off": "traces broken off",
    "capped": "questions or statements over the cap",
    "cut": "objects cut",
    "freed": "objects freed",
    "held": "turns held back",
    "lies": "lies",
    "forged": "forged statements seen",
    "damage": "damage seen by honest turns",
    "late": "damage cut after a liar was given up",
    "lost links": "sessions lost",
    "crashes": "crashes",
}


def main(arguments: Sequence[str]) -> int:
    """Run the seeds; print counts, how to run again what failed, and how many passed."""
    parser = argparse.ArgumentParser(prog="python -m captp.sim cycles", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, metavar="N", help="how many worlds (500)")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="the first seed (0)")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--honest", action="store_true", help="nobody lies")
    who.add_argument("--liars", action="store_true", help="somebody lies, where there are more than two")
    options = parser.parse_args(arguments)
    liars = False if options.honest else True if options.liars else None
    mix = " --honest" if options.honest else " --liars" if options.liars else ""
    counts = Counter[str]()
    failed = 0
    begun = time.perf_counter()
    for seed in range(options.start, options.start + options.seeds):
        outcome = run(seed, liars)
        counts += outcome.counts
        if outcome.failure is not None:
            failed += 1
            print(f"seed {seed} failed: {type(outcome.failure).__name__} {outcome.failure}")
            print(f"again: python -m captp.sim cycles --seeds 1 --start {seed}{mix}", flush=True)
    seconds = time.perf_counter() - begun
    for name, what in COUNTS.items():
        print(f"{what}: {counts[name]}")
    print(f"{options.seeds / seconds:.1f} seeds/s")
    print(f"{options.seeds - failed} passed, {failed} failed")
    return 1 if failed else 0
