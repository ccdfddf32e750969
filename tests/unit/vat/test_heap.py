"""The heap: one entry per owned object, and no object kept alive by it."""

from __future__ import annotations

import gc
import weakref

import pytest

import captp
from captp.errors import InvariantBroken
from tests.support import Solo


class Node(captp.Object):
    value: int = 0
    items: captp.List[int]
    next: Node | None = None

    @captp.method
    def read(self) -> int:
        return self.value


def lines(solo: Solo) -> list[str]:
    """Return the heap's dump without the helper's own object."""
    return [line for line in solo.vat.heap.dump() if "Step" not in line]


def test_each_owned_object_has_one_entry_with_a_number_of_its_own() -> None:
    solo = Solo()
    nodes = [Node(), Node(next=Node())]

    for node in (*nodes, *nodes):
        solo.ref(node)

    assert [line.split()[1] for line in lines(solo)] == ["Node"] * 3
    assert len({line.split()[0] for line in lines(solo)}) == 3


def test_numbers_are_never_used_twice() -> None:
    solo = Solo()
    seen = set()
    for _ in range(20):
        node = Node()
        solo.ref(node)
        (line,) = lines(solo)
        seen.add(line.split()[0])
        del node, line
        gc.collect(1)
        solo.run()

    assert len(seen) == 20
    assert lines(solo) == []


def test_the_heap_keeps_no_object_alive_and_sweeps_when_drained() -> None:
    solo = Solo()
    for _ in range(100):
        solo.ref(Node(next=Node()))
    gc.collect()

    solo.run()

    assert lines(solo) == []
    solo.vat.heap.check()


def test_the_heap_s_own_entries_go_with_their_objects() -> None:
    def weak_references() -> int:
        gc.collect()
        return sum(type(o) is weakref.ref for o in gc.get_objects())

    solo = Solo()
    before = weak_references()

    for _ in range(1_000):
        solo.ref(Node())
    solo.run()

    assert weak_references() - before < 100


def test_an_object_held_by_state_stays_in_the_heap() -> None:
    solo, node = Solo(), Node(next=Node(value=7))
    ref = solo.ref(node)
    del node
    gc.collect()
    solo.run()

    assert len(lines(solo)) == 2
    assert solo.value(ref.read()) == 0


def test_edges_of_an_object_are_what_its_state_holds() -> None:
    solo, node = Solo(), Node(next=Node())
    solo.ref(node)

    assert list(solo.vat.heap.edges(node)) == [node.next]


def test_the_check_finds_an_entry_that_does_not_name_its_object() -> None:
    solo, one, two = Solo(), Node(), Node()
    solo.ref(one)
    solo.ref(two)

    one._entry, two._entry = two._entry, one._entry

    with pytest.raises(InvariantBroken, match="does not name its object"):
        solo.peer.check()
    one._entry, two._entry = two._entry, one._entry
    solo.peer.check()
