"""What a trace finds through state: fields, containers, tuples, records, references, settled promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp.model.values import Fault, FrozenMap, Tagged
from tests.unit.peer.pair import outcome
from tests.unit.vat.traced import NOTHING, Named, Node, Scene

#: One way for each in which state may hold something.
WAYS: dict[str, Callable[[Any], Node]] = {
    "a field": lambda x: Node(label="n", any=x),
    "a list": lambda x: Node(label="n", items=captp.List([1, x])),
    "a map": lambda x: Node(label="n", named=captp.Map({"k": x})),
    "a set": lambda x: Node(label="n", some=captp.Set([x, 1])),
    "a tuple": lambda x: Node(label="n", any=(1, x)),
    "a tuple in a tuple": lambda x: Node(label="n", any=(("a",), (x,))),
    "the same thing five times": lambda x: Node(label="n", any=(x, x, (x,)), items=captp.List([x, x])),
    "a list in a list": lambda x: Node(label="n", items=captp.List([captp.List([x])])),
    "a map in a list": lambda x: Node(label="n", items=captp.List([captp.Map({"k": (x,)})])),
    "a struct": lambda x: Node(label="n", any=FrozenMap({"k": (x,)})),
    "a tagged value": lambda x: Node(label="n", any=Tagged("t", (x,))),
    "a fault": lambda x: Node(label="n", items=captp.List([Fault("f", FrozenMap({"k": x}))])),
    "an object": lambda x: Node(label="n", next=Node(any=x)),
    "an object in a tuple": lambda x: Node(label="n", any=(Node(items=captp.List([x])),)),
    "a reference to an object": lambda x: Node(label="n", face=Node(any=x)),
    "a reference in a list": lambda x: Node(label="n", items=captp.List([Node(face=Node(any=x))])),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_only_peers_hold_is_unrooted_and_leads_to_what_it_holds_in_any_way(way: str) -> None:
    scene = Scene()
    scene.give(WAYS[way](scene.far("x")))

    assert scene.look() == ({"n"}, {"x": {"n"}})


@pytest.mark.parametrize("way", WAYS)
def test_an_import_that_is_held_elsewhere_too_is_rooted_and_who_holds_it_is_not(way: str) -> None:
    scene = Scene()
    far = scene.far("x")
    scene.give(WAYS[way](far))

    assert scene.look() == ({"n"}, NOTHING)
    del far
    assert scene.look() == ({"n"}, {"x": {"n"}})


@pytest.mark.parametrize("way", WAYS)
def test_an_object_that_is_held_roots_what_it_holds_in_any_way(way: str) -> None:
    scene = Scene()
    node = WAYS[way](scene.far("x"))
    scene.give(node)

    assert scene.look() == (set(), NOTHING)
    del node
    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_a_settled_promise_in_a_field_leads_to_its_value() -> None:
    scene = Scene()
    promise, resolver = scene.vat.promise()
    resolver.fulfill((scene.far("x"),))
    scene.net.rest()
    scene.give(Node(label="n", any=promise))
    del promise, resolver

    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_a_promise_that_was_the_result_of_a_call_leads_to_its_value() -> None:
    scene = Scene()
    far = scene.far("y")
    result = scene.here.want(far.give_back(far))
    scene.net.rest()
    assert outcome(result) == far
    scene.give(Node(label="n", any=result))
    del far, result

    assert scene.look() == ({"n"}, {"y": {"n"}})


def test_a_pending_promise_is_rooted_with_all_that_it_may_become() -> None:
    scene = Scene()
    promise, resolver = scene.vat.promise()
    far = scene.far("x")
    scene.give(Node(label="n", any=promise))
    resolver.fulfill(far)
    del far

    assert scene.look() == ({"n"}, NOTHING)
    scene.net.rest()
    del promise, resolver
    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_a_cycle_does_not_hold_itself() -> None:
    scene = Scene()
    node = Node(label="n", any=scene.far("x"))
    node.next = node
    node.face = node
    node.items.append(node)
    node.items.append((node,))
    scene.give(node)
    del node

    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_all_exports_that_lead_to_an_import_are_named() -> None:
    scene = Scene()
    shared = Node(label="shared", any=scene.far("x"))
    one = Node(label="one", next=shared)
    two = Node(label="two", next=shared, any=scene.far("y"))
    three = Node(label="three", next=two)
    two.face = three
    hidden = Node(label="hidden", next=one)
    scene.give(one, two, three, Node(label="four", next=hidden))
    del shared, one, two, three, hidden

    unrooted, reached = scene.look()

    # "shared" and "hidden" are state of others, and no peer holds them.
    assert unrooted == {"one", "two", "three", "four"}
    assert reached == {"x": {"one", "two", "three", "four"}, "y": {"two", "three"}}


def test_equal_answers_are_one() -> None:
    scene = Scene()
    scene.give(Node(label="n", any=(scene.far("x"), scene.far("y"))))

    one, two = scene.trace().reached.values()

    assert one is two


def test_what_a_rooted_export_leads_to_is_rooted_and_what_leads_to_it_is_not() -> None:
    scene = Scene()
    last = Node(label="last", any=scene.far("x"))
    middle = Node(label="middle", next=last)
    first = Node(label="first", next=middle, any=scene.far("y"))
    scene.give(first, middle, last)
    del first, last

    assert scene.look() == ({"first"}, {"y": {"first"}})
    del middle
    assert scene.look() == ({"first", "middle", "last"}, {"x": {"first", "middle", "last"}, "y": {"first"}})


def test_an_object_that_two_sessions_export_is_unrooted_when_nobody_else_holds_it() -> None:
    scene = Scene()
    third = scene.net.host(3)
    node = Node(label="n", any=scene.far("x"))
    scene.give(node)
    scene.give(node, host=third)
    assert len(scene.held(node)) == 2
    del node

    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_an_object_that_is_exported_under_two_views_is_unrooted_when_nobody_else_holds_it() -> None:
    scene = Scene()
    third = scene.net.host(3)
    node = Node(label="n", any=scene.far("x"))
    views = [scene.vat.reference(node, Named), scene.vat.reference(node, Node)]
    scene.give(views[0])
    scene.give(views[1], host=third)
    assert scene.held(node)[0] is not scene.held(node)[1]
    del node

    assert scene.look() == (set(), NOTHING)
    del views[0]
    assert scene.look() == (set(), NOTHING)
    del views[0]
    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_an_export_in_one_session_alone_is_not_counted_for_the_other() -> None:
    scene = Scene()
    third = scene.net.host(3)
    node = Node(label="n", any=scene.far("x"))
    scene.give(node)
    scene.give(node, host=third)
    del node

    found = scene.trace(held=lambda anchor: scene.held(anchor)[:1])

    assert scene.shown(found) == (set(), NOTHING)


def test_an_import_that_is_exported_again_is_rooted() -> None:
    scene = Scene()
    far = scene.far("x")
    scene.give(Node(label="n", any=far))
    tables = scene.net.link(scene.here, scene.there).session.tables
    entry = tables.account.export(99, far)
    tables.exports[99] = tables.by_anchor[id(far._anchor)] = entry
    del far

    assert scene.look() == ({"n"}, NOTHING)
    tables.exports.clear()


def test_an_import_of_a_session_that_ended_is_not_mentioned() -> None:
    scene = Scene()
    third = scene.net.host(3)
    scene.give(Node(label="n", any=scene.far("x", host=third)))
    scene.net.wires[0].cut()
    scene.net.rest()

    assert scene.look() == ({"n"}, NOTHING)


def test_an_import_that_no_export_leads_to_is_not_mentioned() -> None:
    scene = Scene()
    node = Node(label="n", any=scene.far("x"))
    scene.vat.reference(node)
    seeds = [node]
    del node

    found = scene.trace(seeds)

    assert (found.unrooted, found.reached, found.nodes) == (frozenset(), {}, 6)


def test_a_chain_of_100_000_objects_is_no_deeper_than_any_other() -> None:
    scene = Scene()
    node = Node(label="last", any=scene.far("x"))
    for _ in range(3_000):
        node = Node(next=node)
    deep: Any = (node,)
    for _ in range(100_000):
        deep = (deep,)
    scene.vat.trustee.adopt(node)
    first = Node(label="first")
    scene.give(first)
    # What is taken into state by the ordinary way is nested less deep.
    first._f_any = deep  # type: ignore[attr-defined]
    del node, deep, first

    assert scene.look() == ({"first"}, {"x": {"first"}})


def test_an_object_that_is_not_whole_is_walked_as_far_as_it_is() -> None:
    scene = Scene()
    node = Node(label="n", any=scene.far("x"))
    del node._f_named  # type: ignore[attr-defined]
    scene.give(node)
    del node

    assert scene.look() == ({"n"}, {"x": {"n"}})


class Child(Node):
    any: Any = None
    more: Any = None


def test_fields_of_base_classes_and_fields_that_were_annotated_again_are_state() -> None:
    scene = Scene()
    scene.give(Child(label="n", any=scene.far("x"), more=(scene.far("y"),)))

    assert scene.look() == ({"n"}, {"x": {"n"}, "y": {"n"}})


class Plain:
    """Gives those that derive from it an attribute dictionary."""


class Open(Plain, Node):
    __slots__ = ("own",)


def test_what_an_object_holds_outside_its_state_is_rooted() -> None:
    scene = Scene()
    node = Open(label="n", any=scene.far("x"))
    node.own = scene.far("y")
    node.other = scene.far("z")  # type: ignore[attr-defined]
    scene.give(node)
    attributes = vars(node)
    del node

    assert scene.look() == ({"n"}, {"x": {"n"}})
    del attributes
    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_a_slot_by_another_name_is_not_counted_twice() -> None:
    class Twice(Node):
        pass

    Twice._f_again = Node._f_any  # type: ignore[attr-defined]
    scene = Scene()
    far = scene.far("x")
    scene.give(Twice(label="n", any=far))
    assert scene.look() == ({"n"}, NOTHING)
    del far

    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_plain_lists_in_a_record_are_not_walked_and_root_what_they_hold() -> None:
    scene = Scene()
    scene.give(Node(label="n", any=Tagged("t", [scene.far("x")])))

    assert scene.look() == ({"n"}, NOTHING)
