"""What the collector of cycles costs, and how soon it is done; exits 1 where a bound is missed.

``python -m tests.bench.cycles --json FILE``. Real peers with real keys in one process, their bytes moved by
hand and their clock turned by hand: seconds of waiting cost nothing, and seconds of work are the
processor's. One core does the work of all vats here.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

import captp
from captp.cycles import Cycles
from captp.model.locator import PeerLocator
from captp.peer.cycles.keeper import Keeper
from captp.peer.outputs import Write
from tests.bench.report import table
from tests.unit.peer import pair
from tests.unit.peer.pair import TRANSPORT, Host, Net, outcome

#: Seconds of a tick, and of how long an export is left alone, where it is to go fast.
TICK_S = 0.05
QUICK = Cycles(age=TICK_S, tick=TICK_S, queries_per_s=1000.0, queries_burst=1000.0, edges_per_s=1e6)


class Cell(captp.Object):
    """Holds others, and makes some."""

    held: captp.List[Any]

    @captp.method
    def make(self, count: int) -> list[Any]:
        return [Cell() for _ in range(count)]

    @captp.method
    def hold(self, what: Any) -> None:
        self.held.append(what)

    @captp.method
    def touch(self) -> None:
        """Do nothing."""


class Meters:
    """What the collectors of all vats take: seconds of the processor, at once and in all, and bytes."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.pauses: list[float] = []
        self.bytes = 0

    @property
    def longest(self) -> float:
        """The longest time for which a vat did nothing else."""
        return max(self.pauses)

    def watch(self, hosts: list[Host]) -> None:
        """Measure from now on."""
        for host in hosts:
            keeper = host.peer.cycles
            for name in ("tick", "heard"):
                setattr(keeper, name, self._timed(getattr(keeper, name)))
            host.act = self._weighed(host.act)  # type: ignore[method-assign]

    def _timed(self, function: Callable[..., None]) -> Callable[..., None]:
        def timed(*args: Any) -> None:
            began = time.process_time()
            function(*args)
            seconds = time.process_time() - began
            self.spent += seconds
            self.pauses.append(seconds)

        return timed

    def _weighed(self, act: Callable[[Any], None]) -> Callable[[Any], None]:
        def weighed(output: Any) -> None:
            if type(output) is Write:
                self.bytes += len(output.data)
            act(output)

        return weighed


class Room:
    """Some vats, all of whose first objects the first vat holds."""

    def __init__(self, count: int, settings: Cycles) -> None:
        pair.BEAT = min(settings.tick, 0.25)
        self.net = Net()
        self.hosts = [self.net.host(number + 1) for number in range(count)]
        self.makers = [Cell() for _ in self.hosts]
        for host in self.hosts:
            _set(host, Cycles(enabled=False))
            _jitter(host)
            hints = {"exts": "mp1", "node": "here"}
            host.peer.locations[TRANSPORT] = PeerLocator.make(TRANSPORT, host.peer.designator, hints)
        first = self.hosts[0]
        self.refs = [self.ask(first.want(first.enliven(h.mint(m)))) for h, m in zip(self.hosts, self.makers)]  # noqa: B905
        self.settings = settings

    def ask(self, promise: Any) -> Any:
        """Return what a promise becomes."""
        self.net.rest()
        return outcome(promise)

    def ring(self, size: int) -> None:
        """Make a ring of so many cells, on one vat after the other, and let it go."""
        self.rings(1, size)

    def rings(self, count: int, size: int) -> None:
        """Make so many rings, each on ``size`` vats in turn, and let them go."""
        hosts = len(self.hosts)
        for start in range(0, count, 100):
            numbers = range(start, min(start + 100, count))
            made = [[self._make((n + at) % hosts) for at in range(size)] for n in numbers]
            self.net.rest()
            for promises in made:
                cells = [outcome(promise)[0] for promise in promises]
                for one, other in zip(cells, [*cells[1:], cells[0]], strict=True):
                    captp.E(one).hold(other)
            del cells, one, other, promises, made
            self.net.rest()
        gc.collect()
        self.net.wait(1)

    def _make(self, host: int) -> Any:
        return captp.E(self.refs[host]).make(1)

    def start(self) -> Meters:
        """Switch the collectors on."""
        meters = Meters()
        for host in self.hosts:
            _set(host, self.settings)
        meters.watch(self.hosts)
        # The interpreter's own collector has pauses of its own, which are not what is measured here.
        gc.disable()
        return meters

    def left(self) -> int:
        """Return how many cells there are besides the first ones."""
        return sum(type(o) is Cell for h in self.hosts for o in h.vat.heap.objects()) - len(self.hosts)

    def ticks_until_empty(self, most: int) -> int:
        """Return after how many ticks nothing is left."""
        for tick in range(1, most + 1):
            self.net.wait(TICK_S)
            if not self.left():
                return tick
        raise AssertionError(f"{self.left()} cells are left after {most} ticks")


def _set(host: Host, settings: Cycles) -> None:
    keeper: Keeper = host.peer.cycles
    keeper.settings = keeper.survey.settings = keeper.collector.settings = settings


def _jitter(host: Host) -> None:
    entropy, draws = host.peer.entropy, iter(range(1 << 62))

    def drawn(size: int) -> bytes:
        if size != 2:
            return entropy(size)
        return hashlib.sha256(f"{host.seed}/{next(draws)}".encode()).digest()[:2]

    host.peer.entropy = drawn


Figures = dict[str, float]


def small_ring() -> Figures:
    """A ring of 100 objects over 4 vats."""
    room = Room(4, QUICK)
    room.ring(100)
    meters = room.start()
    ticks = room.ticks_until_empty(100)
    return {"ticks": ticks, "bytes": meters.bytes, "cpu_ms": round(1000 * meters.spent, 1)}


def many_rings() -> Figures:
    """10,000 objects in 3,333 rings over 4 vats."""
    room = Room(4, QUICK)
    room.rings(3333, 3)
    meters = room.start()
    began = room.net.now
    room.ticks_until_empty(2000)
    return {
        "seconds": round(room.net.now - began + meters.spent, 2),
        "cpu_s": round(meters.spent, 2),
        "mib": round(meters.bytes / 2**20, 2),
        "longest_ms": round(1000 * meters.longest, 1),
    }


def live_exports() -> Figures:
    """10,000 objects that a peer holds for five minutes; it calls half of them every ten seconds."""
    count, seconds = 10_000, 300
    room = Room(2, Cycles())
    held = []
    for _ in range(count // 100):
        held += room.ask(captp.E(room.refs[1]).make(100))
    meters = room.start()
    for second in range(seconds):
        for ref in held[second % 10 : count // 2 : 10]:
            captp.E(ref).touch()
        room.net.wait(1)
    said = sum(sum(host.peer.cycles.bytes_said.values()) for host in room.hosts)
    return {
        "cpu_percent": round(100 * meters.spent / seconds, 3),
        "bytes_percent": round(100 * said / meters.bytes, 3),
        "said_bytes_per_s": round(said / seconds),
        "all_bytes_per_s": round(meters.bytes / seconds),
        "longest_ms": round(1000 * meters.longest, 1),
    }


def pauses() -> Figures:
    """100,000 objects, half of them exported, through three times the wait of an export.

    The same twice over: of each pause the shorter one counts, as the machine has pauses of its own.
    """
    (objects, one), (_, other) = _much_to_look_at(), _much_to_look_at()
    assert len(one) == len(other), "the two runs differ"
    return {
        "objects": objects,
        "longest_ms": round(1000 * max(map(min, one, other)), 1),
        "longest_of_all_ms": round(1000 * max(*one, *other), 1),
        "cpu_percent": round(100 * sum(one) / 200, 2),
    }


def _much_to_look_at() -> tuple[int, list[float]]:
    gc.enable()
    gc.collect()
    room = Room(2, Cycles(age=1.0))
    held = []
    for _ in range(500):
        held += room.ask(captp.E(room.refs[1]).make(100))
    keep = [Cell(held=[Cell()]) for _ in range(25_000)]
    for cell in keep:
        room.hosts[1].vat.reference(cell)
    meters = room.start()
    room.net.wait(200)
    return sum(1 for _ in room.hosts[1].vat.heap.objects()), meters.pauses


@frozen
class Gate:
    """One bound of one figure."""

    figure: str
    bound: float


MEASURED: list[tuple[Callable[[], Figures], str, list[Gate]]] = [
    (small_ring, "a ring of 100 objects over 4 vats, ticks of 0.05 s", [Gate("ticks", 10)]),
    (many_rings, "10,000 objects in 3,333 rings over 4 vats", [Gate("seconds", 20), Gate("mib", 4)]),
    (
        live_exports,
        "10,000 live exports for 5 minutes, half of them in use",
        [Gate("cpu_percent", 2), Gate("bytes_percent", 1)],
    ),
    (pauses, "100,000 objects", [Gate("longest_ms", 10)]),
]


def main() -> int:
    """Measure, print a table, and return 1 if a bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cycles", description=__doc__)
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--only", help="names of measurements, a comma list")
    options = parser.parse_args()
    only = options.only.split(",") if options.only else None
    rows, figures, missed = [], {}, 0
    for function, title, gates in MEASURED:
        if only is not None and function.__name__ not in only:
            continue
        found = figures[function.__name__] = function()
        for gate in gates:
            holds = found[gate.figure] <= gate.bound
            missed += not holds
            verdict = "ok" if holds else "MISS"
            rows.append([title, gate.figure, f"{found[gate.figure]:g}", f"<= {gate.bound:g}", verdict])
        others = ", ".join(f"{k} {v:g}" for k, v in found.items() if k not in {g.figure for g in gates})
        print(f"{title}: {others}", flush=True)
        gc.enable()
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))
    print(table(["measurement", "figure", "measured", "bound", ""], rows))
    print(f"{len(rows) - missed} of {len(rows)} bounds hold")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
