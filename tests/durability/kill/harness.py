"""Daemons one after the other on one state folder, each of them killed, and an audit after each restart."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random

import trio

import captp
from captp.lib.control import Control
from tests.durability.kill.client import LONGEST_S, Client, opened, short_rests
from tests.durability.kill.daemon import Daemon, make_state, started
from tests.durability.kill.far import FarClient
from tests.durability.kill.ledger import FORM_OF_ACCOUNTS
from tests.durability.kill.model import Findings, Model, Sender
from tests.durability.kill.plants import FAR
from tests.durability.kill.points import POINTS
from tests.durability.kill.store import Rows, copies, form_of, plain, report_of, walk

__all__ = ["VICTIMS", "Harness", "Violation"]

CLIENTS = ("ada", "bob")
#: Seconds of writing before a kill, at most; how many of the kills fall in the start, and its seconds.
WRITING_S = 0.3
EARLY = 0.15
STARTING_S = 0.8
#: How many of the lives that end at random instants begin with a migration.
MIGRATING = 0.15
VICTIMS = ("daemon", "client", "both")
#: Half of all have memory for one object: the state of each that is not used is given back, and read again.
MEMORY = ({}, {"CAPTPD_LIMITS__OBJECTS_IN_MEMORY": "1"})


class Violation(Exception):
    """An audit found something."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(str(findings))
        self.findings = findings


class Harness:
    """One state folder and two clients."""

    def __init__(self, folder: Path, seed: int, plant: str = "") -> None:
        self._folder = folder
        self._home = folder / "state"
        self._said = folder / "said"
        self.log = folder / "log"
        self._chance = Random(seed)
        self._plant = {"KILL_PLANT": plant} if plant and plant not in FAR else {}
        self._far = FarClient(folder, plant if plant in FAR else "")
        self._clients: list[Client] = []
        self._senders: dict[str, Sender] = {}
        self._model = Model(())
        self._nursery: trio.Nursery | None = None
        self._shared: captp.SturdyRef | None = None
        self.kills = 0
        #: How many of them were of the daemon, of the client in a process of its own, or of both.
        self.killed: Counter[str] = Counter()
        #: How often each point was hit.
        self.hits: Counter[str] = Counter()
        self.audits = 0
        self.rows = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Make the state folder, and open two clients for the length of the block."""
        await trio.to_thread.run_sync(make_state, self._home)
        async with AsyncExitStack() as stack:
            stack.enter_context(short_rests())
            for name in CLIENTS:
                opening = opened(self._folder, name, Random(self._chance.random()))
                self._clients.append(await stack.enter_async_context(opening))
            senders = [s for c in self._clients for s in (c.sender, c.durable)]
            self._senders = {s.name: s for s in (*senders, self._far.sender)}
            self._model = Model(self._senders.values())
            self._nursery = await stack.enter_async_context(trio.open_nursery())
            yield
            self._nursery.cancel_scope.cancel()

    @property
    def writes(self) -> int:
        """How many were sent."""
        return sum(sender.last for sender in self._senders.values())

    async def kill(self) -> None:
        """Start a daemon, and kill it, the client in a process of its own, or both, at random instants."""
        chance = self._chance
        # Half of them are started as users do.
        care = chance.choice(({}, {"KILL_CARE": "often"}))
        migrates = chance.random() < MIGRATING
        # That client is there as soon as there is a ledger that it can know of.
        victim = chance.choice(VICTIMS) if self._shared is not None else VICTIMS[0]
        is_early = victim != "client" and chance.random() < EARLY
        longest = STARTING_S if is_early else WRITING_S
        async with self._started(migrates, **care) as daemon, trio.open_nursery() as nursery:
            is_ready = not is_early and await daemon.is_ready()
            sturdyref = await self._audited() if is_ready else None
            if victim != "daemon":
                nursery.start_soon(self._kill_far_later, chance.uniform(0, longest))
            end = daemon.terminate if victim == "client" else daemon.kill
            nursery.start_soon(self._end_later, end, chance.uniform(0, longest))
            with suppress(captp.Disconnected):
                await (self._use(daemon) if sturdyref is None else self._write(sturdyref))
            code = await daemon.wait()
        await self._look(code, 0 if victim == "client" else -signal.SIGKILL)
        self.killed[victim] += 1

    async def hit(self, point: str, at: int = 0, *, wait_s: float = LONGEST_S) -> bool:
        """Start a daemon that kills itself when it is at a point; return whether it has within ``wait_s``."""
        self._said.unlink(missing_ok=True)
        fuse = {"KILL_POINT": point, "KILL_SAID": str(self._said)}
        at = at or self._chance.randint(1, POINTS[point])
        migrates = point == "in-migration"
        if migrates and self._shared is None:
            await self._grow()
        async with self._started(migrates, **fuse, KILL_AT=str(at)) as daemon:
            with trio.move_on_after(wait_s), suppress(captp.Disconnected):
                await self._use(daemon)
        await self._look(await daemon.wait())
        self.killed["daemon"] += 1
        is_hit = self._said.exists() and self._said.read_text() == point
        self.hits[point] += is_hit
        return is_hit

    async def end(self) -> None:
        """Audit once more through a client, let a daemon end in order, and audit its store without it."""
        async with self._started() as daemon:
            assert await daemon.is_ready(), "the last daemon did not start"
            sturdyref = await self._audited()
            for client in self._clients:
                client.is_ending = True
            await self._far.end()
            await self._all_are_made()
            await self._all_say_what_they_promised(sturdyref)
            code = await daemon.stop()
            assert code == 0, f"the last daemon ended with {code}"
        report = await trio.to_thread.run_sync(report_of, self._home)
        self._check(self._model.audit(report, self._model.promised()))
        self.rows = walk(self._home)

    @asynccontextmanager
    async def _started(self, migrates: bool = False, **more: str) -> AsyncIterator[Daemon]:
        """Start a daemon that has accounts as the store has them, or is to migrate them."""
        form = await trio.to_thread.run_sync(form_of, self._home)
        version = str(form + 1 if migrates else max(form, 1))
        old = plain(self._home) if migrates and form else None
        more |= {**self._plant, **self._chance.choice(MEMORY), FORM_OF_ACCOUNTS: version}
        async with started(self._home, self.log, **more) as daemon:
            yield daemon
        if old is not None:
            await trio.to_thread.run_sync(self._look_at_migration, form, old)

    def _look_at_migration(self, form: int, old: Rows) -> None:
        """All is old or all is new, and a copy of the old is whole."""
        found = Findings()
        try:
            now, made = form_of(self._home), copies(self._home)
            if now == form:
                found.equal("what a migration left", plain(self._home), old)
            elif not made:
                found.lost.append("the copy of what was migrated")
            for copy in made:
                found.equal("the copy of what was to be migrated", plain(self._home, copy), old)
                copy.unlink()
        except captp.StoreDamaged as problem:
            found.wrong.append(f"a migration: {problem}")
        self._check(found)

    async def _grow(self) -> None:
        """Have something in the store, by a daemon that is not killed."""
        async with self._started() as daemon, trio.open_nursery() as nursery:
            assert await daemon.is_ready(), "the first daemon did not start"
            nursery.start_soon(self._write, await self._audited())
            await trio.sleep(WRITING_S)
            assert await daemon.stop() == 0

    async def _all_are_made(self) -> None:
        """Wait until all durable calls are made, and those whose answers somebody waits for are answered."""
        senders, far = [client.durable for client in self._clients], self._far.sender
        with trio.move_on_after(LONGEST_S):
            while far.sent or self._model.alarms.waiting or any(sender.unanswered for sender in senders):
                await trio.sleep(0.01)
                await self._audited()
        lost = [f"{s.name}: {write}, which was never answered" for s in senders for write in s.unanswered]
        lost += [f"{far.name}: {write}, which was never made" for write in far.sent.values()]
        lost += [f"the alarm {key}, which has never rung" for key in self._model.alarms.waiting]
        self._check(Findings(lost=lost))

    async def _all_say_what_they_promised(self, sturdyref: captp.SturdyRef) -> None:
        """See what became of the promises that the ledger keeps."""
        found = Findings()
        with trio.fail_after(LONGEST_S):
            for number, promise in await self._clients[0].dial(sturdyref).answers():
                try:
                    found.equal("the answer of an alarm", await promise, number)
                except captp.Broken as problem:
                    found.lost.append(f"the answer of alarm {number}: {problem}")
        self._check(found)

    async def _use(self, daemon: Daemon) -> None:
        if await daemon.is_ready():
            await self._write(await self._audited())

    @staticmethod
    async def _end_later(end: Callable[[], None], seconds: float) -> None:
        await trio.sleep(seconds)
        end()

    async def _kill_far_later(self, seconds: float) -> None:
        await trio.sleep(seconds)
        await self._far.kill()

    async def _write(self, sturdyref: captp.SturdyRef) -> None:
        async with trio.open_nursery() as nursery:
            for client in self._clients:
                nursery.start_soon(client.write, sturdyref, self._senders)

    async def _audited(self) -> captp.SturdyRef:
        """Audit through a client; return the ledger's sturdyref, which has not changed."""
        with trio.fail_after(LONGEST_S):
            async with captp.connect(self._home / "control.cap", Control) as control:
                shared = await control.share("ledger")
            if self._shared is None:
                self._shared = shared
                assert self._nursery is not None
                for client in self._clients:
                    self._nursery.start_soon(client.write_durably, shared)
                self._nursery.start_soon(self._far.run, shared, self._clients[0])
            assert self._shared.reveal() == shared.reveal(), "another sturdyref"
            promised = self._model.promised()
            # A dial that is under way may have begun before the daemon listened.
            report = await self._chance.choice(self._clients).dial(shared, LONGEST_S).report()
        self._far.know_from(report)
        self._check(self._model.audit(report, promised))
        self.audits += 1
        return shared

    async def _look(self, code: int, wanted: int = -signal.SIGKILL) -> None:
        assert code == wanted, f"the daemon ended by itself, with {code}"
        self.kills += 1
        await trio.to_thread.run_sync(walk, self._home)

    @staticmethod
    def _check(findings: Findings) -> None:
        if findings:
            raise Violation(findings)
