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

from tests.durability.kill.harness import VICTIMS, Harness, Violation
from tests.durability.kill.model import Findings
from tests.durability.kill.plants import PLANTS
from tests.durability.kill.points import POINTS


async def run(folder: Path, options: argparse.Namespace) -> int:
    """Kill as often as is wanted; print what came of it, and return the exit status."""
    daemons = Harness(folder, options.seed, options.plant)
    status, found = 0, Findings()
    try:
        async with daemons.open():
            await _kill_all(daemons, options)
    except Exception as caught:  # whatever it is, the seed is to be told
        problem, status = _worst(caught), 1
        if isinstance(problem, Violation):
            found = problem.findings
        print(f"seed {options.seed}, after {daemons.kills} kills:")
        print(found or "".join(traceback.format_exception(problem)))
        print("\n".join(daemons.log.read_text().splitlines()[-20:]), file=sys.stderr)
    if options.points:
        for point in options.only:
            print(f"point {point}: {daemons.hits[point]} hit")
            if daemons.hits[point] < options.points:
                status = 1
    killed = ", ".join(f"{daemons.killed[victim]} of {victim}" for victim in VICTIMS)
    print(f"kills: {killed}", file=sys.stderr)
    print(f"{daemons.audits} audits, {daemons.writes} writes, {daemons.rows} rows", file=sys.stderr)
    print(f"{daemons.kills} kills, {len(found.lost)} lost, {len(found.doubled)} doubled")
    return status


def _worst(error: BaseException) -> BaseException:
    """Return what an audit found, or else the first of what nurseries have wrapped."""
    leaves, stack = [], [error]
    while stack:
        one = stack.pop()
        if isinstance(one, BaseExceptionGroup):
            stack += reversed(one.exceptions)
        else:
            leaves.append(one)
    return next((leaf for leaf in leaves if isinstance(leaf, Violation)), leaves[0])


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
