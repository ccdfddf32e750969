"""Cells of two peers whose collectors are quick, rings of cells across both, and their figures."""

from __future__ import annotations

from typing import Any

import captp
from captp.cycles import Cycles
from captp.peer.cycles.view import CyclesView
from captp.peer.view import view_of
from tests.unit.peer.pair import Host, Net, collect, outcome


class Cell(captp.Object):
    """Holds whatever it is given, and makes others."""

    held: captp.List[Any]

    @captp.method
    def make(self) -> Any:
        return Cell()

    @captp.method
    def hold(self, what: Any) -> None:
        self.held.append(what)

    @captp.method
    async def rest(self) -> None:
        await captp.sleep(1e6)


class World:
    """Two hosts with collectors that are quick, and a maker of cells on each, held by the first."""

    def __init__(self) -> None:
        self.net = Net()
        quick = Cycles(age=1.0, tick=0.25)
        self.a, self.b = self.net.host(1), self.net.host(2)
        for host in (self.a, self.b):
            keeper = host.peer.cycles
            keeper.settings = keeper.survey.settings = keeper.collector.settings = quick
        self.makers = [self.made(host) for host in (self.a, self.b)]

    def made(self, host: Host) -> Any:
        return self.a.get(self.a.enliven(host.mint(Cell(), label="maker")))

    def ask(self, promise: Any) -> Any:
        self.net.rest()
        return outcome(promise)

    def ring(self) -> list[Any]:
        """Return what the first host holds: a cell of each, which hold each other."""
        one, other = [self.ask(captp.E(maker).make()) for maker in self.makers]
        self.ask(captp.E(one).hold(other))
        self.ask(captp.E(other).hold(one))
        return [one, other]

    def rest(self, seconds: float = 6) -> None:
        collect(self.net, seconds)


def figures(host: Host) -> CyclesView:
    return view_of(host.peer).cycles
