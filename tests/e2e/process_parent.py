"""A program with a process trustee, that says its child's number and then waits to be killed."""

from __future__ import annotations

import sys

import trio

import captp
from tests.e2e.process_things import Trouble


async def main(task: str) -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Trouble], turn_s=1.0) as trustee:
        trouble = await trustee.entrust_new(Trouble)
        print(trustee.stats().pid, flush=True)
        if task == "busy":
            await trouble.apply(Trouble.loop)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
