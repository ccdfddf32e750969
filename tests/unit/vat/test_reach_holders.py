"""Who roots an object: whoever holds it and is neither an export nor state, wherever that may be."""

from __future__ import annotations

import contextvars
import ctypes
import functools
import gc
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp.model.send import E
from captp.vat.delegation import entrust
from captp.vat.reach import reach
from tests.unit.peer.pair import outcome
from tests.unit.vat.traced import NOTHING, Named, Node, Scene

Holder = Callable[[Scene, Any], Iterator[None]]

#: Each holds an object in a way of its own until it is resumed.
HOLDERS: dict[str, Holder] = {}


def holder(function: Holder) -> Holder:
    HOLDERS[function.__name__.replace("_", " ").strip()] = function
    return function


# In Python.


@holder
def a_variable_of_a_generator(_scene: Scene, node: Any) -> Iterator[None]:
    yield


@holder
def a_reference(scene: Scene, node: Any) -> Iterator[None]:
    node = scene.vat.reference(node)
    yield


@holder
def a_reference_under_another_view(scene: Scene, node: Any) -> Iterator[None]:
    node = scene.vat.reference(node, Node)
    yield


@holder
def a_list(_scene: Scene, node: Any) -> Iterator[None]:
    node = [node]
    yield


@holder
def a_dictionary(scene: Scene, node: Any) -> Iterator[None]:
    node = {1: scene.vat.reference(node)}
    yield


@holder
def a_closure(_scene: Scene, node: Any) -> Iterator[None]:
    def outer(one: Any) -> Callable[[], Any]:
        return lambda: one

    node = outer(node)
    yield


@holder
def a_default_of_a_function(_scene: Scene, node: Any) -> Iterator[None]:
    node = lambda one=node: one  # noqa: E731
    yield


@holder
def a_bound_method(_scene: Scene, node: Any) -> Iterator[None]:
    node = node.name
    yield


@holder
def a_method_of_a_reference(scene: Scene, node: Any) -> Iterator[None]:
    node = scene.vat.reference(node).name
    yield


@holder
def a_partial(_scene: Scene, node: Any) -> Iterator[None]:
    node = functools.partial(print, node)
    yield


@holder
def an_exception_by_its_traceback(_scene: Scene, node: Any) -> Iterator[None]:
    def fail(one: Any) -> None:
        raise ValueError

    try:
        fail(node)
    except ValueError as problem:
        node = problem.with_traceback(problem.__traceback__.tb_next)  # type: ignore[union-attr]
    yield


@holder
def a_coroutine_that_never_began(_scene: Scene, node: Any) -> Iterator[None]:
    async def later(one: Any) -> None: ...

    node = later(node)
    yield
    node.close()


@holder
def a_context_variable(_scene: Scene, node: Any) -> Iterator[None]:
    context = contextvars.Context()
    context.run(contextvars.ContextVar[Any]("v").set, node)
    del node
    yield


@holder
def a_class(_scene: Scene, node: Any) -> Iterator[None]:
    Scene.kept = node  # type: ignore[attr-defined]
    del node
    yield
    del Scene.kept  # type: ignore[attr-defined]


@holder
def a_queue_written_in_c(_scene: Scene, node: Any) -> Iterator[None]:
    kept: queue.SimpleQueue[Any] = queue.SimpleQueue()
    kept.put(node)
    del node
    yield


@holder
def a_count_that_c_code_took(_scene: Scene, node: Any) -> Iterator[None]:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(node))
    address = id(node)
    del node
    yield
    taken = ctypes.cast(address, ctypes.py_object)
    ctypes.pythonapi.Py_DecRef(taken)


@holder
def the_stack_of_another_thread(_scene: Scene, node: Any) -> Iterator[None]:
    began, ends = threading.Event(), threading.Event()

    def work(one: Any) -> None:
        began.set()
        ends.wait()

    thread = threading.Thread(target=work, args=(node,))
    thread.start()
    del node
    began.wait()
    yield
    ends.set()
    thread.join()


@holder
def a_value_of_another_thread_s_own(_scene: Scene, node: Any) -> Iterator[None]:
    began, ends, local = threading.Event(), threading.Event(), threading.local()

    def work(kept: list[Any]) -> None:
        local.kept = kept.pop()
        began.set()
        ends.wait()

    thread = threading.Thread(target=work, args=([node],))
    thread.start()
    del node
    began.wait()
    yield
    ends.set()
    thread.join()


@holder
def a_cycle_of_python_objects(_scene: Scene, node: Any) -> Iterator[None]:
    ring: list[Any] = [node]
    ring.append(ring)
    del node
    yield


# In the vat.


@holder
def an_object_that_is_not_exported(scene: Scene, node: Any) -> Iterator[None]:
    node = Node(next=node)
    scene.vat.reference(node)
    yield


@holder
def an_object_that_no_vat_owns(_scene: Scene, node: Any) -> Iterator[None]:
    node = Node(next=node)
    yield


@holder
def a_rooted_object_by_its_reference(scene: Scene, node: Any) -> Iterator[None]:
    node = Node(any=(scene.vat.reference(node, Node),))
    scene.vat.reference(node)
    yield


@holder
def a_sturdyref(scene: Scene, node: Any) -> Iterator[None]:
    sturdyref = scene.here.mint(node)
    del node
    yield
    scene.here.peer.registry.revoke(sturdyref.swiss)


@holder
def a_message_that_has_not_left(scene: Scene, node: Any) -> Iterator[None]:
    ref = scene.vat.reference(node)
    ref.name.only()
    del node, ref
    yield
    scene.net.rest()


@holder
def an_argument_of_a_message_that_has_not_left(scene: Scene, node: Any) -> Iterator[None]:
    other = scene.vat.reference(Node())
    E(other).take.only((node,))
    E(other).take.only(None)
    del node
    yield
    scene.net.rest()


@holder
def a_message_that_waits_for_its_turn(scene: Scene, node: Any) -> Iterator[None]:
    other = scene.vat.reference(Node())
    E(other).take.only((node,))
    E(other).take.only(None)
    scene.here.peer.run(0)
    assert scene.vat.has_work
    del node
    yield
    scene.net.rest()


@holder
def a_message_to_a_promise(scene: Scene, node: Any) -> Iterator[None]:
    promise, resolver = scene.vat.promise()
    E(promise).take.only(node)
    del node, promise
    scene.net.rest()
    yield
    resolver.break_(captp.Refused("no"))
    scene.net.rest()


@holder
def a_message_to_an_object_that_is_busy(scene: Scene, node: Any) -> Iterator[None]:
    promise, resolver = scene.vat.promise()
    other = scene.vat.reference(Node())
    result = E(other).wait(promise)
    scene.net.rest()
    E(other).take.only(node)
    E(other).take.only(None)
    del node
    scene.net.rest()
    yield
    resolver.fulfill(None)
    scene.net.rest()
    outcome(result)


@holder
def a_fiber_of_its_own(scene: Scene, node: Any) -> Iterator[None]:
    promise, resolver = scene.vat.promise()
    result = E(scene.vat.reference(node)).wait(promise)
    del node
    scene.net.rest()
    yield
    resolver.fulfill(None)
    scene.net.rest()
    outcome(result)


@holder
def a_fiber_of_its_own_that_lets_others_in(scene: Scene, node: Any) -> Iterator[None]:
    promise, resolver = scene.vat.promise()
    result = E(scene.vat.reference(node)).wait_open(promise)
    del node
    scene.net.rest()
    yield
    resolver.fulfill(None)
    scene.net.rest()
    outcome(result)


@holder
def a_variable_of_a_fiber(scene: Scene, node: Any) -> Iterator[None]:
    promise, resolver = scene.vat.promise()
    result = E(scene.vat.reference(Node())).wait_with(node, promise)
    del node
    scene.net.rest()
    yield
    resolver.fulfill(None)
    scene.net.rest()
    outcome(result)


@holder
def a_settled_promise(scene: Scene, node: Any) -> Iterator[None]:
    promise, resolver = scene.vat.promise()
    resolver.fulfill(scene.vat.reference(node))
    node = promise
    del promise, resolver
    scene.net.rest()
    yield


@holder
def a_promise_that_is_not_settled_yet(scene: Scene, node: Any) -> Iterator[None]:
    promise, resolver = scene.vat.promise()
    resolver.fulfill((node,))
    del node, promise, resolver
    yield
    scene.net.rest()


@holder
def a_reference_that_was_lent(scene: Scene, node: Any) -> Iterator[None]:
    node = captp.lend(scene.vat.reference(node))
    yield


@holder
def a_handle_of_a_trustee(scene: Scene, node: Any) -> Iterator[None]:
    node = entrust(scene.vat, node, poisons=False)
    yield
    del node
    scene.vat.let_go.clear()


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
    promise, resolver = scene.vat.promise()
    (node,) = [o for o in scene.vat.heap.objects() if getattr(o, "label", "") == "n"]
    result = E(scene.vat.reference(Node(label="waits"))).wait_with(node, promise)
    del node
    scene.net.rest()

    assert scene.look() == ({"m"}, {"y": {"m"}})
    resolver.fulfill(None)
    scene.net.rest()
    outcome(result)
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
