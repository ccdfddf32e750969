"""What the harness knows of the client in a process of its own, which it kills and starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

import captp
from tests.durability.kill.caller import NAME, write_of
from tests.durability.kill.client import LONGEST_S, Client
from tests.durability.kill.daemon import ROOT
from tests.durability.kill.model import Sender

__all__ = ["FarClient"]

ARRIVING_S = 0.05


class FarClient:
    """One store, and the processes one after the other that make durable calls from it."""

    def __init__(self, folder: Path, plant: str) -> None:
        self._store = folder / "far.db"
        self._log = folder / "far log"
        self._environment = os.environ | ({"KILL_PLANT": plant} if plant else {})
        self.sender = Sender(NAME, is_durable=True)
        self._process: trio.Process | None = None
        #: There is a process; it said where it is; it said so in the end.
        self._started, self._up, self._last = trio.Event(), trio.Event(), trio.Event()
        self._is_killed = False

    async def run(self, ledger: captp.SturdyRef, other: Client) -> None:
        """Start processes, one when the other was killed, until this is cancelled."""
        while True:
            self._up = trio.Event()
            await self._learn(other.dial(ledger))
            known = self.sender.last
            with self._log.open("ab") as said:
                self._process = process = await trio.lowlevel.open_process(
                    [sys.executable, "-m", "tests.durability.kill.caller", str(self._store)],
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                )
            self._is_killed = False
            self._started.set()
            try:
                await self._hear(process, ledger, known)
            finally:
                self._started = trio.Event()
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()

    async def _learn(self, ledger: Any) -> None:
        """Learn from the daemon, if there is one, what the last process has sent: the next has to know it."""
        # What it had written when it was killed is to be there first.
        await trio.sleep(ARRIVING_S)
        with suppress(captp.Disconnected), trio.move_on_after(LONGEST_S):
            self.know(await ledger.last(NAME))

    async def _hear(self, process: trio.Process, ledger: captp.SturdyRef, known: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        heard = b""
        async with process.stdout:
            with suppress(trio.BrokenResourceError):
                await process.stdin.send_all(f"{ledger.reveal()}\n".encode())
            async for part in process.stdout:
                *lines, heard = (heard + part).split(b"\n")
                for line in lines:
                    word, number = line.decode().split()
                    self._take(word, int(number), known)
        await process.stdin.aclose()
        code = await process.wait()
        if not self._is_killed or code != -signal.SIGKILL:
            said = self._log.read_text()[-2000:]
            self.sender.failed.append(f"its process ended by itself, with {code}, and said: {said}")

    def _take(self, word: str, number: int, known: int) -> None:
        if number < known and word == "at":
            self.sender.failed.append(f"its state says that {number} were sent, and {known} are known")
        self.know(number)
        if word == "answered":
            self.sender.acknowledged.add(number)
        elif word == "at":
            self._up.set()
        else:
            if self.sender.last > number:
                self.sender.failed.append(f"its state says that {number} were sent, and there are more")
            self._last.set()

    def know(self, number: int) -> None:
        """Enter all up to a number as sent."""
        while self.sender.last < number:
            method, args = write_of(self.sender.last + 1)
            self.sender.write(method, *args)

    def know_from(self, report: tuple[Any, ...]) -> None:
        """Enter what a report of the ledger shows, and what others were told of."""
        self.know(max((number for (client, number), _ in report[1] if client == NAME), default=0))
        self.know(max(self.sender.seen, default=0))

    async def kill(self) -> None:
        """Kill the process that there is; another one follows."""
        await self._started.wait()
        assert self._process is not None
        self._is_killed = True
        self._process.kill()

    async def end(self) -> None:
        """Have it make no more calls, and learn how many it made."""
        with trio.fail_after(LONGEST_S):
            await self._started.wait()
            await self._up.wait()
            assert self._process is not None
            assert self._process.stdin is not None
            await self._process.stdin.aclose()
            await self._last.wait()
