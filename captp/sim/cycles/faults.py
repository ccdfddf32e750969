"""What goes wrong in a world without anybody's malice: sessions are lost, vats crash."""

from __future__ import annotations

from random import Random

from captp.sim.cycles import owner
from captp.sim.cycles.values import Side
from captp.sim.cycles.world import World


def cut_link(world: World, number: int) -> None:
    """Lose a session: what is under way is gone, and each end sees it at a time of its own."""
    link = world.links.pop(number)
    world.counts["lost links"] += 1
    a, b = link.queues
    for index, peer in ((a, b), (b, a)):
        vat = world.vats[index]
        if Side(peer, number) in vat.tables:
            world.lost.append((vat, Side(peer, number)))


def notice(world: World, random: Random) -> None:
    """Let one end of a lost session see that it is lost."""
    vat, side = world.lost.pop(random.randrange(len(world.lost)))
    owner.closed(world, vat, side)


def crash(world: World, index: int, *, comes_back: bool) -> None:
    """Kill a vat; what comes back in its place knows nothing."""
    was = world.vats[index]
    for number in [n for n, link in world.links.items() if index in link.queues]:
        if was.liar is not None:
            # What it has said is no truer for its end.
            world.lied.add(number)
        cut_link(world, number)
    world.counts["crashes"] += 1
    world.lost = [(vat, side) for vat, side in world.lost if vat is not was]
    vat = world.vats[index] = world.boot(index, was.boot + 1)
    vat.is_dead = not comes_back
