"""A client in a process of its own, which is killed too: its durable vat counts the durable calls it makes.

It is told the ledger's sturdyref on stdin, and says on stdout what its state has counted (``at N``) and which
calls were answered (``answered N``). When stdin ends it makes no more calls, and says ``ended N``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from random import Random
from typing import Any

import trio

import captp
from captp.model.locator import parse_sturdyref
from captpd.store.sqlite import SqliteStore
from tests.durability.kill.client import PAUSE_S, short_rests
from tests.durability.kill.ledger import COMMON
from tests.durability.kill.plants import PLANTS

__all__ = ["NAME", "write_of"]

NAME = "far"
KEY = captp.PrivateKey.from_seed(b"f" * 32)
#: Calls that one life has under way at a time.
CALLS = 5
#: What is forgotten has been made by then.
FORGET_EVERY = 100


def write_of(number: int) -> tuple[str, tuple[Any, ...]]:
    """Return the method and the arguments of a write, which its number decides."""
    chance = Random(number)
    src, dst = chance.choice(COMMON), chance.choice(COMMON)
    if number % FORGET_EVERY == 0:
        return "forget", (number - FORGET_EVERY // 2,)
    match number % 10:
        case 3:
            return "open", (f"{NAME} {number}", src, chance.randint(1, 99))
        case 8:
            return "close", (f"{NAME} {number - 5}", dst)
    return "transfer", (src, dst, chance.randint(1, 99))


class Caller(captp.Object, kind="kill:Caller"):
    ledger: captp.SturdyRef
    sent: int = 0

    @captp.method
    def send(self) -> Any:
        """Count and make the next call, in one turn."""
        self.sent += 1
        method, args = write_of(self.sent)
        return captp.send_durable(self.ledger, method, NAME, self.sent, *args)

    @captp.method
    def count(self) -> int:
        return self.sent


def say(*words: object) -> None:
    print(*words, flush=True)


async def go_on(caller: Any) -> None:
    while True:
        say("answered", await caller.send())
        await trio.sleep(PAUSE_S)


async def run(path: Path) -> None:
    ledger = parse_sturdyref(sys.stdin.readline().strip())
    async with captp.open_vat(key=KEY, store=SqliteStore(path, reserve_bytes=4096)) as vat:
        caller = captp.E(vat.root("caller", lambda: Caller(ledger=ledger)))
        say("at", await caller.count())
        async with trio.open_nursery() as nursery:
            for _ in range(CALLS):
                nursery.start_soon(go_on, caller)
            await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()
        say("ended", await caller.count())
        await trio.sleep_forever()


if __name__ == "__main__":
    if plant := os.environ.get("KILL_PLANT"):
        PLANTS[plant]()
    with short_rests():
        trio.run(run, Path(sys.argv[1]))
