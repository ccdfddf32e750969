"""Two servers that differ in one thing, called by turns: what disturbs the machine disturbs both."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import trio

import captp
from tests.bench.product import SEED, SWISS, ProductSubject, listener
from tests.bench.scenarios import OUTSTANDING

__all__ = ["compare", "serve"]

#: Bursts of one kind before the other has its go.
BURSTS = 5


async def serve(make: Any) -> None:
    """Serve the object that ``await make(vat)`` gives until killed; say the port on the first line."""
    key = captp.PrivateKey.from_seed(SEED)
    async with captp.open_vat(key=key, listen=[listener("plain", key, 0)]) as vat:
        vat.mint(await make(vat), swiss=SWISS)
        print(vat.locators[0].hint("port"), flush=True)
        await trio.sleep_forever()


@contextmanager
def _served(module: str, kind: str) -> Iterator[int]:
    """Run a server for the length of the block; yield its port."""
    command = [sys.executable, "-m", module, "--serve", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def compare(module: str, kinds: tuple[str, ...], seconds: float) -> dict[str, float]:
    """Return the calls per second of each kind that ``module`` serves."""
    async with AsyncExitStack() as stack:
        subjects = {}
        for kind in kinds:
            subjects[kind] = ProductSubject("plain", stack)
            await subjects[kind].open(stack.enter_context(_served(module, kind)))
            await subjects[kind].burst("put", OUTSTANDING)
        gc.collect()
        calls, taken = 0, dict.fromkeys(kinds, 0.0)
        while sum(taken.values()) < 2 * seconds:
            for kind, subject in subjects.items():
                begin = time.perf_counter()
                for _ in range(BURSTS):
                    await subject.burst("put", OUTSTANDING)
                taken[kind] += time.perf_counter() - begin
            calls += BURSTS * OUTSTANDING
        return {kind: calls / taken[kind] for kind in kinds}
