"""What is taken for a certificate and what is not: one spelling, every field, nothing else inside."""

from __future__ import annotations

from typing import Any

import pytest

from captp.errors import HandoffFailed
from captp.peer.handoff.certificates import (
    GIFT_ID_BYTES,
    LAST_COUNT,
    LONGEST,
    check_receive,
    parse_give,
    parse_receive,
    sign,
    write_give,
    write_receive,
)
from captp.wire.canonical import public_key_list
from captp.wire.syrup import Encoded
from tests.unit.handoff.certificate_box import (
    GIFT_ID,
    GIFTER,
    PLACE,
    RECEIVER,
    RECEIVERS_OTHER,
    RECEIVING,
    SESSION,
    SMALL_ORDER,
    checked,
    envelope,
    give_bytes,
    give_fields,
    receive_bytes,
    record,
    side,
    signed_give,
    signed_receive,
)

HUGE = b"x" * (LONGEST + 1)


def test_the_right_give_passes() -> None:
    checked(parse_give(signed_give()))


def test_the_right_receive_passes() -> None:
    receive = parse_receive(signed_receive())

    check_receive(receive, session=RECEIVING, side=side(RECEIVERS_OTHER))
    checked(receive.give)


def test_what_the_product_writes_is_what_the_other_spelling_gives() -> None:
    written = write_give(
        receiver=RECEIVER.public,
        exporter=PLACE,
        session=SESSION,
        gifter_side=side(GIFTER),
        gift_id=GIFT_ID,
    )
    give = parse_give(sign(written, GIFTER))
    receive = write_receive(session=RECEIVING, side=side(RECEIVERS_OTHER), count=0, give=give)

    assert sign(written, GIFTER) == signed_give()
    assert sign(receive, RECEIVER) == signed_receive()


WRONG_GIVES: dict[str, dict[str, Any]] = {
    "key is bytes": {"key": RECEIVER.public.raw},
    "key of 31 bytes": {"key": public_key_list(bytes(31))},
    "key of 33 bytes": {"key": public_key_list(bytes(33))},
    "key is a record": {"key": Encoded(record("public-key", 1))},
    "place is a string": {"place": "sim"},
    "place is another record": {"place": Encoded(record("ocapn-sturdyref", 1))},
    "place without hints": {"place": Encoded(b"<10'ocapn-peer3'sim1\"e>")},
    "place with a field more": {"place": Encoded(b"<10'ocapn-peer3'sim1\"e{}t>")},
    "transport is a string": {"place": Encoded(b'<10\'ocapn-peer3"sim1"e{}>')},
    "transport with a dot": {"place": Encoded(b"<10'ocapn-peer3's.m1\"e{}>")},
    "designator is empty": {"place": Encoded(b"<10'ocapn-peer3'sim0\"{}>")},
    "hint is an integer": {"place": Encoded(b"<10'ocapn-peer3'sim1\"e{4\"host1+}>")},
    "hint name is empty": {"place": Encoded(b'<10\'ocapn-peer3\'sim1"e{0"1"x}>')},
    "session of 31 bytes": {"session": SESSION[:31]},
    "session of 33 bytes": {"session": SESSION + b"x"},
    "session is a string": {"session": "s" * 32},
    "side of 31 bytes": {"side": side(GIFTER)[:31]},
    "side of 33 bytes": {"side": side(GIFTER) + b"x"},
    "side is an integer": {"side": 1},
    "gift id is empty": {"gift": b""},
    "gift id is too long": {"gift": b"i" * (GIFT_ID_BYTES + 1)},
    "gift id is a string": {"gift": "i" * 32},
    "gift id is an integer": {"gift": 7},
}


@pytest.mark.parametrize("changed", WRONG_GIVES.values(), ids=WRONG_GIVES)
def test_a_give_with_a_wrong_field_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(signed_give(**changed))


@pytest.mark.parametrize("missing", give_fields())
def test_a_give_with_a_field_missing_is_refused(missing: str) -> None:
    fields = give_fields()
    del fields[missing]
    given = record("desc:handoff-give", *fields.values())

    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(envelope(given, GIFTER.sign(given)))


@pytest.mark.parametrize("at", range(6))
def test_a_give_with_a_field_more_is_refused(at: int) -> None:
    fields = list(give_fields().values())
    fields.insert(at, b"more")
    given = record("desc:handoff-give", *fields)

    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(envelope(given, GIFTER.sign(given)))


@pytest.mark.parametrize("point", SMALL_ORDER.values(), ids=SMALL_ORDER)
def test_a_receivers_key_that_is_everybodys_is_refused(point: int) -> None:
    key = public_key_list(point.to_bytes(32, "little"))

    with pytest.raises(HandoffFailed, match=r"^handoff: the key"):
        parse_give(signed_give(key=key))


@pytest.mark.parametrize("size", [1, 7, 16, 32, GIFT_ID_BYTES])
def test_gift_ids_of_other_lengths_are_taken(size: int) -> None:
    assert parse_give(signed_give(gift=b"i" * size)).gift_id == b"i" * size


WRONG_RECEIVES: dict[str, dict[str, Any]] = {
    "session of 31 bytes": {"session": RECEIVING[:31]},
    "session is a string": {"session": "s" * 32},
    "side of 33 bytes": {"of": side(RECEIVER) + b"x"},
    "side is false": {"of": False},
}


@pytest.mark.parametrize("changed", WRONG_RECEIVES.values(), ids=WRONG_RECEIVES)
def test_a_receive_with_a_wrong_field_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff:"):
        parse_receive(signed_receive(**changed))


@pytest.mark.parametrize(
    "count", [-1, LAST_COUNT + 1, 2**64, 10**400, True, False, 0.0, "0", b"0", None, (0,)]
)
def test_a_count_that_is_no_small_natural_number_is_refused(count: Any) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff-count:"):
        parse_receive(signed_receive(count=count))


@pytest.mark.parametrize("count", [0, 1, LAST_COUNT])
def test_counts_are_taken_up_to_the_last(count: int) -> None:
    assert parse_receive(signed_receive(count=count)).count == count


@pytest.mark.parametrize("dropped", range(4))
def test_a_receive_with_a_field_missing_or_more_is_refused(dropped: int) -> None:
    fields: list[Any] = [RECEIVING, side(RECEIVERS_OTHER), 0, Encoded(signed_give())]
    for wrong in (fields[:dropped] + fields[dropped + 1 :], [*fields[:dropped], 0, *fields[dropped:]]):
        receive = record("desc:handoff-receive", *wrong)

        with pytest.raises(HandoffFailed, match=r"^handoff"):
            parse_receive(envelope(receive, RECEIVER.sign(receive)))


NOT_THE_SPELLING = {
    "count with a zero in front": (b"0+<17'desc:sig", b"00+<17'desc:sig"),
    "count as minus zero": (b"0+<17'desc:sig", b"0-<17'desc:sig"),
    "length with a zero in front": (b"32:" + RECEIVING, b"032:" + RECEIVING),
    "a blank between fields": (b"0+<17'desc:sig", b"0+ <17'desc:sig"),
    "label with a zero in front": (b"<20'desc:handoff-receive", b"<020'desc:handoff-receive"),
    "label as a string": (b"<20'desc:handoff-receive", b'<20"desc:handoff-receive'),
}


@pytest.mark.parametrize(("old", "new"), NOT_THE_SPELLING.values(), ids=NOT_THE_SPELLING)
def test_a_receive_in_another_spelling_is_refused_though_signed(old: bytes, new: bytes) -> None:
    receive = receive_bytes()
    assert receive.count(old) == 1
    respelled = receive.replace(old, new)

    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_receive(envelope(respelled, RECEIVER.sign(respelled)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<17'desc:handoff-give", b"<017'desc:handoff-give"),
        (b"10'public-key", b"010'public-key"),
        (b"10'public-key", b'10"public-key'),
        (b"7'Ed25519", b"7'ed25519"),
        (b"[1'q32:", b"[ 1'q32:"),
        (b"32:" + GIFT_ID, b"032:" + GIFT_ID),
    ],
)
def test_a_give_in_another_spelling_is_refused_though_signed(old: bytes, new: bytes) -> None:
    given = give_bytes()
    assert given.count(old) == 1
    respelled = given.replace(old, new)

    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(envelope(respelled, GIFTER.sign(respelled)))


@pytest.mark.parametrize(
    ("place", "hints"),
    [
        (b'<10\'ocapn-peer3\'sim1"e{4"node1"e4"exts3"mp1}>', {"exts": "mp1", "node": "e"}),
        (b'<10\'ocapn-peer3\'sim1"e{3"url1"x2"at1"y}>', {"at": "y", "url": "x"}),
        (b"<10'ocapn-peer3'sim1\"ef>", {}),
        (b"<10'ocapn-peer3'sim1\"e{}>", {}),
        (b"<10'ocapn-node3'sim1\"e[[4'host1\"h]]>", {"host": "h"}),
    ],
)
def test_a_location_keeps_the_bytes_that_its_owner_spelled(place: bytes, hints: dict[str, str]) -> None:
    give = parse_give(signed_give(place=Encoded(place)))

    assert dict(give.exporter.hints) == hints
    assert give.exporter.peer == ("sim", "e")
    assert place in give.signed
    assert give.signed == give_bytes(place=Encoded(place))
    checked(give)


@pytest.mark.parametrize(
    "hints", [b'{4"host1"a4"host1"b}', b'{4"host1"a4\'host1"b}', b'[[4\'host1"a][4"host1"b]]', b'{1+1"a}']
)
def test_hints_with_a_name_twice_or_none_are_refused(hints: bytes) -> None:
    place = b"<10'ocapn-peer3'sim1\"e%b>" % hints

    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(signed_give(place=Encoded(place)))


OTHER_KINDS = {
    "a receive": receive_bytes(),
    "a location": PLACE,
    "a hello": record("my-location", Encoded(PLACE)),
    "an import": record("desc:import-object", 1),
    "an integer": b"1+",
    "a list": b"[]",
    "a give of another label": give_bytes().replace(b"17'desc:handoff-give", b"17'desc:handoff-gift"),
    "an envelope": signed_give(),
    "an envelope in an envelope": envelope(signed_give(), bytes(64)),
    "nothing": b"",
    "two gives": give_bytes() * 2,
}


@pytest.mark.parametrize("inside", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_an_envelope_with_another_kind_inside_is_no_give(inside: bytes) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(envelope(inside, GIFTER.sign(inside)))


def test_a_give_is_no_receive() -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff: expected a signed desc:handoff-receive"):
        parse_receive(signed_give())


@pytest.mark.parametrize("inside", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_a_receive_with_another_kind_in_place_of_the_give_is_refused(inside: bytes) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_receive(signed_receive(envelope(inside, GIFTER.sign(inside))))


@pytest.mark.parametrize("bare", [b"1+", PLACE, give_bytes(), b"[]"])
def test_a_receive_with_a_give_that_is_not_in_an_envelope_is_refused(bare: bytes) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_receive(signed_receive(bare))


def test_a_certificate_is_taken_up_to_the_longest_and_not_beyond() -> None:
    # A locator cannot be that long; what is too long is told before anything of it is read.
    with pytest.raises(HandoffFailed, match=rf"^handoff: a certificate over {LONGEST} bytes"):
        parse_receive(HUGE)
    with pytest.raises(HandoffFailed, match=r"^handoff: a certificate is a signed record"):
        parse_receive(HUGE[:LONGEST])


def test_deep_nesting_inside_an_envelope_is_refused() -> None:
    deep = b"[" * 5_000 + b"]" * 5_000

    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(envelope(deep, bytes(64)))
    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(signed_give(key=Encoded(deep)))
