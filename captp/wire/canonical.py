"""The forms that are signed, to the byte, and the lists that hold keys and signatures; it signs nothing.

OCapN CapTP draft, op:start-session and Third-Party Handoffs. Signed material is canonical Syrup in every
session, whatever its codec, because a certificate crosses sessions that may differ in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from captp.errors import DecodeError
from captp.model.values import Symbol
from captp.wire.syrup import Encoded, Record, encode

__all__ = [
    "Location",
    "captp_hello",
    "handoff_give",
    "handoff_receive",
    "is_give",
    "location_record",
    "my_location",
    "public_key_list",
    "read_location",
    "read_public_key",
    "read_signature",
    "sig_envelope",
    "signature_list",
]

#: Transport, designator and hints.
Location: TypeAlias = tuple[str, str, Mapping[str, str]]

KEY_BYTES: Final = 32
HALF_SIGNATURE_BYTES: Final = 32

_PUBLIC_KEY: Final = Symbol("public-key")
_ECC: Final = Symbol("ecc")
_CURVE: Final = (Symbol("curve"), Symbol("Ed25519"))
_FLAGS: Final = (Symbol("flags"), Symbol("eddsa"))
_Q: Final = Symbol("q")
_SIG_VAL: Final = Symbol("sig-val")
_EDDSA: Final = Symbol("eddsa")
_R: Final = Symbol("r")
_S: Final = Symbol("s")


def location_record(transport: str, designator: str, hints: Mapping[str, str]) -> Record:
    """Give ``<ocapn-peer transport designator hints>``; no hints are written as false."""
    return Record("ocapn-peer", (Symbol(transport), designator, dict(hints) if hints else False))


def _location(location: Location | bytes) -> Record | Encoded:
    # Somebody else's location keeps the bytes it came in: a second spelling has another signature.
    return Encoded(location) if isinstance(location, bytes) else location_record(*location)


def my_location(location: Location | bytes) -> bytes:
    """Give what an OCapN session key signs: ``<my-location LOCATION>``.

    A location as bytes, as a peer sent it, is taken as it is.
    """
    return encode(Record("my-location", (_location(location),)))


def captp_hello(location: Location | bytes, extensions: str | Iterable[str], binding: bytes) -> bytes:
    """Give what a native session key signs; ``binding`` ties it to the channel.

    ``<captp:hello LOCATION "extensions, a comma list" BINDING>``.
    """
    names = extensions if isinstance(extensions, str) else ",".join(extensions)
    return encode(Record("captp:hello", (_location(location), names, binding)))


def public_key_list(raw: bytes) -> tuple[Any, ...]:
    """Give the nested lists that carry an Ed25519 public key of 32 bytes."""
    return (_PUBLIC_KEY, (_ECC, _CURVE, _FLAGS, (_Q, raw)))


def signature_list(raw: bytes) -> tuple[Any, ...]:
    """Give the nested lists that carry an Ed25519 signature of 64 bytes."""
    r, s = raw[:HALF_SIGNATURE_BYTES], raw[HALF_SIGNATURE_BYTES:]
    return (_SIG_VAL, (_EDDSA, (_R, r), (_S, s)))


def handoff_give(
    receiver_key: bytes,
    exporter_location: Location | bytes,
    session: bytes,
    gifter_side: bytes,
    gift_id: bytes,
) -> bytes:
    """Give the ``desc:handoff-give`` that a gifter signs.

    ``receiver_key`` is the raw key of the receiver's side of the gifter's session with it; session and
    side id are those of the gifter's session with the exporter.
    """
    location = _location(exporter_location)
    fields = (public_key_list(receiver_key), location, session, gifter_side, gift_id)
    return encode(Record("desc:handoff-give", fields))


def handoff_receive(session: bytes, side: bytes, count: int, signed_give: bytes) -> bytes:
    """Give the ``desc:handoff-receive`` that a receiver signs.

    ``signed_give`` is the envelope verbatim; session and side id are those of the receiver's session
    with the exporter, in which ``count`` is used once.
    """
    return encode(Record("desc:handoff-receive", (session, side, count, Encoded(signed_give))))


def is_give(envelope: bytes) -> bool:
    """Say whether an envelope claims to hold a ``desc:handoff-give``; nothing else is looked at."""
    return envelope.startswith(b"<17'desc:sig-envelope<17'desc:handoff-give")


def sig_envelope(signed: bytes, signature: bytes) -> bytes:
    """Give the ``desc:sig-envelope`` of signed bytes and their 64-byte signature."""
    return encode(Record("desc:sig-envelope", (Encoded(signed), signature_list(signature))))


def read_public_key(value: Any) -> bytes:
    """Give the 32 bytes in a public key's lists; raises DecodeError ``bad-key``."""
    match value:
        case (_, (_, _, _, (_, bytes(raw)))) if len(raw) == KEY_BYTES and value == public_key_list(raw):
            return raw
    raise DecodeError("bad-key", "expected the nested lists of an Ed25519 key of 32 bytes")


def read_signature(value: Any) -> bytes:
    """Give the 64 bytes in a signature's lists; raises DecodeError ``bad-signature``."""
    match value:
        case (_, (_, (_, bytes(r)), (_, bytes(s)))):
            if len(r) == len(s) == HALF_SIGNATURE_BYTES and value == signature_list(r + s):
                return r + s
    raise DecodeError("bad-signature", "expected the nested lists of an Ed25519 signature of 64 bytes")


def read_location(value: Any, code: str) -> Location:
    """Give the location in an ``ocapn-peer``; raises DecodeError with ``code``.

    Goblins before the rename says ``ocapn-node`` and lists its hints as ``[key value]``.
    """
    match value:
        case Record("ocapn-peer" | "ocapn-node", (Symbol(name=transport), str(designator), hints)):
            if isinstance(hints, tuple):
                hints = _listed(hints)
            elif hints is False or hints is None:
                hints = {}
            if isinstance(hints, dict) and all(type(hint) is str for hint in hints.values()):
                return (transport, designator, hints)
    raise DecodeError(code, "expected a location: <ocapn-peer transport designator hints>")


def _listed(hints: tuple[Any, ...]) -> dict[str, Any] | None:
    """Give listed hints as a struct, or None when they are none."""
    found: dict[str, Any] = {}
    for hint in hints:
        match hint:
            case (Symbol(name=key) | str(key), value) if key not in found:
                found[key] = value
            case _:
                return None
    return found
