"""Answers to what the node asks: by the wrong hand, of the wrong kind, or to a question already gone."""

from __future__ import annotations

from typing import Any

import trio

import captp
from captp.model.values import Symbol
from captp.wire.ops import CALL, DELIVER
from tests.hostile.node import MARK, Door, Hostile
from tests.hostile.rows import Row, cases, check, does
from tests.hostile.spell import Raw, Sym, answer, export, object_, promise

NATIVE, SYRUP = ("native",), ("syrup",)
GUEST = 7


async def asked(hostile: Hostile, method: str = "greet", door: int = 1) -> int:
    """Have the node call a guest of ours; return what its question is answered at."""
    await hostile.send(hostile.says.call(door, method, object_(GUEST), at=1))
    while True:
        for what, _, op in hostile.heard:
            match op:
                case (code, int(), "ping", _, int(question), True) if what == "other" and code == CALL:
                    return question
                case (code, to, (Symbol(name="ping"),), _, resolver) if what == "other" and code == DELIVER:
                    assert to.position == GUEST
                    return int(resolver.position)
        assert await hostile.listen_more(), hostile.heard


def answers(identity: str, expect: str, *settlements: Any, **more: Any) -> Row:
    """Make a row that settles the node's question in ways of its own."""

    @does(identity, expect, **more)
    async def script(hostile: Hostile) -> None:
        question = await asked(hostile)
        for settle in settlements:
            await hostile.send(settle(hostile.says, question))

    return script


def to_resolver(*args: Any) -> Any:
    return lambda s, q: s.deliver(export(q), list(args))


ROWS = [
    answers("a-word-no-resolver-knows", "A:bad-op", to_resolver(Sym("explode"), 1), codecs=SYRUP),
    answers("fulfill-nothing", "A:bad-op", to_resolver(Sym("fulfill")), codecs=SYRUP),
    answers("fulfill-two", "A:bad-op", to_resolver(Sym("fulfill"), 1, 2), codecs=SYRUP),
    answers("fulfill-as-text", "A:bad-op", to_resolver("fulfill", 1), codecs=SYRUP),
    answers("an-empty-call-to-a-resolver", "A:bad-op", to_resolver(), codecs=SYRUP),
    answers("a-step-into-a-resolver", "A:bad-op", lambda s, q: s.message("op:get", export(q), "state", 3),
            codecs=SYRUP),
    answers("listen-to-a-resolver", "A:bad-op", lambda s, q: s.listen(export(q), 3), codecs=SYRUP),
    answers("a-resolver-for-a-resolver", "A:bad-op", lambda s, q: s.deliver(1, [Sym("data")], 2, export(q)),
            codecs=SYRUP),
    answers("a-resolver-released-and-used", "A:bad-ref", lambda s, q: s.gc_exports([q], [1]),
            lambda s, q: s.settle(q, 1), codecs=SYRUP),
    answers("a-resolver-released-twice", "A:bad-gc", lambda s, q: s.gc_exports([q], [1]) * 2, codecs=SYRUP),
    answers("a-result-at-true", "A:bad-ref|bad-op", lambda s, _: s.message("op:resolve", True, 1),
            codecs=NATIVE),
    answers("a-result-at-1.0", "A:bad-ref|bad-op", lambda s, _: s.message("op:resolve", 1.0, 1),
            codecs=NATIVE),
    answers("a-result-elsewhere", "A:bad-ref", lambda s, q: s.settle(q + 1000, 1)),
    answers("a-result-at-minus-1", "A:bad-ref|bad-value", lambda s, _: s.settle(-1, 1)),
    answers("a-result-of-three-fields", "A:bad-op", lambda s, q: s.message("op:resolve", q, 1, 2),
            codecs=NATIVE),
    answers("a-result-that-names-nothing", "A:bad-ref", lambda s, q: s.settle(q, export(99))),
    answers("a-reason-that-names-nothing", "A:bad-ref", lambda s, q: s.settle(q, answer(99), breaks=True)),
    answers("a-release-of-a-question", "A:bad-gc", lambda s, q: s.gc_answers([q + 500])),
    answers("broken-with-text", "B:*", lambda s, q: s.settle(q, s_fault(s), breaks=True)),
]  # fmt: skip


def s_fault(says_: Any) -> Any:
    """Spell an error whose text could be taken for a locator with a swiss number."""
    text = "ocapn://x.tls/s/c2VjcmV0c2VjcmV0"
    if says_.name == "syrup":
        return Raw(b"<10'desc:error%d\"%b>" % (len(text), text.encode()))
    return Raw(b"\x94\xc7\x00\x04" + says_.value(text) + b"\xc0\xc0")


@does("a-result-with-everything", "W")
async def everything(hostile: Hostile) -> None:
    """What the node is told, it tells on: each kind of value goes round."""
    question = await asked(hostile)
    value = [None, True, 2**80, 1.5, "x", b"y", Sym("z"), {"a": [export(1), object_(8), promise(9)]}]
    await hostile.send(hostile.says.settle(question, value))
    back = await hostile.result(1)
    assert [repr(v) for v in back[:4]] == ["None", "True", str(2**80), "1.5"]
    assert [d.position for d in back[7]["a"]] == [1, 8, 9]


@does("a-result-that-is-the-guest", "W")
async def itself(hostile: Hostile) -> None:
    question = await asked(hostile)
    await hostile.send(hostile.says.settle(question, object_(GUEST)))
    assert (await hostile.result(1)).position == GUEST


@does("a-result-that-is-its-own-call", "I")
async def its_own_call(hostile: Hostile) -> None:
    """The fiber waits for itself; it is the caller's own call, and ends with its session."""
    question = await asked(hostile)
    await hostile.send(hostile.says.settle(question, answer(1)))


@does("two-calls-that-wait-for-each-other", "I")
async def each_other(hostile: Hostile) -> None:
    questions = []
    for number in (1, 2):
        await hostile.send(hostile.says.call(1, "wait", promise(20 + number), at=number))
        questions.append(await hostile.hears("listen", 20 + number))
    await hostile.send(hostile.says.settle(questions[1], answer(1)))
    await hostile.send(hostile.says.settle(questions[0], answer(2)))


@does("an-object-held-by-its-own-call", "W", alone=True)
async def held(hostile: Hostile) -> None:
    """An object that is busy with a call of a peer is free again when that peer is gone."""
    node = hostile.node
    sturdyref = node.vat.mint(Door())
    await hostile.send(hostile.says.call(0, "fetch", sturdyref.swiss, at=5))
    place = (await hostile.result(5)).position
    question = await asked(hostile, "host", place)
    await hostile.send(hostile.says.settle(question, answer(1)))
    await hostile.goodbye()
    try:
        with trio.move_on_after(hostile.patience):
            async with captp.connect(sturdyref) as door:
                assert await captp.E(door).number(4) == 4
                return
    finally:
        node.vat.peer.registry.revoke(sturdyref.swiss)
    raise AssertionError("the object never answers anybody again")


@does("gone-while-the-node-waits", "C", log="disconnected")
async def gone(hostile: Hostile) -> None:
    await asked(hostile)
    hostile.heard.clear()
    hostile.wire.half_close()


@does("released-while-the-node-waits", "W")
async def released(hostile: Hostile) -> None:
    """Nobody waits for the greeting any more: the node lets its guest go, and an answer is not misread."""
    question = await asked(hostile)
    await hostile.send(hostile.says.gc_answers([1]))
    await hostile.send(hostile.says.settle(question, MARK))


ROWS += [everything, itself, its_own_call, each_other, held, gone, released]


@cases(ROWS)
def test_an_answer_nobody_can_use_ends_at_most_its_session(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
