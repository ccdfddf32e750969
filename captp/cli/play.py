"""The steps of the demo: what daemons and client do, told as it happens and kept as figures."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, final

import trio
from attrs import define, field

import captp
from captp.cli.figures import Figures, Tables, used
from captp.cli.relay import serve_relay
from captp.cli.share import write_cap
from captp.cli.stage import Child, Daemon, start
from captp.net.tls import TlsNetlayer

__all__ = ["Play", "Screen"]

DELAY_S: Final = 0.02
SETTLE_S: Final = 10.0
LOOK_S: Final = 0.1
#: Deposits before the daemon is killed among them.
ENOUGH: Final = 20

BANK: Final = "captp.examples.bank:Vault"
GUEST: Final = "captp.examples.introduction:Guest"
INTRODUCER: Final = "captp.examples.introduction:Introducer"
DESK: Final = "captp.examples.rooms:Desk"
CLIENT: Final = "captp.examples.round_trips"


@final
@define
class Screen:
    """Where the steps are told, numbered; or nothing is, for tools that read the result only."""

    is_on: bool
    step: str = "start"
    _steps: int = 0
    _title: str = ""

    def begin(self, step: str) -> None:
        """Begin a step; the next line carries its number and name."""
        self.step = step
        self._steps += 1
        self._title = f"{self._steps}  {step}"

    def say(self, *lines: str) -> None:
        """Tell what happened in this step."""
        for line in lines:
            self.write(f"{self._title:13}{line}")
            self._title = ""

    def write(self, line: str) -> None:
        """Write a line as it is."""
        if self.is_on:
            print(line, flush=True)


@final
@define(eq=False)
class Play:
    """Daemons, client and steps, in one folder."""

    folder: Path
    screen: Screen
    figures: Figures
    _a: Daemon = field(init=False)
    _b: Daemon = field(init=False)
    _c: Daemon = field(init=False)
    _client: Child = field(init=False)

    @property
    def cap(self) -> Path:
        """The file that gives the bank to the client."""
        return self.folder / "bank.cap"

    @property
    def home(self) -> Path:
        """The state folder of the daemon that has the bank."""
        return self._a.home

    @asynccontextmanager
    async def on_stage(self) -> AsyncIterator[None]:
        """Have daemons, relay and client run during the block."""
        self._a, self._b, self._c = (Daemon(name, self.folder / name.lower()) for name in "ABC")
        self.screen.write("three daemons, and a client that is 20 ms away from daemon A, each way")
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_relay, lambda: (self._a.host, self._a.port), DELAY_S)
            try:
                await self._start_daemons(f"127.0.0.1:{port}")
                await self._share()
                log = self.folder / "client.log"
                self._client = await start("the client", [CLIENT, str(self.cap)], log)
                try:
                    yield
                finally:
                    await self._client.end()
            finally:
                async with trio.open_nursery() as ending:
                    ending.start_soon(self._a.end)
                    ending.start_soon(self._b.end)
                    ending.start_soon(self._c.end)
            nursery.cancel_scope.cancel()

    async def all_steps(self) -> None:
        """Play what the client and the daemons have to show."""
        await self._call()
        await self._drop()
        await self._try_impostor()
        await self._chat()
        await self._restart()
        await self._introduce()

    async def _start_daemons(self, advertise: str) -> None:
        self.screen.begin("daemons")

        async def up(daemon: Daemon, public: str | None) -> None:
            await daemon.make(public)
            await daemon.run()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(up, self._a, advertise)
            nursery.start_soon(up, self._b, None)
            nursery.start_soon(up, self._c, None)
        self.screen.say(str(self._a), str(self._b), str(self._c))

    async def _share(self) -> None:
        self.screen.begin("object")
        made = await self._a.ask(lambda control: control.new(BANK, "bank"))
        sturdyref = await self._a.ask(lambda control: control.share("bank"))
        write_cap(self.cap, sturdyref)
        self.screen.say(f'{made["class"]} is "bank" on A; bank.cap (0600) is all that the client gets')

    async def _call(self) -> None:
        self.screen.begin("calls")
        slow = await self._client.report("one_by_one")
        fast = await self._client.report("as_a_chain")
        figures = self.figures
        figures.round_trips_one_by_one = slow["round_trips"]
        figures.calls, figures.round_trips = fast["calls"], fast["round_trips"]
        figures.balance = fast["balance"]
        for title, found in (("each awaited", slow), ("as a chain", fast)):
            trips = f"{found['round_trips']} round trip{'s' if found['round_trips'] != 1 else ''}"
            self.screen.say(f"{title + ':':14}{found['calls']} calls, {trips}, {found['s'] * 1000:.0f} ms")
        self.screen.say(f"{'':14}open, deposit 100, withdraw 30, balance: {fast['balance']}")

    async def _drop(self) -> None:
        self.screen.begin("tables")
        figures = self.figures
        at_client, at_daemon = await self._client.report("held"), await self._a.tables()
        figures.tables_held = {"client": at_client, "daemon": at_daemon or {}}
        await self._client.go_on()
        at_client = await self._client.report("dropped")
        at_daemon = await _until(self._a.tables, lambda tables: not used(tables or {}))
        figures.tables_after = {"client": at_client, "daemon": at_daemon or {}}
        figures.session_open_after = at_daemon is not None
        figures.exports_after = sum(t.get("exports", 0) for t in figures.tables_after.values())
        figures.answers_after = sum(t.get("answers", 0) for t in figures.tables_after.values())
        self.screen.say(f"{'':10}{''.join(name.rjust(12) for name in at_client)}")
        for end, held in figures.tables_held.items():
            self.screen.say(f"{end:10}{_changes(held, figures.tables_after[end])}")
        state = "still open" if figures.session_open_after else "gone"
        self.screen.say(f"the client dropped its references; the session is {state}")

    async def _try_impostor(self) -> None:
        self.screen.begin("identity")
        layer = TlsNetlayer(captp.PrivateKey.from_seed(os.urandom(32)))
        conduit = await layer.dial(self._b.locator(self._b.designator))
        await conduit.aclose()
        try:
            conduit = await layer.dial(self._b.locator(self._a.designator))
            await conduit.aclose()
        except captp.Unreachable:
            self.figures.impostor_refused = True
            self.screen.say("B answers for itself; asked in A's name it is refused")

    async def _chat(self) -> None:
        self.screen.begin("cycles")
        daemons = (self._a, self._b, self._c)
        async with captp.open_vat() as vat:
            desks = []
            for daemon in daemons:
                await daemon.ask(lambda control: control.new(DESK, "desk"))
                desks.append(await vat.enliven(await daemon.ask(lambda control: control.share("desk"))))
            before = await _objects(desks)
            await _meet(desks)
            during = await _objects(desks)
            left = trio.current_time()
            after = await _until(lambda: _objects(desks), lambda objects: objects == before)
            seconds = trio.current_time() - left
        cuts = sum([await daemon.cuts() for daemon in daemons])
        self.figures.objects_after = after - before
        self.figures.cycle_collected = cuts > 0 and during > before >= after
        self.screen.say(
            f"{during - before} rooms and members on A, B and C held each other, and nobody them;"
            f" {after - before} are left after {seconds:.1f} s"
        )

    async def _restart(self) -> None:
        self.screen.begin("restart")
        figures = self.figures
        before = self.cap.read_text()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deposit)
            while figures.deposits < ENOUGH:  # noqa: ASYNC110 - they are counted, and nobody is told
                await trio.sleep(LOOK_S / 10)
            await self._a.kill()
        await self._a.run()
        sturdyref = await self._a.ask(lambda control: control.share("bank"))
        is_same = sturdyref.reveal() == before.splitlines()[-1]
        figures.same_sturdyref_after_restart = is_same
        async with captp.connect(sturdyref) as bank:
            figures.deposited = await captp.E(captp.E(bank).open("max")).balance()
        # What was under way may have been made: nobody was told.
        figures.balance_kept = figures.deposited in (figures.deposits, figures.deposits + 1)
        self.screen.say(
            f"A was killed while it ran deposits, and runs again at {'the same' if is_same else 'ANOTHER'}"
            " sturdyref",
            f"{figures.deposits} deposits were acknowledged, {figures.deposited} are there",
        )
        await self._client.go_on()
        figures.balance_after_restart = (await self._client.report("again"))["balance"]
        await self._client.succeeds()
        self.screen.say(
            f"the client called the bank again through it: balance {figures.balance_after_restart}, as before"
        )

    async def _deposit(self) -> None:
        """Deposit again and again, one after the other, until the bank is gone."""
        sturdyref = await self._a.ask(lambda control: control.share("bank"))
        async with captp.connect(sturdyref) as bank:
            account = captp.E(await captp.E(bank).open("max"))
            with suppress(captp.Disconnected):
                while True:
                    await account.deposit(1)
                    self.figures.deposits += 1

    async def _introduce(self) -> None:
        self.screen.begin("handoff")
        await self._b.ask(lambda control: control.new(GUEST, "guest"))
        guest = await self._b.ask(lambda control: control.share("guest"))
        await self._c.ask(lambda control: control.new(INTRODUCER, "introducer"))
        introducer = await self._c.ask(lambda control: control.share("introducer"))
        bank = await self._a.ask(lambda control: control.share("bank"))
        async with captp.connect(introducer) as host:
            given = await captp.E(host).introduce(guest, bank, "ida")
        await self._c.kill()
        async with captp.connect(guest) as friend:
            left = await captp.E(friend).spend(30)
        self.figures.handoff_survives_introducer = (given, left) == (100, 70)
        self.screen.say(
            f"C gave B an account on A, with {given}; C was killed, and B drew 30 from it on A: {left} left"
        )


async def _objects(desks: list[Any]) -> int:
    """Count what the desks have made and is still there."""
    return sum([await captp.E(desk).objects() for desk in desks])


async def _meet(desks: list[Any]) -> None:
    """Have a member from each daemon join the rooms on the others, and let go of them."""
    chats = [(captp.E(desk).room(), captp.E(desk).member()) for desk in desks]
    joins = [captp.E(m).join(room) for room, here in chats for _, m in chats if m is not here]
    for joined in joins:
        await joined


def _changes(held: Tables, after: Tables) -> str:
    return "".join(f"{count} -> {after.get(name, '?')}".rjust(12) for name, count in held.items())


async def _until(look: Callable[[], Awaitable[Any]], is_it: Callable[[Any], bool]) -> Any:
    """Look until what is seen is as wanted, for a bounded time; return what was seen last."""
    found = await look()
    with trio.move_on_after(SETTLE_S):
        while not is_it(found):
            await trio.sleep(LOOK_S)
            found = await look()
    return found
