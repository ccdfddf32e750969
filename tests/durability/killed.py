"""Kills processes in the middle of numbered commits, and looks at what they leave: `python -m` this module.

Commit n makes rows of n, deletes those of an earlier number, and writes n down: all of it or nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from captp.run.store import Change, Verb
from captpd.store.sqlite import SqliteStore

ROWS = 20
#: How many numbers have rows at a time.
KEPT = 30


def key(number: int, row: int) -> bytes:
    return number.to_bytes(8, "big") + bytes([row])


def value(number: int, row: int) -> bytes:
    return bytes([number % 256, row]) * ((number * 7 + row * 131) % 1500)


def changes(number: int) -> list[Change]:
    made = [Change(Verb.INSERT, "object", key(number, row), value(number, row)) for row in range(ROWS)]
    if number > KEPT:
        made += [Change(Verb.DELETE, "object", key(number - KEPT, row)) for row in range(ROWS)]
    written = Verb.INSERT if number == 1 else Verb.REPLACE
    return [*made, Change(written, "meta", b"number", str(number).encode())]


def last(store: SqliteStore) -> int:
    return int(store.get("meta", b"number") or b"0")


def commit_until_killed(path: Path, acknowledged: int) -> None:
    """Write a byte before the store is opened, and one for each commit that returned."""
    os.write(acknowledged, b".")
    store = SqliteStore(path, reserve_bytes=4096)
    store.open()
    number = last(store)
    while True:
        number += 1
        store.commit(changes(number))
        os.write(acknowledged, b".")


def kill_one(path: Path, after: int, later_s: float) -> int:
    """Kill a process a moment after it said that ``after`` commits returned; return how many it had said."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            commit_until_killed(path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as said:
        count = 0
        while count <= after:
            read = len(said.read(after + 1 - count) or b"")
            assert read, f"process {pid} ended by itself"
            count += read
        # Without sleeping, which takes as long as several commits.
        until = time.perf_counter() + later_s
        while time.perf_counter() < until:
            pass
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"process {pid} ended by itself"
        while more := said.read(4096):
            count += len(more)
    return count - 1


def look(path: Path) -> int:
    """Check that each commit is there whole or not at all; return the last number."""
    store = SqliteStore(path, reserve_bytes=4096)
    store.open()
    number = last(store)
    first = max(1, number - KEPT + 1)
    expected = [(key(n, row), value(n, row)) for n in range(first, number + 1) for row in range(ROWS)]
    assert store.scan("object", limit=10**6) == expected, f"the rows are not those of commit {number}"
    assert store.count("object") == len(expected)
    store.close()
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    number = unsaid = 0
    with TemporaryDirectory() as folder:
        path = Path(folder, "main.store")
        for _ in range(given.kills):
            said = kill_one(path, chance.choice((0, 1, 5, chance.randrange(100))), chance.random() * 0.003)
            found = look(path)
            assert found - number in (said, said + 1), f"{said} commits returned, {found - number} are there"
            unsaid += found - number - said
            number = found
    print(f"{given.kills} kills, {number} commits, {unsaid} of them made and not said, 0 lost")


if __name__ == "__main__":
    sys.exit(main())
