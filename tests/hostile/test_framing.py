"""Syrup with lengths in front, and encodings and framings that change on the way."""

from __future__ import annotations

from collections.abc import Callable

from tests.hostile.node import MARK, Hostile
from tests.hostile.rows import Row, cases, check, does
from tests.hostile.spell import Sym, export

SYRUP, NATIVE = ("syrup",), ("native",)


def length(message: bytes) -> bytes:
    return b"%d:%b" % (len(message), message)


def after_a_framed_hello(identity: str, expect: str, spell: Callable[[Hostile], bytes]) -> Row:
    """Make a row of what comes after a hello with its length in front, as the node's answers have."""

    @does(identity, expect, codecs=SYRUP, opens=False)
    async def script(hostile: Hostile) -> None:
        await hostile.wire.send(length(hostile.hello()))
        await hostile.hears("start")
        for spelled in (hostile.says.call(0, "captp:ping"), hostile.says.call(0, "fetch", SWISS, at=0)):
            await hostile.wire.send(length(spelled))
        assert (await hostile.result(0)).position == 1
        hostile.heard.clear()
        await hostile.wire.send(spell(hostile))

    return script


SWISS = b"the swiss number of the one door"


def call(hostile: Hostile) -> bytes:
    return hostile.says.call(1, "number", MARK, at=1)


ROWS = [
    after_a_framed_hello("no-length", "A:bad-value", call),
    after_a_framed_hello("length-0", "A:bad-value", lambda _: b"0:"),
    after_a_framed_hello("leading-zero", "A:bad-value", lambda h: b"0" + length(call(h))),
    after_a_framed_hello("negative", "A:bad-value", lambda h: b"-" + length(call(h))),
    after_a_framed_hello("two-commas", "A:bad-value", lambda h: length(call(h)) + b",,"),
    after_a_framed_hello("comma-first", "A:bad-value", lambda h: b",," + length(call(h))),
    after_a_framed_hello("ten-digits", "A:bad-value|too-large", lambda _: b"1234567890:"),
    after_a_framed_hello("a-gigabyte", "A:too-large", lambda _: b"999999999:"),
    after_a_framed_hello("4-MiB-and-1", "A:too-large", lambda _: b"4194305:<"),
    after_a_framed_hello("no-colon", "A:bad-value", lambda h: b'%d"' % len(call(h)) + call(h)),
    after_a_framed_hello("one-byte-short", "A:bad-frame", lambda h: length(call(h)[:-1])),
    after_a_framed_hello("one-byte-long", "A:bad-frame", lambda h: length(call(h) + b"0")),
    after_a_framed_hello("two-in-one", "A:bad-frame", lambda h: length(call(h) * 2)),
    after_a_framed_hello("text-in-a-frame", "A:unknown-op", lambda _: length(b'3"abc')),
    after_a_framed_hello("the-native-preamble", "A:bad-value", lambda _: b"\xc1captp\x01\x00"),
    after_a_framed_hello("a-digit-that-is-none", "A:bad-value", lambda _: "٣:abc".encode()),
]  # fmt: skip


@does("commas-between", "W", codecs=SYRUP, opens=False)
async def commas(hostile: Hostile) -> None:
    """A real netstring has one comma behind."""
    says = hostile.says
    await hostile.wire.send(length(hostile.hello()) + b",")
    await hostile.hears("start")
    for spelled in (says.call(0, "captp:ping"), says.call(0, "fetch", SWISS, at=0)):
        await hostile.wire.send(length(spelled) + b",")
    assert (await hostile.result(0)).position == 1
    await hostile.wire.send(
        length(says.call(1, "number", 5, at=1)) + b"," + length(says.call(1, "data", at=2))
    )
    assert await hostile.result(1) == 5
    assert (await hostile.result(2))["name"] == "door"
    # From here on as the table expects: what it sends by itself has no length in front.
    hostile.says = _Framed(hostile)  # type: ignore[assignment]


class _Framed:
    """Puts a length before whatever is spelled."""

    def __init__(self, hostile: Hostile) -> None:
        self._says = hostile.says

    def __getattr__(self, name: str) -> Callable[..., bytes]:
        spell = getattr(self._says, name)
        return lambda *args, **more: length(spell(*args, **more))


def after_a_hello(identity: str, expect: str, spell: Callable[[Hostile], bytes], **more: object) -> Row:
    @does(identity, expect, **more)
    async def script(hostile: Hostile) -> None:
        await hostile.wire.send(spell(hostile))

    return script


ROWS += [
    commas,
    after_a_hello("lengths-after-none", "A:unknown-op", lambda h: length(call(h)), codecs=SYRUP),
    after_a_hello("native-after-syrup", "A:unknown-op", lambda _: b"\xc1captp\x01\x00", codecs=SYRUP),
    after_a_hello("white-space-between", "A:unknown-op", lambda h: b"\n" + call(h), codecs=SYRUP),
    after_a_hello("white-space-inside", "A:bad-value", lambda h: call(h).replace(b">", b" >"), codecs=SYRUP),
    after_a_hello("a-comma-between", "A:unknown-op", lambda h: b"," + call(h), codecs=SYRUP),
    after_a_hello("http-after-a-hello", "A:unknown-op", lambda _: b"GET / HTTP/1.1\r\n\r\n", codecs=SYRUP),
    after_a_hello("http-in-a-native-session", "A:too-large", lambda _: b"GET / HTTP/1.1\r\n\r\n",
                  codecs=NATIVE),
    after_a_hello("a-length-little-endian", "A:too-large", lambda h: h.says.message("op:abort", "x")[3::-1],
                  codecs=NATIVE),
    after_a_hello("a-message-over-two-frames", "A:bad-frame", lambda h: (
        h.says.raw(call(h)[4:20]) + h.says.raw(call(h)[20:])
    ), codecs=NATIVE),
    after_a_hello("a-good-and-a-bad-message", "A:unknown-op", lambda h: h.says.raw(
        call(h)[4:] + b"\x91\x63"), codecs=NATIVE),
    after_a_hello("a-method-by-nul", "B:no-such-method", lambda h: h.says.deliver(
        export(1), [Sym("number\0"), 1], 1)),
]  # fmt: skip


@cases(ROWS)
def test_a_framing_that_changes_ends_its_session(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
