"""The named points at which a daemon kills itself, and where in it they are.

Nothing of this is in the daemon: the runner, which is the harness's own process, puts it there.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from captp.peer.durable import stored
from captp.peer.outputs import Batch, Write
from captp.run import pump, sealed, sweeper
from captp.run.connection import Connection
from captp.run.gate import Gate
from captp.run.pump import Pump
from captp.run.sealed import Sealed
from captp.run.storage import Storage
from captpd.store import sqlite

__all__ = ["POINTS", "Fuse", "care_often", "lay"]

#: Each point, and the highest n of those at whose n-th time it kills.
POINTS = {
    "before-begin": 60,
    "after-begin": 60,
    "in-group": 200,
    "between-groups": 200,
    "before-commit": 60,
    "after-commit": 60,
    "after-commit-before-release": 60,
    "between-releases": 5,
    "mid-release": 60,
    "mid-write": 60,
    "before-ack": 60,
    "before-checkpoint": 4,
    "in-checkpoint": 4,
    "after-checkpoint": 4,
    "before-sweep": 4,
    "in-sweep": 4,
    "in-load": 60,
    "in-migration": 100,
}
#: Pages between two checkpoints, seconds between two sweeps, and the objects that go with one commit, where
#: these are to come more often than they would.
LOG_PAGES = 300
SWEEP_S = 0.02
SWEEP_GROUP = 2
#: Seconds into a checkpoint at most when it is killed.
CHECKPOINT_S = 0.004


class Fuse:
    """Kills this process at the n-th time that a point is reached, and has said so on disk before."""

    def __init__(self, name: str, at: int, said: Path) -> None:
        self.name = name
        self._left = at
        self._said = said
        #: Whether what is committed is a migration, in which each point of a commit counts.
        self.is_migrating = False

    def burns(self, name: str) -> bool:
        """Count one time that a point is reached; return whether it is the one."""
        if name != self.name:
            return False
        self._left -= 1
        return self._left == 0

    def reach(self, name: str) -> None:
        """Kill this process if it is the time."""
        if self.burns(name) or (self.is_migrating and self.burns("in-migration")):
            self.blow()

    def blow(self) -> NoReturn:
        """Kill this process."""
        with self._said.open("w") as file:
            file.write(self.name)
            file.flush()
            os.fsync(file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("this process was killed")


def lay(fuse: Fuse) -> None:
    """Put every point in its place, in this process."""
    care_often()
    _watch_commits(fuse)
    _watch_releases(fuse)
    _watch_sweeps_and_loads(fuse)
    _watch_migrations(fuse)


def care_often() -> None:
    """Have checkpoints and sweeps come while a daemon lives that does not live long."""
    sqlite.LOG_PAGES = LOG_PAGES  # type: ignore[misc]
    stored.FIRST_SWEEP_S = stored.SWEEP_S = SWEEP_S  # type: ignore[misc]
    stored.SWEEP_SHARE = 1.0  # type: ignore[misc]
    sweeper.GROUP = SWEEP_GROUP  # type: ignore[misc]


def _watch_commits(fuse: Fuse) -> None:
    class Watched(sqlite3.Connection):
        """A connection whose statements are points."""

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            run = partial(super().execute, sql, *parameters)
            if sql.startswith("PRAGMA wal_checkpoint"):
                return _checkpoint(fuse, run)
            if sql == "BEGIN IMMEDIATE":
                return _between(fuse, "before-begin", run, "after-begin")
            if sql == "COMMIT":
                return _between(fuse, "before-commit", run, "after-commit")
            return run()

        def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
            made = super().executemany(sql, _each(fuse, rows))
            fuse.reach("between-groups")
            return made

    sqlite.sqlite3.connect = partial(sqlite3.connect, factory=Watched)  # type: ignore[assignment]


def _between(fuse: Fuse, before: str, run: Callable[[], Any], after: str) -> Any:
    fuse.reach(before)
    made = run()
    fuse.reach(after)
    return made


def _each(fuse: Fuse, rows: Iterable[Any]) -> Iterator[Any]:
    for number, row in enumerate(rows):
        if number:
            fuse.reach("in-group")
        yield row


def _checkpoint(fuse: Fuse, run: Callable[[], Any]) -> Any:
    if not fuse.burns("in-checkpoint"):
        return _between(fuse, "before-checkpoint", run, "after-checkpoint")
    begun = threading.Event()
    late = CHECKPOINT_S * int.from_bytes(os.urandom(1)) / 255

    def kill() -> None:
        begun.wait()
        # Without sleeping, which would take longer than that.
        until = time.perf_counter() + late
        while time.perf_counter() < until:
            pass
        fuse.blow()

    killer = threading.Thread(target=kill)
    killer.start()
    begun.set()
    made = run()
    killer.join()
    return made


def _watch_releases(fuse: Fuse) -> None:
    committed, released, write, act = Gate._committed, Storage.released, Connection.write, Pump.act

    def watched_committed(gate: Gate, number: int) -> None:
        fuse.reach("after-commit-before-release")
        upto[gate] = number
        committed(gate, number)
        upto[gate] = 0

    def watched_released(self: Storage, batch: Batch) -> None:
        if batch.commit is not None and any(change.table == "inbox" for change in batch.commit.changes):
            # A durable call has run, and its sender is to hear of it.
            fuse.reach("before-ack")
        released(self, batch)
        gate = self._gate
        # One that is left of those that were stored together.
        if gate._held and gate._held[0][0].number <= upto.get(gate, 0):
            fuse.reach("between-releases")

    def watched_act(self: Pump, batch: Batch) -> None:
        if self.storage is None or sum(type(output) is Write for output in batch.outputs) < 2:
            act(self, batch)
            return
        for output in batch.outputs:
            pump._ACTIONS[type(output)](self, output)
            if type(output) is Write:
                fuse.reach("mid-release")

    def watched_write(self: Connection, data: bytes) -> None:
        if self._pump.storage is not None and fuse.burns("mid-write"):
            write(self, data[: len(data) // 2])
            fuse.blow()
        write(self, data)

    upto: dict[Gate, int] = {}
    Gate._committed = watched_committed  # type: ignore[method-assign]
    Storage.released = watched_released  # type: ignore[method-assign]
    Pump.act = watched_act  # type: ignore[method-assign]
    Connection.write = watched_write  # type: ignore[method-assign]


def _watch_sweeps_and_loads(fuse: Fuse) -> None:
    bundle, delete = Sealed.bundle, Sealed.delete

    def watched_bundle(self: Sealed, oid: int) -> Any:
        fuse.reach("in-load")
        return bundle(self, oid)

    def watched_delete(self: Sealed, objects: list[bytes]) -> None:
        _between(fuse, "before-sweep", partial(delete, self, objects), "in-sweep")

    Sealed.bundle = watched_bundle  # type: ignore[method-assign]
    Sealed.delete = watched_delete  # type: ignore[method-assign]


def _watch_migrations(fuse: Fuse) -> None:
    evolved = sealed.evolved

    def watched(*args: Any) -> Any:
        fuse.is_migrating = True
        made = evolved(*args)
        fuse.is_migrating = False
        return made

    sealed.evolved = watched  # type: ignore[assignment]
