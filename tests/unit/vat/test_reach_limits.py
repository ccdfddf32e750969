"""When a trace stops early, or says nothing: each time what it does say is true of the whole."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

import captp
import captp.vat.reach
from captp.model.values import Tagged
from captp.vat.reach import TESTED, trusted
from captp.vat.walk import ITEMS
from tests.unit.vat.traced import NOTHING, Node, Scene

#: Held by this module, and leads nowhere.
CONSTANT = ("a", 1)

#: An object, its reference in the export table, its three containers, a reference to an import, the import.
NODES = 7


def test_a_trace_at_its_limit_is_whole_and_one_beyond_says_less() -> None:
    scene = Scene()
    scene.give(Node(label="n", any=scene.far("x")))

    whole = scene.trace(limit=NODES)
    cut = scene.trace(limit=NODES - 1)

    assert (whole.is_whole, whole.nodes, scene.shown(whole)) == (True, NODES, ({"n"}, {"x": {"n"}}))
    assert (cut.is_whole, cut.nodes, scene.shown(cut)) == (False, NODES - 1, ({"n"}, NOTHING))


@pytest.mark.parametrize("limit", range(13))
def test_a_limited_trace_says_nothing_that_a_whole_one_does_not(limit: int) -> None:
    scene = Scene()
    shared = Node(label="shared", any=scene.far("x"))
    scene.give(Node(label="one", next=shared), Node(label="two", next=shared, any=scene.far("y")))
    held = shared.items
    del shared

    whole, cut = scene.trace(), scene.trace(limit=limit)

    assert cut.nodes == limit
    assert not cut.is_whole
    assert cut.unrooted <= whole.unrooted == {scene.oid("one"), scene.oid("two")}
    assert cut.reached.items() <= whole.reached.items()
    assert len(held) == 0


def test_a_cycle_is_found_within_a_limit_that_what_it_leads_to_exceeds() -> None:
    scene = Scene()
    node = Node(label="n", items=captp.List([(i,) for i in range(100)]))
    node.any, node.next = scene.far("x"), node
    scene.give(node)
    del node

    found = scene.trace(limit=20)

    assert (found.is_whole, found.nodes) == (False, 20)
    assert scene.shown(found) == ({"n"}, {"x": {"n"}})


def test_a_container_with_more_items_than_a_trace_looks_at_is_left_out() -> None:
    scene = Scene()
    node = Node(label="n", items=captp.List([0] * (ITEMS * 100 - 1)))
    node.items.append(scene.far("x"))
    scene.give(node)

    def look() -> Any:
        found = scene.trace([ref._anchor for ref in scene.exports()], limit=100)
        return found.is_whole, scene.shown(found)

    inner = node.items
    del node
    assert look() == (True, ({"n"}, NOTHING))
    del inner
    assert look() == (True, ({"n"}, {"x": {"n"}}))
    (node,) = [ref._anchor for ref in scene.exports()]
    list.append(node.items, 0)
    del node
    assert look() == (False, ({"n"}, NOTHING))


def test_answers_that_are_too_wide_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    nodes = [Node(label="0", any=scene.far("0"))]
    nodes += [Node(label="1", next=nodes[0], any=(scene.far("1"),))]
    nodes += [Node(label="2", next=nodes[1], any=(scene.far("2"),))]
    scene.give(*nodes)
    nodes.clear()
    reached = {"0": {"0", "1", "2"}, "1": {"1", "2"}, "2": {"2"}}
    assert scene.look() == ({"0", "1", "2"}, reached)

    monkeypatch.setattr(captp.vat.reach, "BITS", 5)
    found = scene.trace(limit=1)
    assert found.reached == {}
    monkeypatch.setattr(captp.vat.reach, "BITS", 0.05)
    some = scene.trace(limit=100)

    assert not some.is_whole
    assert 0 < len(some.reached) < 3
    assert scene.shown(some)[1].items() <= reached.items()  # type: ignore[operator]


def test_a_trace_from_some_exports_answers_for_all_that_it_meets() -> None:
    scene = Scene()
    last = Node(label="last", any=scene.far("x"))
    first = Node(label="first", next=last, any=scene.far("y"))
    scene.give(first, last, Node(label="apart", any=scene.far("z")))
    seeds = [first]
    del first, last

    assert scene.shown(scene.trace(seeds)) == ({"first", "last"}, {"x": {"first", "last"}, "y": {"first"}})
    seeds = [seeds[0].next]
    # What "first" holds is held by somebody who was not met.
    assert scene.shown(scene.trace(seeds)) == (set(), NOTHING)


def test_an_import_that_another_export_holds_is_rooted_for_a_trace_that_does_not_meet_it() -> None:
    scene = Scene()
    far = scene.far("x")
    scene.give(Node(label="one", any=far), Node(label="two", any=far))
    del far
    seeds = [ref._anchor for ref in scene.exports() if ref._anchor.label == "one"]

    assert scene.shown(scene.trace(seeds)) == ({"one"}, NOTHING)
    seeds.clear()
    assert scene.look() == ({"one", "two"}, {"x": {"one", "two"}})


def test_seeds_in_anything_but_a_list_are_held_by_it() -> None:
    scene = Scene()
    scene.give(Node(label="n"))

    def look(seeds: Any) -> set[str]:
        return scene.labels(scene.trace(seeds).unrooted)

    as_generator = look(ref._anchor for ref in scene.exports())
    as_list = look([ref._anchor for ref in scene.exports() for _ in range(3)])
    as_tuple = look(tuple(ref._anchor for ref in scene.exports()))

    assert (as_generator, as_list, as_tuple) == ({"n"}, {"n"}, set())


def test_seeds_that_are_no_objects_are_passed_over() -> None:
    scene = Scene()
    scene.give(Node(label="n"))

    found = scene.trace([None, 3, print, *[ref._anchor for ref in scene.exports()]])

    assert scene.labels(found.unrooted) == {"n"}


def test_nothing_is_found_where_nothing_is_exported() -> None:
    found = Scene().trace([])

    assert (found.unrooted, found.reached, found.blocked, found.nodes) == (set(), {}, {}, 0)
    assert found.is_whole


def test_who_is_held_from_outside_is_named() -> None:
    scene = Scene()
    inner = Node(label="inner", any=Tagged("t", CONSTANT))
    node = Node(label="n", next=inner, any=((inner,),))
    scene.give(node)
    held = node.any[0]
    del node

    found = scene.trace()

    assert found.blocked.keys() == {id(inner), id(held)}


def test_a_table_that_claims_more_than_it_holds_makes_everything_rooted() -> None:
    scene = Scene()
    scene.give(Node(label="n", any=scene.far("x")))

    found = scene.trace(held=lambda anchor: scene.held(anchor) * 2)

    assert (found.unrooted, found.reached, found.is_whole, found.nodes) == (set(), {}, False, NODES)
    assert found.fault == "a NodeRef has 1 references fewer than were counted"


def test_an_interpreter_that_was_not_tested_roots_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.give(Node(label="n"))
    assert trusted() == ""

    monkeypatch.setattr(captp.vat.reach, "TESTED", ())
    found = scene.trace(held=lambda _anchor: pytest.fail("nobody is asked"))

    assert (found.unrooted, found.is_whole, found.nodes) == (set(), False, 0)
    assert found.fault == trusted() == f"CPython 3.{sys.version_info[1]} has not been tested"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"implementation": SimpleNamespace(name="pypy")}, "pypy does not count references as CPython does"),
        ({"version_info": (3, 10, 13)}, "CPython 3.10 has not been tested"),
        ({"version_info": (3, 14, 0)}, "CPython 3.14 has not been tested"),
        (
            {"version": "3.13.0 experimental free-threading build"},
            "a CPython without a GIL defers reference counts",
        ),
    ],
)
def test_each_interpreter_that_is_not_trusted_is_told_why(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, Any], reason: str
) -> None:
    ours = {"implementation": sys.implementation, "version_info": sys.version_info, "version": sys.version}
    monkeypatch.setattr(captp.vat.reach, "sys", SimpleNamespace(**{**ours, **other}))

    assert trusted() == reason
    assert TESTED == ((3, 11), (3, 12), (3, 13))
