"""The duties of a collector's owner: words in order and at once, and first of all what is asked for."""

from __future__ import annotations

from captp.peer.cycles.ground import Cut, Key, Meet, Send, Thaw
from captp.sim.cycles import held, oracle
from captp.sim.cycles.values import Said, Side
from captp.sim.cycles.vat import Vat
from captp.sim.cycles.world import World


def heard(world: World, vat: Vat, side: Side, said: Said) -> None:
    """Let a collector hear a word of a peer's."""
    if vat.is_stock:
        return
    vat.collector.opened(side)
    if vat.liar is not None:
        vat.liar.heard(side, said.word)
        return
    vat.ground.begin()
    vat.collector.heard(side, said.word, world.now)
    obey(world, vat)


def tick(world: World, vat: Vat) -> None:
    """Let a collector see what time it is."""
    if not vat.is_stock:
        vat.ground.begin()
        vat.collector.tick(world.now)
        obey(world, vat)


def closed(world: World, vat: Vat, side: Side) -> None:
    """Let a vat see that a session is lost."""
    held.closed(world, vat, side)
    vat.ground.begin()
    vat.collector.closed(side)
    obey(world, vat)


def suspects(world: World, vat: Vat) -> list[int]:
    """Return the exports that a trace may be begun of; meet whoever holds the others."""
    vat.ground.begin()
    found = []
    for key in vat.ground.candidates():
        sides = [holding.side for holding in vat.ground.holdings(key)]
        for side in sides:
            if vat.ground.speaks(side):
                vat.collector.opened(side)
        if sides and all(vat.collector.knows(side) for side in sides):
            found.append(key)
    obey(world, vat)
    return list(found)


def start(world: World, vat: Vat, keys: list[int]) -> bytes:
    """Let a collector begin a trace, whatever its schedule says."""
    vat.ground.begin()
    name = vat.collector.start([Key(key) for key in keys], world.now)
    obey(world, vat)
    return name


def obey(world: World, vat: Vat) -> None:
    """Do what a collector asks for, in order."""
    if vat.liar is None:
        for name, trace in vat.collector.traces.items():
            if trace.digest is not None and name not in vat.agreed:
                vat.agreed[name] = trace.digest
                if (name, trace.digest) not in world.instants:
                    world.instants[name, trace.digest] = oracle.reached(world)
    while actions := vat.collector.take():
        for action in actions:
            match action:
                case Send(side, word):
                    _say(world, vat, side, word)
                case Meet(side):
                    vat.collector.opened(side)
                case Thaw():
                    held.thaw(world, vat)
                case Cut():
                    held.cut(world, vat, action.keys, action.trace)
    vat.collector.check()


def _say(world: World, vat: Vat, side: Side, word: tuple[object, ...]) -> None:
    if world.tap is not None:
        world.tap(vat, side, Said(word))
    if vat.liar is not None:
        vat.liar.say(side, word)
    else:
        world.send(vat, side, Said(word))
