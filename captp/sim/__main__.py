"""``python -m captp.sim --seeds N --start S``: many worlds, and what became of them.

``python -m captp.sim cycles`` does so for the collector of garbage that loops through several vats.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from captp.sim.cycles import command
from captp.sim.faults import KINDS
from captp.sim.script import Outcome, as_test, run, shrink
from captp.wire.ops import OP_NAMES


def main() -> int:
    """Run the seeds; print counts, each failure as a test, and how many passed."""
    if sys.argv[1:2] == ["cycles"]:
        return command.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m captp.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many worlds (100)")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="the first seed (0)")
    options = parser.parse_args()
    ops, faults = Counter[str](), Counter[str]()
    failed = 0
    begun = time.perf_counter()
    for seed in range(options.start, options.start + options.seeds):
        outcome = run(seed)
        ops += outcome.ops
        faults += outcome.faults
        if outcome.failure is not None:
            failed += 1
            _print_failure(seed, outcome)
    seconds = time.perf_counter() - begun
    _print_counts("op", OP_NAMES.values(), ops)
    _print_counts("fault", KINDS, faults)
    print(f"{options.seeds / seconds:.1f} seeds/s")
    print(f"{options.seeds - failed} passed, {failed} failed")
    return 1 if failed else 0


def _print_failure(seed: int, outcome: Outcome) -> None:
    assert outcome.failure is not None
    print(f"seed {seed} failed: {outcome.failure}")
    print(as_test(seed, outcome.kinds, shrink(seed, outcome), outcome.failure), flush=True)


def _print_counts(what: str, names: object, counts: Counter[str]) -> None:
    for name in names:  # type: ignore[attr-defined]
        print(f"{what} {name}: {counts[name]}")


if __name__ == "__main__":
    sys.exit(main())
