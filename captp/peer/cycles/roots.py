"""A vat's whole graph for people: what leads to what, by numbers alone, and what roots it, in words.

What stands here holds nothing of what it tells of: a reference in it would itself be a root.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from captp.model.object import Object
from captp.model.promise import Message, Promise
from captp.model.ref import Far, Ref, settled
from captp.peer.cycles.ground import Key
from captp.peer.cycles.parts import has_key, references
from captp.peer.cycles.view import kind_of, name_of
from captp.vat.reach import reach
from captp.vat.walk import Walk

if TYPE_CHECKING:
    from captp.peer.cycles.keeper import Keeper
    from captp.peer.router import Link

#: Nodes that are looked at for one question; what is beyond is not known.
LOOKED_AT: Final = 50_000

#: Characters of a designator that are shown.
SHORT: Final = 12

#: What holds something and was not met, if all there is was looked at, and if it was not.
UNKNOWN: Final = "something in this program: a variable, a task, or a container that is no state"
UNSEEN: Final = "something that was not looked at, since the vat is too large"


@frozen
class Step:
    """One thing on the way from a root: its id for people, and its kind."""

    id: str
    type: str


@define(eq=False)
class Graph:
    """What was met, by the number of a node; nodes without a key are containers, references and promises."""

    keys: list[Key | None] = field(factory=list)
    steps: list[Step | None] = field(factory=list)
    #: What leads to each node.
    before: list[list[int]] = field(factory=list)
    #: What keeps each node, in words; that peers hold it is none of it.
    roots: list[list[str]] = field(factory=list)
    by_key: dict[Key, int] = field(factory=dict)
    #: Exports that peers alone keep.
    unrooted: frozenset[Key] = frozenset()
    is_whole: bool = True


def graph_of(keeper: Keeper, first: Key) -> Graph:
    """Look at the whole vat, one thing first; no turn of it may run meanwhile."""
    graph, numbers = _walked(keeper, first)
    found = reach(_anchors(keeper, first), keeper.entries, LOOKED_AT, keeper.key)
    graph.is_whole = graph.is_whole and found.is_whole and not found.fault
    graph.unrooted = frozenset(map(Key, found.unrooted))
    for name, texts in _named(keeper).items():
        if name in numbers:
            graph.roots[numbers[name]] += texts
    for name in found.blocked:
        at = numbers.get(name)
        if at is not None and not graph.roots[at]:
            graph.roots[at].append(UNKNOWN if graph.is_whole else UNSEEN)
    return graph


def _walked(keeper: Keeper, first: Key) -> tuple[Graph, dict[int, int]]:
    """Return the graph without most of its roots, and the number of each node by its ``id()``."""
    walk = Walk(keeper.entries, LOOKED_AT, keeper.key)
    walk.start(_anchors(keeper, first))
    walk.go()
    graph = Graph(is_whole=walk.is_whole)
    for at, node in enumerate(walk.nodes):
        key = _key(keeper, node)
        graph.keys.append(key)
        graph.steps.append(None if key is None else Step(name_of(key), kind_of(node)))
        graph.before.append([])
        graph.roots.append([])
        if key is not None:
            graph.by_key[key] = at
    for at, out in enumerate(walk.edges):
        for to in out:
            graph.before[to].append(at)
    for at in walk.rooted:
        graph.roots[at].append(_busy(walk.nodes[at]))
    return graph, {id(node): at for at, node in enumerate(walk.nodes)}


def _anchors(keeper: Keeper, first: Key) -> Iterator[Any]:
    """Yield all that can have a key; this holds each no longer than whoever takes it needs."""
    anchor = keeper.find(first)
    if anchor is not None:
        yield anchor
    del anchor
    yield from keeper.peer.vat.heap.objects()
    for link in keeper.peer.router.links.values():
        for entry in list(link.session.tables.imports.values()):
            far = entry()
            if type(far) is Far:
                yield far
            del far


def _key(keeper: Keeper, node: Any) -> Key | None:
    if isinstance(node, Object):
        return None if node._entry is None else keeper.key(node)
    return keeper.key(node) if has_key(node) else None


def _busy(node: Any) -> str:
    if isinstance(node, Object):
        return "a call of it that runs" if node._latch is not None else "one unique reference"
    return "a promise that is pending" if isinstance(node, Promise) else "a borrowed or unique reference"


def _named(keeper: Keeper) -> dict[int, list[str]]:
    """Return what is known to hold something, in words, by the ``id()`` of that."""
    found: dict[int, list[str]] = {}
    for text, value in _holders(keeper):
        for ref in references(settled(value) if isinstance(value, Promise) else value):
            # What holds the reference is not to count as something unknown.
            for name in (id(ref), id(ref._anchor)):
                found.setdefault(name, []).append(text)
    return found


def _holders(keeper: Keeper) -> Iterator[tuple[str, Any]]:
    peer = keeper.peer
    for registration in peer.registry.registrations():
        label = registration.label
        yield f"the sturdyref {label}" if label else "a sturdyref without a label", registration.ref
    for gift in peer.exporter.references():
        yield "a gift that nobody has fetched yet", gift
    for link in peer.router.links.values():
        for answer in link.session.tables.answers.values():
            yield f"a result that {peer_of(link)} has not let go of", answer._value
    vat = peer.vat
    for fiber in vat.turns.fibers:
        yield "a call of it that runs", Ref(vat, fiber.obj)
    queues = [source.messages for source in vat.queues.sources]
    for messages in (*queues, vat.waited, vat.ahead, vat.settling.forwarded):
        for message in list(messages):
            if isinstance(message, Message):
                yield "a call that waits for its turn", message


def peer_of(link: Link) -> str:
    """Return who is at the other end of a connection, for people."""
    hello = link.session.hello
    # What nobody has proved is not to be read as a name.
    if hello is None or link.is_anonymous:
        return f"a peer at c{link.conn}"
    return f"{hello.location.designator[:SHORT]}…"
