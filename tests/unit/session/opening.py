"""A session in each state of its opening, and what the peer says to it by hand."""

from __future__ import annotations

from typing import Any

from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.session.handshake import Channel, make_hello
from captp.session.inbound import Ended
from captp.session.session import Established, Session
from captp.vat.vat import Vat
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import ABORT, CALL, Op
from tests.names import Names

MINE = PrivateKey.from_seed(b"m" * 32)
THEIRS = PrivateKey.from_seed(b"t" * 32)
PLACE = PeerLocator.make("memory", THEIRS.public.designator, {"exts": "mp1"})
CHANNEL = Channel(THEIRS.public.raw, b"binding", "memory")
LIMITS = Limits()


def spelled(*ops: Op) -> bytes:
    """Return operations as a native peer writes them."""
    codec = NativeCodec(Names(), LIMITS)
    return codec.frame([codec.encode(op) for op in ops])


def read(data: bytes) -> list[Op]:
    """Return the operations in what a session wrote, with or without the preamble."""
    return list(NativeCodec(Names(), LIMITS).feed(data.removeprefix(PREAMBLE)))


def hello(key: PrivateKey = THEIRS, place: PeerLocator = PLACE, channel: Channel = CHANNEL) -> Op:
    return make_hello(key, place, ("mp1",), channel)


HELLO = hello()
GOOD = spelled(HELLO)
OTHER = spelled((CALL, 0, "captp:ping", (), 1, True))
GOODBYE = spelled((ABORT, "closed: bye"))


def session(*, dialled: bool = False, limits: Limits = LIMITS) -> Session:
    """Make a session with the peer; ``dialled`` is the side that waits for the first byte."""
    location = PeerLocator.make("memory", MINE.public.designator, {"exts": "mp1"})
    return Session(
        home=Vat(limits),
        key=MINE,
        location=location,
        channel=CHANNEL,
        limits=limits,
        native=None if dialled else True,
        introduce=lambda _receiver, _target: None,
    )


def greeting() -> Session:
    it = session()
    it.start()
    it.take_output()
    return it


def listening() -> Session:
    it = session(dialled=True)
    assert it.receive(PREAMBLE) == []
    return it


def verified() -> Session:
    it = listening()
    it.receive(GOOD)
    return it


def open_() -> Session:
    it = verified()
    it.admit()
    it.take_output()
    return it


def ended() -> Session:
    it = open_()
    it.abort("closed")
    it.receive(b"")
    it.take_output()
    return it


def named(effect: Any) -> str:
    match effect:
        case Ended():
            return effect.code
        case Established():
            return "established"
    return type(effect).__name__


def said(it: Session) -> tuple[str | int, ...]:
    """Return what a session wrote: opcodes, and the reasons of aborts without their details."""
    return tuple(
        (op[1] if op[1].startswith("closed") else op[1].partition(":")[0]) if op[0] == ABORT else op[0]
        for op in read(it.take_output())
    )
