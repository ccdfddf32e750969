"""Words of a collector, right and wrong, from peers that announced one and from such that did not."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from captp.limits import MIB
from captp.model.keys import PrivateKey
from captp.model.values import Symbol
from captp.wire.ops import DELIVER
from tests.hostile.node import MARK, Hostile
from tests.hostile.rows import CODECS, Row, cases, check, does, says
from tests.hostile.spell import Speaker, Sym, export, object_, promise, syrup

NATIVE = ("native",)
DGC = ("mp1", "dgc1")
TRACE, SEED, DIGEST = bytes(16), bytes(16), bytes(32)
SIGNER = PrivateKey.from_seed(b"\7" * 32)
KEY = SIGNER.public.raw
HELLO = (0, 1, KEY)
JUNK = KEY + bytes(65)


def word(speaker: Speaker, *parts: Any, at: Any = False) -> bytes:
    """Spell one word, as a call of the bootstrap that nobody answers."""
    return speaker.call(0, "captp:cycles", *parts, at=at)


def query(speaker: Speaker, number: Any = 1, asked: Any = (7, 1), trace: Any = TRACE) -> bytes:
    return word(speaker, 1, trace, number, 8, 5000, 100, SEED, asked)


def speaks(identity: str, expect: str, spell: Callable[[Speaker], bytes | list[bytes]], **more: Any) -> Row:
    """Make a row that is bytes, said by a peer that announced a collector and said hello as one."""

    async def script(hostile: Hostile) -> None:
        await hostile.open(exts=DGC)
        await hostile.send(word(hostile.says, *HELLO))
        spelled = spell(hostile.says)
        for piece in [spelled] if isinstance(spelled, bytes) else spelled:
            await hostile.wire.send(piece)

    return Row(id=identity, expect=expect, script=script, codecs=NATIVE, opens=False, **more)


def wrong(identity: str, *parts: Any) -> Row:
    """Make a row of one word that is none."""
    return speaks(identity, "I", lambda s: word(s, *parts))


def claim(body: Any) -> bytes:
    """Sign what may be no statement."""
    data = body if type(body) is bytes else syrup(body)
    return KEY + SIGNER.sign(data) + data


ROWS = [
    wrong("no-word"),
    wrong("a-word-without-a-number", TRACE),
    wrong("a-word-by-name", MARK),
    *(wrong(f"word-{number}", number, TRACE) for number in (-1, 8, 2**63, 10**40, 1.0, True, None)),
    wrong("a-hello-of-another-version", 0, 2, KEY),
    wrong("a-hello-of-31-bytes", 0, 1, KEY[:31]),
    wrong("a-hello-of-a-megabyte", 0, 1, bytes(MIB)),
    wrong("a-hello-with-more", 0, 1, KEY, MARK),
    wrong("a-hello-of-small-order", 0, 1, b"\1" + bytes(31)),
    wrong("a-query-without-positions", 1, TRACE, 1, 8, 5000, 100, SEED),
    wrong("a-query-of-a-short-trace", 1, TRACE[1:], 1, 8, 5000, 100, SEED, [7, 1]),
    wrong("a-query-of-a-short-seed", 1, TRACE, 1, 8, 5000, 100, SEED[1:], [7, 1]),
    wrong("a-query-with-text", 1, TRACE, MARK, 8, 5000, 100, SEED, [7, 1]),
    wrong("a-query-with-positions-that-are-none", 1, TRACE, 1, 8, 5000, 100, SEED, [7, SEED, [], [1, 7]]),
    wrong("a-query-with-half-a-run", 1, TRACE, 1, 8, 5000, 100, SEED, [7, 1, 7]),
    wrong("a-query-of-a-negative-position", 1, TRACE, 1, 8, 5000, 100, SEED, [-7, 1]),
    wrong("a-query-of-a-huge-position", 1, TRACE, 1, 8, 5000, 100, SEED, [10**40, 1]),
    wrong("a-query-of-a-huge-run", 1, TRACE, 1, 8, 5000, 100, SEED, [7, 2**53 - 7]),
    wrong("a-query-of-a-run-too-far", 1, TRACE, 1, 8, 5000, 100, SEED, [7, 2**53]),
    wrong("a-query-of-an-object", 1, TRACE, 1, 8, 5000, 100, SEED, [object_(7), 1]),
    wrong("a-query-of-a-promise", 1, TRACE, 1, 8, 5000, 100, SEED, [promise(7), 1]),
    wrong("a-query-of-the-door", 1, TRACE, 1, 8, 5000, 100, SEED, [export(1), 1]),
    wrong("a-query-with-a-struct", 1, TRACE, 1, 8, 5000, 100, SEED, {"positions": MARK}),
    *(speaks(f"a-query-with-{name}-{text}", "I", lambda s, at=at, n=n: word(
        s, 1, TRACE, *[n if i == at else 1 for i in range(4)], SEED, [7, 1]))
      for at, name in enumerate(("number", "hops", "time", "budget"))
      for text, n in (("minus-one", -1), ("2-to-the-64", 2**64), ("400-digits", 10**400))),
    wrong("a-reply-that-was-not-asked-for", 2, TRACE, 1, [], [], ""),
    wrong("a-reply-with-odd-statements", 2, TRACE, 1, [MARK, b"", JUNK], [], ""),
    wrong("a-reply-with-odd-tokens", 2, TRACE, 1, [], [MARK, b""], ""),
    wrong("a-reply-with-a-long-reason", 2, TRACE, 1, [], [], MARK * 1000),
    wrong("a-confirm-of-nothing", 3, TRACE, DIGEST),
    wrong("a-confirm-of-a-short-digest", 3, TRACE, DIGEST[1:]),
    wrong("a-confirmation-of-nothing", 4, TRACE, DIGEST, [JUNK]),
    wrong("a-commit-of-nothing", 5, TRACE, [JUNK], [JUNK]),
    wrong("a-commit-of-what-is-not-known", 5, TRACE, [bytes(8)], [bytes(8)]),
    wrong("an-end-of-nothing", 6, TRACE, KEY, bytes(64)),
    wrong("an-end-with-a-short-signature", 6, TRACE, KEY, b""),
    wrong("a-withdrawal-of-nothing", 7, TRACE),
    wrong("a-signed-claim-of-nothing", 2, TRACE, 1, [claim([Sym("captp-dgc-claim-v1"), TRACE])], [], ""),
    wrong("a-signed-claim-that-is-deep", 5, TRACE, [claim(b"[" * 5000 + b"]" * 5000)], []),
    speaks("a-word-with-an-answer", "I", lambda s: word(s, 7, TRACE, at=1)),
    speaks("a-word-with-keywords", "I", lambda s: s.deliver(
        0, [Sym("captp:cycles"), 7, TRACE, object_(7)], 1)),
    speaks("a-word-to-the-door", "B:no-such-method", lambda s: s.call(1, "captp:cycles", 7, TRACE, at=1)),
    speaks("a-word-of-what-was-never-exported", "A:bad-ref", lambda s: word(s, 7, export(99))),
    speaks("hello-20000-times", "I", lambda s: word(s, *HELLO) * 20_000, weighs=True),
    speaks("20000-queries", "I", lambda s: [query(s, n) for n in range(20_000)], weighs=True),
    speaks("20000-traces", "I", lambda s: [
        query(s, n, trace=n.to_bytes(16, "big")) for n in range(20_000)], weighs=True),
    speaks("a-query-of-20000-edges", "I", lambda s: query(s, 1, [1] * 40_000), weighs=True),
    speaks("20-queries-of-2000-edges", "I", lambda s: [
        query(s, at, [at, 2000]) for at in range(20)], weighs=True),
    speaks("20000-confirms", "I", lambda s: [query(s), word(s, 3, TRACE, DIGEST) * 20_000], weighs=True),
    speaks("20000-commits", "I", lambda s: [
        query(s), word(s, 3, TRACE, DIGEST), word(s, 5, TRACE, [JUNK], [JUNK]) * 20_000], weighs=True),
    speaks("commits-of-a-megabyte-over-and-over", "I", lambda s: [
        query(s), word(s, 3, TRACE, DIGEST),
        *[word(s, 5, TRACE, [KEY + bytes(MIB), *[bytes(8)] * 20_000], []) for _ in range(3)]], weighs=True),
    speaks("20000-ends", "I", lambda s: [
        word(s, 6, n.to_bytes(16, "big"), KEY, bytes(64)) for n in range(20_000)], weighs=True),
    speaks("50001-statements", "A:too-many", lambda s: word(s, 2, TRACE, 1, [b""] * 50_001, [], "")),
    speaks("a-trace-and-an-end-of-the-session", "A:bad-ref", lambda s: (
        query(s) + word(s, 3, TRACE, DIGEST) + s.call(99, "echo", at=1))),
]  # fmt: skip


def words_of(hostile: Hostile) -> list[Any]:
    """Return the words that the node said."""
    named = [op[2] for what, _, op in hostile.heard if what == "other" and op[0] == DELIVER]
    return [args[1:] for args in named if args[:1] == (Symbol("captp:cycles"),)]


@does("words-before-a-hello", "W", codecs=NATIVE, opens=False)
async def before_a_hello(hostile: Hostile) -> None:
    """Who has not said its key is told nothing but a hello."""
    await hostile.open(exts=DGC)
    says_ = hostile.says
    await hostile.send(query(says_), word(says_, 3, TRACE, DIGEST), says_.call(1, "number", 3, at=1))
    assert await hostile.result(1) == 3
    assert [said[0] for said in words_of(hostile)] == [0]


@does("a-query-is-answered", "W", codecs=NATIVE, opens=False)
async def answered(hostile: Hostile) -> None:
    """What this vat does not hold is claimed, and signed by the key of its hello."""
    await hostile.open(exts=DGC)
    says_, trace = hostile.says, os.urandom(16)
    await hostile.send(word(says_, *HELLO), query(says_, trace=trace), says_.call(1, "number", 3, at=1))
    assert await hostile.result(1) == 3
    hello, reply = words_of(hostile)
    assert (hello[0], reply[0], reply[1], reply[2]) == (0, 2, trace, 1)
    assert [blob[:32] for blob in reply[3]] == [hello[2]], reply


def unannounced(identity: str, spell: Callable[[Speaker], bytes], expect: str) -> Row:
    return says(f"unannounced-{identity}", expect, spell, codecs=CODECS)


@does("unannounced-is-told-nothing", "W")
async def told_nothing(hostile: Hostile) -> None:
    """A peer without a collector hears no word."""
    says_ = hostile.says
    await hostile.send(word(says_, *HELLO), query(says_), says_.call(1, "number", 3, at=1))
    assert await hostile.result(1) == 3
    assert words_of(hostile) == []


ROWS += [
    before_a_hello,
    answered,
    told_nothing,
    unannounced("hello", lambda s: word(s, *HELLO), "I"),
    unannounced("query", query, "I"),
    unannounced("withdrawal", lambda s: word(s, 7, TRACE), "I"),
    unannounced("word-with-an-answer", lambda s: word(s, 7, TRACE, at=1), "B:no-such-method"),
    unannounced("flood", lambda s: query(s) * 5000, "I"),
]


@pytest.mark.slow
@cases(ROWS)
def test_cycles(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
