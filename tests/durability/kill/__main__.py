"""``python -m tests.durability.kill --kills N --seed S --points P``: kills daemons, prints what was lost.

The last line on stdout is the summary; the exit status is 1 when anything was lost, doubled or otherwise
wrong, and when a point was not hit.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from tests.durability.kill.harness import Harness, Violation, harness
from tests.durability.kill.model import Findings
from tests.durability.kill.plants import PLANTS
from tests.durability.kill.points import POINTS


async def run(folder: Path, options: argparse.Namespace) -> int:
    """Kill as often as is wanted; print what came of it, and return the exit status."""
    found, kills = Findings(), 0
    problem: BaseException | None = None
    async with harness(folder, options.seed, options.plant) as daemons:
        try:
            await _kill_all(daemons, options)
        except Exception as caught:  # whatever it is, the seed is to be told
            problem = _single(caught)
            if isinstance(problem, Violation):
                found = problem.findings
            print(f"seed {options.seed}, after {daemons.kills} kills:")
            print(found or "".join(traceback.format_exception(problem)))
            print("".join(daemons.log.read_text().splitlines(keepends=True)[-20:]), file=sys.stderr)
        kills = daemons.kills
    for point in dict.fromkeys(options.only if options.points else ()):
        print(f"point {point}: {daemons.hits[point]} hit")
    print(f"{daemons.audits} audits, {daemons.rows} rows", file=sys.stderr)
    missed = options.points and any(daemons.hits[point] < options.points for point in options.only)
    print(f"{kills} kills, {len(found.lost)} lost, {len(found.doubled)} doubled")
    return 1 if problem is not None or missed else 0


def _single(error: BaseException) -> BaseException:
    """Return the first of what nurseries have wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _kill_all(daemons: Harness, options: argparse.Namespace) -> None:
    for _ in range(options.kills):
        await daemons.kill()
    for _ in range(options.points):
        for point in options.only:
            await daemons.hit(point)
    await daemons.end()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.durability.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="at random instants (100)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="what decides about them (1)")
    parser.add_argument("--points", type=int, default=0, metavar="P", help="at each named point (0)")
    parser.add_argument("--only", nargs="+", default=[*POINTS], choices=POINTS, help="points; default: all")
    parser.add_argument("--plant", default="", choices=PLANTS, help="a fault that has to be found")
    with TemporaryDirectory() as folder:
        return trio.run(run, Path(folder), parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
