"""Every value of the model out and back, in the spellings that other implementations have for it."""

from __future__ import annotations

import struct
from typing import Any
from uuid import uuid4

import pytest

from tests.interop.client import Peer
from tests.interop.keys import an_object, export, held
from tests.interop.ocapn_host import ECHO
from tests.interop.syrup import NULL, VOID, Raw, Rec, Sym, read, rec, same, write

TAGGED = rec("desc:tagged", Sym("inch"), 3)
PEER = rec("ocapn-peer", Sym("tcp-testing-only"), uuid4().hex, {"host": "h", "port": "1"})

SAME = [
    True,
    False,
    0,
    -1,
    2**64,
    -(10**600),
    1.5,
    0.0,
    -0.0,
    float("inf"),
    float("nan"),
    "",
    "björn 🐻",
    b"",
    bytes(range(256)),
    Sym("a-symbol"),
    Sym("@@iterator"),
    [],
    [[[1], []], "x"],
    {},
    {"b": 1, "aa": 2},
    {"name": {"first": "Ada", "x": None}},
    VOID,
    NULL,
    TAGGED,
    rec("desc:tagged", Sym("deep"), [TAGGED]),
    rec("desc:error", "went wrong"),
    rec("ocapn-sturdyref", PEER, b"swiss"),
]


def undefined(value: Any) -> Any:
    """Spell None as the model's undefined."""
    if value is None:
        return VOID
    if isinstance(value, dict):
        return {key: undefined(part) for key, part in value.items()}
    return value


def echoed(peer: Peer, value: Any) -> Any:
    (back,) = peer.call(peer.fetch(ECHO), value)
    return back


def test_values_come_back_the_same(peer: Peer) -> None:
    values = [undefined(value) for value in SAME]

    back = peer.call(peer.fetch(ECHO), *values)

    for sent, got in zip(values, back, strict=True):
        assert same(got, sent), (sent, got)


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (rec("desc:tag", "inch", 3), TAGGED),
        (rec("user-record", Sym("inch"), 3), TAGGED),
        (rec("desc:tagged", "inch", 3), TAGGED),
        (rec("desc:error"), rec("desc:error", "")),
        (rec("desc:error", "x", b"id", {"k": 1}), rec("desc:error", "x")),
        (rec("desc:error", "x", False, False), rec("desc:error", "x")),
        (rec("exn:fail:mystery"), rec("desc:error", "exn:fail:mystery")),
        ({Sym("k"): 1}, {"k": 1}),
        (Raw(b"007+"), 7),
        (Raw(b"0-"), 0),
        (
            rec("ocapn-sturdyref", Rec("ocapn-node", PEER.fields), b"s"),
            rec("ocapn-sturdyref", PEER, b"s"),
        ),
        (
            rec(
                "ocapn-sturdyref",
                rec("ocapn-node", *PEER.fields[:2], [[Sym("host"), "h"], [Sym("port"), "1"]]),
                b"s",
            ),
            rec("ocapn-sturdyref", PEER, b"s"),
        ),
        (
            rec("ocapn-sturdyref", rec("ocapn-peer", *PEER.fields[:2], {}), b"s"),
            rec("ocapn-sturdyref", rec("ocapn-peer", *PEER.fields[:2], False), b"s"),
        ),
    ],
)
def test_other_spellings_come_back_in_the_common_one(peer: Peer, sent: Any, got: Any) -> None:
    assert same(echoed(peer, sent), got)


@pytest.mark.parametrize("order", ["canonical", "raw", "given"])
def test_structs_are_read_in_any_order(peer: Peer, order: str) -> None:
    peer.order = order

    assert echoed(peer, {"zz": 1, "b": 2, "aaa": 3}) == {"zz": 1, "b": 2, "aaa": 3}


def test_structs_are_written_in_canonical_order_until_the_peer_shows_raw_order(peer: Peer) -> None:
    canonical, raw = ["b", "zz", "aaa"], ["aaa", "b", "zz"]
    many = dict.fromkeys(raw, 0)

    assert list(echoed(peer, many)) == canonical
    peer.order = "given"
    for given in (canonical, ["zz", "b", "aaa"], ["zz", "aaa", "b"]):
        assert list(echoed(peer, dict.fromkeys(given, 0))) == canonical

    peer.order = "raw"
    assert list(echoed(peer, many)) == raw
    peer.order = "canonical"
    assert list(echoed(peer, many)) == raw, "what was learnt stays"


NAN_WITH_PAYLOAD = Raw(b"D" + bytes.fromhex("7ff8000000000001"))


@pytest.mark.parametrize(
    "value",
    [
        Raw(b'{1"a1+1"a2+}'),
        Raw(b"{1+1+}"),
        Raw(b'{1"a}'),
        Raw(b"#1+$"),
        Raw(b"F" + struct.pack(">f", 1.0)),
        NAN_WITH_PAYLOAD,
        Raw(b'1"\xff'),
        Raw(b'3"\xed\xa0\x80'),
        Raw(b"1+ 2+"),
        Raw(b"(1+)"),
        rec("void", 1),
        rec("desc:error", 7),
    ],
)
def test_what_is_no_value_ends_the_session_with_a_reason(peer: Peer, value: Any) -> None:
    peer.ask(peer.fetch(ECHO), value)

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-value")


def test_a_record_that_nobody_knows_is_a_broken_promise_and_the_rest_arrives(peer: Peer) -> None:
    record, rest = peer.call(peer.fetch(ECHO), rec("what:is-this", 1), 7)

    peer.reason(peer.listen(held(record)))
    assert rest == 7


def test_a_bare_locator_is_no_value_and_does_not_come_back(peer: Peer) -> None:
    """The model has none, and Endo ends the session over one."""
    (locator,) = peer.call(peer.fetch(ECHO), PEER)

    peer.reason(peer.listen(held(locator)))


def test_a_reference_deep_in_a_value_is_counted_and_comes_back(peer: Peer) -> None:
    ours = peer.new_export()
    deep = {"k": [rec("desc:tagged", Sym("t"), [an_object(ours)])]}

    back = echoed(peer, deep)

    assert back["k"][0].fields[1] == [export(ours)]


def test_this_folders_own_codec_is_right_about_the_grammar() -> None:
    """Written out by hand, once: the other tests stand on it."""
    value = {"b": [1, -72, 1.5, True], "aa": rec("x", Sym("s"), "björn", b"cat", {})}
    spelled = b'{1"b[1+72-D\x3f\xf8\0\0\0\0\0\0t]2"aa<1\'x1\'s6"bj\xc3\xb6rn3:cat{}>}'

    assert write(value) == spelled
    assert same(read(spelled), value)
