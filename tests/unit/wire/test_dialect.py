"""The OCapN codec: every operation out and back, three dialects, and what each bad field costs."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from captp.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError, Unpassable
from captp.limits import Limits
from captp.model.values import FrozenMap, Symbol, Tagged
from captp.wire.canonical import (
    handoff_give,
    location_record,
    public_key_list,
    sig_envelope,
    signature_list,
)
from captp.wire.codec import Codec
from captp.wire.dialect import SyrupCodec, Vocabulary
from captp.wire.ops import (
    ABORT,
    BREAK,
    DELIVER,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    LISTEN,
    RESOLVE,
    START,
    UNTAG,
    Deliver,
    Desc,
    Kind,
    Listen,
    Op,
)
from captp.wire.syrup import Record, encode

LIMITS = Limits()
PLACE = ("tls", "abc", FrozenMap(host="h", port="1"))
KEY = bytes(range(32))
SIGNATURE = bytes(range(64))

TO = Desc(Kind.EXPORT, 3)
OUR = Desc(Kind.IMPORT_OBJECT, 7)
TO_BYTES = b"<11'desc:export3+>"
OUR_BYTES = b"<18'desc:import-object7+>"
DELIVER_F_F = b"<10'op:deliver" + TO_BYTES + b"[]ff>"


class Thing:
    """A reference of this test."""


class Names:
    """Refs by which every descriptor is its own reference, and things have names given here."""

    def __init__(self, **names: Desc) -> None:
        self.names = names
        self.seen: list[tuple[Kind, Any]] = []

    def describe(self, value: object) -> Desc:
        if isinstance(value, Thing):
            return self.names["thing"]
        raise Unpassable(f"a {type(value).__name__} cannot cross")

    def resolve(self, kind: Kind, position: Any) -> object:
        self.seen.append(Desc(Kind(kind), position))
        return Desc(kind, position)


def codec(vocabulary: Vocabulary = "unknown", framed: bool | None = None, **names: Desc) -> SyrupCodec:
    made = SyrupCodec(Names(**names), LIMITS, framed)
    made.vocabulary = vocabulary
    return made


def read(data: bytes) -> Op:
    (op,) = codec().feed(data)
    return op


def code_of(data: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        list(codec().feed(data))
    return caught.value.code


def test_a_syrup_codec_is_a_codec() -> None:
    made: Codec = codec()

    assert made.name == "syrup"
    assert made.target(Kind.EXPORT, 3) == TO
    assert made.symbol("fetch") == Symbol("fetch")
    assert made.symbol("fetch") is made.symbol("fetch")


def test_symbols_that_a_forwarder_might_take_from_a_peer_are_kept_in_bounds() -> None:
    made = codec()
    for i in range(2000):
        made.symbol(f"s{i}")

    assert made.symbol("s1999") is not made.symbol("s1999")


SPELLED: list[tuple[Op, bytes]] = [
    ((ABORT, "bye"), b"<8'op:abort3\"bye>"),
    (Deliver(TO, (Symbol("go"), 1), 4, OUR), b"<10'op:deliver" + TO_BYTES + b"[2'go1+]4+" + OUR_BYTES + b">"),
    (Deliver(TO, (), False, OUR), b"<10'op:deliver" + TO_BYTES + b"[]f" + OUR_BYTES + b">"),
    (Deliver(TO, (), 4, False), b"<10'op:deliver" + TO_BYTES + b"[]4+f>"),
    (Deliver(TO, ()), DELIVER_F_F),
    (
        Deliver(Desc(Kind.ANSWER, 0), (None,), 0, Desc(Kind.IMPORT_PROMISE, 0)),
        b"<10'op:deliver<11'desc:answer0+>[<4'void>]0+<19'desc:import-promise0+>>",
    ),
    (Listen(TO, OUR), b"<9'op:listen" + TO_BYTES + OUR_BYTES + b"f>"),
    (Listen(TO, OUR, True), b"<9'op:listen" + TO_BYTES + OUR_BYTES + b"t>"),
    ((GET, TO, "name", 5), b"<6'op:get" + TO_BYTES + b'4"name5+>'),
    ((INDEX, TO, 2, 5), b"<8'op:index" + TO_BYTES + b"2+5+>"),
    ((INDEX, TO, -2, 5), b"<8'op:index" + TO_BYTES + b"2-5+>"),
    ((UNTAG, TO, "t", 5), b"<8'op:untag" + TO_BYTES + b'1"t5+>'),
    ((GC_EXPORTS, (1, 2), (1, 3)), b"<13'op:gc-exports[1+2+][1+3+]>"),
    ((GC_ANSWERS, (1, 2)), b"<13'op:gc-answers[1+2+]>"),
]


@pytest.mark.parametrize(("op", "data"), SPELLED)
def test_an_operation_has_one_spelling_in_the_current_dialect(op: Op, data: bytes) -> None:
    assert codec("d2").encode(op) == data
    assert read(data) == op


def test_trailing_fields_that_are_missing_are_false() -> None:
    own = codec("d2")

    assert own.encode((DELIVER, TO, ())) == DELIVER_F_F
    assert own.encode((DELIVER, TO, (), 4)) == own.encode(Deliver(TO, (), 4))
    assert own.encode((LISTEN, TO, OUR)) == own.encode(Listen(TO, OUR))


def test_a_start_session_comes_back_without_extensions() -> None:
    op = (START, "1.0", KEY, PLACE, SIGNATURE)
    data = codec().encode(op)

    assert read(data) == op
    assert codec().encode((*op, ())) == data
    with pytest.raises(LocalProtocolError):
        codec().encode((*op, ("mp1",)))


@pytest.mark.parametrize("op", [(RESOLVE, 1, 2), (BREAK, 1, 2), (99,), Deliver(TO, (), 1, True)])
def test_native_operations_have_no_form_here(op: Op) -> None:
    with pytest.raises(LocalProtocolError):
        codec("d2").encode(op)


# Dialects.


@pytest.mark.parametrize(
    ("data", "vocabulary"),
    [
        (b"<10'op:deliver" + TO_BYTES + b"[]f" + OUR_BYTES + b">", "unknown"),
        (b"<9'op:listen" + TO_BYTES + OUR_BYTES + b"f>", "unknown"),
        (b"<15'op:deliver-only" + TO_BYTES + b"[]>", "d1"),
        (b"<12'op:gc-export[1+][1+]>", "d1"),
        (b"<12'op:gc-answer[1+]>", "d1"),
        (b"<12'op:gc-export1+1+>", "d0"),
        (b"<12'op:gc-answer1+>", "d0"),
        (DELIVER_F_F, "d2"),
        (b"<10'op:deliver" + TO_BYTES + b"[]4+f>", "d2"),
        (b"<13'op:gc-exports[1+][1+]>", "d2"),
        (b"<13'op:gc-answers[1+]>", "d2"),
    ],
)
def test_the_dialect_is_learnt_from_telling_operations(data: bytes, vocabulary: str) -> None:
    own = codec()

    list(own.feed(data))

    assert own.vocabulary == vocabulary


def test_a_dialect_once_known_does_not_change() -> None:
    own = codec()
    list(own.feed(DELIVER_F_F + b"<12'op:gc-answer[1+]><12'op:gc-answer1+>"))
    assert own.vocabulary == "d2"

    own = codec()
    list(own.feed(b"<12'op:gc-answer1+><12'op:gc-answer[1+]>" + DELIVER_F_F))
    assert own.vocabulary == "d0"


def test_bare_integers_tell_d0_from_d1_after_a_deliver_only() -> None:
    own = codec()

    list(own.feed(b"<15'op:deliver-only" + TO_BYTES + b"[]><12'op:gc-answer1+>"))

    assert own.vocabulary == "d0"


@pytest.mark.parametrize(
    ("data", "op"),
    [
        (b"<15'op:deliver-only" + TO_BYTES + b"[1+]>", Deliver(TO, (1,))),
        (b"<9'op:listen" + TO_BYTES + OUR_BYTES + b">", Listen(TO, OUR)),
        (b"<12'op:gc-export1+2+>", (GC_EXPORTS, (1,), (2,))),
        (b"<12'op:gc-export[1+3+][2+1+]>", (GC_EXPORTS, (1, 3), (2, 1))),
        (b"<13'op:gc-exports1+[2+]>", (GC_EXPORTS, (1,), (2,))),
        (b"<12'op:gc-answer0+>", (GC_ANSWERS, (0,))),
        (b"<12'op:gc-answer[0+5+]>", (GC_ANSWERS, (0, 5))),
        (b"<13'op:gc-answers[]>", (GC_ANSWERS, ())),
    ],
)
def test_every_dialect_is_read(data: bytes, op: Op) -> None:
    assert read(data) == op


@pytest.mark.parametrize(
    ("vocabulary", "op", "data"),
    [
        ("d0", Deliver(TO, ()), b"<15'op:deliver-only" + TO_BYTES + b"[]>"),
        ("d1", Deliver(TO, ()), b"<15'op:deliver-only" + TO_BYTES + b"[]>"),
        ("d1", (GC_EXPORTS, (1, 2), (1, 3)), b"<12'op:gc-export[1+2+][1+3+]>"),
        ("d1", (GC_ANSWERS, (1, 2)), b"<12'op:gc-answer[1+2+]>"),
        ("d0", (GC_EXPORTS, (1, 2), (1, 3)), b"<12'op:gc-export1+1+><12'op:gc-export2+3+>"),
        ("d0", (GC_ANSWERS, (1, 2)), b"<12'op:gc-answer1+><12'op:gc-answer2+>"),
        ("unknown", Deliver(TO, (), False, OUR), b"<10'op:deliver" + TO_BYTES + b"[]f" + OUR_BYTES + b">"),
    ],
)
def test_what_is_written_follows_the_peers_dialect(vocabulary: Vocabulary, op: Op, data: bytes) -> None:
    own = codec(vocabulary)

    message = own.encode(op)

    assert message == data
    assert own.frame([message, message]) == data + data


@pytest.mark.parametrize("op", [Deliver(TO, ()), (GC_EXPORTS, (1,), (1,)), (GC_ANSWERS, (1,))])
def test_what_differs_between_dialects_waits_until_one_is_known(op: Op) -> None:
    with pytest.raises(LocalProtocolError, match="dialect is known"):
        codec().encode(op)


# References.


def test_references_in_arguments_are_described_and_resolved_in_order() -> None:
    own = codec("d2", thing=Desc(Kind.IMPORT_PROMISE, 9))
    op = Deliver(TO, (Thing(), {"deep": [Tagged("t", Thing())]}, Desc(Kind.ANSWER, 2)), 1, OUR)

    data = own.encode(op)
    refs = Names()
    (back,) = SyrupCodec(refs, LIMITS, None).feed(data)

    promise = Desc(Kind.IMPORT_PROMISE, 9)
    deep = FrozenMap(deep=(Tagged("t", promise),))
    assert back == Deliver(TO, (promise, deep, Desc(Kind.ANSWER, 2)), 1, OUR)
    assert refs.seen == [TO, promise, promise, Desc(Kind.ANSWER, 2), OUR]


def test_targets_and_resolvers_may_be_references_too() -> None:
    own = codec("d2", thing=TO)

    assert own.encode(Deliver(Thing(), ())) == DELIVER_F_F
    assert own.encode(Listen(TO, Thing())) == b"<9'op:listen" + TO_BYTES + TO_BYTES + b"f>"


def test_an_argument_that_cannot_cross_is_named_by_its_path() -> None:
    with pytest.raises(Unpassable) as caught:
        codec("d2").encode(Deliver(TO, (1, {"owner": [object()]}), 1, OUR))

    assert caught.value.path == "args[1].owner[0]"
    assert "args[1].owner[0]: a object cannot cross" in str(caught.value)


@pytest.mark.parametrize("size", [1, 2, 5, 17, 4000])
def test_a_certificate_is_kept_as_the_bytes_that_came(size: int) -> None:
    give = handoff_give(KEY, PLACE, b"session", b"side", b"gift")
    # Not canonical, with a certificate and descriptors inside: still the same bytes, and one resolve.
    odd = b"<17'desc:sig-envelope<1'x007+" + OUR_BYTES + sig_envelope(give, SIGNATURE) + b">[]>"
    own, refs = codec("d2"), Names()
    data = own.encode(Deliver(TO, (Desc(Kind.CERTIFICATE, odd), [Desc(Kind.CERTIFICATE, odd)]), 1, OUR))
    assert data.count(odd) == 2
    reader = SyrupCodec(refs, LIMITS, None)

    ops = [op for i in range(0, len(data), size) for op in reader.feed(data[i : i + size])]

    certificate = Desc(Kind.CERTIFICATE, odd)
    assert ops == [Deliver(TO, (certificate, (certificate,)), 1, OUR)]
    assert refs.seen == [TO, certificate, certificate, OUR]


@pytest.mark.parametrize("size", [1, 3, 4000])
def test_a_sturdyref_is_resolved_from_its_parts(size: int) -> None:
    parts = ("tls", "abc", {"host": "h", "port": "1"}, b"swiss")
    data = codec("d2").encode(Deliver(TO, (Desc(Kind.STURDYREF, parts),), 1, OUR))
    refs = Names()
    reader = SyrupCodec(refs, LIMITS, None)

    ops = [op for i in range(0, len(data), size) for op in reader.feed(data[i : i + size])]

    assert ops == [Deliver(TO, (Desc(Kind.STURDYREF, parts),), 1, OUR)]
    assert refs.seen == [TO, Desc(Kind.STURDYREF, parts), OUR]
    assert encode(Record("ocapn-sturdyref", (location_record(*parts[:3]), b"swiss"))) in data


@pytest.mark.parametrize("hints", [b"f", b"{}", b"[]"])
def test_a_sturdyref_without_hints_has_an_empty_struct(hints: bytes) -> None:
    peer = b"<10'ocapn-peer5'onion1\"x" + hints + b">"

    op = read(b"<10'op:deliver" + TO_BYTES + b"[<15'ocapn-sturdyref" + peer + b"1:s>]ff>")

    assert op == Deliver(TO, (Desc(Kind.STURDYREF, ("onion", "x", {}, b"s")),))


def test_the_location_of_a_hello_is_kept_as_it_came() -> None:
    place = b'<10\'ocapn-node3\'tls3"abc{4"port1"14"host1"h}>'
    parts = (
        b"<16'op:start-session3\"1.0",
        encode(public_key_list(KEY)),
        place,
        encode(signature_list(SIGNATURE)),
    )
    own = codec()

    (op,) = own.feed(b"".join(parts) + b">")

    assert op == (START, "1.0", KEY, ("tls", "abc", {"host": "h", "port": "1"}), SIGNATURE)
    assert own.hello_location == place


def test_what_is_no_value_stands_for_nothing_wherever_it_is_in_the_arguments() -> None:
    peer = b"<10'ocapn-peer3'tls1\"xf>"
    args = b"[<3'new1+><8'op:abort1\"x>" + peer + b"[" + peer + b']{1"k' + peer + b"}1+]"

    (_, _, args_read, _, _) = read(b"<10'op:deliver" + TO_BYTES + args + b"ff>")

    locator = Desc(Kind.UNKNOWN, "ocapn-peer")
    assert args_read == (
        *(Desc(Kind.UNKNOWN, "new"), Desc(Kind.UNKNOWN, "op:abort")),
        *(locator, (locator,), FrozenMap({"k": locator}), 1),
    )


def test_the_codec_keeps_nothing_of_a_message_alive() -> None:
    class Fresh(Names):
        def resolve(self, kind: Kind, position: Any) -> object:
            return Thing()

    own = SyrupCodec(Fresh(), LIMITS, None)
    op = next(own.feed(b"<10'op:deliver" + TO_BYTES + b"[" + OUR_BYTES + b"]f" + OUR_BYTES + b">"))
    held = [weakref.ref(op[1]), weakref.ref(op[2][0]), weakref.ref(op[4])]

    del op
    gc.collect()

    assert [ref() for ref in held] == [None, None, None]


def test_references_in_one_message_at_the_limit_and_over() -> None:
    def message(count: int) -> bytes:
        return b"<10'op:deliver" + TO_BYTES + b"[" + OUR_BYTES * (count - 1) + b"]ff>"

    own = codec()

    assert len(list(own.feed(message(256) * 2))) == 2
    with pytest.raises(LimitExceeded, match="too-many"):
        list(own.feed(message(257)))
