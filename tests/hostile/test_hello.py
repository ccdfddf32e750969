"""Hellos that lie, come too early, too late, twice or too large."""

from __future__ import annotations

import os

import pytest

from captp.model.keys import PrivateKey
from tests.hostile.node import MARK, Hostile
from tests.hostile.rows import Row, cases, check, does
from tests.hostile.spell import Rec, Sym, export, key_lists, location, object_, syrup

SMALL_ORDER = bytes([1]) + bytes(31)
#: y = p + 3: the same point as y = 3, spelled a second way.
NOT_CANONICAL = bytes([0xF0]) + bytes([0xFF]) * 30 + bytes([0x7F])


def hello(identity: str, expect: str, **more: object) -> Row:
    """Make a row whose hello is honest but for what it says in ``claim``."""
    claim = more.pop("claim")
    assert isinstance(claim, dict)

    async def script(hostile: Hostile) -> None:
        changes = {k: v(hostile) if callable(v) else v for k, v in claim.items()}
        await hostile.send(hostile.hello(**changes))

    return does(identity, expect, opens=False, **more)(script)


def first(identity: str, label: str, *fields: object, **more: object) -> Row:
    """Make a row whose first operation is no hello."""

    async def script(hostile: Hostile) -> None:
        await hostile.send(hostile.says.preface + hostile.says.message(label, *fields))

    return does(identity, "A:expected-start", opens=False, **more)(script)


def flipped(hostile: Hostile, bit: int) -> bytes:
    """Sign as one should, then change one bit."""
    place = location(hostile.node.netlayer, hostile.key.public.designator)
    wrapped = Rec("my-location", place)
    if hostile.says.name == "native":
        wrapped = Rec("captp:hello", place, "mp1", hostile.wire.binding)
    signature = int.from_bytes(hostile.session_key.sign(syrup(wrapped)), "big")
    return (signature ^ (1 << bit)).to_bytes(64, "big")


def unwrapped(hostile: Hostile) -> Rec:
    return location(hostile.node.netlayer, hostile.key.public.designator)


def other_key(_hostile: Hostile) -> str:
    return PrivateKey.from_seed(os.urandom(32)).public.designator


def a_caller(hostile: Hostile) -> str:
    return hostile.node.callers[0].designator


def the_node(hostile: Hostile) -> str:
    return hostile.node.vat.designator


NATIVE, SYRUP, TLS, TCP = ("native",), ("syrup",), ("tls",), ("tcp-testing-only",)

ROWS = [
    hello("M12-another-key", "A:identity", claim={"designator": other_key}, netlayers=TLS),
    hello("M12-a-callers-name", "A:identity", claim={"designator": a_caller}, netlayers=TLS),
    hello("M12-another-transport", "A:identity", claim={"transport": "unix"}, netlayers=TLS),
    first("M13-deliver", "op:deliver", export(0), [Sym("fetch"), b"x"], False, False),
    first("M13-listen", "op:listen", export(0), 1, codecs=NATIVE),
    first("M13-listen-by-resolver", "op:listen", export(0), object_(1), False, codecs=SYRUP),
    first("M13-gc-exports", "op:gc-exports", [0], [1]),
    first("M13-gc-answers", "op:gc-answers", [0]),
    first("M13-resolve", "op:resolve", 1, MARK, codecs=NATIVE),
    first("M13-call", "op:call", 0, "fetch", [b"x"], 1, True, codecs=NATIVE),
    hello("M14-0.9", "A:version", claim={"version": "0.9"}),
    hello("M14-space", "A:version", claim={"version": "1.0 "}),
    hello("M14-number", "A:version", claim={"version": 1}),
    hello("M14-float", "A:version", claim={"version": 1.0}),
    hello("M14-symbol", "A:version", claim={"version": Sym("1.0")}),
    hello("M14-missing", "A:version", claim={"without": 1}),
    hello("M15-first-bit", "A:bad-signature", claim={"signature": lambda h: flipped(h, 511)}),
    hello("M15-last-bit", "A:bad-signature", claim={"signature": lambda h: flipped(h, 0)}),
    hello("M15-other-bytes", "A:bad-signature", claim={"signed": Rec("my-location", b"elsewhere")}),
    hello("M15-no-wrapping", "A:bad-signature", claim={"signed": unwrapped}),
    hello("M15-short", "A:bad-signature", claim={"signature": b"s" * 63}),
    hello("M15-long", "A:bad-signature", claim={"signature": b"s" * 65}),
    hello("M15-zeros", "A:bad-signature", claim={"signature": bytes(64)}),
    hello("M15-without-the-channel", "A:bad-signature", claim={"binding": b""}, codecs=NATIVE, netlayers=TLS),
    hello("M15-of-another-channel", "A:bad-signature", claim={"binding": bytes(32)}, codecs=NATIVE),
    hello("M15-extensions-added", "A:bad-signature", codecs=NATIVE, claim={
        "exts": ("mp1", "dgc1"),
        "signed": lambda h: Rec("captp:hello", unwrapped(h), "mp1", h.wire.binding),
    }),
    hello("M16-31-bytes", "A:bad-key", claim={"public": b"k" * 31}, codecs=NATIVE),
    hello("M16-33-bytes", "A:bad-key", claim={"public": b"k" * 33}, codecs=NATIVE),
    hello("M16-text", "A:bad-key", claim={"public": "k" * 32}, codecs=NATIVE),
    hello("M16-31-bytes-listed", "A:bad-key", claim={"public": key_lists(b"k" * 31)}, codecs=SYRUP),
    hello("M16-33-bytes-listed", "A:bad-key", claim={"public": key_lists(b"k" * 33)}, codecs=SYRUP),
    hello("M16-curve", "A:bad-key", codecs=SYRUP, claim={
        "public": lambda h: key_lists(h.session_key.public.raw, curve="P-256")
    }),
    hello("M16-flags", "A:bad-key", codecs=SYRUP, claim={
        "public": lambda h: key_lists(h.session_key.public.raw, flags="rfc6979")
    }),
    hello("M16-record", "A:bad-key", claim={"public": Rec("public-key", b"k" * 32)}, codecs=SYRUP),
    hello("M17-small-order", "A:bad-key", claim={"public": SMALL_ORDER}, codecs=NATIVE),
    hello("M17-not-canonical", "A:bad-key", claim={"public": NOT_CANONICAL}, codecs=NATIVE),
    hello("M17-small-order-listed", "A:bad-key", claim={"public": key_lists(SMALL_ORDER)}, codecs=SYRUP),
    hello("M17-not-canonical-listed", "A:bad-key", claim={"public": key_lists(NOT_CANONICAL)}, codecs=SYRUP),
    hello("M22-many-hints", "A:too-large", claim={"hints": {f"hint{i:05}": MARK for i in range(50_000)}}),
    hello("M22-one-hint", "A:too-large", claim={"hints": {"host": MARK * 100_000}}),
    hello("hint-of-6-KiB", "A:bad-op|too-large", claim={"hints": {"host": MARK * 500}}),
    hello("17-hints", "A:bad-op", claim={"hints": {f"h{i:02}": MARK for i in range(17)}}),
    hello("extensions-that-are-none", "A:bad-op", claim={"exts": "mp1"}, codecs=NATIVE),
    hello("an-extension-with-a-comma", "A:bad-op", claim={"exts": ("mp1,dgc1",)}, codecs=NATIVE),
    hello("an-empty-extension", "A:bad-op", claim={"exts": ("",)}, codecs=NATIVE),
    hello("a-designator-that-is-none", "A:bad-op", claim={"designator": "a/b?c"}),
    hello("an-empty-designator", "A:bad-op", claim={"designator": ""}),
    hello("a-transport-that-is-none", "A:bad-op", claim={"transport": "TLS!"}),
    hello("a-callers-name-unproved", "A:duplicate-session", claim={"designator": a_caller},
          netlayers=TCP, codecs=NATIVE),
    hello("another-transport-unproved", "A:identity", claim={"transport": "tls"},
          netlayers=TCP),
    hello("the-nodes-own-name", "A:identity", claim={"designator": the_node},
          netlayers=TCP),
]  # fmt: skip


@does("M18-twice", "A:already-started")
async def twice(hostile: Hostile) -> None:
    await hostile.send(hostile.says.hello(hostile.claim()))


@does("M18-twice-at-once", "A:already-started", opens=False)
async def twice_at_once(hostile: Hostile) -> None:
    await hostile.send(hostile.hello(), hostile.says.hello(hostile.claim()))


@does("M18-and-another-name", "A:already-started")
async def twice_otherwise(hostile: Hostile) -> None:
    await hostile.send(hostile.says.hello(hostile.claim(designator=other_key(hostile))))


async def a_second_session(hostile: Hostile, **changes: object) -> None:
    """The new connection is refused; on the old one nothing is seen of that but a question for life."""
    async with hostile.node.hostile(hostile.says.name, hostile.key) as second:
        await second.send(second.hello(**changes))
        assert await second.end(), "the second connection stays open"
        words = [(what, str(value).partition(":")[0]) for what, _, value in second.heard]
        # An OCapN peer reads why only after a hello.
        before = [] if hostile.says.name == "native" else [("start", "None")]
        assert words == [*before, ("abort", "duplicate-session")]
    assert await hostile.lives(), "the first session went with the second"
    assert not [1 for what, _, _ in hostile.heard if what == "abort"]
    await hostile.goodbye()


@does("M19-a-second-session", "W", alone=True)
async def duplicate(hostile: Hostile) -> None:
    await a_second_session(hostile)


@does("M20-with-other-hints", "W", alone=True)
async def duplicate_elsewhere(hostile: Hostile) -> None:
    await a_second_session(hostile, hints={"host": "10.0.0.1", "port": "7"})


@does("M23-abort-first", "C", opens=False, log="aborted")
async def abort_first(hostile: Hostile) -> None:
    await hostile.send(hostile.says.preface + hostile.says.abort(f"closed: {MARK}"))


@does("M24-bytes-after-abort", "C", log="aborted")
async def bytes_after_abort(hostile: Hostile) -> None:
    await hostile.send(hostile.says.abort(), b"\xff" * 100, hostile.says.call(1, "number", 1, at=1))
    await hostile.wire.send(b"\xc1" * 1000)


@does("calls-after-abort", "C", log="aborted")
async def calls_after_abort(hostile: Hostile) -> None:
    await hostile.send(hostile.says.abort(), hostile.says.call(1, "number", 1, at=1))
    await hostile.send(hostile.says.call(1, "number", 1, at=2))


@does("abort-with-a-huge-reason", "C", log="aborted")
async def huge_reason(hostile: Hostile) -> None:
    await hostile.send(hostile.says.abort("duplicate-session: " + MARK * 10_000 + "\0\n\u202e"))


ROWS += [
    twice, twice_at_once, twice_otherwise, duplicate, duplicate_elsewhere, abort_first,
    bytes_after_abort, calls_after_abort, huge_reason,
]  # fmt: skip


@cases(ROWS)
def test_a_hello_that_is_wrong_ends_its_own_connection(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)


def test_a_table_reports_a_row_that_did_not_hold() -> None:
    """The suite can fail: an honest hello is not refused."""
    table = [hello("honest", "A:version", claim={}, patience=0.3)]
    with pytest.raises(AssertionError, match=r"honest over tcp-testing-only in native: it is not closed"):
        check(table, table[0], "tcp-testing-only", "native")
