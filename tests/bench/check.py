"""``python -m tests.bench.check``: what ``captp check`` costs over captp itself; exits 1 above its bound."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from captp.check import check
from tests.bench.report import table

ROOT = Path(__file__).parents[2] / "captp"
#: CPU seconds for 1,000 lines, at most.
MOST_S = 0.1


def main() -> int:
    """Measure, print a table, and return 1 if the bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.check", description=__doc__)
    parser.add_argument("--passes", type=int, default=3, help="passes over all files (3)")
    options = parser.parse_args()
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.rglob("*.py"))
    taken = []
    for _ in range(options.passes):
        begin = time.process_time()
        check([str(ROOT)])
        taken.append(time.process_time() - begin)
    each = [seconds / lines * 1000 for seconds in taken]
    rows = [
        [str(n + 1), f"{lines:,}", f"{s:.2f}", f"{e:.4f}"]
        for n, (s, e) in enumerate(zip(taken, each, strict=True))
    ]
    print(table(["pass", "lines", "CPU s", "CPU s for 1,000 lines"], rows))
    median = statistics.median(each)
    holds = median <= MOST_S
    print(f"{median:.4f} s for 1,000 lines, median of {options.passes} passes; bound {MOST_S}")
    print(f"{int(holds)} of 1 bounds hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
