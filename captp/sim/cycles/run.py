"""Runs the world of a seed: programs, faults, collectors, liars, and in the end the count."""

from __future__ import annotations

from collections import Counter
from random import Random

from attrs import define, frozen

from captp.sim.cycles import build, faults, inbound, owner, program, rest
from captp.sim.cycles.liar import Liar
from captp.sim.cycles.vat import Vat
from captp.sim.cycles.world import World


@frozen
class Outcome:
    """What became of a world; ``failure`` is None when nothing was wrong."""

    counts: Counter[str]
    failure: Exception | None


@define(eq=False)
class Plan:
    """How one world is made, as its seed says."""

    world: World
    random: Random
    steps: int
    #: How much of the time messages arrive, and how often what else happens: a turn, something that a
    #: program does, a local collection, a look at the clock, a trace.
    haste: float
    habits: tuple[int, ...]
    slowness: float
    #: Chances of a lost session, a long silence.
    faults: float
    silence: float


def plan(seed: int, liars: bool | None = None) -> Plan:
    """Make the world of a seed; ``liars`` None leaves it to the seed whether anybody lies."""
    random = Random(seed)
    count = random.choice((2, 2, 3, 3, 3, 4, 5, 6))
    lying: list[int] = []
    if (random.random() < 0.4 if liars is None else liars) and count > 2:
        lying = random.sample(range(count), random.randrange(1, max(2, count // 2)))
    is_rare = random.random()
    stock = frozenset(random.sample(range(count), 1)) if is_rare < 0.1 else frozenset[int]()
    old = frozenset(i for i in range(count) if random.random() < 0.5) if is_rare > 0.7 else frozenset[int]()
    world = World(count, stock=stock - set(lying), old=old, random=random)
    for index in lying:
        world.vats[index].liar = Liar(world, world.vats[index], random)
    if random.random() < 0.5:
        build.register(world, random)
    else:
        build.introduce(world, random)
    if random.random() < 0.5:
        build.tangle(world, random)
    build.bait(world, random)
    return Plan(
        world,
        random,
        steps=random.choice((100, 200, 400)),
        haste=random.choice((0.35, 0.45, 0.55)),
        habits=(30, random.choice((20, 40, 60)), random.choice((8, 20)), 6, random.choice((6, 12, 24))),
        slowness=random.choice((0.0, 0.8, 0.95)),
        faults=0.003 if random.random() < 0.35 else 0.0,
        silence=random.choice((0.0, 0.0, 0.002, 0.01)),
    )


def run(seed: int, liars: bool | None = None) -> Outcome:
    """Let the world of a seed live."""
    made = plan(seed, liars)
    world = made.world
    failure: Exception | None = None
    try:
        for _ in range(made.steps):
            step(made)
        if not world.has_liars:
            world.counts["rounds"] += rest.rest(world, made.random)
    except Exception as problem:
        failure = problem
    for vat in world.vats:
        world.counts += vat.collector.counts
    world.counts["worlds with liars"] += world.has_liars
    return Outcome(world.counts, failure)


def step(made: Plan) -> None:
    """Let one thing happen."""
    world, random = made.world, made.random
    chance = random.random()
    if chance < made.haste:
        if busy := world.busy():
            number, to = random.choice(busy)
            # Some ways are slow, so that others are faster than what went before.
            if (number + to) % 3 or random.random() > made.slowness:
                inbound.move(world, number, to)
        return
    vat = random.choice(world.vats)
    if vat.is_dead:
        return
    if vat.liar is not None and random.random() < 0.2:
        vat.liar.act()
        return
    match random.choices(range(5), made.habits)[0]:
        case 0:
            program.run(world, vat, random)
        case 1:
            program.act(world, vat, random)
        case 2:
            rest.sweep(world, vat)
        case 3:
            world.now += random.choice((0.01, 0.03, 0.1))
            owner.tick(world, vat)
        case _:
            _suspect(world, vat, random)
    if made.faults and random.random() < made.faults:
        _fail(world, random)
    if world.lost and random.random() < 0.1:
        faults.notice(world, random)
    if made.silence and random.random() < made.silence:
        world.now += random.choice((0.5, 1.5, 2.5))
        owner.tick(world, random.choice(world.vats))


def _suspect(world: World, vat: Vat, random: Random) -> None:
    """Let a vat begin a trace."""
    if not vat.is_stock:
        if vat.ground.is_old and random.random() < 0.6:
            vat.ground.look()
        if suspects := owner.suspects(world, vat):
            one = random.random() < 0.5
            owner.start(world, vat, [random.choice(suspects)] if one else suspects)


def _fail(world: World, random: Random) -> None:
    if world.links and random.random() < 0.85:
        faults.cut_link(world, random.choice(list(world.links)))
    elif world.count > 2:
        faults.crash(world, random.randrange(world.count), comes_back=random.random() < 0.7)
