"""Puts objects and references into a world as if messages had brought them long ago."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from captp.peer.cycles.ground import Send
from captp.sim.cycles import inbound, outbound
from captp.sim.cycles.values import Far, Mine, Own, Side
from captp.sim.cycles.vat import Vat
from captp.sim.cycles.world import World


def refer(world: World, holder: Vat, held: Vat, what: Own) -> Own | Far:
    """Return a reference of ``holder`` to an object of ``held``; the caller puts it somewhere."""
    if holder is held:
        return what
    side = world.session(holder, held.index)
    wired = outbound.wire(world, held, Side(holder.index, side.number), what)
    assert type(wired) is Mine
    holder.tables[side].receive(wired.position, holder.tick())
    return Far(side, wired.position)


def ring(world: World, members: list[int]) -> list[Own]:
    """Make a ring of objects, one in each of these vats, each of which refers to the next."""
    made = [world.vats[index].new() for index in members]
    for at, index in enumerate(members):
        to = (at + 1) % len(members)
        ref = refer(world, world.vats[index], world.vats[members[to]], made[to])
        world.vats[index].objects[made[at].key].append(ref)
    return made


def meet(world: World) -> None:
    """Let all collectors that have a session know each other, as if their first words had been said."""
    for vat in world.vats:
        for side in vat.tables:
            if not vat.is_stock and not world.vats[side.peer].is_stock:
                vat.collector.opened(side)
    for vat in world.vats:
        for action in vat.collector.take():
            if type(action) is Send:
                mirror = Side(vat.index, action.side.number)
                world.vats[action.side.peer].collector.heard(mirror, action.word, world.now)


def tangle(world: World, random: Random) -> None:
    """Make some objects that refer to each other across vats, few of which are roots."""
    made = [(vat, vat.new()) for vat in world.vats for _ in range(random.randrange(1, 5))]
    for _ in range(random.randrange(len(made), 3 * len(made))):
        (one, holder), (other, what) = random.choice(made), random.choice(made)
        one.objects[holder.key].append(refer(world, one, other, what))
    for vat, own in made:
        if random.random() < 0.3:
            vat.roots.append(own)


def bait(world: World, random: Random) -> None:
    """Make chains and rings of honest vats' objects, whose head a liar holds, and hardly anybody else."""
    honest = [vat for vat in world.vats if vat.liar is None]
    for liar in world.vats:
        if liar.liar is None:
            continue
        for _ in range(random.randrange(1, 5)):
            chain = [(vat, vat.new()) for vat in random.choices(honest, k=random.randrange(2, 5))]
            for (one, holder), (other, what) in pairwise(chain):
                one.objects[holder.key].append(refer(world, one, other, what))
            if random.random() < 0.4:
                (one, holder), (other, what) = chain[-1], random.choice(chain)
                one.objects[holder.key].append(refer(world, one, other, what))
            for vat in (liar, *random.choices(honest, k=random.random() < 0.4)):
                vat.roots.append(refer(world, vat, *chain[0]))
            if random.random() < 0.5:
                mine = liar.new()
                one, holder = random.choice(chain)
                one.objects[holder.key].append(refer(world, one, liar, mine))


def introduce(world: World, random: Random) -> None:
    """Give every vat a root, and most of them the roots of others."""
    for vat in world.vats:
        vat.roots.append(vat.new())
    for vat in world.vats:
        for other in world.vats:
            if vat is not other and random.random() < 0.7:
                root = other.roots[0]
                assert type(root) is Own
                vat.roots.append(refer(world, vat, other, root))


def register(world: World, random: Random) -> None:
    """Give every vat a registry that the others know, and let rings go round whose root is passed on."""
    for vat in world.vats:
        made = vat.new()
        vat.registry = made.key
        vat.roots.append(made)
    for vat in world.vats:
        for other in world.vats:
            if vat is not other:
                known = refer(world, vat, other, Own(other.registry))
                assert type(known) is Far
                vat.registries.append(known)
                vat.roots.append(known)
    for _ in range(random.randrange(1, 4)):
        members = random.sample(range(world.count), random.randrange(2, min(world.count, 3) + 1))
        made = ring(world, members)[0]
        keeper = random.choice(world.vats)
        keeper.roots.append(refer(world, keeper, world.vats[members[0]], made))


def drain(world: World, random: Random | None = None) -> None:
    """Let everything arrive that is under way."""
    while busy := world.busy():
        inbound.move(world, *(busy[0] if random is None else random.choice(busy)))
