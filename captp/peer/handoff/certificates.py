"""The two certificates of a handoff, to and from bytes, and every check on them; it keeps no table.

OCapN CapTP draft, Third-Party Handoffs. They are canonical Syrup in every session, and what is verified
is the bytes as they came: a certificate that would read the same when written again in another spelling
is another certificate, and refused.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from attrs import frozen

from captp.errors import BadLocator, HandoffFailed, RemoteProtocolError
from captp.limits import Limits
from captp.model.keys import PrivateKey, PublicKey
from captp.model.locator import PeerLocator
from captp.wire.canonical import (
    handoff_give,
    handoff_receive,
    read_location,
    read_public_key,
    read_signature,
    sig_envelope,
    signature_list,
)
from captp.wire.syrup import Reader, Record, decode_one, encode

ID_BYTES: Final = 32

#: What a certificate may measure: a receive holds a give, and a give a location.
LONGEST: Final = 16_384

#: The longest gift id that anybody is known to use has 32 bytes.
GIFT_ID_BYTES: Final = 256

LAST_COUNT: Final = 2**53

_OPENING: Final = b"<17'desc:sig-envelope"
_SIGNATURE_BYTES: Final = len(encode(signature_list(bytes(64))))
_LIMITS: Final = Limits()


@frozen
class Give:
    """What a gifter certifies: who may withdraw which gift, from whom, deposited in which session."""

    receiver: PublicKey
    exporter: PeerLocator
    session: bytes
    gifter_side: bytes
    gift_id: bytes
    #: The signed bytes and the signature on them.
    signed: bytes
    signature: bytes
    #: The whole of it, to be passed on to the byte.
    envelope: bytes


@frozen
class Receive:
    """What a receiver certifies: in which session of its own it uses a give, and for which time."""

    session: bytes
    side: bytes
    count: int
    give: Give
    signed: bytes
    signature: bytes


def sign(signed: bytes, key: PrivateKey) -> bytes:
    """Give the envelope of signed bytes."""
    return sig_envelope(signed, key.sign(signed))


def write_give(
    *, receiver: PublicKey, exporter: bytes, session: bytes, gifter_side: bytes, gift_id: bytes
) -> bytes:
    """Give what a gifter signs; ``exporter`` is the exporter's location as it spelled it."""
    return handoff_give(receiver.raw, exporter, session, gifter_side, gift_id)


def write_receive(*, session: bytes, side: bytes, count: int, give: Give) -> bytes:
    """Give what a receiver signs."""
    return handoff_receive(session, side, count, give.envelope)


def parse_give(envelope: bytes) -> Give:
    """Read the envelope of a give; raises HandoffFailed for anything that is not one to the byte."""
    signed, signature = _open(envelope)
    match _read(signed, frozenset({"ocapn-peer", "ocapn-node"}), "desc:handoff-give"):
        case (key, Record("ocapn-peer" | "ocapn-node", (bytes(place),)), session, side, bytes(gift_id)):
            pass
        case _:
            raise HandoffFailed("handoff: a give has a key, a location, two ids and a gift id")
    try:
        receiver = PublicKey.parse(read_public_key(key))
        exporter = PeerLocator.make(*read_location(decode_one(place, _LIMITS), "bad-value"))
    except (RemoteProtocolError, BadLocator):
        raise HandoffFailed("handoff: the key or the location in a give is malformed") from None
    if not (_is_id(session) and _is_id(side) and 0 < len(gift_id) <= GIFT_ID_BYTES):
        raise HandoffFailed("handoff: an id in a give has the wrong length")
    if handoff_give(receiver.raw, place, session, side, gift_id) != signed:
        raise HandoffFailed("handoff: a give that is not canonical")
    return Give(receiver, exporter, session, side, gift_id, signed, signature, envelope)


def parse_receive(envelope: bytes) -> Receive:
    """Read the envelope of a receive and the give in it; raises HandoffFailed."""
    signed, signature = _open(envelope)
    match _read(signed, frozenset({"desc:sig-envelope"}), "desc:handoff-receive"):
        case (session, side, count, Record("desc:sig-envelope", (bytes(given),))):
            pass
        case _:
            raise HandoffFailed("handoff: a receive has two ids, a count and a signed give")
    if not (_is_id(session) and _is_id(side)):
        raise HandoffFailed("handoff: an id in a receive has the wrong length")
    if type(count) is not int or not 0 <= count <= LAST_COUNT:
        raise HandoffFailed("handoff-count: a count is an integer from 0")
    if handoff_receive(session, side, count, given) != signed:
        raise HandoffFailed("handoff: a receive that is not canonical")
    return Receive(session, side, count, parse_give(given), signed, signature)


def check_give(give: Give, *, session: bytes, gifter_side: bytes, gifter: PublicKey, own: PublicKey) -> None:
    """Check a give against the session it names: its id, and the keys of both its sides.

    Raises HandoffFailed. ``own`` is the exporter's key there: a receiver has a key of its own.
    """
    if not _same(give.session, session) or not _same(give.gifter_side, gifter_side):
        raise HandoffFailed("handoff: the give names another session")
    if give.receiver in (gifter, own):
        raise HandoffFailed("handoff: the receiver's key is that of the gifter or the exporter")
    if not gifter.verify(give.signature, give.signed):
        raise HandoffFailed("handoff: the give is not signed by the gifter")


def check_receive(receive: Receive, *, session: bytes, side: bytes) -> None:
    """Check a receive against the session it came in: its id, its sender's side, and the signature.

    Raises HandoffFailed.
    """
    if not _same(receive.session, session) or not _same(receive.side, side):
        raise HandoffFailed("handoff: the receive names another session")
    if not receive.give.receiver.verify(receive.signature, receive.signed):
        raise HandoffFailed("handoff: the receive is not signed by the receiver")


def _open(envelope: bytes) -> tuple[bytes, bytes]:
    """Take an envelope apart into what is signed and the 64 bytes of the signature."""
    if len(envelope) > LONGEST:
        raise HandoffFailed(f"handoff: a certificate over {LONGEST} bytes")
    cut = len(envelope) - _SIGNATURE_BYTES - 1
    signed = envelope[len(_OPENING) : cut]
    try:
        signature = read_signature(decode_one(envelope[cut:-1], _LIMITS)) if cut > 0 else b""
    except RemoteProtocolError:
        signature = b""
    if not signature or sig_envelope(signed, signature) != envelope:
        raise HandoffFailed("handoff: a certificate is a signed record, and nothing else")
    return signed, signature


def _read(signed: bytes, opaque: frozenset[str], label: str) -> Any:
    try:
        record = Reader(_LIMITS, LONGEST, opaque=opaque).whole(signed)
    except RemoteProtocolError:
        raise HandoffFailed("handoff: what is signed is not Syrup") from None
    if type(record) is not Record or record.label != label:
        raise HandoffFailed(f"handoff: expected a signed {label}")
    return record.fields


def _is_id(value: Any) -> bool:
    return type(value) is bytes and len(value) == ID_BYTES


def _same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)
