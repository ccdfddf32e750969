"""What is a circle in one vat is left to Python's own collector, which is called when it does not come."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import captp
from tests.unit.peer.liars import set_cycles
from tests.unit.peer.pair import Host, Net
from tests.unit.peer.test_cycles import Cell, ask, vats
from tests.unit.peer.test_cycles_limits import quiet

#: Seconds after which Python's collector is called here.
FULL = 20.0


@pytest.fixture
def runs() -> Iterator[list[int]]:
    """Have Python's collector called by nobody but vats; each full run adds one number."""
    found: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if (phase, info["generation"]) == ("stop", 2):
            found.append(info["collected"])

    gc.collect()
    gc.callbacks.append(note)
    gc.disable()
    yield found
    gc.enable()
    gc.callbacks.remove(note)


def world(*, holds_something: bool = True) -> tuple[Net, Host, list[Cell]]:
    """Return a host with a cell that only holds itself, and what that holds of the other host's."""
    net, hosts, makers = vats(2)
    set_cycles(hosts[1], full_collection=FULL)
    mine = [Cell()] if holds_something else []
    if holds_something:
        there = ask(net, captp.E(makers[1]).make())
        ask(net, captp.E(there).hold(hosts[0].vat.reference(mine[0])))
        ask(net, captp.E(there).hold(there))
    return net, hosts[1], mine


def is_held(host: Host, cells: list[Cell]) -> bool:
    return bool(cells[0]._entry.where)


def test_what_peers_held_for_a_moment_and_is_a_circle_here_goes_also_in_a_vat_that_is_quiet(
    runs: list[int],
) -> None:
    net, host, mine = world()

    net.wait(FULL - 1)
    assert is_held(host, mine)
    assert not runs
    net.wait(5)

    assert not is_held(host, mine)
    assert len(runs) == 1


def test_python_collects_for_what_peers_let_go_of_once_in_a_while_and_not_each_time(runs: list[int]) -> None:
    liar = quiet()
    liar.tie()
    keeper = liar.victim.peer.cycles
    (key,) = keeper.candidates()
    runs.clear()

    for _ in range(12):
        keeper.survey.orphans.append(key)
        liar.net.wait(0.25)

    # In three seconds, where a second is what a quick collector leaves things alone.
    assert 1 <= len(runs) <= 4


def test_a_collector_that_came_by_itself_is_not_called(runs: list[int]) -> None:
    net, _, _ = world()
    for _ in range(4):
        net.wait(FULL * 0.8)
        gc.collect()

    assert len(runs) == 4


def test_a_vat_that_holds_nothing_of_others_does_not_call_it(runs: list[int]) -> None:
    net, _, _ = world(holds_something=False)

    net.wait(3 * FULL)

    assert not runs
