"""A program with a process trustee, that says its child's number and then waits to be killed."""

from __future__ import annotations

import sys

import trio

import captp
from captp import E
from tests.e2e.process_errands import Errands, Watch
from tests.e2e.process_things import Trouble


async def main(task: str) -> None:
    classes = [Trouble, Errands, Watch]
    async with captp.open_vat() as vat, vat.trustee("process", classes, turn_s=1.0) as trustee:
        trouble = await trustee.entrust_new(Trouble)
        waiting = None
        if task not in ("idle", "busy"):
            _, errands = await trustee._new(Errands, (), {})
            _, watch = await trustee._new(Watch, (), {})
            waiting = E(errands).do(task, [])
            assert await E(watch).until("began")
        print(trustee.stats().pid, flush=True)
        if task == "busy":
            await trouble.apply(Trouble.loop)
        if waiting is not None:
            await waiting
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
