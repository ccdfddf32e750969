"""``captp bench``: what delegation costs beside locks, other processes and other libraries, as ratios.

Both sides of a ratio alternate in short rounds, and the median of the rounds counts: whatever disturbs the
machine disturbs both. A ratio is guarded by what was recorded of it, and not by times.
"""

from __future__ import annotations

import json as json_format
import statistics
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from operator import truediv
from typing import Annotated, Any, Final, final

from attrs import frozen
from cyclopts import Parameter

from captp.cli.bench_far import far
from captp.cli.bench_sides import BATCH, Sides, in_loop, in_process, in_thread, keys_in_loop, keys_in_threads
from captp.cli.ls import table
from captp.cli.options import Json, Quiet, note, run
from captp.cli.problems import FAILED, OK

__all__ = ["PAIRS", "Pair", "Row", "bench", "measured"]

#: Rounds, and seconds of each side in each: of the long run, and of the quick one.
LONG: Final = (15, 0.2)
QUICK: Final = (5, 0.04)


@final
@frozen
class Pair:
    """What is compared with what, and the least and the greatest ratio that was recorded."""

    what: str
    theirs: str
    open: Callable[[], AbstractAsyncContextManager[Sides]]
    recorded: tuple[float, float]

    @property
    def at_least(self) -> float:
        """A ratio below it is no noise: it is half of the least that was recorded."""
        return self.recorded[0] / 2


TITLES: Final = ["ours", "per s", "theirs", "per s", "ratio", "recorded", "guard"]

_ONE, _MANY = "one by one", f"batches of {BATCH}"
_RPYC, _PYRO5 = "rpyc", "Pyro5"

PAIRS: Final = (
    Pair("fetch-and-add in the loop", "trio.Lock", in_loop, (12.7, 13.4)),
    Pair(f"in a thread, {_ONE}", "threading.Lock", partial(in_thread, 1), (0.057, 0.095)),
    Pair(f"in a thread, {_MANY}", "threading.Lock", partial(in_thread, BATCH), (2.4, 4.1)),
    Pair(f"in a process, {_ONE}", "a Manager", partial(in_process, 1), (0.77, 1.4)),
    Pair(f"in a process, {_MANY}", "a Manager", partial(in_process, BATCH), (16.8, 33)),
    Pair(f"far, TLS, {_ONE}", "RPyC, TCP", partial(far, _RPYC, "tls", 1), (0.49, 0.56)),
    Pair(f"far, unix, {_ONE}", "RPyC, unix", partial(far, _RPYC, "unix", 1), (0.55, 0.68)),
    Pair(f"far, unix, {_MANY}", "RPyC, unix, async", partial(far, _RPYC, "unix", BATCH), (4.5, 8.1)),
    Pair(f"far, unix, {_ONE}", "Pyro5, unix", partial(far, _PYRO5, "unix", 1), (0.66, 1.1)),
    Pair(f"far, unix, {_MANY}", "Pyro5, unix, batch", partial(far, _PYRO5, "unix", BATCH), (3.5, 4.3)),
    Pair("zipf keys, 4 shards in the loop", "one trio.Lock", keys_in_loop, (3.9, 4.1)),
    Pair(f"zipf keys, 4 threads, {_ONE}", "one threading.Lock", partial(keys_in_threads, 1), (0.044, 0.093)),
    Pair(
        f"zipf keys, 4 threads, {_MANY}", "one threading.Lock", partial(keys_in_threads, BATCH), (0.52, 1.3)
    ),
)


@final
@frozen
class Row:
    """What was found of a pair: operations a second, and the ratios of all rounds; none without theirs."""

    pair: Pair
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios, and not the ratio of medians."""
        return statistics.median(map(truediv, self.ours, self.theirs)) if self.theirs else None

    @property
    def is_ok(self) -> bool:
        return self.ratio is None or self.ratio >= self.pair.at_least

    def cells(self) -> list[str]:
        """Return what the table says of it."""
        least, greatest = self.pair.recorded
        theirs = f"{statistics.median(self.theirs):,.0f}" if self.theirs else "not installed"
        ratio = "" if self.ratio is None else f"{self.ratio:.3g}" + ("" if self.is_ok else " !")
        return [
            self.pair.what,
            f"{statistics.median(self.ours):,.0f}",
            self.pair.theirs,
            theirs,
            ratio,
            f"{least:g}-{greatest:g}",
            f"{self.pair.at_least:.2g}",
        ]

    def fields(self) -> dict[str, Any]:
        """Return what is written as JSON."""
        return {
            "what": self.pair.what,
            "theirs": self.pair.theirs,
            "ours_per_s": round(statistics.median(self.ours)),
            "theirs_per_s": round(statistics.median(self.theirs)) if self.theirs else None,
            "ratio": self.ratio,
            "recorded": self.pair.recorded,
            "at_least": self.pair.at_least,
            "ok": self.is_ok,
        }


async def measured(pair: Pair, rounds: int, seconds: float) -> Row:
    """Measure the sides of a pair in turns, after a rehearsal."""
    async with pair.open() as sides:
        found: list[list[float]] = [[] for _ in range(2)]
        for number in range(1 + rounds):
            turns = list(zip(sides, found, strict=False))
            for side, rates in turns if number % 2 else reversed(turns):
                rates.append(await side(seconds))
    return Row(pair, *[rates[1:] for rates in found])


def bench(
    *,
    quick: Annotated[bool, Parameter(negative=(), help="Take a quarter of a minute, and not two.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure trustees beside locks, a Manager, RPyC and Pyro5; exit 1 if a ratio is below its guard."""
    rounds, seconds = QUICK if quick else LONG
    rows = []
    for pair in PAIRS:
        note(f"{pair.what} / {pair.theirs}", quiet=quiet or json)
        rows.append(run(partial(measured, pair, rounds, seconds)))
    amiss = sum(not row.is_ok for row in rows)
    if json:
        print(json_format.dumps({"ok": not amiss, "rounds": rounds, "rows": [row.fields() for row in rows]}))
    else:
        print(table([TITLES, *[row.cells() for row in rows]]))
        print(f"{amiss} of {len(rows)} ratios are below their guards; medians of {rounds} rounds")
    return FAILED if amiss else OK
