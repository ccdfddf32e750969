"""A world whose every step a test decides: who refers to whom, what arrives, who lies."""

from __future__ import annotations

from typing import Any

from captp.peer.cycles import statements
from captp.peer.cycles.words import Word, read
from captp.sim.cycles import build, inbound, outbound, owner
from captp.sim.cycles.values import Deliver, Far, Own, Said, Side
from captp.sim.cycles.vat import Turn, Vat
from captp.sim.cycles.world import World

A, B, C, D = range(4)


class Puppet:
    """A liar that says what the test says, and keeps what it hears."""

    def __init__(self, stage: Stage, vat: Vat) -> None:
        self.stage = stage
        self.vat = vat
        self.words: list[tuple[int, Word]] = []
        self.seals = vat.seals

    def heard(self, side: Side, word: tuple[Any, ...]) -> None:
        self.words.append((side.peer, read(word)))
        if word[0] == 0:
            self.vat.collector.heard(side, word, self.stage.world.now)

    def say(self, side: Side, word: tuple[Any, ...]) -> None:
        if word[0] == 0:
            self.stage.world.send(self.vat, side, Said(word))

    def tell(self, peer: int, word: Word) -> None:
        self.stage.world.send(self.vat, self.side(peer), Said(word.wire()))

    def side(self, peer: int) -> Side:
        side = self.vat.side(peer)
        assert side is not None
        return side

    def key(self, peer: int) -> bytes:
        return self.vat.collector.neighbours[self.side(peer)].key

    def claim(self, peer: int, trace: bytes, tokens: Any) -> bytes:
        return statements.claim(self.seals, self.key(peer), trace, dict.fromkeys(tokens, ()))

    def stand(self, peer: int, trace: bytes, digest: bytes) -> bytes:
        return statements.standing(self.seals, self.key(peer), trace, digest, [])

    def heard_of(self, kind: type) -> list[Any]:
        return [word for _, word in self.words if type(word) is kind]


class Stage:
    def __init__(self, count: int, *, lies: int | None = None, **more: Any) -> None:
        self.world = World(count, **more)
        for a in range(count):
            for b in range(a):
                self.world.connect(a, b)
        self.puppet: Any = None
        if lies is not None:
            vat = self.world.vats[lies]
            self.puppet = Puppet(self, vat)
            vat.liar = self.puppet
        build.meet(self.world)

    def vat(self, index: int) -> Vat:
        return self.world.vats[index]

    def new(self, index: int, *, root: bool = False) -> tuple[int, Own]:
        made = self.vat(index).new()
        if root:
            self.vat(index).roots.append(made)
        return index, made

    def link(self, one: tuple[int, Own], other: tuple[int, Own]) -> Any:
        """Let one object refer to another."""
        ref = self.ref(one[0], other)
        self.vat(one[0]).objects[one[1].key].append(ref)
        return ref

    def root(self, index: int, other: tuple[int, Own]) -> Any:
        """Let a vat have a root that refers to an object."""
        ref = self.ref(index, other)
        self.vat(index).roots.append(ref)
        return ref

    def ref(self, index: int, other: tuple[int, Own]) -> Any:
        return build.refer(self.world, self.vat(index), self.vat(other[0]), other[1])

    def ring(self, *members: int) -> list[tuple[int, Own]]:
        made = build.ring(self.world, list(members))
        return list(zip(members, made, strict=True))

    def start(self, index: int, *objects: tuple[int, Own]) -> bytes:
        return owner.start(self.world, self.vat(index), [own.key for _, own in objects])

    def send(self, index: int, target: Far, *args: Any) -> None:
        outbound.deliver(self.world, self.vat(index), target, args)

    def drop(self, index: int, ref: Any) -> None:
        """Let a vat lose a root, and collect."""
        self.vat(index).roots.remove(ref)
        outbound.collect(self.world, self.vat(index))

    def number(self, one: int, other: int) -> int:
        side = self.vat(one).side(other)
        assert side is not None
        return side.number

    def waiting(self, one: int, other: int) -> int:
        return len(self.world.links[self.number(one, other)].queues[other])

    def arrive(self, one: int, other: int, count: int | None = None) -> None:
        """Let messages of one vat arrive at another, all that are under way unless it is said how many."""
        for _ in range(self.waiting(one, other) if count is None else count):
            inbound.move(self.world, self.number(one, other), other)

    def flow(self, *but: tuple[int, int]) -> None:
        """Let everything arrive, but on some ways."""
        slow = {(self.number(*way), way[1]) for way in but}
        while busy := [way for way in self.world.busy() if way not in slow]:
            inbound.move(self.world, *busy[0])

    def until(self, kind: type, receiver: int) -> None:
        """Let everything arrive up to a word of a kind, which is next to arrive at a vat."""
        while True:
            busy = [way for way in self.world.busy() if not self._is(way, kind, receiver)]
            if not busy:
                return
            inbound.move(self.world, *busy[0])

    def _is(self, way: tuple[int, int], kind: type, receiver: int) -> bool:
        message = self.world.links[way[0]].queues[way[1]][0]
        return way[1] == receiver and type(message) is Said and type(read(message.word)) is kind

    def turns(self, index: int) -> list[Turn]:
        """Return the turns that are to run, and take them as run."""
        vat = self.vat(index)
        turns = list(vat.turns)
        vat.turns.clear()
        return turns

    def wait(self, seconds: float) -> None:
        """Let time pass, and then as much as it takes to leave what took too long."""
        for some in (seconds, self.world.settings.linger):
            self.world.now += some
            for vat in self.world.vats:
                owner.tick(self.world, vat)

    def holders(self, made: tuple[int, Own]) -> set[int]:
        """Return who can still name an object."""
        return {side.peer for side, table in self.vat(made[0]).tables.items() if made[1].key in table.index}

    def count(self, name: str) -> int:
        return sum(vat.collector.counts[name] for vat in self.world.vats)

    def under_way(self, kind: type) -> int:
        return sum(
            type(one) is Said and type(read(one.word)) is kind
            for link in self.world.links.values() for queue in link.queues.values() for one in queue
        )  # fmt: skip


__all__ = ["A", "B", "C", "D", "Deliver", "Puppet", "Stage"]
