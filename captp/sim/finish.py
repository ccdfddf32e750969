"""Brings a world to rest and asks what must be true then: all settled, all counts equal, nothing left."""

from __future__ import annotations

import gc
import math
from typing import Any

from captp.custody.data import Data
from captp.errors import Disconnected, HandoffFailed, RemoteFault
from captp.model.promise import FULFILLED, PENDING, Promise
from captp.model.ref import Far, Ref
from captp.model.values import FrozenMap
from captp.sim import acts, faults
from captp.sim.shadow import Violation
from captp.sim.things import rows
from captp.sim.world import Handle, Node, World

#: Rounds of "run everything, move everything, let time pass" that a world gets to come to rest.
PATIENCE = 400

#: Rounds without any news after which a world rests that has no dial and no timer due.
QUIET = 1

#: How a result may break when a connection was lost on its way.
LOST = Disconnected | RemoteFault | HandoffFailed


def finish(world: World) -> None:
    """Settle everything, check what came of it, let go of everything, check that nothing is left."""
    for rogue in world.rogues:
        for node in world.nodes:
            rogue.hang_up(node.index)
    for link in world.links:
        faults.heal(world, link.number)
    # A promise that the world settles may be born of a message that waits for another one.
    _come_to_rest(world)
    while any(node.resolvers for node in world.nodes):
        for node in world.nodes:
            for hid in list(node.resolvers):
                acts.settle(world, node.index, hid, "root")
        _come_to_rest(world)
    for node in world.nodes:
        for hid in list(node.handles):
            acts.want(world, node.index, hid)
    _come_to_rest(world)
    for node in world.nodes:
        _check_node(world, node)
    _let_go(world)
    _check_counts(world)
    _check_empty(world)


def _come_to_rest(world: World) -> None:
    quiet = 0
    for _ in range(PATIENCE):
        news = False
        for node in world.nodes:
            for conn in list(node.dials):
                news |= world.connect(node.index, conn)
            news |= world.run(node.index, 1_000)
        for link in world.links:
            for side in (0, 1):
                while world.move(link.number, side, 100_000):
                    news = True
        quiet = 0 if news else quiet + 1
        due = any(node.peer.wake_at() is not None for node in world.nodes)
        if quiet > QUIET and not due:
            return
        if not news:
            world.tick(1_000)
    raise Violation("the world did not come to rest")


def _check_node(world: World, node: Node) -> None:
    for hid, handle in node.handles.items():
        _check_result(world, node, hid, handle)
    for handle, heard in node.watchers:
        anchor = handle.ref._anchor if isinstance(handle.ref, Ref) else None
        is_broken = type(anchor) is Far and anchor.broken is not None
        if is_broken != (heard._state == FULFILLED):
            raise Violation(f"node {node.index}: a watcher of {handle.ref!r} has heard {heard!r}")


def _check_result(world: World, node: Node, hid: int, handle: Handle) -> None:
    promise = handle.ref
    if not isinstance(promise, Promise):
        return
    if promise._state == PENDING:
        raise Violation(f"node {node.index}: the result of {hid} never came")
    if promise._state == FULFILLED:
        if isinstance(promise._value, int) and handle.value not in (None, promise._value):
            raise Violation(f"node {node.index}: {hid} gave {promise._value}, not {handle.value}")
        if type(promise._value) is FrozenMap and "table" in promise._value:
            _check_table(node, hid, promise._value)
        if handle.mid is not None and not world.shadow.has_arrived(handle.mid):
            raise Violation(f"node {node.index}: {hid} has a result but never arrived")
    elif handle.is_sure and not (world.losses and isinstance(promise._value, LOST)):
        raise Violation(f"node {node.index}: {hid} broke with {promise._value!r}")


def _check_table(node: Node, hid: int, result: FrozenMap) -> None:
    found = result["table"]
    # Peers that do not know it by its hash get what is in it.
    value = found.project() if isinstance(found, Data) else found
    if value != rows(result["a"]):
        raise Violation(f"node {node.index}: the table of {hid} is {value}, not {rows(result['a'])}")


def _let_go(world: World) -> None:
    for node in world.nodes:
        node.handles.clear()
        node.resolvers.clear()
        node.watchers.clear()
        # A gift whose receiver is gone is kept for longer than a world lasts.
        if node.peer.exporter.expire(math.inf):
            raise Violation(f"node {node.index}: a withdrawal waits although all is at rest")
    gc.collect()
    for node in world.nodes:
        _forget_all(node)
    # What is released on one host may be the last that held something on another.
    for _ in world.nodes:
        _come_to_rest(world)
        gc.collect()


def _forget_all(node: Node) -> None:
    for obj in node.peer.vat.heap.objects():
        reference: Any = node.peer.vat.reference(obj)
        reference.forget.only(0)


def _check_counts(world: World) -> None:
    for link in world.links:
        found = [world.nodes[e.node].peer.router.links.get(e.conn) for e in link.ends if e.is_open]
        tables = [f.session.tables for f in found if f is not None and f.session.is_open]
        if len(tables) != 2:
            continue
        for mine, theirs in (tables, reversed(tables)):
            held = {p: e.wire for p, e in mine.exports.items() if p}
            known = {p: e.wire for p, e in theirs.imports.items()}
            if held != known:
                raise Violation(f"counts differ on link {link.number}: {held} and {known}")
            if mine.frozen.sent.keys() != theirs.frozen.known.keys():
                raise Violation(f"frozen values differ on link {link.number}")


def _check_empty(world: World) -> None:
    for node in world.nodes:
        peer = node.peer
        left = [
            f"{name} {lines}"
            for link in peer.router.links.values()
            for name, lines in link.session.dump().items()
            if name != "state" and [line for line in lines if "bootstrap" not in line]
        ]
        names = [o.name for o in peer.vat.heap.objects() if o is not node.root]  # type: ignore[attr-defined]
        fibers = [repr(f) for f in peer.vat.turns.fibers]
        if left or names or fibers or peer.timers.waiting:
            raise Violation(f"node {node.index} keeps {left} {names} {fibers} {peer.timers.waiting}")
