"""An exporter's machine between sessions made by hand: gifters and receivers whose keys the test holds."""

from __future__ import annotations

from typing import Any

import captp
from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.model.promise import FULFILLED, Promise, Settlement
from captp.peer.handoff.certificates import parse_give, sign, write_give, write_receive
from captp.peer.handoff.exporter import ABSENT, Exporter
from captp.session.handshake import Channel, make_hello
from captp.session.session import Session
from captp.vat.vat import Vat
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import Desc, Kind

PLACE = b'<10\'ocapn-peer3\'sim1"e{4"exts3"mp14"node1"e}>'
EXPORTER = PeerLocator.make("sim", "e", {"exts": "mp1", "node": "e"})


class Present(captp.Object):
    """Something to give away."""


class _Names:
    def describe(self, value: object) -> Desc:
        raise AssertionError(f"{value!r} is not to be sent")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(Kind(kind), position)


class Visitor:
    """A peer of the exporter's: the exporter's session with it, and the key of its own side."""

    def __init__(self, machine: Machine, number: int, extensions: tuple[str, ...]) -> None:
        self.key = PrivateKey.from_seed(b"v" * 28 + number.to_bytes(4, "big"))
        #: The key by which this visitor is known to a gifter.
        self.name = PrivateKey.from_seed(b"n" * 28 + number.to_bytes(4, "big"))
        self.session = Session(
            home=machine.vat,
            key=PrivateKey.from_seed(b"x" * 28 + number.to_bytes(4, "big")),
            location=EXPORTER,
            channel=Channel(transport="sim"),
            limits=machine.limits,
            native=None,
            introduce=lambda _receiver, _target: None,
        )
        place = PeerLocator.make("sim", f"v{number}", {"exts": "mp1"})
        codec = NativeCodec(_Names(), machine.limits)
        hello = make_hello(self.key, place, extensions, self.session.channel)
        self.session.receive(PREAMBLE + codec.frame([codec.encode(hello)]))
        self.session.admit()
        self.count = 0

    def give(self, gift_id: bytes, to: Visitor) -> bytes:
        """Certify, as the gifter, that ``to`` may withdraw a gift."""
        hello = self.session.hello
        assert hello is not None
        given = write_give(
            receiver=to.name.public,
            exporter=PLACE,
            session=hello.session_id,
            gifter_side=hello.side_id,
            gift_id=gift_id,
        )
        return sign(given, self.key)

    def receive(self, give: bytes, count: int | None = None) -> bytes:
        """Certify, as the receiver, that this visitor uses a give in its session."""
        if count is None:
            count, self.count = self.count, self.count + 1
        hello = self.session.hello
        assert hello is not None
        written = write_receive(
            session=hello.session_id, side=hello.side_id, count=count, give=parse_give(give)
        )
        return sign(written, self.name)


class Machine:
    """The exporter's machine, checked after every step, with its own small clock."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.vat = Vat(self.limits)
        self.exporter = Exporter(self.limits, "e")
        self.now = 0.0
        self._visitors = 0

    def visitor(self, *extensions: str) -> Visitor:
        self._visitors += 1
        visitor = Visitor(self, self._visitors, ("mp1", *extensions))
        self.exporter.opened(visitor.session)
        self.exporter.check()
        return visitor

    def present(self) -> Any:
        return self.vat.reference(Present())

    def promise(self) -> Promise[Any]:
        return Promise(self.vat)

    def deposit(self, gifter: Visitor, gift_id: Any, value: Any) -> list[Settlement]:
        try:
            return self.exporter.deposit(gifter.session, gift_id, value, self.now)
        finally:
            self.exporter.check()

    def withdraw(
        self,
        receiver: Visitor,
        gifter: Visitor,
        gift_id: bytes,
        promise: Promise[Any] | None = None,
        *,
        count: int | None = None,
    ) -> Any:
        envelope = receiver.receive(gifter.give(gift_id, receiver), count)
        return self.hand_in(receiver, envelope, promise)

    def hand_in(self, receiver: Visitor, envelope: bytes, promise: Promise[Any] | None = None) -> Any:
        try:
            return self.exporter.withdraw(receiver.session, envelope, promise, self.now)
        finally:
            self.exporter.check()

    def waits(self, receiver: Visitor, gifter: Visitor, gift_id: bytes) -> Promise[Any]:
        """Withdraw what is not there yet; return the promise of the answer."""
        promise = self.promise()
        assert self.withdraw(receiver, gifter, gift_id, promise) is ABSENT
        return promise

    def end(self, visitor: Visitor) -> list[Settlement]:
        try:
            return self.exporter.ended(visitor.session)
        finally:
            self.exporter.check()

    def expire(self, now: float) -> list[Settlement]:
        self.now = now
        try:
            return self.exporter.expire(now)
        finally:
            self.exporter.check()

    def kept(self) -> list[Any]:
        return list(self.exporter.references())


def three(**limits: Any) -> tuple[Machine, Visitor, Visitor]:
    """Return a machine, a gifter and a receiver."""
    it = Machine(**limits)
    return it, it.visitor(), it.visitor()


def told(settlements: list[Settlement]) -> list[tuple[Promise[Any], int, Any]]:
    return [(s.promise, s.state, s.value if s.state == FULFILLED else str(s.value)) for s in settlements]
