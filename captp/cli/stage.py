"""The processes of the demo: daemons and a client, heard a line at a time and ended whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar, final

import trio
from attrs import define, field

import captp
from captp.cli.daemon import ask
from captp.cli.problems import FAILED, Failure
from captp.lib.control import Control

__all__ = ["Child", "Daemon", "start"]

T = TypeVar("T")

LINE_S: Final = 20.0
END_S: Final = 3.0
LOG_LINES: Final = 5

#: So that nobody who looks has to wait: what is left alone is asked about by default after half a minute.
QUICK: Final = {"CAPTPD_CYCLES__AGE": "0.3", "CAPTPD_CYCLES__TICK": "0.05"}


@final
@define(eq=False)
class Child:
    """A process of ours, which says one line at a time on standard output and logs to a file."""

    name: str
    process: trio.Process
    log: Path
    _heard: bytes = field(default=b"", init=False)

    async def line(self) -> str:
        """Return the next line it says. Raises Failure, with the end of its log, when none comes."""
        assert self.process.stdout is not None
        with trio.move_on_after(LINE_S):
            while b"\n" not in self._heard:
                part = await self.process.stdout.receive_some()
                if not part:
                    break
                self._heard += part
        line, newline, self._heard = self._heard.partition(b"\n")
        if not newline:
            raise await self.silent()
        return line.decode("utf-8", "replace")

    async def report(self, step: str) -> dict[str, Any]:
        """Return the next line as the JSON object that reports ``step``."""
        found: dict[str, Any] = json.loads(await self.line())
        if found.pop("step") != step:
            raise await self.silent()
        return found

    async def go_on(self) -> None:
        """Give it a line to read."""
        assert self.process.stdin is not None
        try:
            await self.process.stdin.send_all(b"\n")
        except trio.BrokenResourceError:
            raise await self.silent() from None

    async def succeeds(self) -> None:
        """Wait for its end. Raises Failure when it takes too long, or fails."""
        with trio.move_on_after(LINE_S):
            if await self.process.wait() == 0:
                return
        raise await self.silent()

    async def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        await self.process.wait()

    async def end(self) -> None:
        """Ask it to end, then see to it; shielded, and bounded in time."""
        with trio.CancelScope(shield=True):
            if self.process.poll() is None:
                self.process.terminate()
                with trio.move_on_after(END_S):
                    await self.process.wait()
            await self.kill()
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    await stream.aclose()

    async def silent(self) -> Failure:
        """Return the failure for a process that did not do its part."""
        with trio.move_on_after(END_S / 10):
            await self.process.wait()  # it may be on its way
        code = self.process.poll()
        why = f"said nothing for {LINE_S:g} s" if code is None else f"ended with {_spelt(code)}"
        said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        return Failure("\n".join([f"{self.name} {why}; its log ends:", *said]), FAILED)


async def start(name: str, words: list[str], log: Path) -> Child:
    """Run a Python module as a process; whoever starts it ends it."""
    with log.open("ab") as file:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            env=_environment() | QUICK,
        )
    return Child(name, process, log)


@final
@define(eq=False)
class Daemon:
    """A daemon in a state folder of its own; it may be killed and run again."""

    name: str
    home: Path
    designator: str = field(default="", init=False)
    host: str = field(default="", init=False)
    port: int = field(default=0, init=False)
    _child: Child | None = field(default=None, init=False)

    async def make(self, advertise: str | None = None) -> None:
        """Make its state folder; it keeps its objects, and listens at any free port of the loopback."""
        words = ["captpd", "init", "--durable", "--state", str(self.home), "--listen", "127.0.0.1:0"]
        if advertise is not None:
            words += ["--advertise", advertise]
        child = await start(f"captpd init of {self.name}", words, self._log)
        try:
            await child.succeeds()
        finally:
            await child.end()

    async def run(self) -> None:
        """Run it until it is ready."""
        words = ["captpd", "run", "--state", str(self.home)]
        self._child = await start(f"daemon {self.name}", words, self._log)
        await self._child.line()
        (vat,) = (await self.ask(lambda control: control.status()))["vats"]
        (listener,) = vat["listeners"]
        self.designator = vat["designator"]
        self.host, _, port = listener["address"].rpartition(":")
        self.port = int(port)

    async def ask(self, question: Callable[[Control], Awaitable[T]]) -> T:
        """Put one question to its control plane."""
        return await ask(question, self.home / "control.cap")

    async def cuts(self) -> int:
        """Count what its collector has cut so far."""
        rows = await self.ask(lambda control: control.gc())
        return sum(row["cut"] for row in rows if row["vat"] == "main")

    async def tables(self) -> dict[str, int] | None:
        """Count the entries of its one session with a client, position 0 aside; None without it."""
        sessions = (await self.ask(lambda control: control.tables()))["main"]
        found = [session for session in sessions if session["state"] == "open"]
        if len(found) != 1:
            return None
        return {
            "exports": found[0]["exports"] - 1,
            "imports": found[0]["imports"],
            "questions": sum(found[0]["questions"].values()),
            "answers": sum(found[0]["answers"].values()),
        }

    def locator(self, designator: str) -> captp.PeerLocator:
        """Return the locator of a vat that is claimed to be where this daemon listens."""
        hints = {"host": self.host, "port": str(self.port), "exts": "mp1"}
        return captp.PeerLocator.make("tls", designator, hints)

    def __str__(self) -> str:
        return f"{self.name} {self.designator[:8]}… on tls {self.host}:{self.port}"

    async def kill(self) -> None:
        """End its process as a power failure would."""
        assert self._child is not None
        await self._child.kill()

    async def end(self) -> None:
        """End its process, if it has one."""
        if self._child is not None:
            await self._child.end()

    @property
    def _log(self) -> Path:
        return self.home.with_suffix(".log")


def _environment() -> dict[str, str]:
    """Return ours without what is meant for the user's own daemon."""
    theirs = ("CAPTP_", "CAPTPD_", "NOTIFY_")
    return {key: value for key, value in os.environ.items() if not key.startswith(theirs)}


def _spelt(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
