"""Random programs over three vats: what can be reached stays and works, and all else goes."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import captp
from captp.model.object import Object
from captp.model.promise import Promise
from captp.model.ref import Far, Ref, settled
from tests.unit.peer.pair import Host, Net, outcome
from tests.unit.peer.test_cycles import is_at_rest, vats

HOSTS = 3

#: Seconds in which everything that is garbage goes, however often it was asked about before.
LONG = 90


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
        self.net, self.hosts, _ = vats(HOSTS)
        self.makers = [host.mint(Maker()) for host in self.hosts]
        self.vars: dict[int, Any] = {}
        self.home: dict[int, int] = {}
        self.edges: list[tuple[int, int]] = []

    # Steps.

    @rule(target=nodes, host=st.integers(0, HOSTS - 1))
    def make(self, host: int) -> int:
        number = len(self.home)
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

    @rule(pair=st.sampled_from([(0, 1), (0, 2), (1, 2)]), seconds=st.sampled_from([0.0, 1.0, 8.0]))
    def disconnect(self, pair: tuple[int, int], seconds: float) -> None:
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
        there = self._there()
        for number in self._reached():
            assert number in there, f"node {number} is gone"
            holds = [to for at, to in self.edges if at == number]
            assert [self._named(one) for one in there[number].held] == holds

    def teardown(self) -> None:
        self.net.wait(LONG)
        assert set(self._there()) == self._reached()
        assert is_at_rest(self.hosts)

    def _there(self) -> dict[int, Node]:
        gc.collect()
        return {o.number: o for host in self.hosts for o in host.vat.heap.objects() if type(o) is Node}

    def _reached(self) -> set[int]:
        waiting, found = list(self.vars), set[int]()
        while waiting:
            number = waiting.pop()
            if number not in found and number >= 0:
                found.add(number)
                waiting += [to for at, to in self.edges if at == number]
        return found

    def _has_lost(self, one: int) -> bool:
        return any(to < 0 for at, to in self.edges if at == one)

    def _named(self, ref: Any) -> int:
        """Return the number of the node that a reference leads to, -1 if it is broken."""
        ref = settled(ref)
        if not isinstance(ref, Ref):
            assert isinstance(ref, Promise)
            assert ref.settled
            return -1
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
        self.net.rest()
        return outcome(promise)


QUICK = settings(max_examples=3, stateful_step_count=12, deadline=None)
LONGER = settings(max_examples=10, stateful_step_count=20, deadline=None)

TestPrograms = Programs.TestCase
TestPrograms.settings = QUICK


@pytest.mark.slow
class TestLongPrograms(Programs.TestCase):  # type: ignore[misc, valid-type]
    """The same, at length."""

    settings = LONGER
