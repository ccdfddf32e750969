"""The end of an honest world: programs stop, and all garbage is to go within so many rounds."""

from __future__ import annotations

from random import Random

from captp.sim.cycles import faults, oracle, outbound, owner
from captp.sim.cycles.build import drain
from captp.sim.cycles.oracle import Reached, Violation
from captp.sim.cycles.vat import Vat
from captp.sim.cycles.world import World

#: Rounds in which everything is to go; a round is a good second, and a wait at most three.
ROUNDS = 120


def rest(world: World, random: Random) -> int:
    """Let a world come to rest; return the rounds that it took; raises Violation if it does not."""
    while world.lost:
        faults.notice(world, random)
    _stop(world, random)
    for rounds in range(ROUNDS):
        lives = oracle.reached(world)
        for _ in range(2):
            for vat in world.vats:
                sweep(world, vat, lives)
            drain(world, random)
        if not garbage(world):
            _forget(world, random)
            return rounds
        for vat in random.sample(world.vats, len(world.vats)):
            world.now += random.random() * 2 * world.settings.hold / len(world.vats)
            if vat.ground.is_old:
                vat.ground.look()
            owner.tick(world, vat)
            if random.random() < 0.7:
                drain(world, random)
        drain(world, random)
    left = garbage(world)
    raise Violation(f"{len(left)} objects stay that nobody reaches: {sorted(left)[:5]}")


def garbage(world: World) -> set[tuple[int, int]]:
    """Return the objects that nobody reaches, but for what stock vats hold."""
    lives = oracle.reached(world, with_stock=True).objects
    return {(vat.index, key) for vat in world.vats if vat.liar is None for key in vat.objects} - lives


def sweep(world: World, vat: Vat, lives: Reached | None = None) -> None:
    """Let a vat collect what is garbage by its own lights; raises Violation when that lives.

    ``lives`` is what was found to live before; while programs rest, nothing comes to life again.
    """
    lives = lives or oracle.reached(world)
    for key in outbound.collect(world, vat):
        world.counts["freed"] += vat.liar is None
        if (vat.index, key) in lives.objects:
            raise Violation(f"vat {vat.index} frees {key}, which lives")


def _stop(world: World, random: Random) -> None:
    """Let programs end: turns do nothing, questions are given up, half of the roots go."""
    drain(world, random)
    for vat in world.vats:
        for question in list(vat.questions):
            outbound.forget(world, vat, question)
        vat.roots = [ref for ref in vat.roots if random.random() < 0.5]
    # What is held back goes on when its trace has no time left.
    world.now += 2 * (world.settings.deadline + world.settings.hold)
    while world.busy() or any(v.turns or v.running or v.held or v.collector.traces for v in world.vats):
        world.now += world.settings.hold
        for vat in world.vats:
            owner.tick(world, vat)
            vat.turns.clear()
            vat.running.clear()
        drain(world, random)
    for vat in world.vats:
        vat.gifts.clear()
        vat.callers.clear()
        vat.pending.clear()


def _forget(world: World, random: Random) -> None:
    """Let all waits end; raises Violation unless the collectors remember nothing then."""
    for _ in range(4):
        world.now += world.settings.deadline + world.settings.hold + world.settings.memory
        for vat in world.vats:
            owner.tick(world, vat)
        drain(world, random)
    for vat in world.vats:
        collector = vat.collector
        mine = [trace for trace in collector.traces.values() if trace.parent is None]
        if vat.held or collector.frozen or len(mine) != len(collector.traces):
            raise Violation(f"vat {vat.index} keeps {collector.dump()} and holds {len(vat.held)} queues")
