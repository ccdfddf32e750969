"""A real exporter, and peers made by hand that say to it whatever a test wants, in either codec."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from attrs import frozen

from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey, session_id, side_id
from captp.model.locator import PeerLocator
from captp.model.values import Fault, Symbol
from captp.peer.handoff.certificates import parse_give, sign, write_give, write_receive
from captp.peer.outputs import Dial, Hangup, Trace, Write
from captp.peer.peer import Peer
from captp.session.handshake import Channel, make_hello
from captp.wire.canonical import location_record, my_location, public_key_list, signature_list
from captp.wire.dialect import SyrupCodec
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import ABORT, BREAK, CALL, DELIVER, RESOLVE, START, Desc, Kind
from captp.wire.syrup import Encoded, Record, encode
from tests.names import Names
from tests.transcript.parties import Root

TRANSPORT = "sim"
SWISS = b"s" * 32
CODECS = ["native", "syrup"]


@frozen
class Kept:
    """How a call ended well."""

    value: Any


@frozen
class Refused:
    """How a call ended badly."""

    text: str


class Exporter:
    """A vat with one object, and what it wrote to each connection."""

    def __init__(self, limits: Limits | None = None) -> None:
        count = iter(range(1 << 32))
        self.peer = Peer(
            key=PrivateKey.from_seed(b"e" * 32),
            entropy=lambda size: hashlib.shake_128(b"%d" % next(count)).digest(size),
            limits=limits,
        )
        hints = {"exts": "mp1", "node": "e"}
        self.location = PeerLocator.make(TRANSPORT, self.peer.designator, hints)
        self.peer.locations[TRANSPORT] = self.location
        self.now = 0.0
        self.root = Root()
        self.peer.mint(self.root, TRANSPORT, swiss=SWISS)
        self.wrote: dict[ConnId, bytes] = defaultdict(bytes)
        self.dials: list[Dial] = []
        self.ended: list[str] = []

    @property
    def place(self) -> bytes:
        """The exporter's location as it spells it."""
        return encode(location_record(TRANSPORT, self.peer.designator, dict(self.location.hints)))

    def run(self) -> None:
        token = CURRENT_VAT.set(self.peer.vat)
        try:
            self.peer.run(100_000)
        finally:
            CURRENT_VAT.reset(token)
        for output in self.peer.drain().outputs:
            match output:
                case Write():
                    self.wrote[output.conn] += output.data
                case Dial():
                    self.dials.append(output)
                case Hangup():
                    self.ended.append(output.reason)
                case Trace():
                    assert output.error is None, output
        self.peer.check()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.peer.tick(self.now)
        self.run()


class Stranger:
    """The other end of one connection to an exporter; it keeps to the codec and to nothing else."""

    def __init__(
        self,
        exporter: Exporter,
        name: str,
        codec: str,
        *,
        life: int = 0,
        place: bytes = b"",
        transport: str = TRANSPORT,
        also: tuple[str, ...] = (),
    ) -> None:
        """``place`` is the location of a Syrup peer in a spelling of its own; ``also`` what it announces."""
        self.exporter = exporter
        self.is_native = codec == "native"
        self.conn = exporter.peer.router.new_conn()
        #: The key of its side here, and the one by which gifters know it.
        self.key = PrivateKey.from_seed(f"{name} key {life}".encode().ljust(32))
        self.name = PrivateKey.from_seed(f"{name} name".encode().ljust(32))
        self.count = 0
        self.results: dict[int, Kept | Refused] = {}
        self._position = 0
        limits = Limits()
        self._codec: Any
        if self.is_native:
            self._codec = NativeCodec(Names(), limits)
        else:
            self._codec = SyrupCodec(Names(), limits, True)
            self._codec.vocabulary = "d2"
        key = PrivateKey.from_seed(name.encode().ljust(32))
        where = PeerLocator.make(transport, key.public.designator, {"exts": "mp1", "node": name})
        channel = Channel(transport=transport)
        exporter.peer.connected(self.conn, channel, exporter.now)
        hello = make_hello(self.key, where, ("mp1", *also) if self.is_native else None, channel)
        self._said: list[Any] = []
        message = self._codec.encode(hello)
        if place:
            fields = ("1.0", public_key_list(self.key.public.raw), Encoded(place))
            signature = signature_list(self.key.sign(my_location(place)))
            message = encode(Record("op:start-session", (*fields, signature)))
        self.raw((PREAMBLE if self.is_native else b"") + self._codec.frame([message]))
        ((code, _, theirs, *_),) = self._said
        assert code == START
        self.side = side_id(self.key.public.raw)
        self.exporters_key = theirs
        self.session = session_id(self.side, side_id(theirs))

    def raw(self, data: bytes) -> None:
        """Send bytes as they are, and take in what comes back to anybody."""
        self.exporter.peer.received(self.conn, data, self.exporter.now)
        self.exporter.run()
        self.hear()

    def hear(self) -> None:
        """Take in what came back."""
        for op in self._codec.feed(self.exporter.wrote.pop(self.conn, b"")):
            self._said.append(op)
            match op:
                case (code, position, value) if code == RESOLVE:
                    self._ended(position, Kept(value))
                case (code, position, value) if code == BREAK:
                    self._ended(position, Refused(_text(value)))
                case (code, Desc(kind=Kind.EXPORT, position=position), (Symbol(name=how), value), *_) if (
                    code == DELIVER
                ):
                    self._ended(position, Kept(value) if how == "fulfill" else Refused(_text(value)))

    def _ended(self, position: int, result: Kept | Refused) -> None:
        assert position not in self.results, "a second result"
        self.results[position] = result

    def send(self, to: int, method: str, *calls: tuple[Any, ...]) -> list[int]:
        """Call an export of the exporter's as often as there are arguments, in one write."""
        ops: list[Any] = []
        positions: list[int] = []
        for args in calls:
            self._position += 1
            positions.append(self._position)
            if self.is_native:
                ops.append((CALL, to, method, args, self._position, True))
            else:
                target = self._codec.target(Kind.EXPORT, to)
                resolver = self._codec.target(Kind.IMPORT_OBJECT, self._position)
                ops.append((DELIVER, target, (Symbol(method), *args), self._position, resolver))
        self.raw(self._codec.frame([self._codec.encode(op) for op in ops]))
        return positions

    def call(self, method: str, *args: Any, to: int = 0) -> Kept | Refused | None:
        """Call the bootstrap; return the result, None when there is none yet."""
        (position,) = self.send(to, method, args)
        return self.results.get(position)

    def fetch(self) -> int:
        """Return the position at which the exporter's object stands in this session."""
        result = self.call("fetch", SWISS)
        assert isinstance(result, Kept), result
        assert result.value.kind is Kind.IMPORT_OBJECT
        return int(result.value.position)

    def deposits(self) -> list[tuple[Any, Any]]:
        """Return what was deposited with this stranger, over Syrup: gift ids and gifts."""
        calls = [op[2] for op in self._said if op[0] == DELIVER]
        return [(args[1], args[2]) for args in calls if args[0] == Symbol("deposit-gift")]

    def abort(self) -> None:
        """End the session as a peer does."""
        self.raw(self._codec.frame([self._codec.encode((ABORT, "bye"))]))

    def die(self) -> None:
        """Lose the connection."""
        self.exporter.peer.disconnected(self.conn, "cut", self.exporter.now)
        self.exporter.run()

    # Handoffs.

    def deposit(self, gift_id: Any, gift: Any = None) -> Kept | Refused | None:
        """Deposit the exporter's own object, or something else."""
        return self.call("deposit-gift", gift_id, self.theirs() if gift is None else gift)

    def theirs(self) -> Any:
        """Return the exporter's object, as one names it to the exporter."""
        return self._codec.target(Kind.EXPORT, self.fetch())

    def mine(self, position: int, kind: Kind = Kind.IMPORT_OBJECT) -> Any:
        """Return something of this stranger's."""
        return self._codec.target(kind, position)

    def give(self, gift_id: bytes, to: Stranger, **changed: Any) -> bytes:
        """Certify, as the gifter, that ``to`` may withdraw a gift; some fields may be changed."""
        signer: PrivateKey = changed.pop("signer", self.key)
        fields: dict[str, Any] = {
            "receiver": to.name.public,
            "exporter": self.exporter.place,
            "session": self.session,
            "gifter_side": self.side,
            "gift_id": gift_id,
        }
        return sign(write_give(**(fields | changed)), signer)

    def receive(self, give: bytes, **changed: Any) -> bytes:
        """Certify, as the receiver, that a give is used here; some fields may be changed."""
        signer: PrivateKey = changed.pop("signer", self.name)
        if "count" not in changed:
            changed["count"] = self.next_count()
        fields: dict[str, Any] = {"session": self.session, "side": self.side, "give": parse_give(give)}
        return sign(write_receive(**(fields | changed)), signer)

    def next_count(self) -> int:
        count, self.count = self.count, self.count + 1
        return count

    def withdraw(self, envelope: bytes) -> Kept | Refused | None:
        """Hand in a certificate; return the result, None while it waits."""
        return self.call("withdraw-gift", Desc(Kind.CERTIFICATE, envelope))

    def withdraws(self, *envelopes: bytes) -> list[int]:
        """Hand in several at once; return where their results will be."""
        return self.send(0, "withdraw-gift", *[(Desc(Kind.CERTIFICATE, e),) for e in envelopes])


def _text(reason: Any) -> str:
    assert isinstance(reason, Fault), reason
    return reason.message


class Scene:
    """E with one gift of G for R, and a thief; ``check`` proves that nothing has been taken."""

    gift_id = b"i" * 32

    def __init__(self, codec: str, **limits: Any) -> None:
        self.codec = codec
        self.e = Exporter(Limits(**limits))
        self.g, self.r, self.t = (Stranger(self.e, name, codec) for name in "grt")
        assert self.g.deposit(self.gift_id) == Kept(None)
        self.give = self.g.give(self.gift_id, self.r)

    def refused(self, by: Stranger, envelope: bytes, text: str = "handoff: ") -> None:
        """Assert that a certificate is refused, for ``by`` and at once."""
        result = by.withdraw(envelope)
        assert isinstance(result, Refused), result
        assert result.text.startswith(text), result

    def redeemed(self, by: Stranger | None = None) -> None:
        """Assert that the right receiver gets the gift."""
        receiver = by or self.r
        result = receiver.withdraw(receiver.receive(self.give))
        assert isinstance(result, Kept), result
        assert result.value == Desc(Kind.IMPORT_OBJECT, receiver.fetch())

    def check(self) -> None:
        """Assert that all sessions are alive, and the gift there for who should have it."""
        for stranger in (self.g, self.r, self.t):
            stranger.fetch()
        assert self.e.ended == []
        self.redeemed()
        assert self.e.peer.exporter.dump() == []


def tampered(envelope: bytes, change: Callable[[bytes], bytes], signer: PrivateKey) -> bytes:
    """Change what an envelope holds and sign it anew."""
    signed = envelope[len(b"<17'desc:sig-envelope") : -_SIGNATURE]
    changed = change(signed)
    assert changed != signed
    return sign(changed, signer)


_SIGNATURE = len(sign(b"1+", PrivateKey.from_seed(bytes(32)))) - len(b"<17'desc:sig-envelope1+")
