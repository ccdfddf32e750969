"""One vat, a neighbour who is well-behaved, and a peer who says what bytes decide.

The peer says operations of every kind, in either encoding, most of them well-formed. Whatever it says,
nothing but its own session ends, and of that nothing is left.
"""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import gc
import hashlib
from typing import Any, Final

import captp
from captp.errors import Broken, Unpassable
from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.model.values import Symbol
from captp.peer.outputs import Dial, Hangup, Trace, Write
from captp.peer.peer import Peer
from captp.peer.view import view_of
from captp.session.handshake import Channel, make_hello
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import BREAK, CALL, DELIVER, GC_ANSWERS, RESOLVE, Desc, Kind, Op
from tests.fuzz.choices import Choices
from tests.fuzz.sayings import SWISS, Speaker, say

#: Few, so that one input can pass them.
LIMITS: Final = Limits(answers=24, exports=24, imports=24, promises=12, questions=64, pipeline_queue=8)
CHANNEL: Final = Channel(transport="memory")
BEAT_S: Final = 0.25
#: What a peer can pass to a method, and the method cannot pass on: how its error calls it.
ONE_WAY: Final = ("'captp:kwargs' is reserved",)
#: What one input may say, in turns of the vat: more of the same finds nothing more.
SAYINGS: Final = 64
#: Inputs that one vat is used for.
USES: Final = 200


class Guest(captp.Interface):
    """What the peer may bring along."""

    @captp.method
    def ping(self) -> int: ...

    @captp.method
    def make(self) -> Guest: ...


class Door(captp.Object):
    """What a stranger finds: something of each kind to call, and nothing that fails unasked."""

    kept: captp.List[Any]

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept.append(what)
        if len(self.kept) > 4:
            del self.kept[0]

    @captp.method
    def forget(self) -> None:
        self.kept.clear()

    @captp.method
    def make(self) -> Door:
        return Door()

    @captp.method
    def data(self) -> dict[str, Any]:
        return {"list": [1, 2], "door": self}

    @captp.method
    def greet(self, guest: Guest) -> Guest:
        self.keep(guest.ping())
        made = guest.make()
        self.keep(made.make())
        return made

    @captp.method(latch=False)
    async def wait(self, what: Any) -> Any:
        return await what if hasattr(what, "__await__") else what

    @captp.method
    def fail(self) -> None:
        raise captp.Refused("as asked")


class Names:
    """Takes every descriptor for what it is."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(f"{value!r} is not to be sent")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(Kind(kind), position)


class World:
    """The vat, and what it wrote to whom."""

    def __init__(self) -> None:
        count = iter(range(1 << 32))
        self.peer = Peer(
            key=PrivateKey.from_seed(b"v" * 32),
            entropy=lambda size: hashlib.shake_128(b"%d" % next(count)).digest(size),
            limits=LIMITS,
        )
        self.peer.mint(Door(), "memory", swiss=SWISS)
        self.now = 0.0
        self.used = 0
        self.wrote: dict[ConnId, bytes] = {}
        self.hung_up: set[ConnId] = set()
        self._codec = NativeCodec(Names(), Limits())
        self.neighbour = self.connect()
        key = PrivateKey.from_seed(b"n" * 32)
        place = PeerLocator.make("memory", key.public.designator, {"exts": "mp1"})
        self.hear(self.neighbour, PREAMBLE)
        hello = make_hello(key, place, ("mp1",), CHANNEL)
        self._asked(hello)
        target = self._codec.target(Kind.EXPORT, 0)
        fetched = self._asked((DELIVER, target, (Symbol("fetch"), SWISS), 0, True))
        assert fetched == [(RESOLVE, 0, Desc(Kind.IMPORT_OBJECT, 1))], fetched
        self._asked((GC_ANSWERS, (0,)))

    def connect(self) -> ConnId:
        """Let somebody dial the vat."""
        conn = self.peer.router.new_conn()
        self.wrote[conn] = b""
        self.peer.connected(conn, CHANNEL, self.now)
        self.run()
        return conn

    def hear(self, conn: ConnId, data: bytes) -> None:
        """Let bytes arrive and the vat run."""
        self.peer.received(conn, data, self.now)
        self.run()

    def run(self) -> None:
        token = CURRENT_VAT.set(self.peer.vat)
        try:
            self.peer.run(1_000)
        finally:
            CURRENT_VAT.reset(token)
        for output in self.peer.drain().outputs:
            match output:
                case Write():
                    assert output.conn not in self.hung_up, "a write after the end of its connection"
                    if output.conn in self.wrote:
                        self.wrote[output.conn] += output.data
                case Hangup():
                    self.hung_up.add(output.conn)
                case Dial():
                    self.peer.dial_failed(output.conn, captp.Unreachable("nobody is there"), self.now)
                case Trace(event="session failed"):
                    raise AssertionError("a session failed of itself") from output.error
                case Trace(error=Unpassable() as problem) if any(text in str(problem) for text in ONE_WAY):
                    pass
                case Trace(error=problem) if problem is not None and not isinstance(problem, Broken):
                    raise AssertionError("an error in a turn that no method raises") from problem
        self.peer.check()

    def beat(self) -> None:
        """Let time pass."""
        self.now += BEAT_S
        self.peer.tick(self.now)
        self.run()

    def _asked(self, *said: Op) -> list[Op]:
        """Say something as the neighbour, and return the answers."""
        self.wrote[self.neighbour] = b""
        self.hear(self.neighbour, self._codec.frame([self._codec.encode(op) for op in said]))
        return [op for op in self._codec.feed(self.wrote[self.neighbour]) if op[0] in (RESOLVE, BREAK)]

    def ends(self, conn: ConnId) -> None:
        """Let a connection be lost, and check that it was the only one to suffer."""
        if conn not in self.hung_up:
            self.peer.disconnected(conn, "cut", self.now)
            self.run()
        self.hung_up.discard(conn)
        del self.wrote[conn]
        echoed = self._asked((CALL, 1, "echo", (self.used,), 1, True), (CALL, 1, "forget", ()))
        assert echoed == [(RESOLVE, 1, self.used)], f"the neighbour got {echoed}"
        self._asked((GC_ANSWERS, (1,)))
        view = view_of(self.peer)
        assert [session.conn for session in view.sessions] == [self.neighbour], "a session is left"
        assert view.is_idle, f"not idle: {self.peer.vat.dump()}"

    def is_clean(self) -> bool:
        """Whether nothing is left of anybody but the neighbour; slow."""
        gc.collect()
        self.beat()
        return view_of(self.peer).objects == 1


_worlds: list[World] = []


def attack(data: bytes) -> None:
    """Run what bytes decide against a vat that may have served before, and again against a fresh one."""
    if not _worlds or _worlds[0].used >= USES:
        _worlds[:] = [World()]
    world = _worlds[0]
    world.used += 1
    try:
        _attack(world, data)
    except Exception:
        _worlds.clear()
        # An input is worth more if it needs none before it.
        _attack(World(), data)
        raise


def attack_afresh(data: bytes) -> None:
    """Run what bytes decide against a vat of its own, and look for what is left in its heap too."""
    world = World()
    _attack(world, data)
    assert world.is_clean(), f"left in the heap: {world.peer.vat.heap.dump()}"


def _attack(world: World, decisions: bytes) -> None:
    choices = Choices(decisions)
    speaker = Speaker(choices)
    conn = world.connect()
    for data in speaker.opening():
        world.hear(conn, data)
    for _ in range(SAYINGS):
        if not choices.more or conn in world.hung_up:
            break
        for piece in say(speaker, choices):
            world.hear(conn, piece)
        if choices.below(8) == 7:
            world.beat()
    world.ends(conn)
