"""Random programs over two to six vats: what can be reached stays and works, and all else goes."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

import captp
from captp.model.object import Object
from captp.model.promise import Promise
from captp.model.ref import Far, Ref, settled
from tests.unit.peer.liars import set_cycles
from tests.unit.peer.pair import Host, Net, outcome
from tests.unit.peer.test_cycles import is_at_rest, vats

MOST_HOSTS = 6

#: In the place of a node's number: it was handed over, and is asked for at its host.
ON_ITS_WAY = -2

#: Seconds after which an export is asked about again at the latest, and in which all that is garbage goes.
LONGEST_WAIT = 15.0
LONG = 120


class Node(captp.Object):
    """Has a number, and holds others."""

    number: int
    held: captp.List[Any]

    @captp.method
    def hold(self, what: Any) -> None:
        self.held.append(what)

    @captp.method
    def empty(self) -> None:
        self.held.clear()

    @captp.method
    def number_of(self) -> int:
        return self.number

    @captp.method(latch=False)
    async def use_all(self) -> Any:
        return [await captp.E(one).number_of() for one in self.held]


class Maker(captp.Object):
    """Makes nodes on its host."""

    @captp.method
    def make(self, number: int) -> Any:
        return Node(number=number, held=[])


class Programs(RuleBasedStateMachine):
    """The first host runs the program; ``edges`` and ``vars`` are what the oracle knows."""

    nodes = Bundle("nodes")

    def __init__(self) -> None:
        super().__init__()
        self.net: Net
        self.hosts: list[Host]
        self.vars: dict[int, Any] = {}
        self.home: dict[int, int] = {}
        self.edges: list[tuple[int, int]] = []
        #: Edges that are on their way, in order, with the promises that they are there.
        self.begun: list[tuple[int, int, Any]] = []

    @initialize(target=nodes, count=st.integers(2, MOST_HOSTS))
    def begin(self, count: int) -> Any:
        self.net, self.hosts, _ = vats(count)
        for host in self.hosts:
            set_cycles(host, backoff_max=LONGEST_WAIT)
        self.makers = [host.mint(Maker()) for host in self.hosts]
        return multiple(*[self.make(at) for at in range(count)])

    # Steps.

    @rule(target=nodes, at=st.integers(0, MOST_HOSTS - 1))
    def make(self, at: int) -> int:
        number, host = len(self.home), at % len(self.hosts)
        first = self.hosts[0]
        maker = self._ask(first.want(first.enliven(self.makers[host])))
        self.vars[number] = self._ask(captp.E(maker).make(number))
        self.home[number] = host
        return number

    @rule(one=nodes, other=nodes)
    def hold(self, one: int, other: int) -> None:
        if one in self.vars and other in self.vars:
            self._ask(captp.E(self.vars[one]).hold(self.vars[other]))
            self.edges.append((one, other))

    @rule(members=st.lists(nodes, min_size=2, max_size=4, unique=True))
    def ring(self, members: list[int]) -> None:
        """Let each hold the next, and forget them all."""
        for one, other in zip(members, [*members[1:], members[0]], strict=True):
            self.hold(one, other)
        for one in members:
            self.vars.pop(one, None)

    @rule(one=nodes, other=nodes, forgets=st.booleans())
    def begin_to_hold(self, one: int, other: int, forgets: bool) -> None:
        """Have it on its way, perhaps as all that is left of it, while collectors are at work."""
        if one in self.vars and other in self.vars:
            said = self.hosts[0].want(captp.E(self.vars[one]).hold(self.vars[other]))
            self.begun.append((one, other, said))
            if forgets and other != one:
                del self.vars[other]

    @rule(beats=st.integers(1, 6), moves=st.integers(0, 4))
    def go_on(self, beats: int, moves: int) -> None:
        """Let time pass in which only some of what is on its way arrives."""
        for _ in range(beats):
            self.net.now += 0.25
            self.net.tick()
            for _ in range(moves):
                for host in self.hosts:
                    host.run()
                for wire in self.net.wires:
                    wire.near.deliver()
                    wire.far.deliver()

    @rule(one=nodes)
    def empty(self, one: int) -> None:
        if one in self.vars:
            self._ask(captp.E(self.vars[one]).empty())
            self.edges = [edge for edge in self.edges if edge[0] != one]

    @rule(one=nodes)
    def use(self, one: int) -> None:
        if one in self.vars and not self._has_lost(one):
            told = self._ask(captp.E(self.vars[one]).use_all())
            assert list(told) == [to for at, to in self.edges if at == one]

    @rule(one=consumes(nodes))
    def forget(self, one: int) -> None:
        self.vars.pop(one, None)

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0, 8.0]))
    def wait(self, seconds: float) -> None:
        self.net.wait(seconds)

    @rule(at=st.permutations(range(MOST_HOSTS)), seconds=st.sampled_from([0.0, 1.0, 8.0]))
    def disconnect(self, at: list[int], seconds: float) -> None:
        pair = [number for number in at if number < len(self.hosts)][:2]
        self._settle()
        ends = {self.hosts[at] for at in pair}
        for wire in self.net.wires:
            if {wire.near.host, wire.far.host} == ends:
                wire.cut()
        self.net.rest()
        self.edges = [
            (at, to if {self.home[at], self.home.get(to)} != set(pair) else -1) for at, to in self.edges
        ]
        if 0 in pair:
            for number in [n for n in self.vars if self.home[n] in pair and self.home[n] != 0]:
                del self.vars[number]
        self.net.wait(seconds)

    # The oracle.

    @invariant()
    def what_can_be_reached_is_there_and_holds_what_it_should(self) -> None:
        self._note()
        there = self._there()
        for number in self._reached():
            assert number in there, f"node {number} is gone"
            holds = [to for at, to in self.edges if at == number]
            more = [to for at, to, _ in self.begun if at == number]
            held = [self._named(one) for one in there[number].held]
            assert len(held) in range(len(holds), len(holds) + len(more) + 1)
            assert all(one in (to, ON_ITS_WAY) for one, to in zip(held, [*holds, *more], strict=False))

    def teardown(self) -> None:
        self._settle()
        # Python's own collector is no help in a vat that is quiet.
        gc.disable()
        try:
            self.net.wait(LONG)
        finally:
            gc.enable()
        there = self._there()
        assert there.keys() == self._reached()
        assert not any(self._named(one) == ON_ITS_WAY for node in there.values() for one in node.held)
        assert is_at_rest(self.hosts)

    def _there(self) -> dict[int, Node]:
        gc.collect()
        return {o.number: o for host in self.hosts for o in host.vat.heap.objects() if type(o) is Node}

    def _reached(self) -> set[int]:
        waiting, found = [*self.vars, *(n for one, other, _ in self.begun for n in (one, other))], set[int]()
        while waiting:
            number = waiting.pop()
            if number not in found and number >= 0:
                found.add(number)
                waiting += [to for at, to in self.edges if at == number]
        return found

    def _has_lost(self, one: int) -> bool:
        return any(to < 0 for at, to in self.edges if at == one)

    def _named(self, ref: Any) -> int:
        """Return the number of the node that a reference leads to, -1 if broken, -2 if not here yet."""
        ref = settled(ref)
        if not isinstance(ref, Ref):
            assert isinstance(ref, Promise)
            return -1 if ref.settled else ON_ITS_WAY
        anchor: Any = ref._anchor
        if isinstance(anchor, Object):
            return int(anchor.number)  # type: ignore[attr-defined]
        assert type(anchor) is Far
        if anchor.broken is not None:
            return -1
        ours = next(h.peer.links[anchor.session] for h in self.hosts if anchor.session in h.peer.links)
        wire = next(w for w in self.net.wires for e in (w.near, w.far) if e.host.ends.get(ours.conn) is e
                    and ours is e.host.peer.router.links.get(ours.conn))  # fmt: skip
        end = wire.near if wire.near.host.peer.router.links.get(wire.near.conn) is ours else wire.far
        theirs = end.other.host.peer.router.links[end.other.conn]
        target = theirs.session.tables.exports[anchor.entry.position].target
        return self._named(target) if isinstance(target, Ref) else -1

    def _ask(self, promise: Any) -> Any:
        promise = self.hosts[0].want(promise)
        self._until(lambda: promise.settled)
        self._note()
        return outcome(promise)

    def _until(self, is_done: Callable[[], bool]) -> None:
        """Let things arrive; what names something frozen takes its time."""
        self.net.rest()
        end = self.net.now + 15
        while not is_done() and self.net.now < end:
            self.net.wait(0.25)

    def _settle(self) -> None:
        """Let everything arrive that is on its way."""
        self._until(lambda: all(said.settled for _, _, said in self.begun))
        self._note()
        assert not self.begun

    def _note(self) -> None:
        """Take what has arrived for an edge that is there."""
        for one, other, said in [begun for begun in self.begun if begun[2].settled]:
            assert outcome(said) is None
            self.edges.append((one, other))
        self.begun = [begun for begun in self.begun if not begun[2].settled]


QUICK = settings(max_examples=15, stateful_step_count=30, deadline=None)


def test_a_trace_that_lingers_when_the_last_peer_goes_is_over() -> None:
    """Found by the programs: a vat without connections lets no time pass for its collector."""
    program = Programs()
    _, one, *_ = program.begin(count=5).values  # type: ignore[attr-defined]
    program.disconnect([0, 2, 5, 4, 3, 1], 8.0)
    program.wait(8.0)
    program.forget(one)
    program.wait(0.25)
    program.disconnect([0, 1, 2, 3, 4, 5], 8.0)

    program.teardown()


LONGER = settings(max_examples=30, stateful_step_count=50, deadline=None)

TestPrograms = Programs.TestCase
TestPrograms.settings = QUICK


@pytest.mark.slow
class TestLongPrograms(Programs.TestCase):  # type: ignore[misc, valid-type]
    """The same, at length."""

    settings = LONGER
