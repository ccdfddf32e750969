"""Runs captpd as users do, in processes of its own, with bounded waits for what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

import captp
from captp.lib.control import Control

HERE = Path(__file__).parent
LONGEST_S = 20.0

ALLOWED = {"CAPTPD_DAEMON__ALLOW": "daemon_shop,daemon_slow,captp.examples.*"}


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CAPTPD_", "CAPTP_", "NOTIFY_"))}
    return {**kept, "CAPTPD_HOME": str(home), "PYTHONPATH": str(HERE), **ALLOWED, **more}


def captpd(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "captpd", *words],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def matches(text: str, golden: str) -> bool:
    """Compare a whole text; ``<any>`` stands for anything on one line."""
    pattern = ".+".join(re.escape(part) for part in golden.split("<any>"))
    return re.fullmatch(pattern, text.strip()) is not None


class Daemon:
    """A running daemon: its process, its ready line, and what it logged so far."""

    def __init__(self, home: Path, process: trio.Process, ready: str) -> None:
        self.home = home
        self.process = process
        self.ready = ready
        self.log = b""
        self.logged = trio.Event()

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.decode().splitlines()]

    async def wait_for_log(self, text: bytes) -> None:
        with trio.fail_after(LONGEST_S):
            while text not in self.log:
                await self.logged.wait()

    @asynccontextmanager
    async def control(self) -> AsyncIterator[Any]:
        async with captp.connect(self.home / "control.cap", Control) as control:
            yield control

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Signal the process and return its exit code."""
        self.process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        with trio.fail_after(LONGEST_S):
            return await self.process.wait()


@asynccontextmanager
async def running(home: Path, *words: str, **more: str) -> AsyncIterator[Daemon]:
    """Run ``captpd run`` until it is ready; kill it at the end if it still lives."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "captpd", "run", *words],
        env=environment(home, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    daemon = Daemon(home, process, "")
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_log, daemon)
            try:
                daemon.ready = await _first_line(process)
                yield daemon
            finally:
                with trio.CancelScope(shield=True):
                    if process.poll() is None:
                        process.kill()
                    await process.wait()
            # Its standard error ends with it, and with that the task that reads it.
    except BaseException as problem:
        problem.add_note(f"the daemon logged:\n{daemon.log.decode()}")
        raise


async def _first_line(process: trio.Process) -> str:
    assert process.stdout is not None
    heard = b""
    async with process.stdout:
        with trio.fail_after(LONGEST_S):
            while not heard.endswith(b"\n"):
                part = await process.stdout.receive_some()
                assert part, "the daemon ended before it was ready"
                heard += part
    return heard.decode().strip()


async def _keep_log(daemon: Daemon) -> None:
    assert daemon.process.stderr is not None
    async with daemon.process.stderr:
        async for part in daemon.process.stderr:
            daemon.log += part
            daemon.logged.set()
            daemon.logged = trio.Event()
