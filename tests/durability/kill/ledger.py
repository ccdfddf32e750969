"""A ledger whose clients number their writes: what the daemons host that are killed.

It does whatever it is told as often as it is told: what comes twice is to be seen. Accounts have two forms
by turns, and a variable says in which version a process has them: the next one is to migrate them all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import captp
from tests.durability.kill.alarms import Alarms

#: Accounts that are there from the beginning, and what each of them holds then.
COMMON = tuple(f"common {i}" for i in range(50))
FUNDS = 1000
#: Entries that an account shows, and closed accounts that are kept of each client.
SHOWN = 8
CLOSED = 3
FORM_OF_ACCOUNTS = "LEDGER_FORM"
#: The version of accounts: entries are in a List in the odd ones, and in rows of a Map in the even ones.
FORM = int(os.environ.get(FORM_OF_ACCOUNTS, "1"))


class Statement(captp.Interface):
    """What is left to ask of an account that was closed."""

    @captp.method
    def balance(self) -> int: ...


class Notes(captp.Interface):
    """How the ledger sees the notes of one client, which are loaded when they are called."""

    @captp.method
    def note(self, number: int) -> int: ...

    @captp.method
    def forget(self, upto: int) -> None: ...


class TheNotes(captp.Object, Notes):
    numbers: captp.Map[int, int]

    @captp.method
    def note(self, number: int) -> int:
        self.numbers[number] = self.numbers.get(number, 0) + 1
        return number

    @captp.method
    def forget(self, upto: int) -> None:
        for number in [n for n in self.numbers if n <= upto]:
            del self.numbers[number]


class Stamp(captp.Object):
    """How many entries an account has had: an object that another one holds itself."""

    entries: int = 0


def in_order(rows: Mapping[int, Any]) -> list[Any]:
    """Return what a Map has by its keys: what a refused turn had deleted is at the end of it again."""
    return [rows[key] for key in sorted(rows)]


class Account(captp.Object, Statement, version=FORM):
    total: int = 0
    stamp: Stamp
    if FORM % 2:
        shown: captp.List[Any]
    else:
        rows: captp.Map[int, Any]

    if FORM > 1:

        @captp.migrate(from_version=FORM - 1)
        @staticmethod
        def turn(state: dict[str, Any]) -> dict[str, Any]:
            if FORM % 2:
                return state | {"shown": in_order(state.pop("rows"))}
            return state | {"rows": dict(enumerate(state.pop("shown")))}

    def enter(self, client: str, number: int, amount: int) -> None:
        self.total += amount
        self.stamp.entries += 1
        entry = (client, number, amount)
        if FORM % 2:
            self.shown.append(entry)
            if len(self.shown) > SHOWN:
                del self.shown[0]
        else:
            self.rows[max(self.rows, default=0) + 1] = entry
            if len(self.rows) > SHOWN:
                del self.rows[min(self.rows)]

    def entries(self) -> tuple[Any, ...]:
        return tuple(self.shown if FORM % 2 else in_order(self.rows))

    @captp.method
    def balance(self) -> int:
        return self.total


class Ledger(captp.Object):
    #: References: a turn that looks into them has them read first.
    accounts: captp.Map[str, Statement]
    closed: captp.Map[str, Statement]
    #: How often each write was made, by client and number, and each of those that take several turns.
    done: captp.Map[tuple[str, int], int]
    finished: captp.Map[tuple[str, int], int]
    #: How many writes of each client are not in ``done`` any more.
    forgotten: captp.Map[str, int]
    notes: captp.Map[str, Notes]
    watchers: captp.Map[str, Any]
    alarms: Alarms

    def __init__(self) -> None:
        self.alarms = Alarms()
        self.accounts = {name: Account(total=FUNDS, stamp=Stamp()) for name in COMMON}

    def account(self, name: str) -> Account:
        return captp.near(self.accounts[name], Account)

    def count(self, client: str, number: int) -> None:
        self.done[client, number] = self.done.get((client, number), 0) + 1
        for name, watcher in self.watchers.items():
            if name != client:
                captp.E(watcher).saw.only(client, number)

    def move(self, client: str, number: int, src: str, dst: str, amount: int) -> None:
        self.account(src).enter(client, number, -amount)
        self.account(dst).enter(client, number, amount)

    # Writes.

    @captp.method
    def transfer(self, client: str, number: int, src: str, dst: str, amount: int) -> int:
        self.count(client, number)
        self.move(client, number, src, dst, amount)
        self.alarms.write(client, number)
        return number

    @captp.method
    def open(self, client: str, number: int, name: str, src: str, amount: int) -> int:
        self.count(client, number)
        self.accounts[name] = Account(stamp=Stamp())
        self.move(client, number, src, name, amount)
        return number

    @captp.method
    def close(self, client: str, number: int, name: str, dst: str) -> int:
        self.count(client, number)
        self.move(client, number, name, dst, self.account(name).total)
        self.closed[name] = self.accounts.pop(name)
        mine = [other for other in self.closed if other.startswith(client)]
        for other in mine[:-CLOSED]:
            del self.closed[other]
        return number

    @captp.method(latch=False)
    async def note(self, client: str, number: int) -> int:
        """Take three turns, of two objects."""
        self.count(client, number)
        if client not in self.notes:
            self.notes[client] = TheNotes()
        noted = await self.notes[client].note(number)
        self.finished[client, noted] = self.finished.get((client, noted), 0) + 1
        return noted

    @captp.method
    def forget(self, client: str, number: int, upto: int) -> int:
        """Delete the rows of writes that their client has seen."""
        self.count(client, number)
        for rows in (self.done, self.finished):
            old = [key for key in rows if key[0] == client and key[1] <= upto]
            if rows is self.done:
                self.forgotten[client] = self.forgotten.get(client, 0) + sum(rows[key] for key in old)
            for key in old:
                del rows[key]
        if client in self.notes:
            self.notes[client].forget.only(upto)
        return number

    @captp.method
    def refuse(self, client: str, number: int, src: str) -> int:
        """Do much, and have it undone."""
        self.count(client, number)
        self.accounts[f"{client} {number} refused"] = Account(stamp=Stamp())
        self.move(client, number, src, f"{client} {number} refused", 1)
        del self.accounts[src]
        raise captp.Refused("as asked for")

    # Reads.

    @captp.method
    def watch(self, client: str, watcher: Any) -> None:
        """Tell a client of the writes of others, in the turns of these."""
        self.watchers[client] = watcher

    @captp.method
    def total(self) -> int:
        return sum(self.account(name).total for name in self.accounts)

    @captp.method
    def last(self, client: str) -> int:
        """Return the highest number of a client."""
        return max((number for name, number in self.done if name == client), default=0)

    @captp.method
    def report(self) -> tuple[Any, ...]:
        """Return all there is: accounts, what was done, finished, noted, counts, what was closed, alarms."""
        named = [(name, self.account(name)) for name in self.accounts]
        accounts = tuple((name, a.total, a.stamp.entries, a.entries()) for name, a in named)
        done, finished = tuple(self.done.items()), tuple(self.finished.items())
        notes = [(client, captp.near(theirs, TheNotes)) for client, theirs in self.notes.items()]
        noted = tuple((client, tuple(theirs.numbers.items())) for client, theirs in notes)
        closed = tuple((name, captp.near(ref, Account).total) for name, ref in self.closed.items())
        forgotten = tuple(self.forgotten.items())
        return accounts, done, finished, forgotten, noted, closed, self.alarms.report()

    @captp.method
    def answers(self) -> tuple[Any, ...]:
        """Return what was promised of alarms."""
        return self.alarms.answers()
