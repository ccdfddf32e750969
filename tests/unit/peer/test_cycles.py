"""Garbage that loops through real peers is found and freed; what somebody can reach is not."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp.cycles import Cycles
from captp.errors import Broken
from captp.model.locator import PeerLocator
from captp.peer.cycles.ground import Import
from tests.unit.peer.pair import TRANSPORT, Host, Net, outcome

#: Seconds in which quick collectors find everything.
SOON = 15


class Cell(captp.Object):
    """Holds whatever it is given, and makes others."""

    held: captp.List[Any]

    @captp.method
    def make(self) -> Any:
        return Cell()

    @captp.method
    def hold(self, what: Any) -> None:
        self.held.append(what)

    @captp.method
    def count(self) -> int:
        return len(self.held)

    @captp.method
    def make_two_that_share(self) -> Any:
        shared = Cell()
        return [Cell(held=[shared]), Cell(held=[shared]), shared]

    @captp.method
    async def wait_with(self, what: Any) -> None:
        await captp.sleep(1e9)
        self.held.append(what)


def vats(count: int, *, introduces: bool = True) -> tuple[Net, list[Host], list[Any]]:
    """Return hosts whose collectors are quick, and what the first holds: a maker of cells on each.

    Where it does not introduce them, the first host stands between the others.
    """
    net = Net()
    hosts = [net.host(number + 1) for number in range(count)]
    for host in hosts:
        quicken(host)
        if introduces:
            hints = {"exts": "mp1", "node": "here"}
            host.peer.locations[TRANSPORT] = PeerLocator.make(TRANSPORT, host.peer.designator, hints)
    refs = []
    for host in hosts:
        promise = hosts[0].want(hosts[0].enliven(host.mint(Cell())))
        net.rest()
        refs.append(outcome(promise))
    return net, hosts, refs


def quicken(host: Host, *, enabled: bool = True) -> None:
    cycles = host.peer.cycles
    cycles.settings = Cycles(enabled=enabled, age=1.0, tick=0.25)
    cycles.survey.settings = cycles.collector.settings = cycles.settings
    draws = iter(range(1 << 62))
    entropy = host.peer.entropy

    def jittered(size: int) -> bytes:
        if size != 2:
            return entropy(size)
        return hashlib.sha256(f"{host.seed}/{next(draws)}".encode()).digest()[:2]

    host.peer.entropy = jittered


def ask(net: Net, promise: Any) -> Any:
    net.rest()
    return outcome(promise)


def cells(hosts: list[Host]) -> list[int]:
    """Return how many cells each host has, besides the one that makes them."""
    gc.collect()
    return [sum(type(obj) is Cell for obj in host.vat.heap.objects()) - 1 for host in hosts]


def ring(net: Net, makers: list[Any]) -> list[Any]:
    """Return references of the first host to cells of all hosts, each of which holds the next."""
    made = [ask(net, captp.E(maker).make()) for maker in makers]
    for one, other in zip(made, [*made[1:], made[0]], strict=True):
        ask(net, captp.E(one).hold(other))
    return made


def is_at_rest(hosts: list[Host]) -> bool:
    keepers = [host.peer.cycles for host in hosts]
    return not any(k.waiting.held or k.collector.traces or k.collector.frozen for k in keepers)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("introduces", [True, False], ids=["introduced", "through-the-first"])
def test_a_ring_is_freed_once_nobody_holds_it(count: int, introduces: bool) -> None:
    net, hosts, makers = vats(count, introduces=introduces)
    made = ring(net, makers)
    assert cells(hosts) == [1] * count

    made.clear()
    net.wait(SOON)

    assert cells(hosts) == [0] * count
    assert is_at_rest(hosts)


class Mourned(Cell):
    """Tells that it went."""

    __slots__ = ("went",)

    def __init__(self, went: list[str]) -> None:
        self.went = went

    def __dropped__(self) -> None:
        self.went.append("dropped")


def test_what_is_collected_is_told_as_if_its_last_holder_had_gone() -> None:
    net, hosts, makers = vats(2)
    went: list[str] = []
    promise = hosts[0].want(hosts[0].enliven(hosts[1].mint(Mourned(went), uses=1)))
    net.rest()
    told = outcome(promise)
    mine = ask(net, captp.E(makers[0]).make())
    ask(net, captp.E(mine).hold(told))
    ask(net, captp.E(told).hold(mine))
    del promise, told, mine

    net.wait(SOON)

    assert went == ["dropped"]
    assert cells(hosts) == [0, 0]


def test_a_ring_is_kept_while_one_host_holds_a_part_of_it_and_works_as_ever() -> None:
    net, hosts, makers = vats(3)
    kept = ring(net, makers)[1]

    net.wait(10 * SOON)

    assert cells(hosts) == [1, 1, 1]
    assert ask(net, captp.E(kept).count()) == 1
    del kept
    net.wait(10 * SOON)
    assert cells(hosts) == [0, 0, 0]


def _sturdyref(net: Net, hosts: list[Host], made: list[Any]) -> Any:
    cell = next(o for o in hosts[1].vat.heap.objects() if type(o) is Cell and o.held)
    return hosts[1].mint(cell)


def _variable(net: Net, hosts: list[Host], made: list[Any]) -> Any:
    return next(o for o in hosts[2].vat.heap.objects() if type(o) is Cell and o.held)


def _container(net: Net, hosts: list[Host], made: list[Any]) -> Any:
    return _variable(net, hosts, made).held


def _fiber(net: Net, hosts: list[Host], made: list[Any]) -> Any:
    waiting = captp.E(made[0]).wait_with(made[1])
    net.rest()
    return waiting


def _stored(net: Net, hosts: list[Host], made: list[Any]) -> Any:
    maker = next(o for o in hosts[1].vat.heap.objects() if type(o) is Cell and not o.held)
    root = hosts[1].mint(maker)
    ref = ask(net, hosts[0].want(hosts[0].enliven(root)))
    ask(net, captp.E(ref).hold(made[2]))
    return None


@pytest.mark.parametrize("root", [_sturdyref, _variable, _container, _fiber, _stored])
def test_whatever_may_use_a_ring_keeps_it(root: Callable[[Net, list[Host], list[Any]], Any]) -> None:
    net, hosts, makers = vats(3)
    made = ring(net, makers)
    holder = root(net, hosts, made)
    made.clear()

    net.wait(10 * SOON)

    assert cells(hosts) == [1, 1, 1]
    del holder


def test_what_several_exports_share_is_freed_with_them() -> None:
    net, hosts, makers = vats(2)
    one, two, shared = ask(net, captp.E(makers[1]).make_two_that_share())
    mine = ask(net, captp.E(makers[0]).make())
    for ref in (one, two):
        ask(net, captp.E(mine).hold(ref))
    ask(net, captp.E(shared).hold(mine))

    del mine, one, two, shared, ref
    net.wait(10 * SOON)

    assert cells(hosts) == [0, 0]


def test_a_ring_that_is_used_now_and_then_is_left_alone() -> None:
    net, hosts, makers = vats(3)
    made = ring(net, makers)
    first = made[0]
    made.clear()

    for _ in range(40):
        ask(net, captp.E(first).count())
        net.wait(0.5)

    assert cells(hosts) == [1, 1, 1]
    assert not sum(host.peer.cycles.collector.counts["started"] for host in hosts[:1])


def test_a_vat_without_a_collector_is_told_nothing_and_what_it_holds_stays() -> None:
    net, hosts, makers = vats(3)
    quicken(hosts[2], enabled=False)
    ring(net, makers).clear()

    net.wait(10 * SOON)

    assert cells(hosts) == [1, 1, 1]
    assert hosts[2].peer.cycles.collector.neighbours == {}


def test_a_ring_goes_with_the_session_that_it_went_through() -> None:
    net, hosts, makers = vats(2)
    ring(net, makers).clear()

    for wire in net.wires:
        wire.cut()
    net.wait(SOON)

    assert cells(hosts) == [0, 0]
    assert is_at_rest(hosts)


def test_who_denies_what_it_holds_loses_that_and_nothing_else() -> None:
    net, hosts, makers = vats(3)
    made = ring(net, makers)
    mine, denied = made[0], made[1]
    made.clear()
    deny(hosts[0])

    net.wait(10 * SOON)

    with pytest.raises(Broken, match="collected"):
        ask(net, captp.E(denied).count())
    # What it holds itself is there, and so is what others are known to hold.
    assert ask(net, captp.E(mine).count()) == 1
    assert ask(net, captp.E(makers[1]).count()) == 0


def test_what_names_a_frozen_export_waits_for_the_verdict_and_is_not_let_in_after_the_cut() -> None:
    net, hosts, makers = vats(3)
    made = ring(net, makers)
    denied = made[1]
    made.clear()
    deny(hosts[0])
    frozen = hosts[1].peer.cycles.collector
    late = []

    def use_it_while_it_is_frozen() -> bool:
        if frozen.frozen and not late:
            late.append(captp.E(denied).hold(1))
        return bool(late)

    step_until(net, use_it_while_it_is_frozen)
    net.wait(SOON)

    with pytest.raises(Broken, match="collected"):
        outcome(late[0])
    assert frozen.counts["held"] > 0
    assert is_at_rest(hosts)


def deny(host: Host) -> None:
    """Have a host say of all that it holds that nothing leads to it, and that it has not touched it."""
    host.peer.cycles.reaching = lambda _side, _position: frozenset()  # type: ignore[method-assign]
    host.peer.cycles.imported = lambda _side, _position: Import(1, 1)  # type: ignore[method-assign]


def step_until(net: Net, done: Callable[[], bool]) -> None:
    """Let time pass and move one piece of one wire at a time, until something is the case."""
    for _ in range(2000):
        net.now += 0.05
        net.tick()
        for _ in range(50):
            moved = False
            for host in net.hosts:
                host.run()
            for wire in net.wires:
                for end in (wire.near, wire.far):
                    moved |= end.deliver()
                    if done():
                        return
            if not moved:
                break
    raise AssertionError("it never was")


def test_what_is_a_circle_within_a_vat_as_well_is_freed_though_python_is_idle() -> None:
    net, hosts, makers = vats(2)
    mine = ask(net, captp.E(makers[0]).make())
    one, two, _shared = ask(net, captp.E(makers[1]).make_two_that_share())
    for holder, held in ((mine, one), (one, two), (two, one), (two, mine)):
        ask(net, captp.E(holder).hold(held))
    del mine, one, two, _shared, holder, held
    gc.collect()
    gc.disable()
    try:
        net.wait(4 * SOON)
        left = [sum(type(o) is Cell for o in host.vat.heap.objects()) - 1 for host in hosts]
    finally:
        gc.enable()

    assert left == [0, 0]


def test_a_collector_that_fails_is_told_of_once_and_the_vat_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    net, hosts, makers = vats(2)
    hosts[1].has_faults = True

    def fail(_now: float) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(hosts[1].peer.cycles.survey, "step", fail)
    made = ring(net, makers)
    net.wait(SOON)

    assert [t.event for t in hosts[1].traces].count("collector failed") == 1
    assert hosts[1].peer.cycles.view().fault
    assert ask(net, captp.E(made[1]).count()) == 1
