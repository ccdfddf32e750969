"""What rogues do: one function per step, each counted as a fault of its kind."""

from __future__ import annotations

from captp.sim.rogue import HOWS
from captp.sim.world import World


def intrude(world: World, rogue: int, node: int, how: int, seed: int) -> bool:
    """Connect to a node, rightly or not."""
    me = world.rogues[rogue]
    if me.dial(node, HOWS[how % len(HOWS)], seed) is None:
        return False
    world.faults["intrude"] += 1
    world.run(node, 1_000)
    if me.wires[node].theirs is not None and HOWS[how % len(HOWS)] == "native":
        me.fetch(node)
    return True


def babble(world: World, rogue: int, node: int, seed: int) -> bool:
    """Send operations that are out of place."""
    return _say(world, rogue, node, seed, "babble")


def noise(world: World, rogue: int, node: int, seed: int) -> bool:
    """Send what is nearly a message."""
    return _say(world, rogue, node, seed, "noise")


def _say(world: World, rogue: int, node: int, seed: int, kind: str) -> bool:
    me = world.rogues[rogue]
    wire = me.wires.get(node)
    if wire is None or not wire.is_open:
        return False
    world.faults[kind] += 1
    (me.babble if kind == "babble" else me.noise)(node, seed)
    return True


def leave(world: World, rogue: int, node: int) -> bool:
    """Hang up."""
    me = world.rogues[rogue]
    wire = me.wires.get(node)
    if wire is None or not wire.is_open:
        return False
    me.hang_up(node)
    return True
