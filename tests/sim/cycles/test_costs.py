"""What a ring costs in words and bytes, and what many rings cost that are asked about together."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from attrs import evolve

from captp.sim.cycles import build, outbound, owner, rest
from captp.sim.cycles.values import Said, Side
from captp.sim.cycles.vat import Vat
from captp.sim.cycles.world import QUICK, World
from captp.wire.syrup import encode

#: Bytes of the call that carries a word.
HEAD = 24

#: For each size of a ring: words, bytes and signatures, which are not to be exceeded.
BOUNDS = {2: (10, 1_900, 5), 3: (15, 5_300, 7), 5: (25, 13_500, 11), 10: (50, 50_000, 21)}


class Meter:
    """Counts what the collectors of a world say, but for their first words."""

    def __init__(self, world: World) -> None:
        self.words = 0
        self.bytes = 0
        world.tap = self.tap

    def tap(self, vat: Vat, side: Side, said: Said) -> None:
        if said.word[0]:
            self.words += 1
            self.bytes += HEAD + len(encode(said.word))


@pytest.mark.parametrize("size", BOUNDS)
def test_a_ring_costs_no_more_than_five_words_for_each_vat(size: int) -> None:
    world = World(size)
    first = build.ring(world, list(range(size)))[0]
    build.meet(world)
    meter = Meter(world)

    owner.start(world, world.vats[0], [first.key])
    build.drain(world)
    for _ in range(size):
        for vat in world.vats:
            rest.sweep(world, vat)
        build.drain(world)

    words, size_in_bytes, signs = BOUNDS[size]
    assert not any(vat.objects for vat in world.vats)
    assert meter.words <= words
    assert meter.bytes <= size_in_bytes
    assert sum(vat.seals.signs for vat in world.vats) <= signs


@pytest.mark.parametrize("hops", [1, 2, 5, 10])
def test_a_use_that_is_far_away_is_found_for_three_words_a_hop(hops: int) -> None:
    world = World(hops + 1)
    chain = [(vat, vat.new()) for vat in world.vats]
    for (one, holder), (other, what) in pairwise(chain):
        one.objects[holder.key].append(build.refer(world, one, other, what))
    world.vats[0].roots.append(chain[0][1])
    build.meet(world)
    meter = Meter(world)

    owner.start(world, world.vats[-1], [chain[-1][1].key])
    build.drain(world)

    assert meter.words <= 3 * hops
    assert sum(vat.seals.signs for vat in world.vats) <= hops


def rings(world: World, count: int, random: Random) -> None:
    """Make rings of three objects in vats that are drawn, not all three the same."""
    for _ in range(count):
        members = [random.randrange(world.count) for _ in range(3)]
        if len(set(members)) == 1:
            members[0] = (members[0] + 1) % world.count
        made = [(world.vats[index], world.vats[index].new()) for index in members]
        for at, (vat, own) in enumerate(made):
            other, what = made[(at + 1) % 3]
            vat.objects[own.key].append(build.refer(world, vat, other, what))


def collect_all(world: World, rounds: int, batch: int) -> None:
    """Let each vat in its turn ask about what it suspects, in batches; collect what is cut."""
    for turn in range(rounds):
        vat = world.vats[turn % world.count]
        outbound.collect(world, vat)
        suspects = owner.suspects(world, vat)
        for start in range(0, len(suspects), batch):
            world.now += 1
            owner.start(world, vat, suspects[start : start + batch])
            build.drain(world)
        for _ in range(3):
            for one in world.vats:
                outbound.collect(world, one)
            build.drain(world)
        if not any(one.objects for one in world.vats):
            return


def test_many_rings_cost_little_each() -> None:
    settings = evolve(QUICK, edges_per_s=1e6, queries_per_s=1e4, frozen_exports=100_000, thaw=0.0)
    world = World(4, settings=settings)
    rings(world, 300, Random(5))
    build.meet(world)
    meter = Meter(world)

    collect_all(world, 8, batch=64)

    assert not any(vat.objects for vat in world.vats)
    assert meter.words <= 2 * 300
    assert meter.bytes <= 1_500 * 300


@pytest.mark.slow
def test_ten_thousand_objects_in_rings_go() -> None:
    settings = evolve(QUICK, edges_per_s=1e6, queries_per_s=1e4, frozen_exports=100_000, thaw=0.0)
    world = World(4, settings=settings)
    rings(world, 3_333, Random(5))
    build.meet(world)
    meter = Meter(world)

    collect_all(world, 8, batch=settings.batch)

    assert not any(vat.objects for vat in world.vats)
    assert meter.words <= 1_000
    assert meter.bytes <= 1_000 * 3_333
