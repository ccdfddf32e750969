"""Frozen data as sessions see it, and a connection by hand that announces the extension frz1."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack

import captp
from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.session.handshake import Channel, make_hello
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import ABORT, BODY, CALL, FORGET, START, Kind, Op
from tests.names import Names
from tests.unit.peer.pair import Counter, Pair, Shop
from tests.unit.session.raw import SWISS, Door, Host, Raw


def data(value: Any) -> captp.Data[Any, Any]:
    """Return frozen data."""
    key = captp.Capsule.create()
    made: captp.Data[Any, Any] = captp.Data.inject(value, key)
    key.freeze()
    return made


def spelled(value: Any) -> bytes:
    """Return the body of a value."""
    return NativeCodec(Names(), Limits(message_bytes=1 << 30)).encode_value(value)


def digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def name(body: bytes) -> Any:
    """Return ext 26 for a body."""
    return msgpack.ExtType(Kind.FROZEN, digest(body))


class Keeper(Door):
    """A door that keeps what it is told beside its state, as data cannot be state."""

    __slots__ = ("had",)

    @captp.method
    def note(self, what: Any) -> int:
        self.had.append(what)
        return len(self.had)

    @captp.method(latch=False)
    async def hold(self, until: Any, what: Any) -> Any:
        await until
        return type(what).__name__


class Shelf(Counter):
    """A Counter that keeps what it is told beside its state."""

    __slots__ = ("had",)

    @captp.method
    def keep(self, what: Any) -> None:
        self.had.append(what)


def shelved(it: Pair) -> Any:
    """Return the reference of ``it.a`` to a shelf at ``it.b``, and what that has."""
    shelf = Shelf()
    shelf.had = []
    return it.a.get(it.a.enliven(it.b.mint(shelf), Shop)), shelf.had


class Frz(Raw):
    """A connection that announces frz1, with the door at export 1."""

    def __init__(self, limits: Limits | None = None, *also: str) -> None:
        self.host = Host(limits)
        self.keeper = Keeper()
        self.keeper.had = []
        self.host.peer.mint(self.keeper, "memory", swiss=SWISS)
        self.joins(b"frz", "frz1", *also)

    def joins(self, seed: bytes, *extensions: str) -> None:
        """Open a session as another peer."""
        self.conn = self.host.peer.router.new_conn()
        key = PrivateKey.from_seed(seed.ljust(32))
        place = PeerLocator.make("memory", key.public.designator, {"exts": "mp1"})
        channel = Channel(transport="memory")
        self.host.peer.connected(self.conn, channel, 0.0)
        self.bytes(PREAMBLE)
        assert [o[0] for o in self.send(make_hello(key, place, ("mp1", *extensions), channel))] == [START]
        self.reaches_the_door()

    def puts(self, body: bytes, *, size: int = 32_768, hash_: bytes = b"") -> list[Op]:
        """Send a body in parts; return what came back."""
        hash_ = hash_ or digest(body)
        ends = range(0, len(body), size)
        return self.send(*[(BODY, hash_, max(len(body) - at - size, 0), body[at : at + size]) for at in ends])

    def notes(self, *values: Any, at: int = 9) -> list[Op]:
        return self.send((CALL, 1, "note", values, at, True))

    def forgets(self, *bodies: bytes) -> list[Op]:
        return self.send((FORGET, tuple(digest(body) for body in bodies)))

    @property
    def table(self) -> Any:
        return self.host.peer.router.links[self.conn].session.tables.frozen


def aborted(raw: Frz, heard: list[Op]) -> str:
    """Return the code with which the host has ended the session."""
    assert heard, "the session goes on"
    assert heard[-1][0] == ABORT, heard
    assert raw.conn in raw.host.hung_up
    return str(heard[-1][1]).partition(":")[0]
