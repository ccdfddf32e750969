"""Positions that name nothing, that are used twice or never were positions, and promises in rings."""

from __future__ import annotations

from typing import Any

from captp.limits import MIB, Limits
from captp.model.values import Fault
from tests.hostile.node import MARK, Hostile
from tests.hostile.rows import CODECS, MEMORY, Row, cases, check, does, says
from tests.hostile.spell import RESOLVERS, Ext, Raw, Rec, Speaker, Sym, answer, export, object_, promise

NATIVE, SYRUP = ("native",), ("syrup",)
FEW = Limits(answers=500)


def released(says_: Speaker) -> bytes:
    """Give the door, export 1, back."""
    return says_.gc_exports([1], [1])


def ones(says_: Speaker) -> Raw:
    """Spell a million ones."""
    if says_.name == "native":
        return Raw(b"\xdd" + (10**6).to_bytes(4, "big") + b"\x01" * 10**6)
    return Raw(b"[" + b"1+" * 10**6 + b"]")


def at(position: Any, expect: str, name: str, **more: Any) -> Row:
    """Make a row of a call to an export position."""
    return says(f"M47-{name}", expect, lambda s: s.deliver(export(position), [Sym("number"), 1], 1), **more)


ROWS = [
    says("M45-call", "A:bad-ref", lambda s: s.call(7, "number", 1, at=1)),
    says("M45-deliver", "A:bad-ref", lambda s: s.deliver(7, [Sym("number"), 1])),
    says("M45-as-an-argument", "A:bad-ref", lambda s: s.call(1, "echo", export(7), at=1)),
    says("M45-in-a-struct", "A:bad-ref", lambda s: s.call(1, "echo", {"a": [export(7)]}, at=1)),
    says("M46-released", "A:bad-ref", lambda s: released(s) + s.call(1, "number", 1, at=1)),
    says("M46-released-before", "A:bad-ref", lambda s: [released(s), s.call(1, "number", 1, at=1)]),
    at(-1, "A:bad-ref|bad-value", "negative", codecs=SYRUP),
    says("M47-negative", "A:bad-ref", lambda s: s.call(answer(6), "number", 1, at=1), codecs=NATIVE),
    at(2**53, "A:bad-ref|bad-value", "2-to-the-53"),
    at(2**63, "A:bad-ref|bad-value", "2-to-the-63"),
    at(2**64, "A:bad-ref|bad-value", "2-to-the-64"),
    at(10**4000, "A:bad-ref|bad-value", "4001-digits"),
    at(1.0, "A:bad-value", "a-float", codecs=SYRUP),
    at(True, "A:bad-value", "true", codecs=SYRUP),
    at("1", "A:bad-value", "text", codecs=SYRUP),
    at(Sym("1"), "A:bad-value", "symbol", codecs=SYRUP),
    at(export(1), "A:bad-value", "an-export", codecs=SYRUP),
    at([1], "A:bad-value", "a-list", codecs=SYRUP),
    says("M47-no-field", "A:bad-value", lambda s: s.deliver(Rec("desc:export"), [], 1), codecs=SYRUP),
    says("M47-two-fields", "A:bad-value", lambda s: s.deliver(Rec("desc:export", 1, 1), [], 1), codecs=SYRUP),
    says("M47-call-of-2-to-the-63", "A:bad-ref", lambda s: s.call(2**63, "number", 1, at=1), codecs=NATIVE),
    says("M47-call-of-2-to-the-64", "A:bad-ref", lambda s: s.call(2**64, "number", 1, at=1), codecs=NATIVE),
    says("M47-call-of-minus-2-to-the-70", "A:bad-ref", lambda s: s.call(-(2**70), "x", at=1), codecs=NATIVE),
    says("M47-call-of-true", "A:bad-op", lambda s: s.message("op:call", True, "number", [1], 1, True),
         codecs=NATIVE),
    says("M47-call-of-a-float", "A:bad-op", lambda s: s.message("op:call", 1.0, "number", [1], 1, True),
         codecs=NATIVE),
    says("M48-never-asked", "A:bad-ref", lambda s: s.call(answer(5), "number", 1, at=1)),
    says("M48-as-an-argument", "A:bad-ref", lambda s: s.call(1, "echo", answer(5), at=1)),
    says("M48-its-own", "A:bad-ref", lambda s: s.call(1, "echo", answer(1), at=1)),
    says("M48-released", "A:bad-ref", lambda s: (
        s.call(1, "make", at=1) + s.gc_answers([1]) + s.call(answer(1), "number", 1, at=2)
    )),
    says("M49-in-use", "A:answer-in-use", lambda s: s.call(1, "number", 1, at=1) * 2),
    says("M49-by-a-select", "A:answer-in-use", lambda s: (
        s.call(1, "data", at=1) + s.select("get", answer(1), "name", 1)
    )),
    says("M49-by-a-listener", "A:answer-in-use", lambda s: s.call(1, "make", at=1) + s.listen(1, 1),
         codecs=NATIVE),
    says("an-answer-at-minus-1", "A:bad-op|bad-value", lambda s: s.deliver(1, [Sym("data")], -1, False)),
    says("an-answer-at-true", "A:bad-op", lambda s: s.deliver(1, [Sym("data")], True, False)),
    says("an-answer-at-1.0", "A:bad-op", lambda s: s.deliver(1, [Sym("data")], 1.0, False)),
    says("an-answer-at-2-to-the-64", "A:bad-op|bad-value",
         lambda s: s.deliver(1, [Sym("data")], 2**64, False)),
    says("answers-that-collide", "A:bad-op|bad-value", lambda s: [
        s.call(1, "data", at=i * (2**61 - 1), wanted=False) for i in range(200)
    ], codecs=NATIVE),
    says("M51-a-result-nobody-waits-for", "A:bad-ref", lambda s: s.settle(1, MARK), codecs=NATIVE),
    says("M52-the-bootstrap", "A:bad-op", lambda s: s.listen(0, 1)),
    says("M52-a-free-position", "A:bad-ref", lambda s: s.listen(7, 1)),
    says("M52-an-answer-never-asked", "A:bad-ref", lambda s: s.listen(answer(7), 1)),
    says("M52-65-listeners-at-once", "A:too-many-listeners", lambda s: (
        s.call(1, "wait", promise(9), at=1) + b"".join(s.listen(answer(1), 2 + i) for i in range(65))
    )),
    says("M53-a-storm-on-one-promise", "A:too-many-listeners", lambda s: [
        s.call(1, "wait", promise(9), at=1),
        *(b"".join(s.listen(answer(1), i) for i in range(n, n + 1000)) for n in range(2, 100_000, 1000)),
    ], weighs=True),
    says("M54-more-than-was-sent", "A:bad-gc", lambda s: s.gc_exports([1], [2])),
    says("M54-more-than-was-sent-in-two", "A:bad-gc", lambda s: s.gc_exports([1, 1], [1, 1])),
    says("M54-none", "A:bad-gc", lambda s: s.gc_exports([1], [0])),
    says("M54-negative", "A:bad-gc", lambda s: s.gc_exports([1], [-1])),
    says("M54-2-to-the-64", "A:bad-gc", lambda s: s.gc_exports([1], [2**64])),
    says("M54-4000-digits", "A:bad-gc", lambda s: s.gc_exports([1], [10**4000])),
    says("M54-a-position-of-4000-digits", "A:bad-gc", lambda s: s.gc_exports([10**4000], [1])),
    says("M54-never-given", "A:bad-gc", lambda s: s.gc_exports([7], [1])),
    says("M54-a-negative-position", "A:bad-gc", lambda s: s.gc_exports([-1], [1])),
    says("M54-unequal", "A:bad-gc", lambda s: s.gc_exports([1, 1], [1])),
    says("M54-position-0", "A:bad-gc", lambda s: s.gc_exports([0], [1])),
    says("M54-4097-entries", "A:bad-gc", lambda s: s.gc_exports([1] * 4097, [1] * 4097)),
    # Who spells the 4 MiB is in this process too, and holds them twice.
    says("M54-a-million-entries", "A:bad-gc|too-many", lambda s: s.gc_exports(ones(s), ones(s)),
         weighs=True, most=MEMORY + 8 * MIB),
    says("M54-true", "A:bad-gc|bad-op", lambda s: s.gc_exports([True], [1])),
    says("M54-true-for-a-count", "A:bad-gc|bad-op", lambda s: s.gc_exports([1], [True])),
    says("M54-a-float", "A:bad-gc|bad-op", lambda s: s.gc_exports([1.0], [1])),
    says("gc-of-an-answer-never-asked", "A:bad-gc", lambda s: s.gc_answers([9])),
    says("gc-of-an-answer-twice", "A:bad-gc", lambda s: [
        s.call(1, "data", at=1), s.gc_answers([1]), s.gc_answers([1])
    ]),
    says("gc-of-an-answer-twice-in-one", "A:bad-gc",
         lambda s: s.call(1, "data", at=1) + s.gc_answers([1, 1])),
    says("gc-of-answer-true", "A:bad-gc|bad-op", lambda s: s.call(1, "data", at=1) + s.gc_answers([True])),
    says("gc-of-answer-minus-1", "A:bad-gc", lambda s: s.gc_answers([-1])),
    says("gc-of-4097-answers", "A:bad-gc", lambda s: s.gc_answers(list(range(4097)))),
    says("an-import-that-turns-promise", "A:bad-ref", lambda s: s.call(1, "wait", [object_(3), promise(3)])),
    says("a-promise-that-turns-import", "A:bad-ref", lambda s: s.call(1, "wait", [promise(3), object_(3)])),
    says("deliver-to-its-own-import", "A:bad-op", lambda s: s.message(
        "op:deliver", object_(3), [Sym("x")], False, False)),
    says("deliver-to-its-own-promise", "A:bad-op", lambda s: s.message(
        "op:deliver", promise(3), [Sym("x")], False, False)),
    says("listen-to-its-own-promise", "A:bad-op", lambda s: s.listen(promise(3), 1)),
    says("listen-to-its-own-import", "A:bad-op", lambda s: s.listen(object_(3), 1)),
    says("select-on-its-own-promise", "A:bad-op", lambda s: s.select("get", promise(3), "x", 1)),
    says("select-on-the-bootstrap", "A:bad-op", lambda s: s.select("get", 0, "x", 1)),
    says("deliver-to-a-number", "A:bad-op", lambda s: s.message("op:deliver", 1, [Sym("x")], False, False)),
    says("a-resolver-of-the-nodes", "A:bad-op", lambda s: s.deliver(1, [Sym("data")], 1, export(1))),
    says("a-resolver-that-is-an-answer", "A:bad-op", lambda s: (
        s.call(1, "make", at=1) + s.deliver(1, [Sym("data")], 2, answer(1))
    )),
    says("a-resolver-that-is-text", "A:bad-op", lambda s: s.deliver(1, [Sym("data")], 1, MARK)),
    says("a-resolver-natively", "A:bad-op",
         lambda s: s.deliver(1, [Sym("data")], 1, object_(9)), codecs=NATIVE),
    says("wanted-at-no-position", "A:bad-op",
         lambda s: s.deliver(1, [Sym("data")], False, True), codecs=NATIVE),
    says("wanted-that-is-1", "A:bad-op", lambda s: s.message("op:call", 1, "data", [], 1, 1), codecs=NATIVE),
]  # fmt: skip


@does("M47-zero-answers", "W")
async def answers_at_zero_and_huge(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "number", 5, at=0), hostile.says.call(1, "number", 6, at=2**52))
    assert (await hostile.result(0), await hostile.result(2**52)) == (5, 6)


def ring(identity: str, size: int) -> Row:
    """Make a row of promises of which each becomes the next, and the last one the first."""

    @does(identity, "B:promise-cycle")
    async def script(hostile: Hostile) -> None:
        await hostile.send(hostile.says.call(1, "wait", promise(1), at=1))
        for number in range(1, size + 1):
            question = await hostile.hears("listen", number)
            await hostile.send(hostile.says.settle(question, promise(number % size + 1)))

    return script


@does("M50-an-answer-that-becomes-itself", "B:promise-cycle")
async def own_answer(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "echo", promise(1), at=1))
    question = await hostile.hears("listen", 1)
    await hostile.send(hostile.says.settle(question, answer(1)))


def after_its_result(codec: str) -> Row:
    """Call at a position whose plain result has come: natively that releases it, in OCapN nothing does."""

    @does(
        f"M49-after-its-result-{codec}", {"syrup": "A:answer-in-use", "native": "W"}[codec], codecs=(codec,)
    )
    async def script(hostile: Hostile) -> None:
        await hostile.send(hostile.says.call(1, "number", 5, at=1))
        assert await hostile.result(1) == 5
        hostile.heard.clear()
        await hostile.send(hostile.says.call(1, "number", 6, at=1))
        if codec == "native":
            assert await hostile.result(1) == 6

    return script


async def a_question(hostile: Hostile) -> Any:
    """Have the node ask for a promise, and return what its result is to be sent to."""
    await hostile.send(hostile.says.call(1, "wait", promise(1), at=1))
    return await hostile.hears("listen", 1)


def twice(identity: str, codec: str, **breaks: bool) -> Row:
    """Settle one question twice: in OCapN the first wins; natively its position is gone with the first."""

    @does(identity, {"syrup": "W", "native": "A:bad-ref"}[codec], codecs=(codec,))
    async def script(hostile: Hostile) -> None:
        question = await a_question(hostile)
        await hostile.send(hostile.says.settle(question, 1, breaks=breaks["first"]))
        await hostile.send(hostile.says.settle(question, 2, breaks=breaks["then"]))
        if codec == "native":
            return
        if breaks["first"]:
            assert await hostile.hears("broken", 1) is not None
        else:
            assert await hostile.result(1) == 1

    return script


@does("M52-an-object", "W")
async def listen_to_an_object(hostile: Hostile) -> None:
    await hostile.send(hostile.says.listen(1, 1))
    assert (await hostile.result(1)).position == 1


@does("M52-65-listeners", "A:too-many-listeners")
async def too_many_listeners(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "wait", promise(9), at=1, wanted=False))
    for number in range(64):
        await hostile.send(hostile.says.listen(answer(1), 100 + number))
        # Its answer shows that the node has read so far.
        await hostile.send(hostile.says.call(1, "number", number, at=200 + number))
        await hostile.result(200 + number)
    await hostile.send(hostile.says.listen(answer(1), 164))


@does("M52-64-listeners", "W")
async def listeners(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "wait", promise(1), at=1, wanted=False))
    question = await hostile.hears("listen", 1)
    await hostile.send(b"".join(hostile.says.listen(answer(1), 2 + i) for i in range(63)))
    await hostile.send(hostile.says.settle(question, "now"))
    assert [await hostile.result(2 + i) for i in range(63)] == ["now"] * 63


@does("a-resolver-that-is-a-promise", "W", codecs=SYRUP)
async def promised_resolver(hostile: Hostile) -> None:
    await hostile.send(hostile.says.deliver(1, [Sym("number"), 3], 1, promise(RESOLVERS + 1)))
    assert await hostile.result(1) == 3


@does("a-position-used-again-and-again", "W", limits=FEW)
async def used_again(hostile: Hostile) -> None:
    """Each release is of an answer that may not be there yet; the position is free at once all the same."""
    for _ in range(20):
        await hostile.send((hostile.says.call(1, "data", at=1) + hostile.says.gc_answers([1])) * 50)
    await hostile.send(hostile.says.call(1, "number", 3, at=2))
    assert await hostile.result(2) == 3


@does("break-with-anything", "W")
async def broken_with_anything(hostile: Hostile) -> None:
    """Reasons are the peer's to choose; none of them is more than a broken promise."""
    reasons: list[Any] = [None, True, MARK, {"class": "SystemExit"}, [], export(1), object_(3), 10**4000]
    for number, reason in enumerate(reasons):
        await hostile.send(hostile.says.call(1, "wait", promise(10 + number), at=10 + number))
        question = await hostile.hears("listen", 10 + number)
        await hostile.send(hostile.says.settle(question, reason, breaks=True))
        await hostile.hears("broken", 10 + number)


@does("break-as-another-class", "W", codecs=NATIVE)
async def broken_as(hostile: Hostile) -> None:
    for number, name in enumerate(
        ["SystemExit", "KeyboardInterrupt", "InvariantBroken", "__class__", 7, None]
    ):
        await hostile.send(hostile.says.call(1, "wait", promise(10 + number), at=10 + number))
        question = await hostile.hears("listen", 10 + number)
        fault = [Ext(4, b""), MARK, {"class": name, "peer": 1, "kind": []}, None]
        await hostile.send(hostile.says.settle(question, fault, breaks=True))
        assert isinstance(await hostile.hears("broken", 10 + number), Fault)


ROWS += [
    answers_at_zero_and_huge, own_answer, ring("M50-itself", 1), ring("M50-a-ring-of-2", 2),
    ring("M50-a-ring-of-3", 3), ring("M50-a-ring-of-1000", 1000),
    *map(after_its_result, CODECS),
    *(twice("M51-fulfilled-twice", codec, first=False, then=False) for codec in CODECS),
    *(twice("M51-broken-after", codec, first=False, then=True) for codec in CODECS),
    *(twice("M51-fulfilled-after", codec, first=True, then=False) for codec in CODECS), listen_to_an_object,
    too_many_listeners, listeners, promised_resolver, used_again, broken_with_anything, broken_as,
]  # fmt: skip


@cases(ROWS)
def test_a_position_that_is_none_ends_its_session(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
