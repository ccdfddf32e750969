"""What is lent and given away by a peer that keeps no terms: exts 23, 24 and 25."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from captp.limits import MIB, Limits
from captp.model.values import Fault
from tests.hostile.node import MARK, Hostile
from tests.hostile.rows import Row, cases, check, does
from tests.hostile.spell import Ext, Speaker, Sym, answer, export, object_, promise

NATIVE = ("native",)
BOTH = ("mp1", "own1")


def lent(position: int) -> Ext:
    return Ext(23, position.to_bytes(7, "big"))


def given(position: int) -> Ext:
    return Ext(24, position.to_bytes(7, "big"))


def back(position: int) -> Ext:
    return Ext(25, position.to_bytes(7, "big"))


def moved(envelope: bytes) -> Ext:
    return Ext(27, envelope)


def owns(
    identity: str,
    expect: str,
    spell: Callable[[Speaker], bytes | list[bytes]],
    *,
    exts: Any = BOTH,
    **more: Any,
) -> Row:
    """Make a row that is bytes, said by a peer that announced own1."""

    async def script(hostile: Hostile) -> None:
        await hostile.open(exts=exts)
        spelled = spell(hostile.says)
        for piece in [spelled] if isinstance(spelled, bytes) else spelled:
            await hostile.wire.send(piece)

    return Row(id=identity, expect=expect, script=script, codecs=NATIVE, opens=False, **more)


def echoes(value: Any) -> Callable[[Speaker], bytes]:
    return lambda s: s.call(1, "echo", value, at=1)


def answers(identity: str, spell: Callable[[Speaker], bytes]) -> Row:
    """Make a row of an answer to what the node asked as its question 1."""

    @does(identity, "A:bad-value", codecs=NATIVE, opens=False)
    async def row(hostile: Hostile) -> None:
        await hostile.open(exts=BOTH)
        await hostile.send(hostile.says.call(1, "greet", object_(5), at=2))
        await hostile.hears("other")
        await hostile.send(spell(hostile.says))

    return row


ROWS = [
    *(owns(f"ext-{ext.code}-that-was-not-announced", "A:bad-value", echoes(ext), exts=("mp1",))
      for ext in (lent(7), given(7), back(1), moved(b"x"))),
    *(owns(f"ext-{code}-of-{len(raw)}-bytes", "A:bad-value", echoes(Ext(code, raw)))
      for code in (23, 24, 25) for raw in (b"", b"\1" * 8, MARK.encode())),
    owns("lent-without-an-answer", "A:bad-value", lambda s: s.call(1, "echo", lent(7))),
    owns("lent-by-a-deliver-without-an-answer", "A:bad-value",
         lambda s: s.deliver(1, [Sym("echo"), lent(7)])),
    owns("lent-for-a-target", "A:bad-op", lambda s: s.deliver(lent(7), [Sym("echo"), 1], 1)),
    owns("lent-for-a-resolver", "A:bad-op", lambda s: s.deliver(1, [Sym("data")], 1, lent(7))),
    owns("lent-to-a-listener", "A:bad-op", lambda s: s.message("op:listen", lent(7), 1)),
    owns("lent-for-a-step", "A:bad-op", lambda s: s.message("op:get", lent(7), "x", 1, True)),
    owns("lent-for-a-release", "A:bad-gc|bad-value|bad-op", lambda s: s.gc_exports([lent(1)], [1])),
    owns("lent-in-an-abort", "A:bad-op|bad-value", lambda s: s.abort([lent(1)])),
    owns("lent-to-the-bootstrap", "B:no-such-object", lambda s: s.call(0, "fetch", lent(7), at=1)),
    owns("lent-as-a-gift", "B:bad-gift", lambda s: s.call(0, "deposit-gift", b"id", lent(7), at=1)),
    owns("lent-257-times", "A:too-many", lambda s: s.call(1, "echo", [lent(i) for i in range(257)], at=1)),
    owns("lent-and-kept-by-nobody", "I", lambda s: s.call(1, "number", [lent(7), lent(7)], at=1)),
    owns("lent-and-echoed", "B:*", lambda s: s.call(1, "echo", [lent(7)], at=1)),
    owns("lent-and-released-at-once", "I", lambda s: s.call(1, "greet", lent(7), at=1) + s.gc_answers([1])),
    owns("lent-and-released-while-it-waits", "I", lambda s: [
        s.call(1, "greet", lent(7), at=1), s.gc_answers([1])]),
    owns("lent-where-an-answer-is-in-use", "A:answer-in-use",
         lambda s: s.call(1, "wait", promise(9), at=1) + s.call(1, "echo", lent(7), at=1)),
    owns("lent-and-never-answered", "A:too-many", lambda s: b"".join(
        s.call(1, "greet", lent(n), at=n) for n in range(2, 503)), limits=Limits(imports=500)),
    owns("a-lot-is-lent-to-a-promise", "A:too-many", lambda s: [
        s.call(1, "wait", promise(9), at=1),
        *(s.call(answer(1), "echo", *[lent(i) for i in range(250)], at=n) for n in range(2, 1000))],
         weighs=True, most=32 * MIB, limits=Limits(imports=20_000)),
    owns("given-a-promise", "A:bad-ref", lambda s: s.call(1, "wait", [promise(3), given(3)], at=1)),
    owns("a-promise-that-was-given", "A:bad-ref", lambda s: s.call(1, "wait", [given(3), promise(3)], at=1)),
    owns("given-to-be-called", "A:bad-op", lambda s: s.deliver(given(3), [Sym("x")], 1)),
    owns("given-without-an-answer", "I", lambda s: s.call(1, "echo", given(7))),
    owns("given-twice", "I", lambda s: s.call(1, "echo", [given(7), given(7), object_(7)], at=1)),
    owns("given-257-times", "A:too-many", lambda s: s.call(1, "echo", [given(7)] * 257, at=1)),
    owns("back-what-was-never-exported", "A:bad-ref", lambda s: s.call(1, "echo", back(7), at=1)),
    owns("back-what-was-released", "A:bad-ref", lambda s: [
        s.gc_exports([1], [1]), s.call(1, "echo", back(1), at=1)]),
    owns("back-at-2-to-the-40", "A:bad-ref", lambda s: s.call(1, "echo", back(2**40), at=1)),
    owns("back-the-bootstrap", "B:*", lambda s: s.call(1, "echo", back(0), at=1)),
    owns("back-the-bootstrap-for-a-number", "B:bad-args", lambda s: s.call(1, "number", back(0), at=1)),
    owns("back-the-door", "I", lambda s: s.call(1, "echo", [back(1), back(1)], at=1)),
    owns("back-the-door-called", "I", lambda s: s.deliver(back(1), [Sym("number"), 1], 1)),
    owns("back-the-bootstrap-called", "I", lambda s: s.deliver(back(0), [Sym("captp:ping")], 1)),
    owns("moved-junk", "I", lambda s: s.call(1, "echo", moved(b""), [moved(b"x"), moved(bytes(200))], at=1)),
    owns("moved-junk-without-an-answer", "I", lambda s: s.call(1, "echo", moved(MARK.encode()))),
    owns("moved-junk-to-be-called", "I", lambda s: s.deliver(moved(b"x"), [Sym("x")], 1)),
    owns("moved-junk-to-the-bootstrap", "B:handoff", lambda s: (
        s.call(0, "withdraw-gift", moved(b"x"), at=1))),
    owns("moved-junk-as-a-gift", "I", lambda s: s.call(0, "deposit-gift", b"id", moved(b"x"), at=1)),
    owns("moved-and-lent-without-an-answer", "A:bad-value", lambda s: (
        s.call(1, "echo", [moved(b"x"), lent(7)]))),
    owns("moved-junk-3000-times", "I", lambda s: s.call(1, "echo", [moved(b"x")] * 10) * 300),
    owns("share-the-door", "I", lambda s: s.call(0, "captp:share", export(1), at=1)),
    owns("share-the-door-without-an-answer", "I", lambda s: s.call(0, "captp:share", export(1)) * 300),
    owns("share-the-door-with-something", "B:bad-args", lambda s: (
        s.call(0, "captp:share", [export(1), MARK], at=1))),
    owns("share-nothing", "B:bad-args", lambda s: s.call(0, "captp:share", at=1)),
    owns("share-text", "B:bad-args", lambda s: s.call(0, "captp:share", MARK, at=1)),
    owns("share-the-bootstrap", "B:bad-args", lambda s: s.call(0, "captp:share", export(0), at=1)),
    owns("share-by-name", "B:no-such-method", lambda s: s.call(1, "captp:share", at=1)),
    owns("share-ones-own", "B:bad-args", lambda s: s.call(0, "captp:share", object_(7), at=1)),
    owns("share-what-is-lent", "B:bad-args", lambda s: s.call(0, "captp:share", lent(7), at=1)),
    owns("share-what-comes-back", "I", lambda s: s.call(0, "captp:share", back(1), at=1)),
    owns("share-what-was-never-exported", "A:bad-ref", lambda s: s.call(0, "captp:share", export(7), at=1)),
    owns("share-unannounced", "B:no-such-method", lambda s: s.call(0, "captp:share", export(1), at=1),
         exts=("mp1",)),
    owns("make-the-door-unique", "B:others", lambda s: s.call(1, "captp:make-unique", 1, at=1)),
    owns("make-the-door-unique-without-a-count", "B:*", lambda s: s.call(1, "captp:make-unique", at=1)),
    owns("make-the-door-unique-by-text", "B:*", lambda s: s.call(1, "captp:make-unique", MARK, at=1)),
    owns("make-the-bootstrap-unique", "B:no-such-method", lambda s: s.call(0, "captp:make-unique", 1, at=1)),
    owns("make-unique-and-hear-nothing", "I", lambda s: s.call(1, "captp:make-unique", 1)),
]  # fmt: skip


@does("a-made-object-is-made-unique-and-lost", "W", codecs=NATIVE, opens=False)
async def unique_and_lost(hostile: Hostile) -> None:
    """Whoever has the only reference may make it unique, or ask for that and not hear the answer."""
    await hostile.open(exts=BOTH)
    await hostile.send(hostile.says.call(1, "make", at=1))
    position = (await hostile.result(1)).position
    await hostile.send(hostile.says.gc_answers([1]), hostile.says.call(position, "captp:make-unique", 1))
    await hostile.send(
        hostile.says.call(position, "number", 3, at=2), hostile.says.call(1, "echo", back(position))
    )
    assert await hostile.result(2) == 3
    await hostile.send(hostile.says.gc_exports([position], [1]))


@does("a-unique-object-goes-to-and-fro", "W", codecs=NATIVE, opens=False)
async def to_and_fro(hostile: Hostile) -> None:
    """It comes back once; what its position reached is gone for who gave it back."""
    await hostile.open(exts=BOTH)
    says = hostile.says
    await hostile.send(says.call(1, "make", at=1))
    position = (await hostile.result(1)).position
    await hostile.send(says.gc_answers([1]), says.call(position, "captp:make-unique", 1, at=2))
    desc = await hostile.result(2)
    assert (int(desc.kind), desc.position) == (24, position)
    await hostile.send(says.gc_answers([2]), says.call(1, "echo", back(position), at=3))
    again = await hostile.result(3)
    assert int(again.kind) == 24
    assert again.position != position
    await hostile.send(says.call(position, "number", 3, at=4), says.call(1, "echo", back(position), at=5))
    assert isinstance(await hostile.hears("broken", 4), Fault)
    await hostile.send(says.call(again.position, "number", 3, at=6))
    assert await hostile.result(6) == 3


@does("a-unique-object-is-no-gift", "W", codecs=NATIVE, opens=False)
async def no_gift(hostile: Hostile) -> None:
    """The owner of an object deposits it, and says behind that that it shares it."""
    await hostile.open(exts=BOTH)
    says = hostile.says
    await hostile.send(says.call(1, "make", at=1))
    position = (await hostile.result(1)).position
    await hostile.send(says.gc_answers([1]), says.call(position, "captp:make-unique", 1, at=2))
    await hostile.result(2)
    await hostile.send(
        says.call(0, "deposit-gift", b"one", export(position), at=3),
        says.call(0, "captp:share", export(position), at=4),
        says.gc_exports([position], [2]),
    )
    assert isinstance(await hostile.hears("broken", 3), Fault)
    assert await hostile.result(4) is None


ROWS += [
    answers("lent-in-a-result", lambda s: s.settle(1, lent(7))),
    answers("lent-deep-in-a-result", lambda s: s.settle(1, {"a": [[lent(7)]]})),
    answers("lent-in-a-result-and-a-call-behind-it", lambda s: (
        s.settle(1, lent(7)) + s.call(1, "number", 1, at=3))),
    answers("lent-in-an-error", lambda s: s.settle(1, lent(7), breaks=True)),
    unique_and_lost,
    to_and_fro,
    no_gift,
]  # fmt: skip


@cases(ROWS)
def test_terms(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
