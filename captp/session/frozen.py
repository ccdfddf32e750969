"""Frozen values that a session names by their hash: the extension ``frz1``, docs/decisions/0014.

Who sends decides. ``op:body`` brings the body of a value into the reader's table, in parts, ``op:forget``
takes values out of it, and ext 26 names one that is there. Each side knows the table that it fills, since
nothing else changes it, and the reader refuses what passes its limits.

A message: encoded --it leaves--> what it names is in the table; encoded --it fails--> the table is as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NoReturn

from attrs import define, evolve, field, frozen

from captp.errors import DecodeError, InvariantBroken, LimitExceeded, RemoteProtocolError, Unpassable
from captp.limits import Limits
from captp.model.boxed import Boxed, Sealed
from captp.model.passable import opened, plain
from captp.model.weight import PART, parts_in
from captp.wire.native import NativeCodec
from captp.wire.ops import BODY, FORGET, Desc, Kind, Op

if TYPE_CHECKING:
    from captp.session.session import Session

__all__ = ["FRZ", "Frozen", "on_body", "on_forget", "room_announced"]

#: Announced by vats that know frozen values by hash.
FRZ: Final = "frz1"

#: The name of an extension that announces nothing but how many values, and of what weight, a table takes.
ROOM: Final = "frz="
_NUMBERS: Final = re.compile(r"frz=([0-9]{1,9})/([0-9]{1,15})")

#: Bytes of a body in one message, and what a hash in one takes at most.
PIECE: Final = 32 * 1024
ENTRY: Final = 40


@frozen
class Room:
    """What a table takes."""

    values: int
    weight: int


#: What a vat takes that does not say otherwise.
USUAL: Final = Room(Limits().frozen_values, Limits().frozen_bytes)


def room_announced(limits: Limits) -> tuple[str, ...]:
    """Return what a vat announces of its tables besides that it has them."""
    room = Room(limits.frozen_values, limits.frozen_bytes)
    return () if room == USUAL else (f"{ROOM}{room.values}/{room.weight}",)


def _room_of(extensions: tuple[str, ...]) -> Room:
    """Return what the table of a peer takes that has announced these extensions."""
    said = (_NUMBERS.fullmatch(name) for name in extensions if name.startswith(ROOM))
    return next((Room(int(found[1]), int(found[2])) for found in said if found), USUAL)


class _Nowhere:
    """The references of a body: there are none."""

    def describe(self, value: object) -> NoReturn:  # noqa: ARG002
        raise Unpassable("a reference is no plain data")

    def unbox(self, box: Boxed) -> NoReturn:  # noqa: ARG002
        raise Unpassable("data within data is no plain data")

    def resolve(self, kind: Kind, position: Any) -> NoReturn:  # noqa: ARG002
        raise DecodeError("bad-value", f"ext {int(kind)} in the body of a frozen value")


_NOWHERE: Final = _Nowhere()


@define
class _Body:
    """A body of which parts came."""

    digest: bytes
    left: int
    data: bytearray = field(factory=bytearray)


class Frozen:
    """The two tables of one session: of what the peer can name here, and of what it has to be named."""

    __slots__ = (
        "_coming", "_named_weight", "_spelling", "_tables", "came", "known", "known_weight", "named", "sent",
        "sent_weight",
    )  # fmt: skip

    def __init__(self, tables: Any) -> None:
        self._tables = tables
        #: By hash, what the values weigh that the peer has, the one that was named last behind the others.
        self.sent: dict[bytes, int] = {}
        self.sent_weight = 0
        #: What the message that is encoded names: its weight, and its body if the peer has yet to get it.
        self.named: dict[bytes, tuple[int, bytes | None]] = {}
        self._named_weight = 0
        #: By hash, what the peer may name.
        self.known: dict[bytes, Boxed] = {}
        self.known_weight = 0
        #: What the values weigh that the peer named since the last look.
        self.came = 0
        self._coming: _Body | None = None
        self._spelling: NativeCodec | None = None

    # Out.

    def unbox(self, box: Boxed) -> Any:
        """Return what stands for a box in a message: ``Codec.unbox``."""
        try:
            value = None if box._captp_sealed is not None else opened(box)
        except Unpassable:
            return self._tables.home.owning.boxes.reference(box)
        return self._name(box, value) or (value if box._captp_sealed is None else opened(box))

    def _name(self, box: Boxed, value: Any) -> Desc | None:
        """Return the name of a frozen value; None where the peer has no table that it would fit in."""
        room, sealed, body = self._room(), box._captp_sealed, None
        if room is None:
            return None
        if sealed is None or not (sealed.digest in self.named or sealed.digest in self.sent):
            if sealed is not None and sealed.weight > room.weight:
                return None
            try:
                body = self._codec.encode_value(opened(box) if sealed else value)
            except Unpassable:
                return None  # whoever writes it as it is says what is wrong with it
        if sealed is None:
            assert body is not None
            sealed = box._captp_sealed = Sealed(sha256(body).digest(), len(body) + PART * parts_in(value))
            self._tables.home.owning.boxes.enter(box)
        digest = sealed.digest
        if digest not in self.named:
            weight = self._named_weight + sealed.weight
            if weight > room.weight or len(self.named) >= room.values:
                return None
            self._named_weight = weight
            self.named[digest] = sealed.weight, None if digest in self.sent else body
        return Desc(Kind.FROZEN, digest)

    def _room(self) -> Room | None:
        """Return what the peer's table takes, as far as it is filled from here; None where it has none."""
        session: Session = self._tables.session
        if FRZ not in session.extensions or session.hello is None:
            return None
        room = _room_of(session.hello.extensions)
        # What is noted of it here is as large as our own tables, whatever the peer says.
        return Room(min(room.values, self._tables.limits.frozen_values), room.weight)

    def commit(self) -> Iterator[bytes]:
        """Yield what goes before the message just encoded, and note what the peer has from then on."""
        room, limits = self._room(), self._tables.limits
        sent, encode = self.sent, self._tables.codec.encode
        assert room is not None
        new = {digest: weight for digest, (weight, body) in self.named.items() if body is not None}
        for digest in self.named.keys() - new.keys():
            sent[digest] = sent.pop(digest)
        weight = sum(new.values())
        gone: list[bytes] = []
        for digest in sent:
            if len(sent) - len(gone) + len(new) <= room.values and self.sent_weight + weight <= room.weight:
                break
            gone.append(digest)
            self.sent_weight -= sent[digest]
        for digest in gone:
            del sent[digest]
        size = min(PIECE, limits.message_bytes // 2)
        many = max(1, size // ENTRY)
        for start in range(0, len(gone), many):
            yield encode((FORGET, tuple(gone[start : start + many])))
        sent |= new
        self.sent_weight += weight
        for digest, (_, body) in self.named.items():
            for at in range(0, len(body or b""), size):
                assert body is not None
                yield encode((BODY, digest, max(len(body) - at - size, 0), body[at : at + size]))
        self.roll_back()

    def roll_back(self) -> None:
        """Forget what the message names."""
        self.named = {}
        self._named_weight = 0

    # In.

    def resolve(self, digest: bytes) -> Boxed:
        """Return the value that the peer names."""
        if FRZ not in self._tables.session.extensions:
            raise DecodeError("bad-value", f"ext 26 belongs to the extension {FRZ}")
        box = self.known.get(digest)
        if box is None:
            raise RemoteProtocolError("bad-ref", "a frozen value that never came, or was forgotten")
        assert box._captp_sealed is not None
        self.came += box._captp_sealed.weight
        return box

    def body(self, digest: bytes, left: int, part: bytes) -> None:
        """Take a part of a body, ``left`` bytes before its end."""
        self._check_announced()
        coming, size = self._coming, left + len(part)
        if coming is None:
            if digest in self.known:
                raise DecodeError("bad-op", "a body that came already")
            self._check_room(size)
            coming = self._coming = _Body(digest, size)
        if coming.digest != digest or coming.left != size or not part:
            raise DecodeError("bad-op", "parts of a body come one after another, and none is empty")
        coming.data += part
        coming.left = left
        if not left:
            self._coming = None
            self._enter(digest, coming.data)

    def _enter(self, digest: bytes, data: bytearray) -> None:
        if sha256(data).digest() != digest:
            raise RemoteProtocolError("bad-hash", "a body is not of the frozen value that it came for")
        boxes = self._tables.home.owning.boxes
        box: Boxed | None = boxes.known(digest)
        if box is None:
            value = self._read(data)
            weight = len(data) + PART * parts_in(value)
            from captp.custody.data import arrived  # noqa: PLC0415 - most vats have no capsules

            box = arrived(value)
            box._captp_sealed = Sealed(digest, weight)
            boxes.enter(box)
        assert box._captp_sealed is not None
        self._check_room(box._captp_sealed.weight)
        self.known[digest] = box
        self.known_weight += box._captp_sealed.weight

    def _read(self, data: bytearray) -> Any:
        value = self._codec.decode_value(data)
        try:
            value = plain(value)
            is_canonical = self._codec.encode_value(value) == data
        except Unpassable as problem:
            raise DecodeError("bad-value", f"a frozen value: {problem}") from None
        if not is_canonical:
            raise DecodeError("bad-value", "a body that is not spelled as its value is")
        return value

    def forget(self, digests: tuple[Any, ...]) -> None:
        """Take values out of the peer's table."""
        self._check_announced()
        for digest in digests:
            box = self.known.pop(digest, None) if type(digest) is bytes else None
            if box is None:
                raise RemoteProtocolError("bad-ref", "a frozen value that never came, or was forgotten")
            assert box._captp_sealed is not None
            self.known_weight -= box._captp_sealed.weight

    def _check_announced(self) -> None:
        if FRZ not in self._tables.session.extensions:
            raise DecodeError("unknown-op", f"this belongs to the extension {FRZ}")

    def _check_room(self, weight: int) -> None:
        limits: Limits = self._tables.limits
        if len(self.known) >= limits.frozen_values:
            raise LimitExceeded("too-many", f"more than {limits.frozen_values} frozen values")
        if self.known_weight + weight > limits.frozen_bytes:
            raise LimitExceeded("too-many", f"frozen values of more than {limits.frozen_bytes} bytes")

    @property
    def _codec(self) -> NativeCodec:
        """The codec of bodies; most sessions need none."""
        if self._spelling is None:
            limits: Limits = self._tables.limits
            self._spelling = NativeCodec(_NOWHERE, evolve(limits, message_bytes=limits.frozen_bytes))
        return self._spelling

    @property
    def held(self) -> int:
        """Roughly how many bytes the table here takes, with what comes."""
        return self.known_weight + (0 if self._coming is None else len(self._coming.data))

    def end(self) -> None:
        """Forget everything: the session is over."""
        self.sent.clear()
        self.known.clear()
        self.roll_back()
        self.sent_weight = self.known_weight = 0
        self._coming = None

    def check(self) -> None:
        """Raise InvariantBroken when the tables do not weigh what is counted."""
        if sum(self.sent.values()) != self.sent_weight or self.named:
            raise InvariantBroken(f"frozen values at the peer: {self.sent_weight} bytes are counted")
        if (
            sum(box._captp_sealed.weight for box in self.known.values() if box._captp_sealed)
            != self.known_weight
        ):
            raise InvariantBroken(f"frozen values of the peer's: {self.known_weight} bytes are counted")


def on_body(session: Session, op: Op) -> None:
    """Handle ``op:body``."""
    _, digest, left, part = op
    if type(digest) is not bytes or type(left) is not int or type(part) is not bytes or left < 0:
        raise DecodeError("bad-op", "op:body takes a hash, how many bytes are left, and bytes")
    session.tables.frozen.body(digest, left, part)


def on_forget(session: Session, op: Op) -> None:
    """Handle ``op:forget``."""
    _, digests = op
    if type(digests) is not tuple:
        raise DecodeError("bad-op", "op:forget takes a list of hashes")
    session.tables.frozen.forget(digests)
