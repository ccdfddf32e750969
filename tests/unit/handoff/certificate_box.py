"""Certificates as a gifter, a receiver and a forger write them, with every part for the caller to change."""

from __future__ import annotations

from typing import Any

from captp.model.keys import PrivateKey, session_id, side_id
from captp.peer.handoff.certificates import Give, check_give
from captp.wire.canonical import public_key_list, signature_list
from captp.wire.syrup import Encoded, Record, encode

EXPORTER, GIFTER, RECEIVER, THIEF = (PrivateKey.from_seed(name * 32) for name in (b"e", b"g", b"r", b"t"))
PLACE = b'<10\'ocapn-peer3\'sim1"e{4"exts3"mp14"node1"e}>'
GIFT_ID = b"i" * 32


def side(key: PrivateKey) -> bytes:
    return side_id(key.public.raw)


SESSION = session_id(side(GIFTER), side(EXPORTER))
#: The receiver's session with the exporter has keys of its own.
RECEIVERS_OTHER = PrivateKey.from_seed(b"o" * 32)
RECEIVING_SIDE = side(RECEIVERS_OTHER)
RECEIVING = session_id(RECEIVING_SIDE, side(EXPORTER))


def give_fields(**changed: Any) -> dict[str, Any]:
    """Return the five fields of the right give, in order, with some of them changed."""
    return {
        "key": public_key_list(RECEIVER.public.raw),
        "place": Encoded(PLACE),
        "session": SESSION,
        "side": side(GIFTER),
        "gift": GIFT_ID,
    } | changed


def give_bytes(**changed: Any) -> bytes:
    return record("desc:handoff-give", *give_fields(**changed).values())


def receive_bytes(
    given: bytes | None = None,
    *,
    count: Any = 0,
    session: Any = RECEIVING,
    of: Any = RECEIVING_SIDE,
) -> bytes:
    """Return the right receive, with some of its fields changed."""
    nested = Encoded(signed_give() if given is None else given)
    return record("desc:handoff-receive", session, of, count, nested)


def record(label: str, *fields: Any) -> bytes:
    return encode(Record(label, fields))


def envelope(signed: bytes, signature: bytes) -> bytes:
    return record("desc:sig-envelope", Encoded(signed), signature_list(signature))


def signed_give(signer: PrivateKey = GIFTER, **changed: Any) -> bytes:
    given = give_bytes(**changed)
    return envelope(given, signer.sign(given))


def signed_receive(given: bytes | None = None, signer: PrivateKey = RECEIVER, **changed: Any) -> bytes:
    receive = receive_bytes(given, **changed)
    return envelope(receive, signer.sign(receive))


def checked(give: Give, **changed: Any) -> None:
    """Check a give as the exporter does in the session with the gifter."""
    right: dict[str, Any] = {
        "session": SESSION,
        "gifter_side": side(GIFTER),
        "gifter": GIFTER.public,
        "own": EXPORTER.public,
    }
    check_give(give, **(right | changed))


P = 2**255 - 19
Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826

#: Encodings of points that verify signatures which nobody made.
SMALL_ORDER = {
    "order 1": 1,
    "order 2": P - 1,
    "order 4": 0,
    "order 8": Y8,
    "order 8, the other": P - Y8,
    "order 1, sign set": 1 | 1 << 255,
    "order 1, not canonical": P + 1,
    "order 4, not canonical": P,
}
