"""Calls that reach for what is not theirs: names, arguments, keywords, steps into data, swiss numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp.errors import Unpassable
from captp.limits import Limits
from captp.model.values import Fault
from tests.hostile.node import MARK, Hostile
from tests.hostile.rows import Row, cases, check, does, says
from tests.hostile.spell import Ext, Raw, Rec, Speaker, Sym, answer, export, object_, promise

NATIVE, SYRUP = ("native",), ("syrup",)
KWARGS = "captp:kwargs"
NAMES = [
    "__class__", "__init__", "__call__", "__getattribute__", "__reduce_ex__", "__dict__", "__init_subclass__",
    "_captp_rows", "_entry", "_latch", "_private", "mro", "ran", "echo ", " echo", "ECHO", "echo\0", "\0",
    "", "echo.__class__", "\u202eohce", "e\u200bcho", "\uff45\uff43\uff48\uff4f", "captp:ping", "captp:probe",
    "fetch", "fulfill", "break", "self", "numbers", "x" * 256,
]  # fmt: skip


def tagged(value: Any, tag: str = KWARGS) -> Rec:
    return Rec("desc:tagged", tag, value)


def tag(says_: Speaker, value: Any, name: str = KWARGS) -> Rec:
    """Spell a tagged value; its tag is text natively, a symbol in Syrup."""
    return tagged(value, name if says_.name == "native" else Sym(name))


def named(says_: Speaker, *args: Any, to: Any = 1) -> bytes:
    """Deliver to the door, with a result at 1; a call natively has no place for keywords."""
    return says_.deliver(to, list(args), 1)


def fetch(identity: str, swiss: Any) -> Row:
    return says(f"M64-{identity}", "B:no-such-object", lambda s: s.call(0, "fetch", swiss, at=1))


def step(identity: str, op: str, key: Any, to: str = "data") -> Row:
    return says(f"M63-{identity}", "B:bad-select", lambda s: (
        s.call(1, to, at=2) + s.select(op, answer(2), key, 1)
    ))  # fmt: skip


ROWS = [
    says("M55-257-characters", "A:bad-value", lambda s: s.call(1, "x" * 257, at=1)),
    says("M55-a-megabyte", "A:bad-value", lambda s: s.call(1, "x" * 1_000_000, at=1)),
    says("M55-by-text", "B:no-such-method", lambda s: s.deliver(1, ["echo", 7], 1)),
    says("M55-by-bytes", "B:no-such-method", lambda s: s.deliver(1, [b"echo", 7], 1)),
    says("M55-by-a-list", "B:no-such-method", lambda s: s.deliver(1, [[Sym("echo")], 7], 1)),
    says("M55-none", "B:no-such-method", lambda s: s.deliver(1, [], 1)),
    says("M56-too-few", "B:bad-args", lambda s: s.call(1, "number", at=1)),
    says("M56-too-many", "B:bad-args", lambda s: s.call(1, "number", 1, 2, at=1)),
    says("M56-text", "B:bad-args", lambda s: s.call(1, "number", MARK, at=1)),
    says("M56-true", "B:bad-args", lambda s: s.call(1, "number", True, at=1)),
    says("M56-float", "B:bad-args", lambda s: s.call(1, "number", 1.0, at=1)),
    says("M56-reference", "B:bad-args", lambda s: s.call(1, "number", object_(3), at=1)),
    says("M56-an-unknown-keyword", "B:bad-args", lambda s: named(s, Sym("number"), tag(s, {"other": 1}))),
    says("M56-a-keyword-too-many", "B:bad-args", lambda s: named(s, Sym("number"), 1, tag(s, {"number": 1}))),
    says("M56-self-by-keyword", "B:bad-args", lambda s: named(s, Sym("number"), 1, tag(s, {"self": 1}))),
    says("M56-dunders-by-keyword", "B:bad-args",
         lambda s: named(s, Sym("number"), 1, tag(s, {"__class__": 1, "": 2, "\0": 3}))),
    says("M57-tagged", "B:bad-args", lambda s: s.call(1, "number", tag(s, 1, "money"), at=1)),
    says("M57-a-record", "B:bad-args", lambda s: s.call(1, "number", Rec("money", 1), at=1), codecs=SYRUP),
    says("M57-a-record-for-any", "B:bad-value", lambda s: s.call(1, "echo", Rec("money", 1), at=1),
         codecs=SYRUP),
    says("keywords-twice", "I", lambda s: named(s, Sym("echo"), tag(s, {}), tag(s, {}))),
    says("keywords-not-last", "B:bad-args", lambda s: named(s, Sym("echo"), tag(s, {"what": 1}), 7)),
    says("keywords-inside", "I", lambda s: named(s, Sym("echo"), [tag(s, {})])),
    says("keywords-that-are-a-list", "A:bad-value", lambda s: named(s, Sym("echo"), tag(s, [1]))),
    says("keywords-that-are-nothing", "A:bad-value", lambda s: named(s, Sym("echo"), tag(s, None))),
    says("a-bootstrap-as-an-argument", "B:*", lambda s: s.call(1, "echo", export(0), at=1)),
    says("a-bootstrap-for-a-number", "B:bad-args", lambda s: s.call(1, "number", export(0), at=1)),
    says("62-levels", "I", lambda s: s.call(1, "echo", nested(s, 61), at=1)),
    says("fetch-without-arguments", "B:bad-args", lambda s: s.call(0, "fetch", at=1)),
    says("fetch-with-two", "B:bad-args", lambda s: s.call(0, "fetch", b"x", b"y", at=1)),
    says("fetch-with-keywords", "B:bad-args", lambda s: named(s, Sym("fetch"), b"x", tag(s, {"y": 1}), to=0)),
    says("fetch-by-keyword", "B:bad-args", lambda s: named(s, Sym("fetch"), tag(s, {"swiss": b"x"}), to=0)),
    says("the-bootstrap-called", "B:no-such-method", lambda s: s.deliver(0, [b"x"], 1)),
    says("the-bootstrap-called-with-nothing", "B:no-such-method", lambda s: s.deliver(0, [], 1)),
    says("the-bootstrap-asked-for-__call__", "B:no-such-method", lambda s: s.call(0, "__call__", at=1)),
    says("the-bootstrap-asked-for-handle", "B:no-such-method", lambda s: s.call(0, "handle", at=1)),
    says("a-call-on-a-number", "B:not-callable", lambda s: (
        s.call(1, "number", 1, at=2) + s.call(answer(2), "__add__", 1, at=1)
    )),
    says("a-call-on-a-struct", "B:not-callable", lambda s: (
        s.call(1, "data", at=2) + s.call(answer(2), "clear", at=1)
    )),
    step("a-missing-key", "get", "other"),
    step("a-dunder-key", "get", "__class__"),
    step("an-index-of-a-struct", "index", 0),
    step("a-tag-of-a-struct", "untag", "name"),
    step("a-key-of-an-object", "get", "ran", to="make"),
    step("an-index-of-an-object", "index", 0, to="make"),
    says("M63-a-negative-index", "B:bad-select", lambda s: listed(s) + s.select("index", answer(3), -1, 1)),
    says("M63-an-index-too-large", "B:bad-select", lambda s: listed(s) + s.select("index", answer(3), 2, 1)),
    says("M63-an-index-of-2-to-the-64", "B:bad-select",
         lambda s: listed(s) + s.select("index", answer(3), 2**64, 1)),
    says("M63-an-index-of-4000-digits", "B:bad-select",
         lambda s: listed(s) + s.select("index", answer(3), -(10**4000), 1)),
    says("M63-an-index-that-is-true", "A:bad-op",
         lambda s: listed(s) + s.select("index", answer(3), True, 1)),
    says("M63-a-key-of-the-door", "B:bad-select", lambda s: s.select("get", 1, "ran", 1)),
    fetch("empty", b""), fetch("one-byte", b"s"), fetch("a-megabyte", b"s" * 2**20),
    fetch("unknown", b"s" * 32),
    fetch("text", MARK), fetch("a-number", 7), fetch("nothing", None), fetch("a-list", [b"s"]),
    fetch("a-reference", object_(3)), fetch("a-promise", promise(3)), fetch("a-float", float("nan")),
    says("M59-257-references", "A:too-many", lambda s: s.call(1, "echo", *[export(1)] * 257, at=1)),
    says("M59-257-new-ones", "A:too-many",
         lambda s: s.call(1, "echo", [object_(i) for i in range(1, 258)], at=1)),
    says("a-locator-as-an-argument", "B:bad-args",
         lambda s: s.call(1, "number", Rec("ocapn-peer", Sym("tls"), "x", False), at=1), codecs=SYRUP),
    says("a-sturdyref-without-a-place", "A:bad-value",
         lambda s: s.call(1, "number", Rec("ocapn-sturdyref", 1, b"x"), at=1), codecs=SYRUP),
    says("an-error-of-seven-fields", "A:bad-value",
         lambda s: s.call(1, "echo", Rec("desc:error", *[1] * 7), at=1), codecs=SYRUP),
    says("void-with-a-field", "A:bad-value", lambda s: s.call(1, "echo", Rec("void", 1), at=1), codecs=SYRUP),
    says("a-certificate-for-a-target", "A:bad-op", lambda s: s.deliver(
        Rec("desc:sig-envelope", 1, 2), [Sym("x")], 1), codecs=SYRUP),
    says("a-give-outside-an-envelope", "B:bad-args", lambda s: s.call(
        1, "number", Rec("desc:handoff-give", 1, 2, 3, 4, 5), at=1), codecs=SYRUP),
    says("a-certificate-for-a-resolver", "A:bad-op", lambda s: s.deliver(
        1, [Sym("data")], 1, Rec("desc:sig-envelope", 1, 2)), codecs=SYRUP),
    says("a-certificate-of-noise", "B:bad-args", lambda s: s.call(
        1, "number", Ext(20, b"\xff" * 100), at=1), codecs=NATIVE),
]  # fmt: skip


def plan(name: str, expect: str, make: Callable[[Callable[[int], Any]], Any], **more: Any) -> Row:
    """Make a row of a plan, whose steps and result are made with what stands for the result of a step."""
    return says(name, expect, lambda s: s.call(
        1, "captp:plan", make(lambda number: tag(s, number, "captp:step")), at=1), **more)  # fmt: skip


def step(on: Any, name: str, *args: Any) -> list[Any]:
    return ["call", on, Sym(name), list(args), {}]


def deep(levels: int, value: Any = 1) -> Any:
    for _ in range(levels):
        value = [value]
    return value


ROWS += [
    plan("a-plan-that-is-none", "B:bad-args", lambda _: MARK),
    plan("a-plan-without-a-result", "B:bad-args", lambda _: [[]]),
    plan("a-plan-of-257-steps", "B:bad-args", lambda r: [[step(r(0), "number", 1)] * 257, 1]),
    plan("a-plan-that-looks-ahead", "B:bad-args", lambda r: [[step(r(1), "number", 1)], 1]),
    plan("a-plan-that-looks-behind-the-first", "B:bad-args", lambda r: [[step(r(-1), "number", 1)], 1]),
    plan("a-plan-of-an-unknown-step", "B:bad-args", lambda r: [[["eval", MARK]], r(1)]),
    plan("a-plan-of-a-step-of-nothing", "B:bad-args", lambda r: [[[]], r(1)]),
    plan("a-plan-that-doubles-a-text", "B:bad-args", lambda r: [
        [["add", "x" * 1000, "x"], *(["add", r(n), r(n)] for n in range(1, 200))], r(200)], weighs=True),
    plan("a-plan-that-doubles-a-list", "B:bad-args", lambda r: [
        [["add", [1] * 1000, [1]], *(["add", r(n), r(n)] for n in range(1, 200))], r(200)], weighs=True),
    plan("a-plan-that-nests-its-results", "B:bad-args", lambda r: [
        [step(r(0), "echo", 1), *(step(r(0), "echo", [r(n)] * 60) for n in range(1, 50))], r(50),
    ], weighs=True),
    plan("a-plan-that-squares", "B:bad-args", lambda r: [
        [["mul", 10**30, 1], *(["mul", r(n), r(n)] for n in range(1, 200))], r(200)], weighs=True),
    plan("a-plan-that-says-not-to-a-number", "B:bad-args", lambda r: [[["not", 5]], r(1)]),
    plan("a-plan-that-names-a-result-often", "B:bad-args", lambda r: [
        [step(r(0), "echo", "x" * 100_000)], [r(1)] * 1000], weighs=True),
    plan("a-plan-that-copies-a-text-200-times", "B:bad-args", lambda r: [
        [["add", "x" * 10**6, "x"], *(["add", r(1), str(n)] for n in range(199))], r(1)], weighs=True),
    plan("a-plan-of-too-many-levels", "B:bad-args", lambda r: [
        [step(r(0), "echo", deep(40)), step(r(0), "echo", deep(40, r(1)))], r(2)]),
    plan("a-plan-with-a-step-number-that-is-true", "B:bad-args", lambda r: [[step(r(True), "number", 1)], 1]),
    plan("a-plan-with-a-step-number-of-2-to-the-70", "B:bad-args", lambda r: [[], r(2**70)]),
    plan("a-plan-with-keywords-in-a-list", "B:bad-args", lambda r: [
        [["call", r(0), Sym("number"), [1], []]], r(1)]),
    plan("a-plan-that-calls-a-number", "B:step 1", lambda _: [[step(5, "number", 1)], 1]),
    plan("a-plan-that-divides-by-nothing", "B:bad-args", lambda r: [[["mod", 1, 0]], r(1)]),
    plan("a-plan-that-shifts", "B:bad-args", lambda r: [[["lshift", 1, 10**9]], r(1)]),
    plan("a-plan-that-formats", "B:bad-args", lambda r: [[["mod", "%1000000000d", 1]], r(1)]),
    plan("a-plan-for-a-dunder", "B:no-such-method", lambda r: [[step(r(0), "__class__")], r(1)]),
    plan("a-plan-inside-a-plan", "B:no-such-method", lambda r: [[step(r(0), "captp:plan", [[], 1])], r(1)]),
    plan("a-plan-on-a-reference-of-its-own", "B:step 1", lambda r: [[step(object_(3), "number", 1)], r(1)]),
    plan("a-plan-that-waits", "B:step 1", lambda r: [[step(r(0), "wait", promise(9))], r(1)]),
    plan("a-plan-with-a-wrong-argument", "B:bad-args", lambda r: [[step(r(0), "number", MARK)], r(1)]),
    says("call-off-nothing", "B:bad-args", lambda s: s.call(0, "captp:call-off", at=1)),
    says("call-off-a-number", "B:bad-args", lambda s: s.call(0, "captp:call-off", 1, at=1)),
    says("call-off-the-door", "B:bad-args", lambda s: s.call(0, "captp:call-off", export(1), at=1)),
    says("call-off-what-nobody-asked", "A:bad-ref", lambda s: s.call(0, "captp:call-off", answer(7), at=1)),
    says("call-off-itself", "A:bad-ref", lambda s: s.call(0, "captp:call-off", answer(1), at=1)),
    says("call-off-a-thousand-times", "I", lambda s: [
        s.call(1, "echo", MARK, at=1), *[s.call(0, "captp:call-off", answer(1))] * 1000]),
    says("a-plan-for-the-bootstrap", "B:no-such-method", lambda s: s.call(0, "captp:plan", [[], 1], at=1)),
]  # fmt: skip


def listed(says_: Speaker) -> bytes:
    """Have a list of two at answer 3."""
    return says_.call(1, "data", at=2) + says_.select("get", answer(2), "list", 3)


def nested(says_: Speaker, levels: int) -> Raw:
    value = says_.value([])
    opened, closed = (b"\x91", b"") if says_.name == "native" else (b"[", b"]")
    return Raw(opened * levels + value + closed * levels)


@does("M55-names", "W")
async def names(hostile: Hostile) -> None:
    """Whatever is asked for that is no method, the answer is one."""
    composed = unicodedata.normalize("NFD", "écho")
    for number, name in enumerate([*NAMES, composed], 10):
        await hostile.send(hostile.says.call(1, name, 7, at=number))
        await hostile.send(hostile.says.call(0, name, 7, at=number + 100)) if name != "fetch" else None
    texts = set()
    for number in range(10, 10 + len(NAMES) + 1):
        problem = await hostile.hears("broken", number)
        assert isinstance(problem, Fault), problem
        texts.add(problem.message)
    assert texts == {"there is no such method"}


@does("M56-no-body-ran", "W")
async def no_body_ran(hostile: Hostile) -> None:
    wrong: list[Any] = [MARK, True, 1.0, None, [], {}, object_(3)]
    for number, bad in enumerate(wrong, 10):
        await hostile.send(hostile.says.call(1, "number", bad, at=number))
        await hostile.hears("broken", number)
    before = hostile.node.vat
    await hostile.send(hostile.says.call(1, "number", 1, at=1), hostile.says.call(1, "runs", at=2))
    first = await hostile.result(2)
    await hostile.send(hostile.says.call(1, "number", MARK, at=3), hostile.says.call(1, "runs", at=4))
    assert await hostile.result(4) == first
    assert before.view().fibers == 0


@does("M57-tagged-for-any", "W")
async def tagged_for_any(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "echo", tag(hostile.says, 7, "money"), at=1))
    value = await hostile.result(1)
    assert (value.tag, value.value) == ("money", 7)


@does("M59-256-references", "W")
async def references(hostile: Hostile) -> None:
    """As many as may be come in, and go out again; natively the target is none of them."""
    count = 256 if hostile.says.name == "native" else 254
    await hostile.send(hostile.says.call(1, "echo", [object_(i) for i in range(2000, 2000 + count)], at=1))
    assert len(await hostile.result(1)) == count


@does("M64-one-answer", "W", limits=Limits(fetch_failures=1000))
async def one_answer(hostile: Hostile) -> None:
    """Nobody can tell by the answer what was wrong with a swiss number."""
    wrong: list[Any] = [
        b"",
        b"s",
        b"s" * 32,
        b"the swiss number of the one doo",
        MARK,
        7,
        None,
        [b"s"],
        object_(3),
    ]
    for number, swiss in enumerate(wrong, 10):
        await hostile.send(hostile.says.call(0, "fetch", swiss, at=number))
    answers = {repr(await hostile.hears("broken", number)) for number in range(10, 10 + len(wrong))}
    assert len(answers) == 1, answers


def guesses(says_: Speaker, count: int) -> bytes:
    return b"".join(says_.call(0, "fetch", b"guess %d" % at, at=at) for at in range(1000, 1000 + count))


@does("M65-256-wrong-guesses", "W")
async def as_many_guesses_as_may_be(hostile: Hostile) -> None:
    await hostile.send(guesses(hostile.says, Limits().fetch_failures))
    # Those after the first few are answered later, and keep nothing else from being answered.
    for at in (1000, 1000 + Limits().fetch_delay_after - 1):
        await hostile.hears("broken", at)


ROWS += [
    names, no_body_ran, tagged_for_any, references, one_answer, as_many_guesses_as_may_be,
    says("M65-300-wrong-guesses", "A:fetch-failures", lambda s: guesses(s, 300)),
    says("M65-one-guess-too-many", "A:fetch-failures", lambda s: guesses(s, Limits().fetch_failures + 1)),
]  # fmt: skip


@cases(ROWS)
def test_a_call_that_reaches_for_more_gets_nothing(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)


async def test_a_cycle_never_leaves_its_sender() -> None:
    """M58."""

    class Quiet(captp.Object):
        @captp.method
        def take(self, what: Any) -> None: ...

    loop: list[Any] = []
    loop.append({"again": loop})
    async with captp.open_vat() as vat:
        quiet = vat.export(Quiet())
        with pytest.raises(Unpassable, match="cycle"):
            captp.E(quiet).take(loop)
        assert vat.view().queued == 0
