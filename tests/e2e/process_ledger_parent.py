"""A program with a durable process trustee, that says each answer and is killed."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

import captp
from captpd.store.sqlite import SqliteStore
from tests.e2e.process_ledger import Ledger

KEY = captp.PrivateKey.from_seed(b"l" * 32)


async def main(path: str) -> None:
    async with (
        captp.open_vat(key=KEY) as vat,
        vat.trustee("process", [Ledger], store=SqliteStore(Path(path))) as trustee,
    ):
        ledger = await trustee.root("tills", Ledger)
        while True:
            print(await ledger.apply(Ledger.pay, 1), flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
