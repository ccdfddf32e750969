"""Has each step of a store's disk fail in turn, and looks at what is left: `python -m` this module.

The nth open, write, sync, lock, delete or truncate fails once, for n = 1 until nothing fails any more.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from unittest import mock

import apsw
import trio

import captp
from captp import E
from captp.errors import StoreError
from captp.run import gate
from captpd.store.sqlite import SqliteStore
from tests.durability.cuts import NAME, RESERVE, settings, unseal_all
from tests.durability.disk import Disk
from tests.durability.shelf import KEY, Shelf, plain_after, shown, shown_plain

STEPS = 8
#: What SQLite is told when a step of a kind fails.
CODES: Final = {
    "open": apsw.SQLITE_CANTOPEN,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "lock": apsw.SQLITE_IOERR_LOCK,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "fsync": apsw.SQLITE_IOERR_FSYNC,
    "sync folder": apsw.SQLITE_IOERR_DIR_FSYNC,
}
#: Steps that are not made by SQLite.
BY_THE_ADAPTER: Final = ("fsync", "sync folder")


class Fault:
    """Has the nth step of a kind fail, with a disk error or for want of room."""

    def __init__(self, verb: str, nth: int, code: int) -> None:
        self.verb = verb
        self.left = nth
        self.code = code

    def __call__(self, verb: str, name: str) -> None:
        if verb == self.verb:
            self.left -= 1
            if self.left == 0:
                if verb in BY_THE_ADAPTER:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                raise apsw.exception_for(self.code)


async def work(disk: Disk, told: list[int]) -> None:
    """Take steps in a vat that is opened twice, then compact and copy its store."""
    store = SqliteStore(disk.folder / NAME, reserve_bytes=RESERVE)
    for session in range(2):
        async with captp.open_vat(key=KEY, store=store) as vat:
            shelf = E(vat.root("shelf", Shelf))
            for step in range(session * STEPS // 2, (session + 1) * STEPS // 2):
                number = await shelf.step(step + 1)
                told.append(number)
    store.open()
    try:
        store.copy(disk.folder / "copy")
        store.compact()
    finally:
        store.close()


async def state_of(path: Path) -> int:
    """Check that all is as after some step; return that."""
    unseal_all(path)
    async with captp.open_vat(key=KEY, store=SqliteStore(path, reserve_bytes=RESERVE)) as vat:
        found = await shown(vat)
    step: int = found[0][0]
    assert found == shown_plain(plain_after(step)), f"the objects are not those of step {step}"
    return step


def fail_one(fault: Fault, folder: Path) -> str:
    """Work until the fault, and look at what is left; return what came of it."""
    disk, told = Disk(folder, fault), list[int]()
    came = "went on"
    with disk.used():
        try:
            trio.run(work, disk, told)
        except StoreError as stopped:
            came = type(stopped).__name__
        except captp.Disconnected:
            came = "Disconnected"
    if fault.left > 0:
        return "clean"
    step = trio.run(state_of, folder / NAME)
    last = max(told, default=0)
    assert last <= step <= last + 1, f"step {last} was acknowledged, {step} is there"
    if came == "went on":
        assert last == STEPS
        trio.run(state_of, folder / "copy")
    return came


def codes(verb: str) -> tuple[int, ...]:
    # Only of writing does SQLite say that there is no room.
    return (CODES[verb], apsw.SQLITE_FULL) if verb == "write" else (CODES[verb],)


def fail_all(verb: str, code: int) -> Counter[str]:
    """Have each step of a kind fail once; return how often what came of it."""
    came: Counter[str] = Counter()
    while not came["clean"]:
        nth = sum(came.values()) + 1
        with TemporaryDirectory() as name, settings("FULL"), mock.patch.object(gate, "RETRY_S", 0.01):
            try:
                came[fail_one(Fault(verb, nth, code), Path(name).resolve())] += 1
            except BaseException as problem:
                came["wrong"] += 1
                print(f"{verb} {nth}: {type(problem).__name__}: {str(problem)[:300]}")
    return came


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verbs", nargs="*", default=list(CODES))
    given = parser.parse_args()
    wrong = 0
    for verb in given.verbs:
        for code in codes(verb):
            came = fail_all(verb, code)
            wrong += came["wrong"]
            print(f"{verb} {apsw.mapping_result_codes[code & 0xFF]}: {dict(came)}")
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
