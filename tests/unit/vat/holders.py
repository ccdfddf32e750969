"""All the ways to hold an object that are neither an export nor state, each a generator that does."""

from __future__ import annotations

import contextvars
import ctypes
import functools
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import captp
from captp.model.send import E
from captp.vat.delegation import entrust
from tests.unit.vat.traced import Node, Scene

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
    other = scene.vat.reference(Node())
    end = scene.waiting(E(other).wait)
    E(other).take.only(node)
    E(other).take.only(None)
    del node
    scene.net.rest()
    yield
    end()


@holder
def a_fiber_of_its_own(scene: Scene, node: Any) -> Iterator[None]:
    end = scene.waiting(E(scene.vat.reference(node)).wait)
    del node
    yield
    end()


@holder
def a_fiber_of_its_own_that_lets_others_in(scene: Scene, node: Any) -> Iterator[None]:
    end = scene.waiting(E(scene.vat.reference(node)).wait_open)
    del node
    yield
    end()


@holder
def a_variable_of_a_fiber(scene: Scene, node: Any) -> Iterator[None]:
    end = scene.waiting(E(scene.vat.reference(Node())).wait_with, node)
    del node
    yield
    end()


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
