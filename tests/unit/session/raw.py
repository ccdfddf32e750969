"""One vat that serves several connections, and their other ends as bytes by hand."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import captp
from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.model.values import Symbol
from captp.peer.outputs import Hangup, Trace, Write
from captp.peer.peer import Peer
from captp.session.handshake import Channel, make_hello
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import CALL, DELIVER, GC_ANSWERS, LISTEN, RESOLVE, START, Desc, Kind, Op
from tests.names import Names

SWISS = b"s" * 32


class Guest(captp.Interface):
    @captp.method
    def ping(self) -> int: ...  # type: ignore[empty-body]

    @captp.method
    def make(self) -> Guest: ...  # type: ignore[empty-body]


class Door(captp.Object):
    """What strangers find; it keeps what it is told and what its own calls gave."""

    notes: captp.List[Any]
    pending: captp.List[Any]
    guests: captp.List[Any]

    @captp.method
    def note(self, what: Any) -> int:
        self.notes.append(what)
        return len(self.notes)

    @captp.method
    def data(self) -> dict[str, Any]:
        return {"list": [1, 2]}

    @captp.method
    def greet(self, guest: Guest) -> None:
        self.guests.append(guest)
        self.pending.append(guest.ping())
        self.pending.append(guest.make())

    @captp.method(latch=False)
    async def wait(self, what: Any) -> Any:
        return await what


CODEC = NativeCodec(Names(), Limits())


def export(position: int) -> Any:
    return CODEC.target(Kind.EXPORT, position)


def answer(position: int) -> Any:
    return CODEC.target(Kind.ANSWER, position)


def object_(position: int) -> Any:
    return CODEC.target(Kind.IMPORT_OBJECT, position)


def promise(position: int) -> Any:
    return CODEC.target(Kind.IMPORT_PROMISE, position)


class Host:
    """One vat, and what it wrote to each connection."""

    def __init__(self, limits: Limits | None = None) -> None:
        count = iter(range(1 << 32))
        self.peer = Peer(
            key=PrivateKey.from_seed(b"h" * 32),
            entropy=lambda size: hashlib.shake_128(b"%d" % next(count)).digest(size),
            limits=limits,
        )
        self.door = Door()
        self.peer.mint(self.door, "memory", swiss=SWISS)
        self.wrote: dict[ConnId, bytes] = defaultdict(bytes)
        self.hung_up: dict[ConnId, str] = {}
        self.ended: list[str] = []

    def run(self) -> None:
        token = CURRENT_VAT.set(self.peer.vat)
        try:
            self.peer.run(1_000)
        finally:
            CURRENT_VAT.reset(token)
        for output in self.peer.drain().outputs:
            match output:
                case Write():
                    assert output.conn not in self.hung_up
                    self.wrote[output.conn] += output.data
                case Hangup():
                    self.hung_up[output.conn] = output.reason
                case Trace(event="session ended"):
                    self.ended.append(output.fields["code"])
        self.peer.check()


class Raw:
    """The other end of one connection, by hand: what it sends is what the test says."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.conn = host.peer.router.new_conn()
        key = PrivateKey.from_seed(name.encode().ljust(32))
        place = PeerLocator.make("memory", key.public.designator, {"exts": "mp1"})
        channel = Channel(transport="memory")
        host.peer.connected(self.conn, channel, 0.0)
        self.bytes(PREAMBLE)
        assert [op[0] for op in self.send(make_hello(key, place, ("mp1",), channel))] == [START]

    def bytes(self, data: bytes) -> list[Op]:
        """Send bytes as they are; return what came back."""
        self.host.peer.received(self.conn, data, 0.0)
        self.host.run()
        return list(NativeCodec(Names(), Limits()).feed(self.host.wrote.pop(self.conn, b"")))

    def send(self, *ops: Any) -> list[Op]:
        """Send operations in one frame; return what came back."""
        return self.bytes(CODEC.frame([CODEC.encode(op) for op in ops]))

    @property
    def tables(self) -> dict[str, list[str]]:
        return self.host.peer.router.links[self.conn].session.dump()

    def reaches_the_door(self) -> None:
        """Fetch the door as e1, with the answer released."""
        fetched = self.send((DELIVER, export(0), (Symbol("fetch"), SWISS), 0, True))
        assert fetched == [(RESOLVE, 0, Desc(Kind.IMPORT_OBJECT, 1))]
        assert self.send((GC_ANSWERS, (0,))) == []

    def makes_a_scene(self) -> None:
        """Fill every table: door e1, guest i1, promise i2, answers 1 to 3 (3 is open), questions q1 to q3.

        The host asked for q1, not for q2, and listens to i2 at q3.
        """
        self.reaches_the_door()
        assert self.send((CALL, 1, "data", (), 1, True))[0][0] == RESOLVE
        calls = self.send((CALL, 1, "greet", (object_(1),), 2, True))
        assert calls == [(CALL, 1, "ping", (), 1, True), (CALL, 1, "make", (), 2, False), (RESOLVE, 2, None)]
        listens = self.send((CALL, 1, "wait", (promise(2),), 3, True))
        assert listens == [(LISTEN, Desc(Kind.EXPORT, 2), 3)]
