"""One daemon that is going to be killed: as users start it, or by the runner, which kills itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.e2e.daemons import LONGEST_S, captpd, environment, free_port

__all__ = ["Daemon", "make_state", "started"]

ROOT = Path(__file__).parents[3]
#: The hosted class's module is the harness's own, so that both read the same store.
MODULE = "tests.durability.kill.ledger"
OBJECT = f'durable = true\n\n[objects.ledger]\nclass = "{MODULE}:Ledger"\n'
HOSTING = {"PYTHONPATH": str(ROOT), "CAPTPD_DAEMON__ALLOW": MODULE}


def make_state(home: Path) -> None:
    """Make a state folder whose main vat is durable and has the ledger."""
    made = captpd(home, "init", "--listen", f"127.0.0.1:{free_port()}")
    assert made.returncode == 0, made.stderr
    config = home / "captpd.toml"
    config.write_text(config.read_text() + OBJECT)


class Daemon:
    """A process, which need not have come to be a daemon."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process

    async def is_ready(self) -> bool:
        """Wait until it is ready; False if it ended before."""
        heard = b""
        assert self._process.stdout is not None
        with trio.fail_after(LONGEST_S):
            while not heard.endswith(b"\n"):
                part = await self._process.stdout.receive_some()
                if not part:
                    return False
                heard += part
        return True

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    async def wait(self) -> int:
        """Wait for its end; return its exit code, which is negative for a signal."""
        with trio.fail_after(LONGEST_S):
            return await self._process.wait()

    async def stop(self) -> int:
        self.terminate()
        return await self.wait()


@asynccontextmanager
async def started(home: Path, log: Path, **more: str) -> AsyncIterator[Daemon]:
    """Start a daemon, by the runner if that is to do something; it ends with the block at the latest."""
    is_plain = not any(name.startswith("KILL_") for name in more)
    module = "captpd" if is_plain else "tests.durability.kill.runner"
    with log.open("ab") as said:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", module, "run"],
            cwd=ROOT,
            env=environment(home, **HOSTING, **more),
            stdout=subprocess.PIPE,
            stderr=said,
        )
    assert process.stdout is not None
    try:
        async with process.stdout:
            yield Daemon(process)
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.kill()
            await process.wait()
