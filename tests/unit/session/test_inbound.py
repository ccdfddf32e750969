"""What a peer may send to an open session, and what ends it: malformed operations, references, counts.

One vat serves two connections whose other ends are bytes by hand. Whatever ends one of them ends it
with one op:abort, runs no turn, and does not show on the other or in the heap.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

import captp
from captp.errors import Disconnected
from captp.limits import Limits
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.model.values import Fault, FrozenMap, Symbol, Tagged
from captp.peer.outputs import Hangup, Trace, Write
from captp.peer.peer import Peer
from captp.session.handshake import Channel, make_hello
from captp.session.inbound import HANDLERS
from captp.vat.effects import CURRENT_VAT
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import (
    ABORT,
    BREAK,
    CALL,
    DELIVER,
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

SWISS = b"s" * 32


class Guest(captp.Interface):
    @captp.method
    def ping(self) -> int: ...  # type: ignore[empty-body]

    @captp.method
    def make(self) -> Guest: ...  # type: ignore[empty-body]


class Door(captp.Object):
    """What strangers find; it keeps what it is told and what its own calls gave."""

    notes: captp.List[Any]
    pending: captp.List[Any]
    guests: captp.List[Any]

    @captp.method
    def note(self, what: Any) -> int:
        self.notes.append(what)
        return len(self.notes)

    @captp.method
    def data(self) -> dict[str, Any]:
        return {"list": [1, 2]}

    @captp.method
    def greet(self, guest: Guest) -> None:
        self.guests.append(guest)
        self.pending.append(guest.ping())
        self.pending.append(guest.make())

    @captp.method(latch=False)
    async def wait(self, what: Any) -> Any:
        return await what


class Names:
    """Takes every descriptor for what it is."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(f"{value!r} is not to be sent")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(Kind(kind), position)


CODEC = NativeCodec(Names(), Limits())


def export(position: int) -> Any:
    return CODEC.target(Kind.EXPORT, position)


def answer(position: int) -> Any:
    return CODEC.target(Kind.ANSWER, position)


def object_(position: int) -> Any:
    return CODEC.target(Kind.IMPORT_OBJECT, position)


def promise(position: int) -> Any:
    return CODEC.target(Kind.IMPORT_PROMISE, position)


class Host:
    """One vat, and what it wrote to each connection."""

    def __init__(self, limits: Limits | None = None) -> None:
        count = iter(range(1 << 32))
        self.peer = Peer(
            key=PrivateKey.from_seed(b"h" * 32),
            entropy=lambda size: hashlib.shake_128(b"%d" % next(count)).digest(size),
            limits=limits,
        )
        self.door = Door()
        self.peer.mint(self.door, "memory", swiss=SWISS)
        self.wrote: dict[ConnId, bytes] = defaultdict(bytes)
        self.hung_up: dict[ConnId, str] = {}
        self.ended: list[str] = []

    def run(self) -> None:
        token = CURRENT_VAT.set(self.peer.vat)
        try:
            self.peer.run(1_000)
        finally:
            CURRENT_VAT.reset(token)
        for output in self.peer.drain().outputs:
            match output:
                case Write():
                    assert output.conn not in self.hung_up
                    self.wrote[output.conn] += output.data
                case Hangup():
                    self.hung_up[output.conn] = output.reason
                case Trace(event="session ended"):
                    self.ended.append(output.fields["code"])
        self.peer.check()


class Raw:
    """The other end of one connection, by hand: what it sends is what the test says."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.conn = host.peer.router.new_conn()
        key = PrivateKey.from_seed(name.encode().ljust(32))
        place = PeerLocator.make("memory", key.public.designator, {"exts": "mp1"})
        channel = Channel(transport="memory")
        host.peer.connected(self.conn, channel, 0.0)
        self.bytes(PREAMBLE)
        assert [op[0] for op in self.send(make_hello(key, place, ("mp1",), channel))] == [START]

    def bytes(self, data: bytes) -> list[Op]:
        """Send bytes as they are; return what came back."""
        self.host.peer.received(self.conn, data, 0.0)
        self.host.run()
        return list(NativeCodec(Names(), Limits()).feed(self.host.wrote.pop(self.conn, b"")))

    def send(self, *ops: Any) -> list[Op]:
        """Send operations in one frame; return what came back."""
        return self.bytes(CODEC.frame([CODEC.encode(op) for op in ops]))

    @property
    def tables(self) -> dict[str, list[str]]:
        return self.host.peer.router.links[self.conn].session.dump()

    def reaches_the_door(self) -> None:
        """Fetch the door as e1, with the answer released."""
        fetched = self.send((DELIVER, export(0), (Symbol("fetch"), SWISS), 0, True))
        assert fetched == [(RESOLVE, 0, Desc(Kind.IMPORT_OBJECT, 1))]
        assert self.send((GC_ANSWERS, (0,))) == []

    def makes_a_scene(self) -> None:
        """Fill every table: door e1, guest i1, promise i2, answers 1 to 3 (3 is open), questions q1 to q3.

        The host asked for q1, not for q2, and listens to i2 at q3.
        """
        self.reaches_the_door()
        assert self.send((CALL, 1, "data", (), 1, True))[0][0] == RESOLVE
        calls = self.send((CALL, 1, "greet", (object_(1),), 2, True))
        assert calls == [(CALL, 1, "ping", (), 1, True), (CALL, 1, "make", (), 2, False), (RESOLVE, 2, None)]
        listens = self.send((CALL, 1, "wait", (promise(2),), 3, True))
        assert listens == [(LISTEN, Desc(Kind.EXPORT, 2), 3)]


@pytest.fixture
def host() -> Host:
    return Host()


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
        "a certificate": (CALL, 1, "note", (msgpack.ExtType(Kind.CERTIFICATE, b"x"),)),
        "an object where a promise was": (CALL, 1, "note", (object_(2),)),
        "a promise where an object was": (CALL, 1, "note", (promise(1),)),
        "resolve: a call never made": (RESOLVE, 99, 5),
        "resolve: position is true": (RESOLVE, True, 5),
        "resolve: position is negative": (RESOLVE, -1, 5),
        "resolve: position is text": (RESOLVE, "1", 5),
        "resolve: position is a list": (RESOLVE, (1,), 5),
        "resolve: a call that was not asked for": (RESOLVE, 2, object_(7)),
        "resolve: a bad reference as the value": (RESOLVE, 1, export(99)),
        "break: a call never made": (BREAK, 99, Fault("no")),
        "break: position is true": (BREAK, True, Fault("no")),
        "break: position is nothing": (BREAK, None, Fault("no")),
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
        "gc-exports: no lists": (GC_EXPORTS, 1, 1),
        "gc-exports: position is text": (GC_EXPORTS, ("1",), (1,)),
        "gc-exports: position is true": (GC_EXPORTS, (True,), (1,)),
        "gc-exports: count is true": (GC_EXPORTS, (1,), (True,)),
        "gc-exports: count is a float": (GC_EXPORTS, (1,), (1.0,)),
        "gc-answers: one that was released": (GC_ANSWERS, (0,)),
        "gc-answers: one never asked": (GC_ANSWERS, (99,)),
        "gc-answers: a negative one": (GC_ANSWERS, (-1,)),
        "gc-answers: the same twice": (GC_ANSWERS, (1, 1)),
        "gc-answers: no list": (GC_ANSWERS, 1),
        "gc-answers: position is true": (GC_ANSWERS, (True,)),
        "gc-answers: position is text": (GC_ANSWERS, ("1",)),
        "gc-answers: position is a list": (GC_ANSWERS, ((1,),)),
    },
    "answer-in-use": {
        "deliver: a settled answer's": (DELIVER, export(1), (Symbol("data"),), 1, True),
        "deliver: to the bootstrap": (DELIVER, export(0), (Symbol("fetch"), SWISS), 1, True),
        "call: an open answer's": (CALL, 1, "data", (), 3, True),
        "listen: a settled answer's": (LISTEN, export(1), 1),
        "get: a settled answer's": (GET, answer(1), "list", 2, True),
    },
    "already-started": {"a second hello": (START,)},
    "unknown-op": {
        "an opcode between the known": (10, 1),
        "an opcode beyond them": (99,),
        "opcode zero": (0,),
        "a negative opcode": (-1,),
        "an opcode that is true": (True, 1),
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


# Sequences.


def test_what_came_before_the_bad_operation_runs_and_is_not_answered(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.reaches_the_door()

    said = peer.send((CALL, 1, "note", ("first",), 1, True), (CALL, 1, "note", ("second",), 1, True))

    assert [op[0] for op in said] == [ABORT]
    assert list(host.door.notes) == ["first"]


def test_a_position_may_be_used_again_once_it_is_released(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.reaches_the_door()

    said = peer.send((CALL, 1, "note", (1,), 1, True), (GC_ANSWERS, (1,)), (CALL, 1, "note", (2,), 1, True))

    # One result for each; the first was released when its call had not had its turn.
    assert [op[:2] for op in said] == [(RESOLVE, 1), (RESOLVE, 1)]
    assert list(host.door.notes) == [1, 2]


def test_an_open_answer_that_is_released_is_broken_at_once(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()

    (said,) = [op for op in peer.send((GC_ANSWERS, (3,))) if op[0] == BREAK]

    assert said[:2] == (BREAK, 3)
    assert said[2].data == {"class": "Cancelled"}
    assert host.hung_up == {}


def test_a_second_result_ends_the_session(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()

    assert peer.send((RESOLVE, 1, 5)) == []
    ((code, reason),) = peer.send((RESOLVE, 1, 6))

    assert (code, reason.partition(":")[0]) == (ABORT, "bad-ref")
    assert [p.settled for p in host.door.pending] == [True, True]


def test_a_second_result_for_a_call_that_others_went_through_is_refused_by_name(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()
    # The host calls through the answer of q1, which is not here yet: q1 stays while that is not answered.
    through = captp.E(host.door.pending[0]).more()
    host.run()
    peer.bytes(b"")

    peer.send((RESOLVE, 1, object_(7)))
    ((code, reason),) = peer.send((RESOLVE, 1, object_(7)))

    assert (code, reason.partition(":")[0]) == (ABORT, "not-resolver")
    assert through.settled


@pytest.mark.parametrize("result", [(RESOLVE, 1, 5), (BREAK, 1, Fault("no"))])
def test_a_result_after_the_end_of_its_session_settles_nothing(host: Host, result: Op) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()
    ping = host.door.pending[0]

    said = peer.send((99,), result)

    assert [op[0] for op in said] == [ABORT]
    with pytest.raises(Disconnected):
        next(ping.__await__())


def test_an_abort_is_the_last_word(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()

    said = peer.send((CALL, 1, "note", (1,), 9, True), (ABORT, "closed: bye"), (CALL, 1, "note", (2,)))

    assert said == []
    assert host.ended == ["aborted"]
    assert "closed: bye" in host.hung_up[peer.conn]
    assert list(host.door.notes) == [1]


@pytest.mark.parametrize("reason", [None, 5, b"closed", ("closed",), {"a": 1}, "x" * 5_000])
def test_an_abort_may_carry_anything(host: Host, reason: Any) -> None:
    peer = Raw(host, "peer")

    assert peer.send((ABORT, reason)) == []

    assert host.ended == ["aborted"]
    assert len(host.hung_up[peer.conn]) < 400


def test_every_opcode_has_bad_operations_here() -> None:
    tried = {op[0] for ops in BAD.values() for op in ops.values() if isinstance(op, tuple) and op}
    assert set(HANDLERS) <= tried
