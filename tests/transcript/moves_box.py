"""A vat that has a unique reference, its host, and two vats to which it can move."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import pytest

import captp
from captp.limits import Limits
from tests.transcript.parties import Parties
from tests.unit.peer.owners import Clerk, Desk, Sheet, Table
from tests.unit.peer.pair import Host


class Office(Desk):
    @captp.method
    def hire(self) -> captp.Unique[Table]: ...

    @captp.method
    def note(self, what: Any) -> None: ...

    @captp.method
    def first_given(self) -> Any: ...

    @captp.method
    def holds(self, tables: Any, *, also: Any) -> int: ...

    @captp.method
    async def passes_on(self, table: captp.Unique[Table], desk: Desk) -> int: ...

    @captp.method
    async def shares(self, table: captp.Unique[Table]) -> Table: ...

    @captp.method
    async def keeps(self, table: captp.Unique[Table]) -> None: ...

    @captp.method
    def leaves(self) -> None: ...


class Bureau(Clerk, Office):
    """A clerk that notes in which order it was called."""

    __slots__ = ("given", "mine", "noted")

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[Any] = []
        #: What it has of others, outside of its state.
        self.mine: list[Any] = []
        self.given: list[Any] = []

    @captp.method
    def hire(self) -> captp.Unique[Table]:
        return self.mine.pop()  # type: ignore[no-any-return]

    @captp.method
    def note(self, what: Any) -> None:
        self.noted.append(what)

    @captp.method
    def fail(self, table: captp.Unique[Table]) -> None:
        self.noted.append("unique")

    @captp.method
    def holds(self, tables: Any, *, also: Any) -> int:
        self.given = [*tables, also["table"]]
        return len(self.given)

    @captp.method
    def first_given(self) -> Any:
        return self.given[0]

    @captp.method
    async def passes_on(self, table: captp.Unique[Table], desk: Desk) -> int:
        return await desk.take(table)

    @captp.method
    async def shares(self, table: captp.Unique[Table]) -> Table:
        await table.put(2)
        shared: Table = captp.share(table)
        self.kept = shared
        return shared

    @captp.method
    async def keeps(self, table: captp.Unique[Table]) -> None:
        self.mine.append(table)

    @captp.method
    def leaves(self) -> None:
        self.kept = None
        self.mine.clear()
        self.given.clear()


class Scene:
    """A in session with B, which hosts tables, with C and with D; nobody else is connected yet."""

    def __init__(self, *, syrup: Iterable[str] = (), b_listens: bool = True, **limits: Limits) -> None:
        self.net = net = Parties(syrup)
        self.a, self.b, self.c, self.d = (
            net.party(n, limits.get(n), listens=n != "B" or b_listens) for n in "ABCD"
        )
        for host in net.hosts:
            host.has_faults = True
        self.at = {host: Bureau() for host in net.hosts}
        self.minted = {host: host.mint(desk) for host, desk in self.at.items()}
        if not b_listens:
            self.b.want(self.b.enliven(self.minted[self.a], Office))
            net.rest()
        self.to_b, self.to_c, self.to_d = (self.desk(self.a, host) for host in (self.b, self.c, self.d))

    def desk(self, host: Host, of: Host) -> Any:
        """Return the reference of one vat to the desk of another."""
        return host.get(host.enliven(self.minted[of], Office))

    def table(self) -> Any:
        """Return a unique reference of A to a new table at B."""
        return self.a.get(self.to_b.make())

    def ends(self, promise: Any, host: Host | None = None) -> Any:
        """Let everything come to rest; return the result, or what broke it."""
        try:
            return (host or self.a).get(promise)
        except captp.Error as problem:
            return problem

    def sheets(self) -> list[weakref.ref[Sheet]]:
        return [weakref.ref(o) for o in self.b.vat.heap.objects() if type(o) is Sheet]

    def owners(self) -> int:
        """Count who can use a table of B's as its one owner: B's own references, gifts, and peers'."""
        sessions = [link.session for link in self.b.peer.router.links.values()]
        owned = [e for s in sessions for e in s.tables.exports.values() if s.tables.loans.owns(e.target)]
        return len(owned) + sum(1 for _ in self.b.peer.exporter.references())

    def ends_empty(self) -> None:
        """Let go of everything, and see that nothing is left of it in any table."""
        for host, desk in self.at.items():
            if host in self.net.hosts:
                captp.E(host.vat.reference(desk)).leaves.only()
        self.to_b = self.to_c = self.to_d = None
        self.net.ends_empty()


def moved(table: Any) -> str:
    with pytest.raises(captp.Moved) as caught:
        table.total()
    return str(caught.value)
