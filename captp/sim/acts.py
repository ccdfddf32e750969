"""What the program of a node does: fetch, call, select, settle, wait, drop. One function per step.

A step takes the world and plain arguments; it returns False when its subject is not there, so that a
run with steps cut out of it is still a run.
"""

from __future__ import annotations

from typing import Any

from captp.errors import Broken
from captp.model.interface import as_promise
from captp.model.promise import FULFILLED, PENDING, Promise, Reference, add_waiter, untag
from captp.model.ref import Ref
from captp.model.send import E
from captp.sim.shadow import Target
from captp.sim.things import Thing
from captp.sim.world import Handle, Node, World
from captp.vat.effects import Watch

#: Methods of Thing that take a second reference.
PASSING = ("call", "give_back", "keep", "wait", "chase", "befriend")

#: Those of them that send on it, await it and send on what it gave.
CHASING = ("chase", "befriend")

#: Messages that ``chase`` and ``befriend`` send, with numbers that follow its own.
CHASERS = 5


def fetch(world: World, node: int, other: int, hid: int) -> bool:
    """Enliven the sturdyref of a node's root."""
    me, them = world.nodes[node], world.nodes[other]
    ref = me.peer.enliven(them.sturdyref, Thing)
    me.handles[hid] = Handle(ref, world.shadow.lineage(), Target(), is_sure=True)
    return True


def send(world: World, node: int, mid: int, hid: int, method: str, argument: int = 0) -> bool:
    """Call a method of what a handle stands for; the result is a new handle called ``mid``."""
    me = world.nodes[node]
    handle, passed = me.handles.get(hid), me.handles.get(argument)
    if handle is None or (method in PASSING and passed is None) or world.shadow.knows(mid):
        return False
    target = handle.target or Target()
    world.shadow.send(mid, handle.lineage, target)
    result = Handle(None, world.shadow.lineage(), None, mid=mid)
    result.is_sure = handle.is_sure and handle.target is not None
    # A promise of an unknown kind has no methods of its own.
    sender = handle.ref if hasattr(handle.ref, "ping") else E(handle.ref)
    if method == "only":
        sender.ping.only(mid)
        return True
    verb = getattr(sender, method)
    if passed is not None and method in PASSING:
        result.ref = _send_passing(world, verb, mid, method, passed, result)
    else:
        result.ref = verb(mid, extra=5) if method == "named" else verb(mid)
    if method in ("ping", "nap", "put"):
        result.value = mid
    elif method == "named":
        result.value = mid + 5
    elif method in ("data", "tagged"):
        result.inside = mid
    elif method == "me":
        result.target = target
    elif method == "make":
        result.target = Target(f"made{mid}")
    elif method == "fail":
        result.is_sure = False
    elif method == "later":
        result.target, result.is_sure = Target(), False
        world.promised[mid] = result.target
    me.handles[mid] = result
    return True


def _send_passing(
    world: World, verb: Any, mid: int, method: str, passed: Handle, result: Handle
) -> Promise[Any]:
    result.is_sure = result.is_sure and passed.is_sure
    if method == "call":
        inner = mid + 1
        world.shadow.send(inner, world.shadow.lineage(), passed.target or Target())
        result.value = inner
        result.is_sure = result.is_sure and passed.target is not None
        return verb(mid, passed.ref, inner)  # type: ignore[no-any-return]
    if method in CHASING:
        lineage = world.shadow.lineage()
        for inner in range(mid + 1, mid + 1 + CHASERS):
            world.shadow.send(inner, lineage, passed.target or Target())
        result.value, result.is_sure = mid, False
        return verb(mid, passed.ref, mid + 1)  # type: ignore[no-any-return]
    if method == "give_back":
        result.target, result.value, result.inside = passed.target, passed.value, passed.inside
    elif method == "wait":
        result.value = mid
    return verb(mid, passed.ref)  # type: ignore[no-any-return]


def select(world: World, node: int, mid: int, hid: int, op: str) -> bool:
    """Take a step into the data that a promise stands for."""
    me = world.nodes[node]
    handle = me.handles.get(hid)
    if handle is None or not isinstance(handle.ref, Promise) or mid in me.handles:
        return False
    promise = handle.ref
    if op == "untag":
        made = untag(promise, "t")
    elif op == "get":
        made = promise["a"]
    else:
        made = promise["list"][0]
    me.handles[mid] = Handle(made, world.shadow.lineage(), None, value=handle.inside)
    return True


def promise(world: World, node: int, hid: int) -> bool:
    """Make a local promise that a later step settles."""
    me = world.nodes[node]
    made, me.resolvers[hid] = me.peer.vat.promise()
    world.promised[hid] = Target()
    me.handles[hid] = Handle(as_promise(made, Thing), world.shadow.lineage(), world.promised[hid])
    return True


def settle(world: World, node: int, hid: int, how: str, other: int = 0) -> bool:
    """Settle a promise made here: break it, or fulfil it with data, the root or what a handle stands for.

    For ``handle`` only one that is itself settled will do: two promises and a latched object could wait
    in a ring. ``follow`` takes any; whoever says so sees to it that there is no ring.
    """
    me = world.nodes[node]
    if hid not in me.resolvers or (how == "handle" and not is_settled(me, other)):
        return False
    if how == "follow" and other not in me.handles:
        return False
    resolver, target = me.resolvers.pop(hid), world.promised[hid]
    if how == "break":
        resolver.break_(Broken("broken on purpose"))
    elif how == "data":
        resolver.fulfill({"a": hid})
    elif how in ("handle", "follow"):
        handle = me.handles[other]
        if handle.target is not None:
            target.join(handle.target)
        resolver.fulfill(handle.ref)
    else:
        target.is_named(me.root.name)
        resolver.fulfill(me.peer.vat.reference(me.root, Thing))
    return True


def is_settled(node: Node, hid: int) -> bool:
    """Whether a handle stands for something that is there already."""
    handle = node.handles.get(hid)
    return handle is not None and (not isinstance(handle.ref, Promise) or handle.ref._state != PENDING)


def want(world: World, node: int, hid: int) -> bool:
    """Wait for a handle's promise, as a task would."""
    handle = world.nodes[node].handles.get(hid)
    if handle is None or not isinstance(handle.ref, Promise):
        return False
    world.nodes[node].peer.vat.want(handle.ref)
    return True


def park(world: World, node: int, hid: int) -> bool:
    """Wait for a handle's promise, and be heard of where nobody could ask for its result yet."""
    handle = world.nodes[node].handles.get(hid)
    if handle is None or not isinstance(handle.ref, Promise) or handle.ref._state != PENDING:
        return False
    world.nodes[node].peer.vat.want(handle.ref)
    add_waiter(handle.ref, object())
    return True


def watch(world: World, node: int, hid: int) -> bool:
    """Ask to hear when what a handle stands for is broken."""
    me = world.nodes[node]
    handle = me.handles.get(hid)
    if handle is None or not isinstance(handle.ref, Ref):
        return False
    heard: Promise[Any] = Promise(me.peer.vat)
    me.peer.vat.emit(Watch(heard, handle.ref))
    me.watchers.append((handle, heard))
    return True


def take(world: World, node: int, hid: int) -> bool:
    """Replace a settled promise by what awaiting it gives: the same lineage goes on."""
    handle = world.nodes[node].handles.get(hid)
    if handle is None or not isinstance(handle.ref, Promise) or handle.ref._state != FULFILLED:
        return False
    if not isinstance(handle.ref._value, Reference):
        return False
    handle.ref = handle.ref._value
    return True


def hold(world: World, node: int, hid: int, other: int) -> bool:
    """Hold, beside a settled promise, what awaiting it gives: both are one lineage."""
    me = world.nodes[node]
    handle = me.handles.get(other)
    if handle is None or hid in me.handles or not isinstance(handle.ref, Promise):
        return False
    if handle.ref._state != FULFILLED or not isinstance(handle.ref._value, Reference):
        return False
    me.handles[hid] = Handle(handle.ref._value, handle.lineage, handle.target, is_sure=handle.is_sure)
    return True


def find(world: World, node: int, hid: int) -> bool:
    """Hold what the root of a node was given to keep last."""
    me = world.nodes[node]
    if not me.root.kept or hid in me.handles:
        return False
    me.handles[hid] = Handle(me.root.kept[-1], world.shadow.lineage(), Target())
    return True


def drop(world: World, node: int, hid: int) -> bool:
    """Let go of a handle."""
    return world.nodes[node].handles.pop(hid, None) is not None
