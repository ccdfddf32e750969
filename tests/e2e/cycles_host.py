"""A host of cells in a process of its own: they hold whatever they are given, and its maker can be counted.

Its settings are one JSON object on the command line, its first line is where the maker is, and it ends with
its standard input. ``dies_at`` names words of a collector: it is killed as the first of these comes.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from typing import Any
from weakref import WeakSet

import trio

import captp
from captp.net.base import Netlayer
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort
from captp.peer.cycles.words import read

SWISS = b"a maker of cells, for everybody."


class Cell(captp.Object):
    """Holds whatever it is given."""

    held: captp.List[Any]

    @captp.method
    def hold(self, what: Any) -> None:
        self.held.append(what)

    @captp.method
    def count(self) -> int:
        return len(self.held)

    @captp.method
    async def count_behind(self) -> int:
        """Ask the first that it holds."""
        found: int = await captp.E(self.held[0]).count()
        return found


class Maker(captp.Object):
    """Makes cells, keeps none, and tells of the whole vat."""

    __slots__ = ("_made", "_vat")

    def __init__(self, vat: captp.LiveVat) -> None:
        self._vat = vat
        self._made: WeakSet[Cell] = WeakSet()

    @captp.method
    def make(self) -> Any:
        made = Cell()
        self._made.add(made)
        return made

    @captp.method
    def cells(self) -> int:
        return len(self._made)

    @captp.method
    def figures(self) -> dict[str, Any]:
        view = self._vat.view()
        cycles = view.cycles
        gc.collect()
        return {
            "cells": len(self._made),
            "designator": view.designator,
            "fibers": view.fibers,
            "traces": cycles.own_traces + cycles.peer_traces,
            "frozen": cycles.frozen,
            "waiting": cycles.waiting,
            "started": cycles.started,
            "cut": cycles.cut,
            "said": sum(cycles.said.values()),
            "suspects": cycles.suspects,
            "full": [s.peer for s in view.sessions if not s.is_empty],
        }


def die_at(vat: captp.LiveVat, kinds: list[str]) -> None:
    """Have this process killed as a word of one of these kinds comes, before anything is done about it."""
    collector = vat.peer.cycles.collector
    heard = collector.heard

    def listen(side: Any, word: Any, now: float) -> None:
        if type(read(word)).__name__.lower() in kinds:
            os.kill(os.getpid(), signal.SIGKILL)
        heard(side, word, now)

    collector.heard = listen  # type: ignore[method-assign]


async def serve(
    *, cycles: dict[str, Any], host: str = "127.0.0.1", plain: int = 0, dies_at: list[str] | None = None
) -> None:
    """Serve on TLS, and with ``plain`` with the same key each time and at that port on plain TCP too."""
    key = captp.PrivateKey.from_seed(bytes([7]) * 32 if plain else os.urandom(32))
    layers: list[Netlayer] = [TlsNetlayer(key, TlsPort(host))]
    if plain:
        layers.append(TcpNetlayer(host, plain, designator=key.public.designator))
    async with captp.open_vat(key=key, listen=layers, cycles=captp.Cycles(**cycles)) as vat:
        die_at(vat, dies_at or [])
        print(vat.mint(Maker(vat), swiss=SWISS if plain else None).reveal(), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])

    async def main() -> None:
        await serve(**settings)

    trio.run(main)
