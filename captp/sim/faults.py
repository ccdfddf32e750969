"""What goes wrong in a world: one function per kind of fault; each counts itself when it happened."""

from __future__ import annotations

from captp.errors import Unreachable
from captp.model.idents import ConnId
from captp.sim.world import World

#: Kinds that a run counts. A crossed dial is nobody's doing: two nodes wanted each other at once.
KINDS = ("refuse", "cut", "stall", "limp", "crash", "silence", "crossed dial", "intrude", "babble",
         "noise", "swindle")  # fmt: skip


def refuse(world: World, node: int, conn: int) -> bool:
    """Let a dial fail."""
    me = world.nodes[node]
    if me.dials.pop(ConnId(conn), None) is None:
        return False
    world.faults["refuse"] += 1
    world.lose()
    me.peer.dial_failed(ConnId(conn), Unreachable("nobody there"), world.now)
    return True


def cut(world: World, number: int) -> bool:
    """Lose a link: bytes in flight are gone, and each end hears of it at its own time."""
    link = world.links[number]
    if not link.is_up:
        return False
    world.faults["cut"] += 1
    world.lose()
    link.cut()
    return True


def stall(world: World, number: int) -> bool:
    """Let nothing pass on a link until it is healed."""
    link = world.links[number]
    if not link.is_up or link.is_stalled:
        return False
    world.faults["stall"] += 1
    link.is_stalled = True
    return True


def heal(world: World, number: int) -> bool:
    """Let a stalled link carry again."""
    link = world.links[number]
    was_stalled, link.is_stalled = link.is_stalled, False
    return was_stalled


def limp(world: World, number: int) -> bool:
    """Let a link carry a few bytes at a time from now on."""
    link = world.links[number]
    if not link.is_up or link.is_lame:
        return False
    world.faults["limp"] += 1
    link.is_lame = True
    return True


def silence(world: World, number: int) -> bool:
    """Stall a link for so long that both ends give it up."""
    link = world.links[number]
    if not link.is_up:
        return False
    world.faults["silence"] += 1
    world.lose()
    link.is_stalled = True
    for _ in range(10):
        world.tick(5_000)
    return True


def crash(world: World, node: int) -> bool:
    """Kill a node: all it held is gone but its key and its sturdyref; its links die with it."""
    me = world.nodes[node]
    world.faults["crash"] += 1
    world.lose()
    for link, end in me.ends.values():
        link.cut()
        end.is_open = False
    world.replace(me, world.faults["crash"])
    return True
