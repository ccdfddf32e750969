"""The native forms of integers that MessagePack has none for, of sturdyrefs, of symbols' names, of errors."""

from __future__ import annotations

import msgpack

from captp.errors import BadLocator, DecodeError, LimitExceeded, Unpassable
from captp.limits import Limits
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.values import FrozenMap
from captp.wire.shapes import struct_of

__all__ = ["decode_int", "decode_sturdyref", "encode_int", "encode_sturdyref", "translated", "utf8"]


def encode_int(value: int, limits: Limits) -> bytes:
    """Return the sign and the magnitude; raises Unpassable."""
    size = (abs(value).bit_length() + 7) // 8
    if size > _int_bytes(limits):
        raise Unpassable(f"integers have at most {limits.int_digits} digits")
    return (b"-" if value < 0 else b"+") + abs(value).to_bytes(size, "big")


def decode_int(data: bytes, limits: Limits) -> int:
    """Read a sign and a magnitude; raises DecodeError or LimitExceeded."""
    magnitude = data[1:]
    if len(magnitude) > _int_bytes(limits):
        raise LimitExceeded("bad-value", f"an integer of more than {limits.int_digits} digits")
    if data[:1] not in (b"+", b"-") or magnitude[:1] in (b"", b"\0"):
        raise DecodeError("bad-value", "a big integer is a sign and a minimal magnitude")
    value = int.from_bytes(magnitude, "big")
    return -value if data[:1] == b"-" else value


def encode_sturdyref(ref: SturdyRef) -> bytes:
    """Return MessagePack of its fields."""
    peer = ref.peer
    fields = (peer.transport, peer.designator, dict(peer.hints), ref.swiss)
    return msgpack.packb(fields)  # type: ignore[no-any-return]


def decode_sturdyref(data: bytes) -> SturdyRef:
    """Read MessagePack of the fields; raises DecodeError."""
    try:
        fields = msgpack.unpackb(data, use_list=False, strict_map_key=True, object_pairs_hook=struct_of)
    except (msgpack.UnpackException, ValueError, DecodeError):
        fields = ()
    match fields:
        case (str(transport), str(designator), FrozenMap() as hints, bytes(swiss)):
            if all(type(v) is str for v in hints.values()):
                try:
                    return SturdyRef(PeerLocator.make(transport, designator, dict(hints)), swiss)
                except BadLocator:
                    pass
    raise DecodeError("bad-value", "a malformed sturdyref")


def utf8(text: str) -> bytes:
    """Return the bytes of a symbol's name; raises Unpassable."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Unpassable("a symbol with lone surrogates is no text") from None


def _int_bytes(limits: Limits) -> int:
    """Return how many bytes an integer of ``int_digits`` decimal digits can need."""
    return limits.int_digits * 3322 // 8000 + 1


def translated(problem: Exception, offset: int) -> Exception:
    """Return what reading a frame raised as one of our errors, with about where that was."""
    where = f"near byte {offset} of a frame"
    if isinstance(problem, DecodeError | LimitExceeded):
        return problem
    if isinstance(problem, msgpack.StackError):
        return LimitExceeded("too-deep", where)
    if isinstance(problem, UnicodeDecodeError):
        return DecodeError("bad-value", f"a string is no UTF-8 {where}")
    if "exceeds max_array_len" in str(problem) or "exceeds max_map_len" in str(problem):
        return LimitExceeded("too-many", f"entries in one container {where}")
    if "exceeds max_" in str(problem):
        return DecodeError("bad-frame", f"a length that the frame cannot hold {where}")
    if isinstance(problem, msgpack.FormatError):
        return DecodeError("bad-value", where)
    return DecodeError("bad-frame", where)
