"""Which marks lead to which targets in a graph of numbers; it knows nothing of what the numbers stand for.

Nodes that lead to one another have the same marks, so that each strongly connected component has one
integer, whose bits are marks. Edges are followed backwards from the targets, and nothing recurses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


def leads(targets: Sequence[int], edges: Sequence[Sequence[int]], marks: Mapping[int, int]) -> dict[int, int]:
    """Return, for each target, the bits of all marked nodes that lead to it, its own among them.

    ``edges`` gives, by node, the nodes that it leads to.
    """
    before = _reversed(edges)
    uses = _uses(targets, before)
    known = [0] * len(edges)
    found = dict.fromkeys(targets, 0)
    for component in _components(targets, before):
        bits = 0
        for node in component:
            bits |= marks.get(node, 0)
            for one in before[node]:
                bits |= known[one]
                uses[one] -= 1
                if not uses[one]:
                    # A long chain of marked nodes would fill the memory with what is not asked again.
                    known[one] = 0
        for node in component:
            if uses[node]:
                known[node] = bits
            if node in found:
                found[node] = bits
    return found


def _reversed(edges: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return, by node, the nodes that lead to it; twice those that lead there twice."""
    before: list[list[int]] = [[] for _ in edges]
    for node, out in enumerate(edges):
        for to in out:
            before[to].append(node)
    return before


def _uses(targets: Sequence[int], before: list[list[int]]) -> list[int]:
    """Return, by node, how many of its edges are on the way to a target."""
    uses = [0] * len(before)
    is_met = bytearray(len(before))
    stack = list(targets)
    for target in stack:
        is_met[target] = 1
    while stack:
        for one in before[stack.pop()]:
            uses[one] += 1
            if not is_met[one]:
                is_met[one] = 1
                stack.append(one)
    return uses


def _components(targets: Sequence[int], before: list[list[int]]) -> Iterator[list[int]]:
    """Yield the strongly connected components that lead to a target, each after those that lead to it.

    Tarjan's algorithm. A node is new (its order is 0), open, or closed with its component; ``oldest`` is
    the order of the oldest open node that is known to lead to ``node``. Where that is the node itself, it
    and all that was opened since are one component. ``path`` has the same of the nodes on the way; the
    first of them is none, and everything asked for leads to it.
    """
    order = [0] * len(before)
    closed = len(before) + 1
    count = 0
    opened: list[int] = []
    path: list[tuple[int, Iterator[int], int, int]] = []
    node, rest, oldest, start = -1, iter(targets), 0, 0
    while True:
        for one in rest:
            at = order[one]
            if not at:
                path.append((node, rest, oldest, start))
                count += 1
                order[one] = oldest = count
                node, rest, start = one, iter(before[one]), len(opened)
                opened.append(one)
                break
            if at < oldest:  # noqa: PLR1730 - min() would cost as much as all else here
                oldest = at
        else:
            if not path:
                return
            if oldest == order[node]:
                component = opened[start:]
                del opened[start:]
                for member in component:
                    order[member] = closed
                yield component
            node, rest, older, start = path.pop()
            oldest = min(oldest, older)
