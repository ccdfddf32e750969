"""Unique references that move about between four vats whose connections come and go: one owner or none."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

import captp
from captp.limits import Limits
from tests.transcript.moves_box import Office, Scene
from tests.unit.peer.owners import Sheet
from tests.unit.peer.pair import Host


class World(Scene):
    """A scene in which each vat may give what it has to any other."""

    def __init__(self, seed: int, *, loses: bool) -> None:
        limits = Limits(gift_keep_s=40.0, gift_wait_s=10.0)
        super().__init__(A=limits, B=limits, C=limits, D=limits)
        self.draw = Random(seed)
        self.loses = loses
        self.vats = [self.a, self.b, self.c, self.d]
        self.desks: dict[tuple[Host, Host], Any] = {}
        self.sent: list[tuple[Host, Any, Any]] = []
        for _ in range(3):
            self.at[self.a].mine.append(self.table())

    def moves(self) -> None:
        """Let one who has a table give it to somebody."""
        owners = [host for host in self.vats if self.at[host].mine]
        if not owners:
            return
        host = self.draw.choice(owners)
        other = self.draw.choice([vat for vat in self.vats if vat is not host])
        table = self.at[host].mine.pop(self.draw.randrange(len(self.at[host].mine)))
        # A promise for a desk will do: what is sent to it waits, or breaks with it.
        desk = self.desks.get((host, other))
        if desk is None or (desk.settled and self.draw.random() < 0.3):
            desk = self.desks[host, other] = host.want(host.enliven(self.minted[other], Office))
        self.sent.append((host, table, host.want(desk.keeps(table))))

    def steps(self) -> None:
        """Move a part of what can be moved."""
        host = self.draw.choice(self.vats)
        host.run()
        while host.dials:
            self.net.connect(host)
        open_ends = [end for w in self.net.wires for end in (w.near, w.far) if end.is_open]
        for end in self.draw.sample(open_ends, min(2, len(open_ends))):
            end.deliver(self.draw.choice([None, None, 40]))
        self.takes_back()
        self.looks()

    def cuts(self) -> None:
        wires = [w for w in self.net.wires if w.near.is_open and w.far.is_open]
        if wires:
            self.draw.choice(wires).cut()

    def takes_back(self) -> None:
        """Return to its owner what could not leave."""
        for host, table, promise in list(self.sent):
            if not promise.settled:
                continue
            self.sent.remove((host, table, promise))
            try:
                host.vat.owning.frozen((captp.lend(table),), None)
            except captp.Moved:
                continue
            host.vat.owning.undo()
            self.at[host].mine.append(table)

    def looks(self) -> None:
        """Look for a table that has two owners, at its host: gifts, and what peers own."""
        peer = self.b.peer
        found = [ref._anchor for ref in peer.exporter.references() if type(ref._anchor) is Sheet]
        for link in peer.router.links.values():
            tables = link.session.tables
            found += [e.target._anchor for e in tables.exports.values() if tables.loans.owns(e.target)]
        assert len(found) == len(set(map(id, found))), found

    def holders(self) -> dict[int, int]:
        """Use each table by each reference that is left of it; return how often one could be used."""
        used: dict[int, int] = {}
        for host in self.vats:
            for table in self.at[host].mine:
                try:
                    host.get(table.put(1))
                except captp.Error:
                    continue
        for one in self.sheets():
            sheet = one()
            assert sheet is not None
            used[id(sheet)] = len(sheet.numbers)
        return used


@pytest.mark.parametrize("loses", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_nothing_has_two_owners(seed: int, loses: bool) -> None:
    it = World(seed, loses=loses)
    for _ in range(120):
        it.steps()
        if it.draw.random() < 0.15:
            it.moves()
        if loses and it.draw.random() < 0.04:
            it.cuts()
    it.net.rest()
    it.takes_back()
    it.net.wait(60.0)
    it.takes_back()
    it.looks()
    used = it.holders()

    assert all(times <= 1 for times in used.values()), used
    if not loses:
        assert list(used.values()) == [1, 1, 1]
    it.desks.clear()
    it.sent.clear()
    it.ends_empty()
    assert it.sheets() == []
