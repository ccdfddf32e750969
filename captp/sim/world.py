"""A few real peers, the links between them and a virtual clock; nothing moves unless a step says so.

This file is the network and the driver. What actors do is in acts.py, what goes wrong in faults.py.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from attrs import define, field

from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.promise import Promise, Resolver
from captp.peer.outputs import Dial, Hangup, Trace, Write
from captp.peer.peer import Peer
from captp.session.handshake import Channel
from captp.sim.link import End, Link
from captp.sim.rogue import ROGUE_MIDS, Rogue, Wire
from captp.sim.shadow import Shadow, Target, Violation
from captp.sim.things import Actor
from captp.sim.wire import Listener

TRANSPORT = "sim"

#: One table is known by its hash, where there are five, so that others are forgotten.
LIMITS = Limits(frozen_values=1)

#: Kinds of nodes by the hints in their locators: one that speaks natively when it is dialled, one that
#: speaks Syrup, and a client, which says nowhere where it is, so that nobody is introduced to it.
KINDS = {"n": {"exts": "mp1", "node": "here"}, "s": {"node": "here"}, "c": {"exts": "mp1"}}

#: Ways a session may end here; any other says that one of two honest peers misbehaved.
HONEST_ENDS = {
    "disconnected",
    "crossed-hello",
    "duplicate-session",
    "peer-lost",
    "too-slow",
    "handshake-timeout",
    "aborted",
}


@define(eq=False)
class Handle:
    """A reference that the program of one node holds, and what the oracle knows of it."""

    ref: Any
    lineage: int
    #: The object it leads to, as far as it is one.
    target: Target | None
    #: What the value is to be, for results that are numbers; the number in it, for results with one.
    value: int | None = None
    inside: int | None = None
    #: Whether only a lost connection can break it.
    is_sure: bool = False
    #: The message whose result it is.
    mid: int | None = None


@define(eq=False)
class Node:
    """One vat of the world and what its program holds."""

    index: int
    peer: Peer
    root: Actor
    sturdyref: SturdyRef
    handles: dict[int, Handle] = field(factory=dict)
    resolvers: dict[int, Resolver] = field(factory=dict)
    watchers: list[tuple[Handle, Promise[Any]]] = field(factory=list)
    ends: dict[ConnId, tuple[Link, End]] = field(factory=dict)
    dials: dict[ConnId, PeerLocator] = field(factory=dict)
    rogues: dict[ConnId, tuple[Rogue, Wire]] = field(factory=dict)

    @property
    def has_work(self) -> bool:
        """Whether a run of the engine would do something."""
        peer = self.peer
        return peer.vat.has_work or bool(peer.touched or peer.outputs or peer.vat.settling.woken)


class World:
    """Nodes, links, the clock and the oracle."""

    def __init__(self, seed: int, kinds: str) -> None:
        """``kinds`` has one letter per node; see KINDS."""
        self.now = 0.0
        self.kinds = kinds
        self.transport = TRANSPORT
        self.shadow = Shadow()
        self.links: list[Link] = []
        self.ops: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        #: How often a connection was lost: from then on a reference may break through nobody's mistake.
        self.losses = 0
        #: Everything that is written on any link, in order: two runs of one seed agree on it.
        self.trace = hashlib.sha256()
        #: Promises that steps settle: the object each will turn out to be.
        self.promised: dict[int, Target] = {}
        self._listeners: dict[End, Listener] = {}
        self._seed = seed
        self.rogues = [Rogue(self, name, self._bytes(name, 32)) for name in ("one", "two", "three")]
        self.nodes = [self._make_node(index, 0) for index in range(len(kinds))]

    def _make_node(self, index: int, life: int) -> Node:
        counter = iter(range(1 << 62))

        def entropy(size: int) -> bytes:
            material = f"{self._seed}/{index}/{life}/{next(counter)}".encode()
            return hashlib.shake_128(material).digest(size)

        # What outlives a crash: the key and the sturdyref.
        lasting = hashlib.shake_128(f"{self._seed}/{index}".encode()).digest(64)
        peer = Peer(key=PrivateKey.from_seed(lasting[:32]), entropy=entropy, limits=LIMITS)
        peer.now = self.now
        peer.locations[TRANSPORT] = PeerLocator.make(TRANSPORT, peer.designator, KINDS[self.kinds[index]])
        root = Actor(f"root{index}/{life}", NodeWitness(self, index))
        sturdyref = peer.mint(root, TRANSPORT, label="root", swiss=lasting[32:])
        return Node(index, peer, root, sturdyref)

    def _bytes(self, name: str, size: int) -> bytes:
        return hashlib.shake_128(f"{self._seed}/{name}".encode()).digest(size)

    def replace(self, node: Node, life: int) -> None:
        """Put a node with nothing but its key and its sturdyref in the place of another."""
        for _, wire in node.rogues.values():
            wire.is_open = False
        self.nodes[node.index] = self._make_node(node.index, life)

    def lose(self) -> None:
        """Note that what is under way now may be lost, or come when its sender has given it up."""
        self.losses += 1
        self.shadow.tear()

    # The driver of one node.

    def run(self, node: int, budget: int) -> bool:
        """Run a node's engine and carry out what it drained."""
        me = self.nodes[node]
        if not me.has_work:
            return False
        me.peer.now = self.now
        token = CURRENT_VAT.set(me.peer.vat)
        try:
            me.peer.run(budget)
        finally:
            CURRENT_VAT.reset(token)
        for output in me.peer.drain().outputs:
            if type(output) is Write:
                self._write(me, output)
            elif type(output) is Dial:
                me.dials[output.conn] = output.locator
            elif type(output) is Hangup:
                if output.reason.startswith(("handshake-timeout", "peer-lost", "too-slow")):
                    self.lose()
                pair = me.ends.pop(output.conn, None)
                if pair is not None:
                    pair[0].hang_up(pair[1])
                elif output.conn in me.rogues:
                    me.rogues[output.conn][1].is_open = False
            elif type(output) is Trace:
                _check_trace(me, output)
        me.peer.check()
        _check_rogues(me)
        return True

    def _write(self, me: Node, output: Write) -> None:
        self.trace.update(b"%d/%d:" % (me.index, output.conn) + output.data)
        if output.conn in me.rogues:
            me.rogues[output.conn][1].hear(output.data)
        pair = me.ends.get(output.conn)
        if pair is None:
            return
        link, end = pair
        link.write(end, output.data)
        self._listeners[end].hear(output.data, self.ops)

    def tick(self, milliseconds: int) -> bool:
        """Let virtual time pass."""
        self.now += milliseconds / 1000
        for node in self.nodes:
            node.peer.tick(self.now)
        return True

    # The network.

    def connect(self, node: int, conn: int) -> bool:
        """Let a dial succeed."""
        me = self.nodes[node]
        locator = me.dials.pop(ConnId(conn), None)
        if locator is None:
            return False
        other = next(n for n in self.nodes if n.peer.designator == locator.designator)
        theirs = other.peer.router.new_conn()
        ways = [(link.ends[0].node, link.ends[1].node) for link in self.links if link.is_up]
        self.faults["crossed dial"] += (other.index, node) in ways
        link = Link(len(self.links), (End(node, ConnId(conn)), End(other.index, theirs)))
        self.links.append(link)
        me.ends[ConnId(conn)] = (link, link.ends[0])
        other.ends[theirs] = (link, link.ends[1])
        for end in link.ends:
            self._listeners[end] = Listener(native=locator.hint("exts") is not None)
        keys = [n.peer.key.public.raw for n in (me, other)]
        me.peer.connected(ConnId(conn), Channel(keys[1], b"", TRANSPORT), self.now, locator)
        other.peer.connected(theirs, Channel(keys[0], b"", TRANSPORT), self.now)
        return True

    def move(self, number: int, side: int, size: int) -> bool:
        """Bring bytes to one end of a link, or the news that there will be no more."""
        link = self.links[number]
        end = link.ends[side]
        if not end.has_news or link.is_stalled:
            return False
        me = self.nodes[end.node]
        if end.inbox:
            data = bytes(end.inbox[:size])
            del end.inbox[:size]
            me.peer.received(end.conn, data, self.now)
        else:
            self.lose()
            end.is_open = False
            link.other(end).is_last = True
            me.ends.pop(end.conn, None)
            me.peer.disconnected(end.conn, "the other end is gone", self.now)
        return True


def _check_trace(me: Node, trace: Trace) -> None:
    if trace.fields.get("conn") in me.rogues and trace.error is None:
        return
    if trace.event == "session ended" and trace.fields["code"] not in HONEST_ENDS:
        raise Violation(f"node {me.index} ended an honest session: {trace.fields}")
    if trace.error is not None:
        raise Violation(f"node {me.index}: {trace.fields} {trace.error!r}") from trace.error


def _check_rogues(me: Node) -> None:
    """Raise Violation when a session is up under a name that the network did not prove."""
    for conn, (rogue, _) in me.rogues.items():
        link = me.peer.router.links.get(conn)
        if link is None or not link.session.is_open:
            continue
        assert link.session.hello is not None
        if link.session.hello.location.designator != rogue.key.public.designator:
            raise Violation(f"node {me.index} took a rogue for somebody else")


class NodeWitness:
    """Tells the oracle what arrives at the objects of one node."""

    def __init__(self, world: World, index: int) -> None:
        self._world = world
        self._index = index

    def arrived(self, target: str, mid: int) -> None:
        """Note that a message has arrived."""
        if mid < 0 or mid >= ROGUE_MIDS:
            own = target.startswith("made") and int(target.removeprefix("made")) >= ROGUE_MIDS
            if not own and not target.startswith("root0/"):
                raise Violation(f"a rogue has reached {target}")
            return
        self._world.shadow.arrive(mid, target)

    def promise_for(self, mid: int) -> Promise[Any]:
        """Return a promise that a step settles later."""
        node = self._world.nodes[self._index]
        promise, node.resolvers[mid] = node.peer.vat.promise()
        return promise
