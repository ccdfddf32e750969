"""Random state graphs against plain reachability, which counts nothing."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from attrs import define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.model.ref import Far, Ref, view
from captp.model.values import FrozenMap, Tagged
from captp.vat.reach import Found, reach
from tests.support import Solo
from tests.unit.vat.traced import Node

#: How state may hold one thing; a number less than this stands for each.
WAYS = 9


@frozen
class Plan:
    """A graph by numbers: first the objects, then the imports, then containers and tuples that are shared."""

    objects: int
    fars: int
    #: For each object: what it holds, and how.
    edges: tuple[tuple[tuple[int, int], ...], ...]
    #: What each shared tuple holds; it stands behind everything else, and holds things before itself.
    tuples: tuple[tuple[int, ...], ...]
    exports: tuple[int, ...]
    outside: tuple[int, ...]
    #: Whether each of those is held by reference.
    by_reference: tuple[bool, ...]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    objects, fars, tuples = draw(st.integers(1, 14)), draw(st.integers(0, 4)), draw(st.integers(0, 3))
    anything = st.integers(0, objects + fars + tuples - 1)
    edge = st.tuples(anything, st.integers(0, WAYS - 1))
    count = draw(st.sampled_from([0, 0, 1, 1, 2, 3]))
    return Plan(
        objects,
        fars,
        tuple(tuple(draw(st.lists(edge, max_size=3))) for _ in range(objects)),
        tuple(
            tuple(draw(st.lists(st.integers(0, objects + fars + i - 1), min_size=1, max_size=3)))
            for i in range(tuples)
        ),
        tuple(draw(st.lists(st.integers(0, objects - 1), min_size=1, max_size=8))),
        tuple(draw(st.lists(anything, min_size=count, max_size=count))),
        tuple(draw(st.lists(st.booleans(), min_size=count, max_size=count))),
    )


class Entry(weakref.ref[Any]):
    __slots__ = ("position",)

    position: int


class Session:
    """Stands for one: hears of imports that Python's collector found."""

    def found(self, far: Far) -> None:
        """Let it go."""


@define
class World:
    """What was built: the vat, the export table, and who holds from outside."""

    solo: Solo
    table: list[Ref]
    outside: list[Any]
    oids: dict[int, int]

    def held(self, anchor: Any) -> list[Ref]:
        return [ref for ref in self.table if ref._anchor is anchor]

    def trace(self, limit: int = 10_000, every: int = 1) -> Found:
        return reach([ref._anchor for ref in self.table[::every]], self.held, limit)


def build(plan: Plan) -> World:
    """Build what a plan says, with nobody left who holds it but those that it names."""
    solo, session = Solo(), Session()
    vat = solo.vat
    things: list[Any] = [Node(label=str(i)) for i in range(plan.objects)]
    for obj in things:
        vat.trustee.adopt(obj)
    for position in range(plan.fars):
        far = Far(session, None)
        far.entry = Entry(far)
        far.entry.position = position
        things.append(view(vat, far, Ref))
    for parts in plan.tuples:
        things.append(tuple([_shown(vat, things[p], p % 2) for p in parts]))
    for obj, edges in zip(things, plan.edges, strict=False):
        for number, (to, way) in enumerate(edges):
            _hold(vat, obj, things[to], way, number)
    table = [vat.reference(things[i], Node if i % 3 == 0 else None) for i in plan.exports]
    outside = [_shown(vat, things[i], ref) for i, ref in zip(plan.outside, plan.by_reference, strict=True)]
    return World(solo, table, outside, {i: things[i]._entry.oid for i in range(plan.objects)})


def _shown(vat: Any, thing: Any, by_reference: Any) -> Any:
    return vat.reference(thing) if by_reference and isinstance(thing, Node) else thing


def _hold(vat: Any, obj: Any, thing: Any, way: int, number: int) -> None:
    """Put something into the state of an object, past the turn that would write it."""
    key = f"k{number}"
    match way:
        case 0:
            list.append(obj.items, thing)
        case 1:
            dict.__setitem__(obj.named, key, thing)
        case 2:
            obj._f_any = (obj._f_any, (thing, 1))
        case 3:
            list.extend(obj.items, [Tagged("t", (thing,)), thing])
        case 4:
            dict.__setitem__(obj.named, key, FrozenMap({"a": 1, "b": (thing, thing)}))
        case 5:
            inner: captp.List[Any] = captp.List([thing])
            inner._owner = obj.items._owner
            list.append(obj.items, inner)
        case 6:
            list.append(obj.items, _shown(vat, thing, True))
        case 7:
            set.add(obj.some, (_shown(vat, thing, True), number))
        case _:
            promise, resolver = vat.promise()
            vat.settle_now(promise, 1, _shown(vat, thing, True))
            obj._f_any = (promise, obj._f_any)
            del resolver


def reachable(plan: Plan, starts: list[int]) -> set[int]:
    met: set[int] = set()
    stack = list(starts)
    first = plan.objects + plan.fars
    while stack:
        node = stack.pop()
        if node in met:
            continue
        met.add(node)
        if node < plan.objects:
            stack += [to for to, _way in plan.edges[node]]
        elif node >= first:
            stack += plan.tuples[node - first]
    return met


def oracle(plan: Plan, oids: dict[int, int]) -> tuple[set[int], dict[int, set[int]]]:
    """Return the unrooted exports, and the exports that lead to each unrooted import."""
    rooted = reachable(plan, list(plan.outside))
    exported = set(plan.exports) - rooted
    reached: dict[int, set[int]] = {}
    for one in exported:
        for node in reachable(plan, [one]):
            if plan.objects <= node < plan.objects + plan.fars and node not in rooted:
                reached.setdefault(node - plan.objects, set()).add(oids[one])
    return {oids[one] for one in exported}, reached


def shown(found: Found) -> tuple[set[int], dict[int, set[int]]]:
    assert found.fault == ""
    return set(found.unrooted), {position: set(oids) for (_s, position), oids in found.reached.items()}


@settings(max_examples=150, deadline=None)
@given(plans(), st.integers(0, 40))
def test_a_trace_finds_what_plain_search_finds_and_a_smaller_one_no_more(plan: Plan, limit: int) -> None:
    world = build(plan)
    # What nothing leads to holds what it leads to until Python's collector has found it.
    gc.collect()
    unrooted, reached = oracle(plan, world.oids)

    whole, limited, partial = world.trace(), world.trace(limit), world.trace(every=2)

    assert shown(whole) == (unrooted, reached)
    assert whole.is_whole
    for less in (limited, partial):
        assert shown(less)[0] <= unrooted
        assert shown(less)[1].items() <= reached.items()
    assert limited.nodes <= limit
    assert limited.is_whole == (whole.nodes <= limit)
