"""What the tests of the native codec share: references that are their own names, and known messages."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from attrs import frozen

from captp.errors import RemoteProtocolError, Unpassable
from captp.limits import Limits
from captp.model.boxed import Boxed
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.values import NULL, Fault, FrozenMap, Null, Symbol, Tagged
from captp.wire.native import NativeCodec
from captp.wire.ops import (
    ABORT,
    BODY,
    BREAK,
    FORGET,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    RESOLVE,
    START,
    UNTAG,
    Call,
    Deliver,
    Desc,
    Kind,
    Listen,
    Op,
)

LIMITS = Limits()

#: Every code with which the native codec refuses a message.
CODES = {"too-large", "too-deep", "too-many", "bad-frame", "bad-value", "unknown-op"}


@frozen
class Reference:
    """What a descriptor of that kind and position stands for."""

    kind: Kind
    position: Any


class Names:
    """Refs by which every reference is its own descriptor."""

    def describe(self, value: object) -> Desc:
        if type(value) is Reference:
            return Desc(value.kind, value.position)
        raise Unpassable(f"a {type(value).__name__} cannot cross")

    def unbox(self, box: Boxed) -> Any:
        raise Unpassable(f"a {type(box).__name__} cannot cross")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Reference(Kind(kind), position)


def codec(limits: Limits = LIMITS) -> NativeCodec:
    return NativeCodec(Names(), limits)


def framed(*messages: bytes) -> bytes:
    """Put the messages into one frame."""
    body = b"".join(messages)
    return len(body).to_bytes(4, "big") + body


def read(message: bytes, limits: Limits = LIMITS) -> Op:
    (op,) = codec(limits).feed(framed(message))
    return op


def code_of(message: bytes, limits: Limits = LIMITS) -> str:
    """Return the code with which a frame of that content is refused."""
    with pytest.raises(RemoteProtocolError) as caught:
        list(codec(limits).feed(framed(message)))
    return caught.value.code


def outcome(data: bytes) -> tuple[list[Op], str | None]:
    """Return what comes out of these bytes, and the code if they are refused after that."""
    found: list[Op] = []
    try:
        for op in codec().feed(data):
            found.append(op)  # noqa: PERF402 - what came before the error counts
    except RemoteProtocolError as problem:
        return found, problem.code
    return found, None


def result(value: bytes) -> bytes:
    """Give the message that carries an encoded value: op:resolve of position 1."""
    return bytes([0x93, RESOLVE, 1]) + value


def ext(code: int, data: bytes = b"") -> bytes:
    """Spell an extension, with a 32-bit length whatever its size."""
    return b"\xc9" + struct.pack(">Ib", len(data), code) + data


def array(*items: bytes) -> bytes:
    return b"\xdd" + len(items).to_bytes(4, "big") + b"".join(items)


def mapping(*items: bytes) -> bytes:
    """Spell a map: keys and values by turns."""
    return b"\xdf" + (len(items) // 2).to_bytes(4, "big") + b"".join(items)


def text(value: str) -> bytes:
    raw = value.encode()
    return b"\xdb" + len(raw).to_bytes(4, "big") + raw


def binary(data: bytes) -> bytes:
    return b"\xc6" + len(data).to_bytes(4, "big") + data


def exactly(value: Any) -> Any:
    """Return a form in which values are equal only with their types; refuses what is not passable."""
    kind = type(value)
    if kind is tuple:
        parts: Any = tuple(map(exactly, value))
    elif kind is FrozenMap:
        parts = {key: exactly(item) for key, item in value.items()}
        assert set(map(type, value)) <= {str}
    elif kind is Tagged:
        parts = (exactly(value.tag), exactly(value.value))
    elif kind is Fault:
        parts = (exactly(value.message), exactly(value.data), exactly(value.incident))
    elif kind is float:
        parts = "NaN" if value != value else struct.pack(">d", value)  # noqa: PLR0124
    else:
        assert kind in (type(None), Null, bool, int, str, bytes, Symbol, SturdyRef, Reference), kind
        parts = value
    return kind, parts


EXPORT = Reference(Kind.EXPORT, 3)
ANSWER = Reference(Kind.ANSWER, 256)
STURDYREF = SturdyRef(PeerLocator.make("tls", "ab", {"host": "h"}), b"swiss")

#: One message and its bytes for each operation, at least.
OPERATIONS: list[tuple[Op, str]] = [
    # a version, a key, a place of transport and designator and hints, a signature, extensions
    (
        (START, "1.0", b"\7" * 32, ("tls", "ab", FrozenMap(host="h")), b"\x08" * 64, ("mp1",)),
        f"96 01 a3312e30 c420{'07' * 32} 93a3746c73a2616281a4686f7374a168 c440{'08' * 64} 91a36d7031",
    ),
    ((ABORT, "bye"), "92 02 a3627965"),
    # export 3, [symbol, 1], no answer, no resolve-me
    (Deliver(EXPORT, (Symbol("go"), 1)), "95 03 d41203 92d502676f01 c2 c2"),
    # answer 256, [], answer position 4, resolve-me
    (Deliver(ANSWER, (), 4, True), "95 03 d5130100 90 04 c3"),
    (Listen(ANSWER, 5), "94 04 d5130100 05 c2"),
    (Listen(ANSWER, True, True), "94 04 d5130100 c3 c3"),
    ((GET, ANSWER, "key", 6, True), "95 05 d5130100 a36b6579 06 c3"),
    ((INDEX, ANSWER, 2, 6), "94 06 d5130100 02 06"),
    ((UNTAG, ANSWER, "tag", 6), "94 07 d5130100 a3746167 06"),
    ((GC_EXPORTS, (1, 300), (2, 1)), "93 08 9201cd012c 920201"),
    ((GC_ANSWERS, (7, 8)), "92 09 920708"),
    ((RESOLVE, 4, None), "93 0f 04 c0"),
    # the error as in VALUES
    ((BREAK, 4, Fault("no")), "93 10 04 94c70004a26e6fc0c0"),
    # export 2, method, [7], answer position 4, wanted
    (Call(2, "echo", (7,), 4, True), "96 11 02 a46563686f 9107 04 c3"),
    # the answer at position 0, no result
    (Call(-1, "echo", ()), "96 11 ff a46563686f 90 c2 c2"),
    # a hash, 7 bytes are left, bytes
    ((BODY, b"h" * 32, 7, b"\1\2"), f"94 12 c420{'68' * 32} 07 c4020102"),
    ((FORGET, (b"h" * 32,)), f"92 13 91c420{'68' * 32}"),
]

#: One value and its bytes for each form that MessagePack or an extension has for one, at least.
VALUES: list[tuple[Any, str]] = [
    (None, "c0"),
    (True, "c3"),
    (False, "c2"),
    (0, "00"),
    (127, "7f"),
    (128, "cc80"),
    (256, "cd0100"),
    (65536, "ce00010000"),
    (2**32, "cf0000000100000000"),
    (2**64 - 1, "cfffffffffffffffff"),
    (-1, "ff"),
    (-32, "e0"),
    (-33, "d0df"),
    (-129, "d1ff7f"),
    (-(2**63), "d38000000000000000"),
    # floats are never integers and never 32 bits
    (1.0, "cb3ff0000000000000"),
    (-0.0, "cb8000000000000000"),
    (float("inf"), "cb7ff0000000000000"),
    (float("nan"), "cb7ff8000000000000"),
    ("björn", "a6626ac3b6726e"),
    ("x" * 32, "d920" + "78" * 32),
    (b"", "c400"),
    (b"\0\xff", "c40200ff"),
    ((), "90"),
    ((1, (2,)), "92019102"),
    (FrozenMap(a=1, b=FrozenMap()), "82a16101a16280"),
    # ext 0: null
    (NULL, "c70000"),
    # ext 1: a sign and the magnitude of what does not fit into 64 bits
    (2**64, "c70a01 2b010000000000000000"),
    (-(2**63) - 1, "c70901 2d8000000000000001"),
    # ext 2: symbols
    (Symbol(""), "c70002"),
    (Symbol("ö"), "d502c3b6"),
    # ext 3, empty, first in an array: tag and value
    (Tagged("t", (1,)), "93c70003 a174 9101"),
    # ext 4, empty, first in an array: text, data, incident
    (Fault("no", FrozenMap(code=5), b"\1"), "94c70004 a26e6f 81a4636f646505 c40101"),
    # ext 16 to 19: a position, big-endian, in as few bytes as it needs
    (Reference(Kind.IMPORT_OBJECT, 0), "d41000"),
    (Reference(Kind.IMPORT_PROMISE, 255), "d411ff"),
    (Reference(Kind.EXPORT, 65536), "c70312010000"),
    (Reference(Kind.ANSWER, 2**56 - 1), "c70713ffffffffffffff"),
    # ext 20: a certificate is opaque
    (Reference(Kind.CERTIFICATE, b"<1'x>"), "c70514 3c3127783e"),
    (Reference(Kind.CERTIFICATE_SOLE, b"<1'x>"), "c7051b 3c3127783e"),
    (Reference(Kind.LENT, 5), "d41705"),
    (Reference(Kind.IMPORT_SOLE, 300), "d518012c"),
    (Reference(Kind.EXPORT_SOLE, 1), "d41901"),
    # ext 26: a hash
    (Reference(Kind.FROZEN, b"h" * 32), "c7201a" + "68" * 32),
    # ext 21: [transport, designator, hints, swiss number]
    (STURDYREF, "c71715 94 a3746c73 a26162 81a4686f7374a168 c4057377697373"),
]

MESSAGES = [(op, bytes.fromhex(data)) for op, data in OPERATIONS] + [
    ((RESOLVE, 1, value), result(bytes.fromhex(data))) for value, data in VALUES
]
