"""Lets captp join a comparison of RPC systems as one more peer; it brings a client and no measurement.

Usage: ``python -m tests.bench.peer_driver DIRECTORY [--tls] server PORT``, or ``client PORT SCENARIO
SERVER_PID [JSON]``, which prints one line of JSON. DIRECTORY holds the comparison's own ``drv.py``, whose
coroutines measure whatever is awaitable; it is imported when this runs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import trio

from tests.bench.product import ProductSubject, serve


class Adapter:
    """The subject under the verbs that the driver calls."""

    def __init__(self, subject: ProductSubject) -> None:
        self._subject = subject
        self.echo = subject.echo
        self.bulk = subject.bulk
        self.idle = subject.idle

    def connect(self, port: int) -> Awaitable[None]:
        # No coroutine function on purpose: the driver would take its own waits to asyncio.
        return self._subject.open(port)

    async def burst(self, count: int, window: int) -> None:
        while count > 0:
            await self._subject.burst("echo", min(count, window))
            count -= window

    async def chain(self, depth: int) -> int:
        # The driver counts from one where the subject counts the calls.
        return await self._subject.chain(depth) + 1

    async def fresh(self, count: int) -> int:
        await self._subject.churn(count)
        return count

    async def live(self) -> int:
        return await self._subject.alive()


def load_driver(directory: Path) -> Any:
    """Import ``drv.py`` of a directory, or of its folder ``peers``."""
    for path in (directory / "drv.py", directory / "peers" / "drv.py"):
        if path.is_file():
            spec = importlib.util.spec_from_file_location("drv", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise SystemExit(f"{directory} holds no drv.py; give the directory of the comparison's peers")


class Runner:
    """Runs the driver's coroutines in trio, and owns what the adapter opens in them."""

    def __init__(self, variant: str) -> None:
        self._variant = variant
        self._stack = AsyncExitStack()

    def adapter(self) -> Adapter:
        return Adapter(ProductSubject(self._variant, self._stack))

    def run(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def owned() -> Any:
            async with self._stack:
                return await function()

        return trio.run(owned)


def client(driver: Any, runner: Runner, words: list[str], server: list[str]) -> Any:
    """Return what the driver measured for ``PORT SCENARIO SERVER_PID [JSON]``."""
    port, scenario, pid = int(words[0]), words[1], int(words[2])
    given = json.loads(words[3]) if len(words) > 3 else {}
    if scenario == "g":
        command = [sys.executable, "-m", "tests.bench.peer_driver", *server, str(port)]
        return driver.drive_cold(runner.adapter, runner.run, command, port)
    return runner.run(lambda: driver.drive_async(runner.adapter(), scenario, port, pid, given))


def main(words: list[str]) -> None:
    """Be the server, or the client of one scenario."""
    directory, *rest = words
    flags = rest[:1] if rest[0] == "--tls" else []
    role, *rest = rest[len(flags) :]
    variant = "tls" if flags else "plain"
    if role == "server":
        trio.run(serve, variant, int(rest[0]))
        return
    measured = client(load_driver(Path(directory)), Runner(variant), rest, [directory, *flags, "server"])
    print(json.dumps(measured), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
