"""Which marks lead to which targets: against plain reachability."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from captp.vat.leads import leads


def test_a_target_has_its_own_mark_and_those_of_all_that_lead_to_it() -> None:
    #   0 -> 1 <-> 2 -> 3, 4 -> 3, 5
    edges = [[1], [2], [1, 3], [], [3], []]

    assert leads([3, 1, 5], edges, {0: 1, 2: 2, 3: 4, 4: 8, 5: 16}) == {3: 15, 1: 3, 5: 16}


def test_a_target_that_nothing_marked_leads_to_has_no_marks() -> None:
    assert leads([1], [[1], []], {}) == {1: 0}


def test_a_long_chain_of_marked_nodes_takes_neither_depth_nor_much_memory() -> None:
    size = 20_000
    edges = [[node + 1] for node in range(size)] + [[]]

    found = leads([size], edges, {node: 1 << node for node in range(size)})

    assert found == {size: (1 << size) - 1}


def test_a_ring_is_one_component() -> None:
    size = 10_000
    edges = [[(node + 1) % size] for node in range(size)]

    found = leads(list(range(0, size, 1_000)), edges, {5: 1, 7_777: 2})

    assert set(found.values()) == {3}
    assert len(found) == 10


Graph = tuple[list[list[int]], list[int], dict[int, int]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 24))
    nodes = st.integers(0, size - 1)
    edges = draw(st.lists(st.lists(nodes, max_size=3), min_size=size, max_size=size))
    marked = draw(st.lists(nodes, unique=True))
    targets = draw(st.lists(nodes, unique=True))
    return edges, targets, {node: 1 << bit for bit, node in enumerate(marked)}


@given(graphs())
def test_any_graph_gives_what_plain_search_gives(
    graph: tuple[list[list[int]], list[int], dict[int, int]],
) -> None:
    edges, targets, marks = graph
    expected = dict.fromkeys(targets, 0)
    for node, bit in marks.items():
        met, stack = {node}, [node]
        while stack:
            for to in edges[stack.pop()]:
                if to not in met:
                    met.add(to)
                    stack.append(to)
        for target in met & expected.keys():
            expected[target] |= bit

    assert leads(targets, edges, marks) == expected
