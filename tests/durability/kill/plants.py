"""Faults that are put into a daemon, or a client, to show that the harness finds them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, cast

from attrs import evolve

from captp.model.promise import Promise
from captp.peer.durable.inbox import Inbox
from captp.peer.durable.loading import Loader, Rows
from captp.peer.durable.outbox import Outbox
from captp.peer.durable.portrait import MapRows
from captp.peer.durable.promises import Promises
from captp.peer.durable.timers import StoredTimers
from captp.peer.outputs import Batch
from captp.peer.rows import Change
from captp.run.gate import Gate
from captp.run.sealed import Sealed
from captpd.store.sqlite import SqliteStore
from tests.durability.kill.ledger import Ledger

__all__ = ["FAR", "PLANTS"]

SLOW_S = 0.02
#: Timed calls that are forgotten only when others have come.
LATE = 2


def release_before_the_commit() -> None:
    """Let what a batch says leave, and store it then."""
    push = Gate.push

    def planted(self: Gate, batch: Batch) -> None:
        # One that stores nothing goes too: behind those that it follows, and not overtaken by later ones.
        if batch.commit is not None or not self.is_open:
            self._listener.released(batch)
            batch.outputs = []
        push(self, batch)

    Gate.push = planted  # type: ignore[method-assign]


def release_before_a_slow_commit() -> None:
    """Let what a batch says leave, and store it when some time has passed."""
    release_before_the_commit()
    commit = SqliteStore.commit

    def planted(self: SqliteStore, changes: Sequence[Change]) -> None:
        time.sleep(SLOW_S)
        commit(self, changes)

    SqliteStore.commit = planted  # type: ignore[method-assign]


class _Lazy:
    """A database of which each transaction but every second stays open, and takes in the next."""

    def __init__(self, database: Connection) -> None:
        self._database = database
        self._was_open = self.in_transaction = database.in_transaction

    def execute(self, sql: str) -> None:
        # What is in an open transaction can be read, so that nothing but a kill tells the difference.
        if sql != ("BEGIN IMMEDIATE" if self._was_open else "COMMIT"):
            self._database.execute(sql)

    def executemany(self, sql: str, rows: Any) -> Any:
        return self._database.executemany(sql, rows)


def commit_every_second_time() -> None:
    """Leave every other commit for the next to make."""
    commit, move_log = SqliteStore._commit, SqliteStore._move_log

    def planted(self: SqliteStore, database: Connection, groups: Any) -> None:
        commit(self, cast("Connection", _Lazy(database)), groups)

    def planted_move(self: SqliteStore, database: Connection, *how: str) -> None:
        if not database.in_transaction:
            move_log(self, database, *how)

    SqliteStore._commit = planted  # type: ignore[method-assign]
    SqliteStore._move_log = planted_move  # type: ignore[method-assign]


def commit_each_statement() -> None:
    """Make a transaction of each statement of a commit."""
    commit = SqliteStore._commit

    def planted(self: SqliteStore, database: Connection, groups: Any) -> None:
        for one in groups.items():
            commit(self, database, dict([one]))

    SqliteStore._commit = planted  # type: ignore[method-assign]


def make_some_writes_twice() -> None:
    """Count a write once more, now and then."""
    count = Ledger.count

    def planted(self: Ledger, client: str, number: int) -> None:
        for _ in range(2 if number % 5 == 0 else 1):
            count(self, client, number)

    Ledger.count = planted  # type: ignore[method-assign]


def forget_a_row_of_a_map() -> None:
    """Load each Map without its last entry, and believe that it has had no more."""
    entries = Loader._entries

    def planted(self: Loader, form: MapRows, rows: list[Any], edged: Any) -> Any:
        shorter = MapRows(form.number, form.next, max(0, form.count - 1))
        return entries(self, shorter, rows[:-1], edged)

    Loader._entries = planted  # type: ignore[method-assign]


def read_what_was() -> None:
    """Read the state that an object that memory gave back had when it was read first."""
    bundle = Sealed.bundle
    known: dict[int, bytes] = {}

    def planted(self: Sealed, oid: int) -> dict[int, Rows]:
        found = bundle(self, oid)
        # What has rows of its own beside would not fit these.
        old = {o: evolve(r, body=known.setdefault(o, r.body)) for o, r in found.items() if not r.entries}
        return found | old

    Sealed.bundle = planted  # type: ignore[method-assign]


def run_durable_calls_again() -> None:
    """Run a durable call each time that it comes."""
    came = Inbox.came

    def planted(self: Inbox, peer: str, *args: Any) -> Any:
        _, _, number, call = args
        channel = self._channels.get(peer)
        known = None if channel is None else channel.calls.get(number)
        if channel is None or known is None:
            return came(self, peer, *args)
        return self._run(evolve(known, result=Promise(self._peer.vat)), channel, call)

    Inbox.came = planted  # type: ignore[method-assign]


def forget_what_is_on_its_way() -> None:
    """Open a store without the durable calls that are not answered."""
    restore = Outbox.restore

    def planted(self: Outbox, channels: Any, _: Any) -> None:
        restore(self, channels, ())

    Outbox.restore = planted  # type: ignore[method-assign]


def forget_a_timed_call_too_late() -> None:
    """Forget a timed call when its turn has long been stored."""
    begun = StoredTimers.begun
    late: list[Any] = []

    def planted(self: StoredTimers, arrival: Any) -> None:
        late.append(arrival)
        if len(late) > LATE:
            begun(self, late.pop(0))

    StoredTimers.begun = planted  # type: ignore[method-assign]


def settle_promises_in_memory_alone() -> None:
    """Store nothing of what a promise in state has become."""
    Promises.settled = lambda _self, _promise: None  # type: ignore[method-assign]


#: Each by its name.
PLANTS: dict[str, Callable[[], None]] = {
    "release": release_before_the_commit,
    "every-second": commit_every_second_time,
    "parts": commit_each_statement,
    "twice": make_some_writes_twice,
    "again": run_durable_calls_again,
    "stale": read_what_was,
    "row": forget_a_row_of_a_map,
    "late": forget_a_timed_call_too_late,
    "broken": settle_promises_in_memory_alone,
    "forgotten": forget_what_is_on_its_way,
    "early": release_before_a_slow_commit,
}
#: Those that are put into the client that has a process of its own.
FAR = frozenset({"forgotten", "early"})
