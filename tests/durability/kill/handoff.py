"""``python -m tests.durability.kill.handoff --kills N --seed S``: kills one of three that introduce.

Whatever the receiver was told of is answered by the right object, or breaks with an error that says why; the
last line on stdout is the summary, and the exit status is 1 when anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import trio

from tests.durability.kill.daemon import ROOT
from tests.durability.kill.parties import CALLS, KEYS
from tests.durability.kill.wrong_gifts import PLANTS

__all__ = ["Introductions"]

#: Seconds in which each introduction has to come to an end, when one of the three was killed or not.
LONGEST_S = 10.0
#: Seconds of introducing before a kill, at most; introductions of a round, which a kill has to fall in.
INTRODUCING_S = 0.3
ROUND = 100_000
#: How many rounds begin when an introduction was seen to work; in the others sessions have yet to come.
CALM = 0.5
#: What an introduction breaks with when one of the three is gone.
CLEAR = ("Disconnected", "Unreachable", "HandoffFailed")


class Party:
    """One of the three, and what it said of each introduction."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self._process = process
        self.uri = ""
        #: By the number of an introduction.
        self.said: dict[int, list[str]] = {}
        self.has_begun = trio.Event()
        self.rested = trio.Event()

    async def listen(self) -> None:
        """Hear all that it says."""
        assert self._process.stdout is not None
        heard = b""
        async with self._process.stdout:
            async for part in self._process.stdout:
                *lines, heard = (heard + part).split(b"\n")
                for line in lines:
                    self._hear(line.decode())

    def _hear(self, line: str) -> None:
        number, _, rest = line.partition(" ")
        if not rest:
            self.uri = line
            self.has_begun.set()
        elif rest == "rested":
            self.rested.set()
        else:
            self.said.setdefault(int(number), []).append(rest)

    async def tell(self, *words: object) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(" ".join(map(str, words)).encode() + b"\n")

    async def kill(self) -> None:
        """Kill it, and hear to the end."""
        self._process.kill()
        code = await self._process.wait()
        assert code == -signal.SIGKILL, f"the {self.name} ended by itself, with {code}"

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None


class Introductions:
    """Three processes, of which one after the other is killed and started again."""

    def __init__(self, folder: Path, seed: int, plant: str = "") -> None:
        self.log = folder / "log"
        self._chance = Random(seed)
        self._environment = os.environ | ({"KILL_PLANT": plant} if plant else {})
        self._parties: dict[str, Party] = {}
        self._next = 0
        self.kills: Counter[str] = Counter()
        #: How introductions ended at receivers.
        self.ends: Counter[str] = Counter()
        self.last = (-1, "")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Have all three for the length of the block."""
        async with trio.open_nursery() as self._nursery:
            for name in KEYS:
                await self._start(name)
            yield
            self._nursery.cancel_scope.cancel()

    async def _start(self, name: str) -> None:
        with trio.fail_after(LONGEST_S):
            party = await self._nursery.start(self._run, name)
            await party.has_begun.wait()

    async def _run(self, name: str, task_status: trio.TaskStatus[Party]) -> None:
        with self.log.open("ab") as said:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "tests.durability.kill.parties", name],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        try:
            party = self._parties[name] = Party(name, process)
            task_status.started(party)
            await party.listen()
            await process.wait()
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                assert process.stdin is not None
                await process.stdin.aclose()

    async def kill(self) -> None:
        """Kill one of the three while they introduce, look at what became of that, and start it again."""
        victim = self._parties[self._chance.choice([*KEYS])]
        if self._chance.random() < CALM:
            await self.see_one()
        await self._go(ROUND)
        await trio.sleep(self._chance.uniform(0, INTRODUCING_S))
        await victim.kill()
        self.kills[victim.name] += 1
        await self._settled()
        await self._start(victim.name)

    async def see_one(self) -> None:
        """See that one introduction works."""
        number = self._next
        await self._go(1)
        await self._settled()
        assert self.last == (number, "answered"), f"{number}, with all three: {self.last}"

    async def _go(self, count: int) -> None:
        gifter = self._parties["gifter"]
        gifter.rested = trio.Event()
        uris = self._parties["exporter"].uri, self._parties["receiver"].uri
        await gifter.tell(*uris, self._next, self._next + count)
        self._next += count

    async def _settled(self) -> None:
        """Wait until each introduction that those who live know of has an end, and look at these."""
        receiver, gifter = self._parties["receiver"], self._parties["gifter"]
        with trio.move_on_after(LONGEST_S):
            if gifter.is_alive:
                await gifter.rested.wait()
            while receiver.is_alive and any(len(said) < 2 for said in receiver.said.values()):
                await trio.sleep(0.01)
        assert not gifter.is_alive or gifter.rested.is_set(), f"the gifter waits: {_open(gifter)}"
        assert not receiver.is_alive or not _open(receiver), f"the receiver waits: {_open(receiver)}"
        for number, said in receiver.said.items():
            self._look(number, said)
        for number, said in gifter.said.items():
            assert said[0] == "begun", f"{number}: {said}"
            for end in said[1:]:
                _check_clear(number, end, "given", "failed")
        receiver.said.clear()
        gifter.said.clear()

    def _look(self, number: int, said: list[str]) -> None:
        """Each is met once, and called by nobody else: the calls are answered by it, and counted once."""
        wanted = f"answered {[(number, n + 1) for n in range(CALLS)]}"
        assert said[0] == "met", f"{number}: {said}"
        assert len(said) <= 2, f"{number} came more than once: {said}"
        for end in said[1:]:
            _check_clear(number, end, wanted, "broken")
            kind = end.split()[1] if end.startswith("broken") else "answered"
            self.ends[kind] += 1
            self.last = (number, kind)


def _open(party: Party) -> list[int]:
    return [number for number, said in party.said.items() if len(said) < 2]


def _check_clear(number: int, end: str, good: str, bad: str) -> None:
    word, _, rest = end.partition(" ")
    kind, _, text = rest.partition(" ")
    assert end == good or (word == bad and kind in CLEAR and text), f"{number}: {end}, and not {good}"


async def run(folder: Path, options: argparse.Namespace) -> int:
    """Kill as often as is wanted; print what came of it, and return the exit status."""
    three = Introductions(folder, options.seed, options.plant)
    status = 0
    try:
        async with three.open():
            for _ in range(options.kills):
                await three.kill()
            await three.see_one()
    except* Exception as caught:  # whatever it is, the seed is to be told
        status = 1
        print(f"seed {options.seed}, after {three.kills.total()} kills:")
        print("".join(traceback.format_exception(caught)))
        print("\n".join(three.log.read_text().splitlines()[-20:]), file=sys.stderr)
    for what, counts in (("kills", three.kills), ("introductions", three.ends)):
        print(f"{what}: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())), file=sys.stderr)
    print(f"{three.kills.total()} kills, {three.ends.total()} introductions, {status} wrong")
    return status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.durability.kill.handoff", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="at random instants (100)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="what decides about them (1)")
    parser.add_argument("--plant", default="", choices=PLANTS, help="a fault that has to be found")
    with TemporaryDirectory() as folder:
        return trio.run(run, Path(folder), parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
