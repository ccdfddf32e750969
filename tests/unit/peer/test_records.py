"""Records of a child's store: what is packed comes back, and what no vat of captp sends is refused."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import captp
from captp.model.idents import Oid
from captp.peer.durable import records
from captp.peer.durable.loading import Rows
from captp.peer.durable.records import Loaded, RecordRefused, Records, Room, StoredUpTo, Swept
from captp.peer.durable.stored import Image
from captp.peer.outputs import Commit, Load, Sweep
from captp.peer.rows import TABLES, Change, Verb, packed

IDS = st.integers(0, records.MOST_ID - 1).map(Oid)
KEYS = st.binary(min_size=1, max_size=64)
PAIRS = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=20)), max_size=4).map(tuple)


class Page(captp.Object, version=2):
    text: str = ""


@st.composite
def changes(draw: st.DrawFn) -> Change:
    verb, table = draw(st.sampled_from(Verb)), draw(st.sampled_from(TABLES))
    key = draw(KEYS)
    if table == "meta":
        value = draw(st.sampled_from([packed(Page._captp_kind, 2, ["text"]), packed("no:Class", 7, [])]))
        return Change(Verb.INSERT, table, b"kind:" + key[:4], value)
    if table == "object":
        key = key[:1] * 8
    if verb is Verb.DELETE:
        return Change(verb, table, key)
    if table == "edge":
        return Change(verb, table, key, draw(st.integers(0, 3)) * bytes(8))
    if table in ("root", "swiss"):
        return Change(verb, table, key, packed(draw(IDS) or 1, "label", 2.5, None))
    return Change(verb, table, key, draw(st.binary(max_size=50)))


SAID = st.one_of(
    st.builds(Commit, IDS, st.lists(changes(), max_size=5), IDS),
    st.builds(Load, st.lists(IDS, max_size=5).map(tuple)),
    st.builds(Sweep, st.lists(IDS, max_size=5).map(tuple), st.frozensets(IDS, max_size=5)),
)
ROWS = st.builds(Rows, IDS, st.binary(), PAIRS, PAIRS.map(dict))
TOLD = st.one_of(
    st.builds(StoredUpTo, IDS),
    st.builds(Loaded, IDS, st.none() | st.lists(ROWS, max_size=3).map(lambda rows: {r.oid: r for r in rows})),
    st.builds(Swept, IDS, IDS, st.lists(IDS), st.text()),
    st.builds(Room, st.booleans()),
    st.builds(
        Image,
        incarnation=IDS,
        last_oid=IDS,
        wall_ahead=st.floats(allow_nan=False),
        **dict.fromkeys(("kinds", "roots", "swiss", "channels", "outbox", "inbox", "timers"), PAIRS),
    ),
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]


@given(st.lists(SAID, max_size=4), st.lists(st.integers(0, 40)))
def test_what_a_child_says_comes_back_however_it_is_cut(said: list[Any], sizes: list[int]) -> None:
    joined = Records(records.MOST_RECORD)
    stream = b"".join(map(records.encoded, said))
    came = [record for part in cut(stream, sizes) for record in joined.feed(part)]

    assert [records.asked(record) for record in came] == said


@given(TOLD)
def test_what_it_is_told_comes_back(told: Any) -> None:
    (record,) = Records().feed(records.encoded(told))

    assert records.told(record) == told


@given(st.binary() | st.lists(IDS | st.none() | st.binary()).map(lambda parts: packed(*parts)))
def test_whatever_else_is_said_is_refused_or_is_a_record(data: bytes) -> None:
    try:
        record = records.asked(data)
    except RecordRefused:
        return
    assert records.asked(records.encoded(record)[records.LENGTH :]) == record


@given(SAID, st.data())
def test_a_record_with_a_byte_changed_is_refused_or_is_another_record(said: Any, data: st.DataObject) -> None:
    record = bytearray(records.encoded(said)[records.LENGTH :])
    at = data.draw(st.integers(0, len(record) - 1))
    record[at] ^= data.draw(st.integers(1, 255))
    try:
        made = records.asked(bytes(record))
    except RecordRefused:
        return
    assert type(made) in (Commit, Load, Sweep)


COMMIT, LOAD, SWEEP = 1, 2, 3
INSERT, REPLACE, DELETE = 1, 2, 3
META, OBJECT, EDGE, ROOT = (TABLES.index(name) for name in ("meta", "object", "edge", "root"))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [9],
        ["1"],
        [COMMIT],
        [COMMIT, 1],
        [COMMIT, -1, 1],
        [COMMIT, 1, records.MOST_ID],
        [COMMIT, 1, 1, INSERT],
        [COMMIT, 1, 1, 0, OBJECT, bytes(8), b""],
        [COMMIT, 1, 1, 4, OBJECT, bytes(8), b""],
        [COMMIT, 1, 1, INSERT, -1, bytes(8), b""],
        [COMMIT, 1, 1, INSERT, len(TABLES), bytes(8), b""],
        [COMMIT, 1, 1, INSERT, OBJECT, "key", b""],
        [COMMIT, 1, 1, INSERT, OBJECT, bytes(8), "value"],
        [COMMIT, 1, 1, INSERT, OBJECT, bytes(7), b""],
        [COMMIT, 1, 1, INSERT, EDGE, b"", bytes(8)],
        [COMMIT, 1, 1, INSERT, EDGE, bytes(65), bytes(8)],
        [COMMIT, 1, 1, INSERT, EDGE, bytes(8), bytes(7)],
        [COMMIT, 1, 1, DELETE, EDGE, bytes(8), bytes(8)],
        [COMMIT, 1, 1, INSERT, META, b"head", b""],
        [COMMIT, 1, 1, INSERT, META, b"head", packed("no:Class", 1, [])],
        [COMMIT, 1, 1, DELETE, META, b"kind:1", b""],
        [COMMIT, 1, 1, REPLACE, META, b"kind:1", packed("no:Class", 1, [])],
        [COMMIT, 1, 1, INSERT, META, b"kind:1", packed("no:Class", 1)],
        [COMMIT, 1, 1, INSERT, META, b"kind:1", packed("no:Class", 1, [1])],
        [COMMIT, 1, 1, INSERT, META, b"kind:1", packed(["no:Class"], 1, [])],
        [COMMIT, 1, 1, INSERT, META, b"kind:1", packed(Page._captp_kind, 1, ["text"])],
        [COMMIT, 1, 1, INSERT, META, b"kind:1", packed(Page._captp_kind, 2, ["number"])],
        [COMMIT, 1, 1, INSERT, ROOT, b"name", b""],
        [COMMIT, 1, 1, INSERT, ROOT, b"name", packed("1")],
        [COMMIT, 1, 1, INSERT, ROOT, b"name", packed(0)],
        [COMMIT, 1, 1, INSERT, ROOT, b"name", packed(records.MOST_ID)],
        [COMMIT, 1, 1, INSERT, ROOT, b"name", packed()],
        [COMMIT, 1, 1, INSERT, ROOT, b"name", packed(True)],
        [LOAD, True],
        [LOAD, b"1"],
        [LOAD, records.MOST_ID],
        [SWEEP],
        [SWEEP, 2, 1],
        [SWEEP, -1, 1],
    ],
    ids=repr,
)
def test_what_no_vat_says_is_refused(parts: list[Any]) -> None:
    with pytest.raises(RecordRefused):
        records.asked(packed(*parts))


def test_a_record_is_as_long_as_it_may_be_and_no_byte_longer() -> None:
    most = 40
    for size, is_taken in ((most, True), (most + 1, False)):
        stream = size.to_bytes(records.LENGTH, "big") + bytes(size)
        records_of = Records(most)
        if is_taken:
            assert list(records_of.feed(stream)) == [bytes(most)]
        else:
            with pytest.raises(RecordRefused, match="41 bytes; expected at most 40"):
                list(records_of.feed(stream[: records.LENGTH]))


def test_a_record_has_as_many_changes_as_it_may_and_no_more() -> None:
    for count, is_taken in ((3, True), (4, False)):
        made = Commit(1, [Change(Verb.INSERT, "object", n.to_bytes(8, "big")) for n in range(count)], 9)
        data = records.encoded(made)[records.LENGTH :]
        if is_taken:
            assert records.asked(data, most_changes=3) == made
        else:
            with pytest.raises(RecordRefused, match="more than 3 changes"):
                records.asked(data, most_changes=3)


def test_small_bytes_that_unfold_are_refused_unread() -> None:
    deep = b"\x91" * 100_000 + b"\x90"
    promised: Any = msgpack.Packer().pack_array_header(2**31)
    for data in (deep, promised, b"\x81\x01\x02", b"\xc1", b""):
        with pytest.raises(RecordRefused):
            records.asked(data)


def test_a_part_of_a_record_is_kept_until_the_rest_comes() -> None:
    joined = Records(100)
    stream = records.encoded(StoredUpTo(5)) * 2

    came = [list(joined.feed(stream[at : at + 1])) for at in range(len(stream))]

    assert [records.told(r) for some in came for r in some] == [StoredUpTo(5)] * 2
    assert list(joined.feed(b"")) == []
