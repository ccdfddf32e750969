"""A peer that breaks the rules: hellos it has no right to, operations nobody asked for, plain noise.

It holds a key of its own, which the network proves, and the sturdyref of the first node's root: all it may
reach is that root and what it makes of it. What it says arrives at once, and so does every answer.
"""

from __future__ import annotations

from random import Random
from typing import Any

from attrs import define, field

from captp.errors import RemoteProtocolError
from captp.limits import Limits
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey, PublicKey, session_id, side_id
from captp.model.locator import PeerLocator
from captp.model.values import FrozenMap, Symbol, Tagged
from captp.session.handshake import Channel, make_hello
from captp.sim.names import Names
from captp.wire.dialect import SyrupCodec
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import (
    ABORT,
    BREAK,
    CALL,
    DELIVER,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    LISTEN,
    RESOLVE,
    START,
    UNTAG,
    Desc,
    Kind,
    Op,
)

#: Numbers of messages from here on are a rogue's: what they arrive at, it must have been given.
ROGUE_MIDS = 1_000_000_000

#: Ways to open a connection.
HOWS = ("native", "native", "native", "syrup", "impostor", "forged", "early", "twice", "noise")

METHODS = ("ping", "ping", "me", "make", "give_back", "keep", "call", "data", "fail", "nap", "wait", "nope",
           "__class__", "_home", "fetch", "deposit-gift", "withdraw-gift", "captp:ping")  # fmt: skip


@define(eq=False)
class Wire:
    """One connection of a rogue's: what it has said there, and what it has heard."""

    conn: ConnId
    key: PrivateKey
    codec: Any
    heard: list[Op] = field(factory=list)
    is_open: bool = True
    is_deaf: bool = False
    #: The key of the other side, once it has said hello.
    theirs: PublicKey | None = None
    _answers: int = 0

    def hear(self, data: bytes) -> None:
        """Read what the node has written."""
        if self.is_deaf:
            return
        try:
            for op in self.codec.feed(data):
                self.heard.append(op)
                if op[0] == START:
                    self.theirs = PublicKey.parse(op[2])
        except RemoteProtocolError:
            # What was noise may have made the node speak the other language.
            self.is_deaf = True

    def answer(self) -> int:
        """Return an answer position that was never used."""
        self._answers += 1
        return self._answers

    @property
    def side(self) -> bytes:
        """The id of the rogue's side."""
        return side_id(self.key.public.raw)

    @property
    def session(self) -> bytes:
        """The id of the session."""
        assert self.theirs is not None
        return session_id(self.side, side_id(self.theirs.raw))

    def given(self) -> list[int]:
        """Return the positions of what it was given here."""
        found: list[int] = []
        work: list[Any] = list(self.heard)
        while work:
            value = work.pop()
            if type(value) is Desc and value.kind in (Kind.IMPORT_OBJECT, Kind.IMPORT_PROMISE):
                found.append(value.position)
            elif isinstance(value, tuple):
                work += value
            elif isinstance(value, FrozenMap):
                work += value.values()
        return sorted(set(found))


class Rogue:
    """One identity, and its connection to each node, as far as there is one."""

    def __init__(self, world: Any, name: str, seed: bytes) -> None:
        self.world = world
        self.name = name
        self.key = PrivateKey.from_seed(seed)
        self.wires: dict[int, Wire] = {}
        self._mids = ROGUE_MIDS

    def mid(self) -> int:
        """Return a number for a message of its own."""
        self._mids += 2
        return self._mids

    def dial(self, node: int, how: str, seed: int) -> Wire | None:
        """Connect to a node and say hello, in one of many ways; None when there is a connection."""
        old = self.wires.get(node)
        if old is not None and old.is_open:
            return None
        me = self.world.nodes[node]
        native = how != "syrup"
        codec = NativeCodec(Names(), Limits()) if native else SyrupCodec(Names(), Limits(), None)
        draw = Random(seed)
        wire = Wire(me.peer.router.new_conn(), PrivateKey.from_seed(draw.randbytes(32)), codec)
        self.wires[node] = wire
        me.rogues[wire.conn] = (self, wire)
        channel = Channel(self.key.public.raw, b"", self.world.transport)
        me.peer.connected(wire.conn, channel, self.world.now)
        prefix = PREAMBLE if native else b""
        if how == "noise":
            self.say(node, prefix[: draw.randrange(len(prefix) + 1)] + draw.randbytes(draw.randrange(1, 60)))
            return wire
        name = self.key.public.designator
        if how == "impostor":
            name = draw.choice([n.peer.designator for n in self.world.nodes])
        place = PeerLocator.make(self.world.transport, name, {"exts": "mp1", "node": "here"})
        extensions = ("mp1",) if native else None
        signer = PrivateKey.from_seed(draw.randbytes(32)) if how == "forged" else wire.key
        hello = make_hello(signer, place, extensions, channel)
        if how == "forged":
            hello = (*hello[:2], wire.key.public.raw, *hello[3:])
        ops = [hello]
        if how == "early":
            ops = [(CALL, 0, "captp:ping", (), 1, True), hello]
        elif how == "twice":
            ops = [hello, hello]
        self.say(node, prefix + codec.frame([codec.encode(op) for op in ops]))
        return wire

    def say(self, node: int, data: bytes) -> None:
        """Let a node hear bytes."""
        wire = self.wires[node]
        if wire.is_open:
            self.world.nodes[node].peer.received(wire.conn, data, self.world.now)

    def send(self, node: int, *ops: Op) -> None:
        """Let a node hear operations."""
        codec = self.wires[node].codec
        self.say(node, codec.frame([codec.encode(op) for op in ops]))

    def ask(self, node: int, method: str, *args: Any) -> Op | None:
        """Call a method of a node's bootstrap, natively; return the result if it comes at once."""
        wire = self.wires[node]
        position = wire.answer()
        self.send(node, (CALL, 0, method, args, position, True))
        self.world.run(node, 1_000)
        return next((op for op in wire.heard if op[0] in (RESOLVE, BREAK) and op[1] == position), None)

    def hang_up(self, node: int) -> None:
        """Close the connection to a node."""
        wire = self.wires.get(node)
        if wire is not None and wire.is_open:
            wire.is_open = False
            self.world.nodes[node].peer.disconnected(wire.conn, "the rogue has left", self.world.now)

    def noise(self, node: int, seed: int) -> None:
        """Say a message with a few of its bytes changed, or cut."""
        wire, draw = self.wires[node], Random(seed)
        # None that an object would answer: a changed byte must not make the number of an honest message.
        ops = [self._operation(wire, draw, methods=("nope", "fetch", "captp:ping")) for _ in range(3)]
        data = bytearray(wire.codec.frame([wire.codec.encode(op) for op in ops]))
        for _ in range(draw.randrange(1, 4)):
            if data:
                data[draw.randrange(len(data))] = draw.randrange(256)
        self.say(node, bytes(data[: draw.randrange(len(data) + 1)] if draw.random() < 0.3 else data))

    def babble(self, node: int, seed: int) -> None:
        """Say a few operations, well-formed and mostly out of place."""
        wire, draw = self.wires[node], Random(seed)
        for _ in range(draw.randrange(1, 6)):
            self.send(node, self._operation(wire, draw))

    def fetch(self, node: int) -> Op | None:
        """Fetch the one root whose sturdyref it has."""
        return self.ask(node, "fetch", self.world.nodes[0].sturdyref.swiss)

    def _operation(self, wire: Wire, draw: Random, methods: tuple[str, ...] = METHODS) -> Op:
        if isinstance(wire.codec, SyrupCodec):
            return self._syrup(wire, draw, methods)
        given = wire.given()
        to = draw.choice([0, *given, *given, *given, draw.randrange(-5, 9)])
        position = draw.choice([wire.answer(), wire.answer(), False, draw.randrange(9)])
        args = tuple([self._value(wire, draw) for _ in range(draw.choice((0, 1, 1, 2, 2, 3)))])
        if draw.random() < 0.8:
            args = (self.mid(), *args)
        wanted = position is not False and draw.random() < 0.8
        kind = draw.choice([CALL] * 12 + [DELIVER, LISTEN, GET, INDEX, UNTAG, GC_EXPORTS, GC_ANSWERS,
                            RESOLVE, BREAK, ABORT])  # fmt: skip
        if kind == CALL:
            return (CALL, to, draw.choice(methods), args, position, wanted)
        target = Desc(draw.choice((Kind.EXPORT, Kind.ANSWER)), abs(to))
        if kind == DELIVER:
            return (DELIVER, target, (Symbol(draw.choice(methods)), *args), position, wanted)
        if kind == LISTEN:
            return (LISTEN, target, draw.choice((True, wire.answer())))
        if kind in (GET, INDEX, UNTAG):
            return (kind, target, 0 if kind == INDEX else "a", wire.answer(), draw.random() < 0.5)
        if kind == GC_EXPORTS:
            return (GC_EXPORTS, (abs(to),), (draw.randrange(1, 3),))
        if kind == GC_ANSWERS:
            return (GC_ANSWERS, (draw.randrange(1, 30),))
        if kind == ABORT:
            return (ABORT, "enough")
        return (kind, draw.randrange(9), self._value(wire, draw))

    def _syrup(self, wire: Wire, draw: Random, methods: tuple[str, ...]) -> Op:
        given = wire.given()
        target = Desc(Kind.EXPORT, draw.choice([0, *given, *given, draw.randrange(9)]))
        resolver = Desc(Kind.IMPORT_OBJECT, draw.randrange(1, 9))
        args = (Symbol(draw.choice(methods)), self.mid(), self._value(wire, draw))
        return (DELIVER, target, args, draw.choice((False, wire.answer())), resolver)

    def _value(self, wire: Wire, draw: Random) -> Any:
        kind = draw.randrange(9)
        if kind < 3:
            return Desc(Kind.IMPORT_OBJECT, draw.randrange(1, 20))
        if kind == 3:
            return Desc(Kind.IMPORT_PROMISE, draw.randrange(21, 40))
        if kind == 4:
            return Desc(Kind.EXPORT, draw.choice(wire.given() or [1]))
        if kind == 5:
            return Desc(Kind.CERTIFICATE, draw.randbytes(40))
        if kind == 6:
            return FrozenMap({"a": draw.randrange(9), "b": ("x", None, 1.5)})
        return draw.choice((None, True, -1, 2**70, "text", b"bytes", (), Tagged("t", 1), Symbol("s")))
