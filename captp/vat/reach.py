"""Which exported objects only peers hold, and which imports those lead to: one look at state and counts.

The walk counts the references it sees to each node; the interpreter says how many there are; who has more
is held by something unknown, and rooted. So no list of roots is needed, and to walk less is always safe:
what is not walked counts for nobody. It knows no tables and no wire.

No turn may run meanwhile. Other threads may take and drop whole references: those are never uncounted.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, compress
from typing import Any, Final

from attrs import frozen

from captp.model.object import Object
from captp.model.promise import Reference
from captp.model.ref import Far
from captp.vat.leads import leads
from captp.vat.walk import Walk

__all__ = ["TESTED", "Found", "reach", "spread", "surplus_of", "trusted", "without_collector"]

#: Versions of CPython whose reference counts were found to be what this needs.
TESTED: Final = ((3, 11), (3, 12), (3, 13))

#: Bits that the answers of one trace are read from, for each node of its limit.
BITS: Final = 64


@frozen(eq=False)
class Found:
    """What one trace found; what it does not mention is rooted, or may be."""

    #: Ids of exported objects that nothing holds but exports, and state that is unrooted too.
    unrooted: frozenset[int]
    #: For each unrooted import, by session and position: the ids of all exports that lead to it.
    reached: dict[tuple[Any, int], frozenset[int]]
    #: Nodes that somebody holds who was not walked, by ``id()``, which is good while they live, and the
    #: keys of exports that lead to each.
    blocked: dict[int, frozenset[int]]
    #: How many nodes were walked, and what that cost, in nodes: many items in few nodes take as long.
    nodes: int
    cost: int
    #: Whether nothing was left out for being too much.
    is_whole: bool
    #: Why nothing can be told: the interpreter is not one that is trusted, or a count was impossible.
    fault: str = ""


def trusted() -> str:
    """Return why reference counts prove nothing in this interpreter; empty where they do."""
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} does not count references as CPython does"
    if sys.version_info[:2] not in TESTED:
        return f"CPython {sys.version_info[0]}.{sys.version_info[1]} has not been tested"
    if "free-threading" in sys.version:
        return "a CPython without a GIL defers reference counts"
    return ""


def reach(
    seeds: Iterable[Object | Far],
    held: Callable[[Any], Sequence[Reference]],
    limit: int,
    key: Callable[[Far], int] | None = None,
) -> Found:
    """Trace from ``seeds`` through their state, over at most ``limit`` nodes.

    ``held`` returns the references that export tables hold to an object, one per table entry; it is
    asked for every object on the way, so that each exported one is answered for. An import that is
    exported again is answered for by ``key``, if that is given. The references of ``seeds`` do not count
    if it is a list; whatever else holds an object roots it, variables of the caller included.
    """
    reason = trusted()
    if reason:
        return _nothing(reason, 0)
    with without_collector():
        return _trace(seeds, Walk(held, limit, key))


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python's collector away: it would run finalizers, which are code of users."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _nothing(fault: str, nodes: int) -> Found:
    return Found(frozenset(), {}, {}, nodes, nodes, is_whole=False, fault=fault)


def _trace(seeds: Iterable[Object | Far], walk: Walk) -> Found:
    walk.start(seeds)
    walk.go()
    surplus = surplus_of(walk)
    lowest = min(surplus)
    if lowest < 0:
        kind = type(walk.nodes[surplus.index(lowest)]).__qualname__
        return _nothing(f"a {kind} has {-lowest} references fewer than were counted", len(surplus) - 1)
    outer = [place for place, count in enumerate(surplus) if count]
    rooted = spread(chain(walk.rooted, outer), walk.edges)
    blocked = [place for place in outer if not walk.is_inert(place)]
    leading = _leading(walk, rooted, blocked, walk.limit * BITS)
    return Found(
        frozenset(key for place, key in walk.exported.items() if not rooted[place]),
        {
            (far.session, far.entry.position): leading[place]
            for place, far in ((place, walk.nodes[place]) for place in walk.fars)
            # Where nothing leads there any more, it is about to be dropped.
            if leading.get(place) and not rooted[place] and _is_import(far)
        },
        {id(walk.nodes[place]): leading.get(place, frozenset()) for place in blocked},
        len(surplus) - 1,
        walk.cost,
        walk.is_whole,
    )


def surplus_of(walk: Walk) -> list[int]:
    """Return how many references to each node were not seen; nothing else here may hold a node now."""
    counts = list(map(sys.getrefcount, walk.nodes))
    own = counts[0]
    surplus = [count - own for count in counts]
    for edges in walk.edges:
        for place in edges:
            surplus[place] -= 1
    for place in walk.given:
        surplus[place] -= 1
    return surplus


def spread(roots: Iterable[int], edges: list[list[int]]) -> bytearray:
    """Return a 1 for each place that a root leads to, and 0 for the others."""
    rooted = bytearray(len(edges))
    stack = list(roots)
    for place in stack:
        rooted[place] = 1
    while stack:
        for place in edges[stack.pop()]:
            if not rooted[place]:
                rooted[place] = 1
                stack.append(place)
    return rooted


def _leading(walk: Walk, rooted: bytearray, blocked: list[int], room: int) -> dict[int, frozenset[int]]:
    """Return the exports that lead to each import and to what is blocked, through nothing that is rooted.

    Equal sets are there once; what no room is for is left out.
    """
    targets = [place for place in walk.fars if not rooted[place]] + blocked
    if not targets:
        return {}
    exported = list(walk.exported)
    keys = list(walk.exported.values())
    marks = {place: 1 << bit for bit, place in enumerate(exported)}
    edges = [() if rooted[place] else out for place, out in enumerate(walk.edges)]
    found: dict[int, frozenset[int]] = {}
    named: dict[int, frozenset[int]] = {0: frozenset()}
    for place, bits in leads(targets, edges, marks).items():
        if bits not in named:
            # Most exports that lead to one import are met soon after one another.
            first = (bits & -bits).bit_length() - 1
            digits = f"{bits >> first:b}"
            room -= len(digits)
            if room < 0:
                walk.is_whole = False
                break
            named[bits] = frozenset(compress(keys[first:], map(int, reversed(digits))))
        found[place] = named[bits]
    return found


def _is_import(far: Far) -> bool:
    """Whether it is what a session's import stands for: one that was revived is not, and keeps its entry."""
    return far.broken is None and far.entry is not None and far.entry() is far
