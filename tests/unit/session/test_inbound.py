"""What a peer may send to an open session, and what ends it: malformed operations, references, counts.

One vat serves two connections whose other ends are bytes by hand. Whatever ends one of them ends it
with one op:abort, runs no turn, and does not show on the other or in the heap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from captp.model.values import Fault, FrozenMap, Symbol, Tagged
from captp.session.inbound import HANDLERS
from captp.wire.ops import (
    ABORT,
    BODY,
    BREAK,
    CALL,
    DELIVER,
    FORGET,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    LISTEN,
    RESOLVE,
    START,
    UNTAG,
    Desc,
    Kind,
    Op,
)
from tests.unit.session.raw import SWISS, Host, Raw, answer, export, object_, promise

LONG = "m" * 257
KWARGS = "captp:kwargs"

#: Operations that end the session, by the abort code they end it with.
BAD: dict[str, dict[str, Any]] = {
    "bad-op": {
        "deliver: no fields": (DELIVER,),
        "deliver: no arguments": (DELIVER, export(1)),
        "deliver: a field too many": (DELIVER, export(1), (), 9, True, None),
        "deliver: to nothing": (DELIVER, None, ()),
        "deliver: to a number": (DELIVER, 1, ()),
        "deliver: to text": (DELIVER, "e1", ()),
        "deliver: to a list": (DELIVER, (export(1),), ()),
        "deliver: to an object of its own": (DELIVER, object_(1), (Symbol("note"), 5), 9, True),
        "deliver: arguments are a struct": (DELIVER, export(1), {"a": 1}),
        "deliver: arguments are nothing": (DELIVER, export(1), None),
        "deliver: position is true": (DELIVER, export(1), (Symbol("data"),), True, True),
        "deliver: position is nothing": (DELIVER, export(1), (Symbol("data"),), None, True),
        "deliver: position is negative": (DELIVER, export(1), (Symbol("data"),), -1, True),
        "deliver: position is a float": (DELIVER, export(1), (Symbol("data"),), 9.0, True),
        "deliver: wanted is a number": (DELIVER, export(1), (Symbol("data"),), 9, 1),
        "deliver: wanted is nothing": (DELIVER, export(1), (Symbol("data"),), 9, None),
        "deliver: wanted is a resolver": (DELIVER, export(1), (Symbol("data"),), 9, object_(7)),
        "deliver: wanted without position": (DELIVER, export(1), (Symbol("data"),), False, True),
        "call: no fields": (CALL,),
        "call: no method": (CALL, 1),
        "call: no arguments": (CALL, 1, "data"),
        "call: a field too many": (CALL, 1, "data", (), 9, True, None),
        "call: to nothing": (CALL, None, "data", ()),
        "call: to true": (CALL, True, "data", ()),
        "call: to a float": (CALL, 1.0, "data", ()),
        "call: to a descriptor": (CALL, export(1), "data", ()),
        "call: method is a symbol": (CALL, 1, Symbol("data"), ()),
        "call: method is bytes": (CALL, 1, b"data", ()),
        "call: method is nothing": (CALL, 1, None, ()),
        "call: arguments are nothing": (CALL, 1, "data", None),
        "call: arguments are text": (CALL, 1, "data", "abc"),
        "call: arguments are a struct": (CALL, 1, "data", {"a": 1}),
        "call: position is true": (CALL, 1, "data", (), True, True),
        "call: position is nothing": (CALL, 1, "data", (), None, False),
        "call: position is negative": (CALL, 1, "data", (), -1, True),
        "call: position is text": (CALL, 1, "data", (), "9", True),
        "call: wanted is a number": (CALL, 1, "data", (), 9, 1),
        "call: wanted is nothing": (CALL, 1, "data", (), 9, None),
        "call: wanted without position": (CALL, 1, "data", (), False, True),
        "listen: no fields": (LISTEN,),
        "listen: no listener": (LISTEN, answer(1)),
        "listen: two fields too many": (LISTEN, answer(1), True, False, None),
        "listen: to a number": (LISTEN, 1, 9),
        "listen: to nothing": (LISTEN, None, 9),
        "listen: to the bootstrap": (LISTEN, export(0), 9),
        "listen: true for an export": (LISTEN, export(1), True),
        "listen: listener is false": (LISTEN, answer(1), False),
        "listen: listener is nothing": (LISTEN, answer(1), None),
        "listen: listener is negative": (LISTEN, answer(1), -1),
        "listen: listener is a resolver": (LISTEN, answer(1), object_(7)),
        "get: no fields": (GET,),
        "get: no position": (GET, answer(1), "list"),
        "get: key is a number": (GET, answer(1), 0, 9, True),
        "get: key is a symbol": (GET, answer(1), Symbol("list"), 9, True),
        "get: from a number": (GET, 1, "list", 9, True),
        "get: from the bootstrap": (GET, export(0), "list", 9, True),
        "get: from a promise of its own": (GET, promise(2), "list", 9, True),
        "get: position is false": (GET, answer(1), "list", False, True),
        "get: position is true": (GET, answer(1), "list", True, True),
        "get: position is negative": (GET, answer(1), "list", -9, True),
        "get: a field too many": (GET, answer(1), "list", 9, True, None),
        "get: wanted is a number": (GET, answer(1), "list", 9, 1),
        "index: key is text": (INDEX, answer(1), "0", 9, True),
        "index: key is true": (INDEX, answer(1), True, 9, True),
        "index: key is a float": (INDEX, answer(1), 0.0, 9, True),
        "index: no position": (INDEX, answer(1), 0),
        "index: a field too many": (INDEX, answer(1), 0, 9, True, None),
        "untag: key is a number": (UNTAG, answer(1), 1, 9, True),
        "untag: no position": (UNTAG, answer(1), "t"),
        "gc-exports: no fields": (GC_EXPORTS,),
        "gc-exports: no counts": (GC_EXPORTS, (1,)),
        "gc-exports: a field too many": (GC_EXPORTS, (1,), (1,), (1,)),
        "gc-answers: no fields": (GC_ANSWERS,),
        "gc-answers: a field too many": (GC_ANSWERS, (1,), (1,)),
        "resolve: position is true": (RESOLVE, True, 5),
        "resolve: position is text": (RESOLVE, "1", 5),
        "resolve: position is a list": (RESOLVE, (1,), 5),
        "break: position is true": (BREAK, True, Fault("no")),
        "break: position is nothing": (BREAK, None, Fault("no")),
        "gc-exports: no lists": (GC_EXPORTS, 1, 1),
        "gc-answers: no list": (GC_ANSWERS, 1),
        "resolve: no fields": (RESOLVE,),
        "resolve: no value": (RESOLVE, 1),
        "resolve: a field too many": (RESOLVE, 1, 5, None),
        "break: no fields": (BREAK,),
        "break: no error": (BREAK, 1),
        "break: a field too many": (BREAK, 1, None, None),
        "abort: no fields": (ABORT,),
        "abort: a field too many": (ABORT, "closed", "really"),
    },
    "bad-value": {
        "deliver: a method that is too long": (DELIVER, export(1), (Symbol(LONG),)),
        "deliver: keywords are no struct": (DELIVER, export(1), (Symbol("note"), Tagged(KWARGS, 5))),
        "call: a method that is too long": (CALL, 1, LONG, ()),
        "a position of eight bytes": (CALL, 1, "note", (msgpack.ExtType(Kind.EXPORT, b"\0" * 7 + b"\1"),)),
        "a position of no bytes": (CALL, 1, "note", (msgpack.ExtType(Kind.EXPORT, b""),)),
        "a sturdyref that is none": (CALL, 1, "note", (msgpack.ExtType(Kind.STURDYREF, b"\x90"),)),
        "an ext that is none": (CALL, 1, "note", (msgpack.ExtType(77, b"x"),)),
    },
    "bad-ref": {
        "deliver: to an export never given": (DELIVER, export(99), ()),
        "deliver: to an answer never asked": (DELIVER, answer(99), ()),
        "call: to an export never given": (CALL, 99, "data", ()),
        "call: to an answer never asked": (CALL, -100, "data", ()),
        "call: to an answer that was released": (CALL, -1, "data", ()),
        "call: to an export beyond all positions": (CALL, 1 << 63, "data", ()),
        "call: to an answer beyond all positions": (CALL, -(1 << 63), "data", ()),
        "listen: to an export never given": (LISTEN, export(99), 9),
        "listen: to an answer never asked": (LISTEN, answer(99), True),
        "get: from an answer never asked": (GET, answer(99), "list", 9, True),
        "an export never given in an argument": (CALL, 1, "note", ((1, {"x": export(99)}),), 9, True),
        "an answer never asked in an argument": (CALL, 1, "note", (answer(99),), 9, True),
        "its own answer in an argument": (CALL, 1, "note", (answer(9),), 9, True),
        "an object where a promise was": (CALL, 1, "note", (object_(2),)),
        "a promise where an object was": (CALL, 1, "note", (promise(1),)),
        "resolve: a call never made": (RESOLVE, 99, 5),
        "resolve: position is negative": (RESOLVE, -1, 5),
        "resolve: a call that was not asked for": (RESOLVE, 2, object_(7)),
        "resolve: a bad reference as the value": (RESOLVE, 1, export(99)),
        "break: a call never made": (BREAK, 99, Fault("no")),
        "break: a call that was not asked for": (BREAK, 2, Fault("no")),
    },
    "bad-gc": {
        "gc-exports: more than was given": (GC_EXPORTS, (1,), (2,)),
        "gc-exports: more than was given, in parts": (GC_EXPORTS, (1, 1), (1, 1)),
        "gc-exports: none": (GC_EXPORTS, (1,), (0,)),
        "gc-exports: a negative count": (GC_EXPORTS, (1,), (-1,)),
        "gc-exports: the bootstrap": (GC_EXPORTS, (0,), (1,)),
        "gc-exports: an export never given": (GC_EXPORTS, (99,), (1,)),
        "gc-exports: a negative position": (GC_EXPORTS, (-1,), (1,)),
        "gc-exports: lists of two lengths": (GC_EXPORTS, (1,), ()),
        "gc-exports: position is text": (GC_EXPORTS, ("1",), (1,)),
        "gc-exports: position is true": (GC_EXPORTS, (True,), (1,)),
        "gc-exports: count is true": (GC_EXPORTS, (1,), (True,)),
        "gc-exports: count is a float": (GC_EXPORTS, (1,), (1.0,)),
        "gc-answers: one that was released": (GC_ANSWERS, (0,)),
        "gc-answers: one never asked": (GC_ANSWERS, (99,)),
        "gc-answers: a negative one": (GC_ANSWERS, (-1,)),
        "gc-answers: the same twice": (GC_ANSWERS, (1, 1)),
        "gc-answers: position is true": (GC_ANSWERS, (True,)),
        "gc-answers: position is text": (GC_ANSWERS, ("1",)),
        "gc-answers: position is a list": (GC_ANSWERS, ((1,),)),
    },
    "answer-in-use": {
        "deliver: an open answer's": (DELIVER, export(1), (Symbol("data"),), 3, True),
        "deliver: to the bootstrap": (DELIVER, export(0), (Symbol("fetch"), SWISS), 3, True),
        "call: an open answer's": (CALL, 1, "data", (), 3, True),
        "call: an open answer's, to itself": (CALL, -4, "data", (), 3, True),
        "listen: an open answer's": (LISTEN, export(1), 3),
        "get: an open answer's": (GET, answer(1), "list", 3, True),
    },
    "already-started": {"a second hello": (START,)},
    "unknown-op": {
        "an opcode between the known": (10, 1),
        "an opcode beyond them": (99,),
        "opcode zero": (0,),
        "a negative opcode": (-1,),
        "an opcode that is true": (True, 1),
        "a body, which belongs to an extension": (BODY, b"h" * 32, 0, b"\xc0"),
        "values forgotten, which belongs to an extension": (FORGET, (b"h" * 32,)),
        "an opcode that is text": ("op:call", 1),
        "no opcode": (),
        "no list": 17,
        "a struct": FrozenMap(op=17),
    },
}  # fmt: skip


def _cases() -> Iterator[Any]:
    for code, names in BAD.items():
        for name in names:
            yield code, name


@pytest.mark.parametrize(("code", "name"), list(_cases()), ids=lambda part: part)
def test_a_bad_operation_ends_its_own_session_and_nothing_else(code: str, name: str) -> None:
    host = Host()
    neighbour, peer = Raw(host, "neighbour"), Raw(host, "peer")
    neighbour.makes_a_scene()
    peer.makes_a_scene()
    tables, notes = neighbour.tables, list(host.door.notes)

    said = peer.send(BAD[code][name], (CALL, 1, "note", ("behind it",)))

    # One abort with the reason, nothing before and nothing behind it.
    assert [op[0] for op in said] == [ABORT]
    assert said[0][1].partition(":")[0] == code
    assert host.ended == [code]
    assert list(host.hung_up) == [peer.conn]
    assert host.wrote == {}
    # No turn ran, and the neighbour's session has what it had.
    assert list(host.door.notes) == notes
    assert neighbour.tables == tables
    assert neighbour.send((CALL, 1, "note", (answer(1),), 9, True)) == [(RESOLVE, 9, len(notes) + 1)]
    # Of the session that ended nothing is left but what it had sent in time.
    assert peer.conn not in host.peer.router.links
    assert len(host.peer.vat.dump()["fibers"]) == 1


NO_METHOD = Fault("there is no such method", FrozenMap({"class": "NoSuchMethod"}))
NOT_CALLABLE = Fault("not-callable: the promise became a FrozenMap", FrozenMap({"class": "Broken"}))

# What is let through, so that the table above refuses for the right reason.

GOOD: dict[str, tuple[Op, list[Op]]] = {
    "deliver without a method": (
        (DELIVER, export(1), (), 9, True), [(BREAK, 9, NO_METHOD)]),
    "deliver with keywords": (
        (DELIVER, export(1), (Symbol("note"), Tagged(KWARGS, {"what": 5})), 9, True), [(RESOLVE, 9, 1)]),
    "deliver that is not wanted": ((DELIVER, export(1), (Symbol("note"), 5)), []),
    "call to an answer": (
        (CALL, -2, "note", (), 9, True),
        [(BREAK, 9, NOT_CALLABLE)]),
    "call with a method of the greatest length": (
        (CALL, 1, LONG[1:], (), 9, True), [(BREAK, 9, NO_METHOD)]),
    "call that may be asked for later": ((CALL, 1, "note", (5,), 9), []),
    "listen to an answer at another position": (
        (LISTEN, answer(1), 9), [(RESOLVE, 9, FrozenMap({"list": (1, 2)}))]),
    "listen to an object": ((LISTEN, export(1), 9), [(RESOLVE, 9, Desc(Kind.IMPORT_OBJECT, 1))]),
    "get": ((GET, answer(1), "list", 9, True), [(RESOLVE, 9, (1, 2))]),
    "deliver at a position whose result was told": (
        (DELIVER, export(1), (Symbol("note"), 5), 1, True), [(RESOLVE, 1, 1)]),
    "call at a position whose result was told": ((CALL, 1, "note", (5,), 1, True), [(RESOLVE, 1, 1)]),
    "call to an answer at its own position": ((CALL, -2, "note", (), 1, True), [(BREAK, 1, NOT_CALLABLE)]),
    "listen at a position whose result was told": (
        (LISTEN, answer(1), 2), [(RESOLVE, 2, FrozenMap({"list": (1, 2)}))]),
    "get at its own position": ((GET, answer(1), "list", 1, True), [(RESOLVE, 1, (1, 2))]),
    "get that is not wanted": ((GET, answer(1), "list", 9), []),
    "release of an export": ((GC_EXPORTS, (1,), (1,)), []),
    "release of nothing": ((GC_EXPORTS, (), ()), []),
    "release of no answers": ((GC_ANSWERS, ()), []),
    "release of a settled answer": ((GC_ANSWERS, (1, 2)), []),
    "result of a call": ((RESOLVE, 1, 5), []),
    "result of a promise": ((RESOLVE, 3, 5), [(RESOLVE, 3, 5)]),
    "broken promise": ((BREAK, 3, "why"), [(BREAK, 3, "why")]),
    "a guest named again": ((CALL, 1, "note", (object_(1),), 9, True), [(RESOLVE, 9, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_operation_is_let_through(host: Host, name: str) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()
    op, result = GOOD[name]

    assert [o for o in peer.send(op) if o[0] not in (GC_EXPORTS, GC_ANSWERS)] == result
    assert host.hung_up == {}


def test_a_call_at_a_told_position_releases_the_answer_there_and_no_other(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()
    before = peer.tables["answers"]

    assert peer.send((CALL, 1, "note", (5,), 1, True)) == [(RESOLVE, 1, 1)]

    assert peer.tables["answers"] != before
    assert sorted(peer.tables["answers"]) == sorted(before)
    # What stands there now is released as any other.
    assert peer.send((GC_ANSWERS, (1, 2))) == []
    assert [line.split()[0] for line in peer.tables["answers"]] == ["a3"]
    assert [op[0] for op in peer.send((GC_ANSWERS, (1,)))] == [ABORT]


def test_an_answer_that_was_not_asked_for_is_not_released_by_a_call_at_its_position(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()

    assert peer.send((CALL, 1, "note", (5,), 9)) == []
    (said,) = peer.send((CALL, 1, "note", (6,), 9, True))

    assert (said[0], said[1].partition(":")[0]) == (ABORT, "answer-in-use")


def test_every_opcode_has_bad_operations_here() -> None:
    tried = {op[0] for ops in BAD.values() for op in ops.values() if isinstance(op, tuple) and op}
    assert set(HANDLERS) <= tried
