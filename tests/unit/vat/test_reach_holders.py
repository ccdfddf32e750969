"""Who roots an object: whoever holds it and is neither an export nor state, wherever that may be."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp.model.send import E
from captp.vat.reach import reach
from tests.unit.peer.pair import outcome
from tests.unit.vat.holders import HOLDERS
from tests.unit.vat.traced import NOTHING, Named, Node, Scene


@pytest.mark.parametrize("name", HOLDERS)
def test_an_object_is_rooted_while_it_is_held_by(name: str) -> None:
    scene = Scene()
    node: Any = Node(label="n", any=(scene.far("x"),), items=captp.List([1]), named=captp.Map({"k": 1}))
    scene.give(node)
    hold = HOLDERS[name](scene, node)
    del node

    next(hold)
    assert scene.look() == (set(), NOTHING)

    next(hold, None)
    del hold
    gc.collect()
    scene.net.rest()
    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_an_object_that_is_held_for_a_load_is_rooted_until_it_is_released() -> None:
    scene = Scene()
    node = Node(label="n", any=scene.far("x"))
    scene.give(node)
    scene.vat.latches.hold(node)
    del node

    assert scene.look() == (set(), NOTHING)
    scene.vat.latches.release(scene.exports()[0]._anchor)
    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_an_answer_roots_what_is_in_it_until_the_peer_releases_it() -> None:
    scene = Scene()
    node = Node(label="n", any=scene.far("x"))
    scene.give(node)
    promise = scene.there.want(scene.there.enliven(scene.here.mint(Node(label="other", any=(node,))), Node))
    scene.net.rest()
    del node
    result = scene.there.want(E(outcome(promise)).give())
    scene.there.run()
    for end in scene.here.ends.values():
        end.deliver()
    scene.here.run()
    assert scene.net.link(scene.here, scene.there).session.tables.answers

    assert scene.look() == (set(), NOTHING)
    scene.net.wait(1)
    assert outcome(result) is not None
    assert scene.look() == ({"n"}, {"x": {"n"}})


def test_what_holds_an_export_inside_roots_what_is_inside_and_not_the_export() -> None:
    scene = Scene()
    node = Node(
        label="n", any=scene.far("x"), next=Node(label="inner", any=(scene.far("y"), (scene.far("z"),)))
    )
    inner = node.next
    assert inner is not None
    scene.give(node)
    held: Any = inner.any[1]
    del node

    assert scene.look() == ({"n"}, {"x": {"n"}})
    del inner
    assert scene.look() == ({"n"}, {"x": {"n"}, "y": {"n"}})
    del held
    assert scene.look() == ({"n"}, {"x": {"n"}, "y": {"n"}, "z": {"n"}})


def _iterated(kept: Any) -> Any:
    kept = iter(kept)
    next(kept)
    return kept


@pytest.mark.parametrize(
    "held",
    [
        lambda node: node.items,
        lambda node: node.named,
        lambda node: node.some,
        lambda node: _iterated(node.items),
        lambda node: reversed(node.items),
        lambda node: node.named.items(),
        lambda node: _iterated(node.named.values()),
        lambda node: _iterated(node.some),
        lambda node: node.items[0],
    ],
)
def test_who_holds_a_container_or_looks_through_it_roots_what_is_in_it(held: Callable[[Any], Any]) -> None:
    scene = Scene()
    far = scene.far("x")
    inside = (far,)
    node = Node(
        label="n",
        any=(scene.far("y"),),
        items=captp.List([inside, 2]),
        named=captp.Map({"a": inside, "b": 1}),
        some=captp.Set([inside]),
    )
    scene.give(node)
    keeps = held(node)
    del far, inside, node

    assert scene.look() == ({"n"}, {"y": {"n"}})
    del keeps
    assert scene.look() == ({"n"}, {"x": {"n"}, "y": {"n"}})


def test_a_fiber_holds_what_it_waits_with_and_not_what_it_has_let_go() -> None:
    scene = Scene()
    scene.give(Node(label="n", any=scene.far("x")), Node(label="m", any=scene.far("y")))
    (node,) = [o for o in scene.vat.heap.objects() if getattr(o, "label", "") == "n"]
    end = scene.waiting(E(scene.vat.reference(Node(label="waits"))).wait_with, node)
    del node

    assert scene.look() == ({"m"}, {"y": {"m"}})
    end()
    assert scene.look() == ({"n", "m"}, {"x": {"n"}, "y": {"m"}})


def test_weak_references_hold_nothing() -> None:
    scene = Scene()
    node = Node(label="n", any=scene.far("x"))
    ref = scene.vat.reference(node)
    scene.give(node)
    watches = [
        weakref.ref(node),
        weakref.ref(ref, lambda _ref: None),
        weakref.WeakSet([node, ref]),
        weakref.WeakValueDictionary({1: ref}),
        weakref.WeakKeyDictionary({node: 1}),
        weakref.proxy(node),
        weakref.WeakMethod(node.name),
    ]
    del node, ref

    assert scene.look() == ({"n"}, {"x": {"n"}})
    assert len(watches) == 7


def test_what_a_turn_is_about_to_change_is_rooted_by_its_journal() -> None:
    scene = Scene()
    scene.give(Node(label="n", any=scene.far("x"), items=captp.List([scene.far("y")])))
    seen = []

    class Looker(captp.Object):
        @captp.method
        def look(self) -> None:
            (node,) = [o for o in scene.vat.heap.objects() if getattr(o, "label", "") == "n"]
            node.any = None  # type: ignore[attr-defined]
            node.items.clear()  # type: ignore[attr-defined]
            del node
            seen.append(scene.look())
            raise captp.Refused("as it was")

    result = E(scene.vat.reference(Looker())).look()
    scene.net.rest()

    assert seen == [(set(), NOTHING)]
    with pytest.raises(captp.Refused):
        outcome(result)
    del result
    assert scene.look() == ({"n"}, {"x": {"n"}, "y": {"n"}})


def test_an_object_with_one_owner_is_rooted() -> None:
    scene = Scene()
    far = scene.far("x")
    tables = scene.net.link(scene.here, scene.there).session.tables
    tables.describe(scene.vat.owning.owned(Node(label="n", any=far), Named))
    tables.commit()
    del far
    assert len(scene.exports()) == 1

    assert scene.look() == (set(), NOTHING)


def test_an_import_that_was_lent_or_has_one_owner_is_rooted() -> None:
    scene = Scene()
    far = scene.far("x")
    node = Node(label="n")
    scene.give(node)
    # State refuses such a reference by the ordinary way.
    node._f_any = captp.lend(far)  # type: ignore[attr-defined]
    del node, far

    assert scene.look() == ({"n"}, NOTHING)


async def test_a_task_roots_what_it_holds_while_it_runs() -> None:
    async with captp.open_vat() as vat:
        # Stands for an export table.
        table = [vat.export(Node(label="n"))]

        def look() -> int:
            gc.collect()
            seeds = [ref._anchor for ref in table]
            return len(reach(seeds, lambda anchor: [r for r in table if r._anchor is anchor], 100).unrooted)

        async def hold(_one: Any) -> None:
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold, table[0])
            await trio.testing.wait_all_tasks_blocked()
            during = look()
            nursery.cancel_scope.cancel()

        assert (during, look()) == (0, 1)
