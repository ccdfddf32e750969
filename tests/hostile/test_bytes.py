"""Bytes that are no message, in both encodings."""

from __future__ import annotations

import struct
from typing import Any

import msgpack
import trio

from captp.limits import Limits
from tests.hostile.node import MARK, Hostile
from tests.hostile.rows import Row, cases, check, does, says
from tests.hostile.spell import Ext, Raw, Rec, Sym, export, pack, syrup

HASTY = Limits(partial_message_s=0.4)
NATIVE, SYRUP = ("native",), ("syrup",)
CAN = b"<10'op:deliver<11'desc:export1+>[4'echo%b]ff>"
OPENED = CAN.partition(b"%")[0]


def arg(identity: str, expect: str, spelled: bytes, **more: Any) -> Row:
    """Make a row of one argument of a call, spelled in Syrup by hand."""
    return says(identity, expect, lambda _: CAN % spelled, codecs=SYRUP, **more)


def works(identity: str, spelled: Any, meant: Any, **more: Any) -> Row:
    """Make a row of an argument that is unusual and legal: it comes back as what it means."""

    @does(identity, "W", **more)
    async def script(hostile: Hostile) -> None:
        await hostile.send(hostile.says.call(1, "echo", spelled, at=1))
        value = await hostile.result(1)
        value = dict(value) if isinstance(value, dict) else value
        assert repr(value) == repr(meant), f"{value!r:.200} came back"

    return script


def framed(identity: str, expect: str, payload: bytes, **more: Any) -> Row:
    """Make a row of one native frame with anything in it."""
    return says(identity, expect, lambda s: s.raw(payload), codecs=NATIVE, **more)


def call(argument: bytes) -> bytes:
    """Spell a native call of echo, its argument by hand."""
    return b"\x96\x11\x01\xa4echo\x91" + argument + b"\x01\xc3"


def packed(value: Any) -> bytes:
    """Spell what has no form of ours as MessagePack does."""
    return bytes(msgpack.packb(value) or b"")


def head(code: int, count: int) -> bytes:
    return bytes([code]) + struct.pack(">I", count)


def claims(identity: str, expect: str, payload: bytes, **more: Any) -> Row:
    return framed(identity, expect, b"\x96\x11\x01\xa4echo\x91" + payload, weighs=True, **more)


SYRUP_ROWS = [
    arg("M25-a-length-of-a-gigabyte", "A:too-large", b"999999999:", weighs=True),
    arg("M25-text", "A:too-large", b'999999999"', weighs=True),
    arg("M26-10000-digits", "A:bad-value", b"9" * 10_000 + b":"),
    arg("M26-ten-digits", "A:bad-value", b"1234567890:"),
    arg("M27-leading-zero", "A:bad-value", b"03:abc"),
    arg("M27-plus", "A:bad-value", b"+3:abc"),
    arg("M27-minus", "A:bad-value", b"-3:abc"),
    arg("M27-space-before", "A:bad-value", b" 3:abc"),
    arg("M27-space-inside", "A:bad-value", b"3 :abc"),
    arg("M28-4097-digits", "A:bad-value", b"9" * 4097 + b"+"),
    arg("M28-a-million-digits", "A:bad-value", b"9" * 1_000_000 + b"+", weighs=True),
    works("M28-4096-digits", Raw(b"9" * 4096 + b"+"), 10**4096 - 1, codecs=SYRUP),
    arg("M29-sign-in-front", "A:bad-value", b"-0"),
    works("M29-minus-zero", Raw(b"0-"), 0, codecs=SYRUP),
    works("M29-zeros-in-front", Raw(b"007+"), 7, codecs=SYRUP),
    arg("M29-another-nan", "A:bad-value", b"D" + bytes.fromhex("7ff8000000000001")),
    arg("M29-a-signalling-nan", "A:bad-value", b"D" + bytes.fromhex("7ff0000000000001")),
    arg("M29-a-short-float", "A:bad-value", b"F" + bytes(4)),
    arg("M30-65-deep", "A:too-deep", b"[" * 65 + b"]" * 65),
    arg("M30-a-million-deep", "A:too-deep", b"[" * 1_000_000, weighs=True),
    arg("M30-records", "A:too-deep", b"<1'x" * 100),
    arg("M31-100001-lists", "A:too-many", (b"[" + b"[]" * 40_000 + b"]") * 3, weighs=True),
    arg("M31-one-long-list", "A:too-many", b"[" + b"0+" * 50_001 + b"]", weighs=True),
    arg("M31-one-long-struct", "A:too-many",
        b"{" + b"".join(b'5"%05d0+' % i for i in range(50_001)) + b"}", weighs=True),
    says("M32-an-unclosed-record", "A:too-slow", lambda _: OPENED, codecs=SYRUP, limits=HASTY),
    says("M32-half-a-text", "A:too-slow", lambda _: OPENED + b'4000000"abc', codecs=SYRUP, limits=HASTY),
    arg("M33-list-as-struct", "A:bad-frame", b"[1+}"),
    arg("M33-struct-as-record", "A:bad-frame", b"{>"),
    arg("M33-closer-alone", "A:bad-frame", b"]"),
    arg("M34-a-key-twice", "A:bad-value", b'{1"a1+1"a2+}'),
    arg("M34-a-key-twice-as-symbol", "A:bad-value", b"{1\"a1+1'a2+}"),
    arg("a-key-without-value", "A:bad-value", b'{1"a}'),
    arg("a-key-that-is-a-number", "A:bad-value", b"{1+1+}"),
    arg("a-key-that-is-a-list", "A:bad-value", b"{[]1+}"),
    arg("M35-a-set", "A:bad-value", b"#1+2+$"),
    arg("M35-a-set-with-duplicates", "A:bad-value", b"#1+1+$"),
    arg("M36-invalid", "A:bad-value", b'3"\xff\xfe\xfd'),
    arg("M36-overlong", "A:bad-value", b'2"\xc0\x80'),
    arg("M36-surrogate", "A:bad-value", b'3"\xed\xa0\x80'),
    arg("M36-cut", "A:bad-value", b'2"\xe2\x82'),
    arg("M36-above-unicode", "A:bad-value", b'4"\xf4\x90\x80\x80'),
    arg("M36-symbol", "A:bad-value", b"2'\xc0\x80"),
    arg("M37-label-is-text", "A:unknown-op", b'<1"x>'),
    arg("M37-label-is-a-list", "A:unknown-op", b"<[]>"),
    arg("M37-no-label", "A:unknown-op", b"<>"),
    arg("a-symbol-of-1025-bytes", "A:bad-value", b"1025'" + b"s" * 1025),
    arg("csexp-list", "A:bad-value", b"(1+)"),
    arg("bencode-list", "A:bad-value", b"l1+e"),
    says("M37-a-list-for-a-message", "A:unknown-op", lambda _: b"[]", codecs=SYRUP),
    says("M37-an-unknown-operation", "A:unknown-op", lambda s: s.message("op:destroy", MARK), codecs=SYRUP),
    says("M37-no-operation", "A:unknown-op", lambda s: s.message("desc:export", 0), codecs=SYRUP),
    says("M37-text-label", "A:unknown-op", lambda _: b'<10"op:deliver>', codecs=SYRUP),
]  # fmt: skip

NATIVE_ROWS = [
    claims("M40-array32", "A:bad-frame|too-many", head(0xDD, 2**32 - 1)),
    claims("M40-map32", "A:bad-frame|too-many", head(0xDF, 100_000_000)),
    claims("M40-array-of-40000", "A:bad-frame|too-many", head(0xDD, 40_000)),
    claims("M40-str32", "A:bad-frame", head(0xDB, 2**32 - 1) + b"abc"),
    claims("M40-str32-below-the-limit", "A:bad-frame", head(0xDB, 4_000_000) + b"abc"),
    claims("M40-bin32", "A:bad-frame", head(0xC6, 2**32 - 1)),
    claims("M40-ext32", "A:bad-frame", head(0xC9, 2**32 - 1) + b"\x02"),
    claims("M40-forty-arrays", "A:bad-frame|too-many|too-deep", head(0xDD, 49_999) * 40),
    claims("M41-1025-deep", "A:too-deep", b"\x91" * 1025 + b"\xc0"),
    claims("M41-65-deep", "A:too-deep", b"\x91" * 65 + b"\xc0\x01\xc3"),
    claims("M41-100000-deep", "A:too-deep", b"\x91" * 100_000 + b"\xc0"),
    claims("M41-maps", "A:too-deep", b"\x81\xa1a" * 100 + b"\xc0\x01\xc3"),
    framed("M42-unknown-ext", "A:bad-value", call(pack(Ext(77, b"x")))),
    framed("M42-reserved-ext", "A:bad-value", call(pack(Ext(25, b"x")))),
    framed("M42-negative-ext", "A:bad-value", call(pack(Ext(-5, b"x")))),
    framed("M42-timestamp-32", "A:bad-value", call(b"\xd6\xff\x00\x00\x00\x00")),
    framed("M42-timestamp-64", "A:bad-value", call(b"\xd7\xff" + bytes(8))),
    framed("M42-timestamp-in-a-map", "A:bad-value", call(b"\x81\xa1a\xd6\xff" + bytes(4))),
    framed("M42-timestamp-of-wrong-size", "A:bad-value|bad-frame", call(b"\xd4\xff\x00")),
    framed("M42-null-with-payload", "A:bad-value", call(pack(Ext(0, b"x")))),
    framed("M42-position-of-0-bytes", "A:bad-value", call(pack(Ext(18, b"")))),
    framed("M42-position-of-8-bytes", "A:bad-value", call(pack(Ext(18, bytes(8))))),
    framed("M42-int-without-sign", "A:bad-value", call(pack(Ext(1, b"\x01" * 10)))),
    framed("M42-int-without-magnitude", "A:bad-value", call(pack(Ext(1, b"+")))),
    framed("M42-int-with-zeros", "A:bad-value", call(pack(Ext(1, b"+\x00" + b"\x01" * 9)))),
    framed("M42-int-of-2000-bytes", "A:bad-value", call(pack(Ext(1, b"+" + b"\x01" * 2000)))),
    framed("M42-0xc1", "A:bad-value", call(b"\xc1")),
    framed("M42-symbol-no-utf-8", "A:bad-value", call(pack(Ext(2, b"\xff")))),
    framed("M42-symbol-of-1025-bytes", "A:bad-value", call(pack(Ext(2, b"s" * 1025)))),
    framed("M42-sturdyref-of-noise", "A:bad-value", call(pack(Ext(21, b"\x94\xc1")))),
    framed("M42-sturdyref-of-three", "A:bad-value", call(pack(Ext(21, packed(["tls", "x", {}]))))),
    framed("M42-sturdyref-nested", "A:bad-value", call(pack(Ext(21, b"\x91" * 5000 + b"\xc0")))),
    framed("M43-a-value-behind", "A:unknown-op", call(b"\x07") + b"\x00"),
    framed("M43-half-a-message-behind", "A:bad-frame", call(b"\x07") + b"\x93\x02"),
    framed("M43-behind-a-large-one", "A:bad-frame", call(head(0xC6, 70_000) + bytes(70_000)) + b"\x00"),
    framed("a-text-no-utf-8", "A:bad-value", call(b"\xa2\xc0\x80")),
    framed("a-text-with-a-surrogate", "A:bad-value", call(b"\xa3\xed\xa0\x80")),
    framed("a-key-twice", "A:bad-value", call(b"\x82\xa1a\x01\xa1a\x02")),
    framed("a-key-that-is-a-number", "A:bad-value|bad-frame", call(b"\x81\x01\x01")),
    framed("a-key-that-is-bytes", "A:bad-value", call(b"\x81\xc4\x01a\x01")),
    framed("a-key-that-is-a-list", "A:bad-value|bad-frame", call(b"\x81\x90\x01")),
    framed("a-key-that-is-a-marker", "A:bad-value|bad-frame", call(b"\x81\xc7\x00\x03\x01")),
    framed("100001-lists", "A:too-many", call(head(0xDD, 3) + (head(0xDD, 40_000) + b"\x90" * 40_000) * 3),
           weighs=True),
    framed("a-marker-alone", "A:bad-value", call(pack(Ext(3, b"")))),
    framed("a-marker-second", "A:bad-value", call(pack([1, Ext(3, b"")]))),
    framed("a-marker-in-a-struct", "A:bad-value", call(pack({"a": Ext(4, b"")}))),
    framed("a-tagged-value-without-tag", "A:bad-value", call(pack([Ext(3, b""), 7, 7]))),
    framed("an-error-with-a-list", "A:bad-value", call(pack([Ext(4, b""), "x", [], None]))),
    framed("a-marker-for-an-opcode", "A:unknown-op", pack([Ext(3, b""), "tag", 1])),
    framed("true-for-an-opcode", "A:unknown-op", pack([True, "x"])),
    framed("a-float-for-an-opcode", "A:unknown-op", pack([17.0, 1, "echo", [1], 1, True])),
    framed("an-opcode-of-2-to-the-70", "A:unknown-op", pack([2**70, MARK])),
    framed("an-unknown-opcode", "A:unknown-op", pack([14, MARK])),
    framed("an-empty-message", "A:unknown-op", b"\x90"),
    framed("nil-for-a-message", "A:unknown-op", b"\xc0"),
    framed("a-map-for-a-message", "A:unknown-op", packed({"op": MARK})),
    says("a-frame-of-4-GiB", "A:too-large", lambda _: b"\xff\xff\xff\xff", codecs=NATIVE, weighs=True),
    says("half-a-length", "A:too-slow", lambda _: b"\0\0", codecs=NATIVE, limits=HASTY),
    says("M32-half-a-frame", "A:too-slow", lambda s: s.raw(b"\x90" * 99)[:-1], codecs=NATIVE, limits=HASTY),
    says("syrup-after-a-native-hello", "A:too-large", lambda _: syrup(Rec("op:abort", "x")), codecs=NATIVE),
    says("the-preamble-again", "A:too-large", lambda s: s.preface, codecs=NATIVE),
    works("a-float-of-32-bits", Raw(b"\xca\x3f\x00\x00\x00"), 0.5, codecs=NATIVE),
    works("headers-longer-than-need-be", Raw(b"\xdb\0\0\0\x01a"), "a", codecs=NATIVE),
]  # fmt: skip


@does("empty-frames", "I", codecs=NATIVE)
async def empty_frames(hostile: Hostile) -> None:
    await hostile.send(bytes(4 * 10_000))


@does("M44-a-nan-with-payload", "W", codecs=NATIVE)
async def nan_with_payload(hostile: Hostile) -> None:
    """There is one NaN to the model, and what comes back is that one."""
    odd = Raw(b"\xcb" + bytes.fromhex("7ff8000000000001"))
    await hostile.send(hostile.says.call(1, "echo", odd, at=1), hostile.says.call(1, "echo", [odd], at=2))
    for value in (await hostile.result(1), (await hostile.result(2))[0]):
        assert struct.pack(">d", value) == bytes.fromhex("7ff8000000000000")


@does("M39-one-segment", "W")
async def one_segment(hostile: Hostile) -> None:
    says_ = hostile.says
    await hostile.send(says_.call(1, "number", 1, at=1), says_.call(1, "number", 2, at=2))
    assert (await hostile.result(1), await hostile.result(2)) == (1, 2)


@does("M39-one-byte-segments", "W")
async def one_byte_segments(hostile: Hostile) -> None:
    for byte in hostile.says.call(1, "number", 1, at=1):
        await hostile.wire.send(bytes([byte]))
        await trio.lowlevel.checkpoint()
    assert await hostile.result(1) == 1


@does("M39-a-hello-in-one-byte-segments", "W", opens=False)
async def hello_in_bytes(hostile: Hostile) -> None:
    hello = hostile.hello()
    await hostile.wire.drip(hello[:-1], 0)
    hostile.hello = lambda **_: hello[-1:]  # type: ignore[method-assign]
    await hostile.open()


ROWS = [
    *SYRUP_ROWS, *NATIVE_ROWS, empty_frames, nan_with_payload, one_segment, one_byte_segments, hello_in_bytes,
    works("M34-any-order-of-keys", Raw(b'{2"bb1+1"c2+1"a3+}'), {"a": 3, "bb": 1, "c": 2}, codecs=SYRUP),
    works("M44-minus-zero", -0.0, -0.0),
    works("M44-nan", float("nan"), float("nan")),
    works("a-struct-with-python-names", {"__class__": 1, "\0": 2}, {"\0": 2, "__class__": 1}),
    says("M37-an-operation-as-an-argument", "B:bad-args", lambda s: s.call(
        1, "number", Rec("op:abort", "x"), at=1), codecs=SYRUP),
    says("a-method-with-a-newline", "B:no-such-method", lambda s: s.deliver(export(1), [Sym("a\nb")], 1)),
]  # fmt: skip


@cases(ROWS)
def test_bytes_that_are_no_message_end_their_session(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
