"""What clients of a memcached say, however it is cut, and where it is not understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captp.examples.memcached import commands
from captp.examples.memcached.commands import (
    BAD_DATA,
    BAD_DELTA,
    BAD_LINE,
    EXPIRES,
    KEYS,
    LINE_BYTES,
    LONG_LINE,
    TOO_LARGE,
    UNKNOWN,
    Command,
    Found,
    Parser,
    Problem,
)
from captp.examples.store import KEY_CHARS, VALUE_BYTES

LONGEST = b"k" * KEY_CHARS
LARGEST = b"v" * VALUE_BYTES

#: What is said, and what it means.
CORPUS: list[tuple[bytes, list[Found]]] = [
    (b"get a\r\n", [Command("get", ("a",))]),
    (b"get a\n", [Command("get", ("a",))]),
    (b"get  a   b \r\n", [Command("get", ("a", "b"))]),
    (b"get %s\r\n" % LONGEST, [Command("get", (LONGEST.decode(),))]),
    (b"get %sk\r\n" % LONGEST, [Problem(BAD_LINE)]),
    (b"get \xff\xfe\r\n", [Command("get", ("\xff\xfe",))]),
    (b"get a\tb\r\n", [Problem(BAD_LINE)]),
    (b"get a\x00\r\n", [Problem(BAD_LINE)]),
    (b"get a\r\r\n", [Problem(BAD_LINE)]),
    (b"get" + b" k" * KEYS + b"\r\n", [Command("get", ("k",) * KEYS)]),
    (b"get" + b" k" * (KEYS + 1) + b"\r\n", [Problem(BAD_LINE)]),
    (b"get\r\n", [Problem(UNKNOWN)]),
    (b"\r\n", [Problem(UNKNOWN)]),
    (b"GET a\r\n", [Problem(UNKNOWN)]),
    (b"flush_all\r\nversion\r\n", [Problem(UNKNOWN), Command("version")]),
    (b"set a 7 0 3\r\nxyz\r\n", [Command("set", ("a",), (7, b"xyz"))]),
    (b"set a 0 0 0\r\n\r\n", [Command("set", ("a",), (0, b""))]),
    (
        b"set a 0 0 14\r\nx\r\nget a\r\n\r\n\xff\x00\r\n",
        [Command("set", ("a",), (0, b"x\r\nget a\r\n\r\n\xff\x00"))],
    ),
    (b"set a 4294967295 0 1 noreply\r\nx\r\n", [Command("set", ("a",), (2**32 - 1, b"x"), is_quiet=True)]),
    (b"add a 1 0 1\r\nx\r\nadd a 1 0 1\r\ny\r\n", [Command("add", ("a",), (1, c)) for c in (b"x", b"y")]),
    (b"set a 4294967296 0 1\r\nx\r\nversion\r\n", [Problem(BAD_LINE), Command("version")]),
    (b"set a -1 0 1\r\nx\r\nversion\r\n", [Problem(BAD_LINE), Command("version")]),
    (b"set a x 0 1 noreply\r\nx\r\nversion\r\n", [Problem(b""), Command("version")]),
    (b"set %sk 0 0 5\r\nget a\r\nversion\r\n" % LONGEST, [Problem(BAD_LINE), Command("version")]),
    (b"set a 0 60 5\r\nget a\r\nversion\r\n", [Problem(EXPIRES), Command("version")]),
    (b"set a 0 -1 1\r\nx\r\n", [Problem(EXPIRES)]),
    (b"set a 0 0 %d\r\n%s\r\n" % (VALUE_BYTES, LARGEST), [Command("set", ("a",), (0, LARGEST))]),
    (
        b"set a 0 0 %d\r\n%sv\r\nversion\r\n" % (VALUE_BYTES + 1, LARGEST),
        [Problem(TOO_LARGE), Command("version")],
    ),
    # How much data there is cannot be known: what follows is no command.
    (b"set a 0 0 -1\r\nget a\r\n", [Problem(BAD_LINE, is_last=True)]),
    (b"set a 0 0 x\r\nget a\r\n", [Problem(BAD_LINE, is_last=True)]),
    (b"set a 0 0 1e3\r\nget a\r\n", [Problem(BAD_LINE, is_last=True)]),
    (b"set a 0 0 9999999999\r\nget a\r\n", [Problem(BAD_LINE, is_last=True)]),
    (b"set a 0 0\r\nget a\r\n", [Problem(BAD_LINE, is_last=True)]),
    (b"set a 0 0 1 please\r\nx\r\nget a\r\n", [Problem(BAD_LINE, is_last=True)]),
    (b"set\r\nget a\r\n", [Problem(BAD_LINE, is_last=True)]),
    (b"set a 0 0 3\r\nxyzget a\r\n", [Problem(BAD_DATA, is_last=True)]),
    (b"set a 0 0 3\r\nxyzz\r\nget a\r\n", [Problem(BAD_DATA, is_last=True)]),
    (b"set a 0 0 3\r\nxy\r\nget a\r\n", [Problem(BAD_DATA, is_last=True)]),
    (b"set a 0 0 3\r\nxyz\n\nget a\r\n", [Problem(BAD_DATA, is_last=True)]),
    (b"set a 0 9 3\r\nxyz!!get a\r\n", [Problem(BAD_DATA, is_last=True)]),
    (
        b"delete a\r\ndelete a noreply\r\n",
        [Command("delete", ("a",), is_quiet=quiet) for quiet in (False, True)],
    ),
    (b"delete a 0\r\n", [Problem(UNKNOWN)]),
    (b"incr a 18446744073709551615\r\n", [Command("incr", ("a",), (2**64 - 1,))]),
    (b"incr a 1 noreply\r\n", [Command("incr", ("a",), (1,), is_quiet=True)]),
    (b"incr a 18446744073709551616\r\n", [Problem(BAD_DELTA)]),
    (b"incr a -1\r\nincr a \xb2\r\nincr a 1_0\r\n", [Problem(BAD_DELTA)] * 3),
    (b"incr a -1 noreply\r\n", [Problem(b"")]),
    (b"incr a %s\r\n" % (b"0" * 20 + b"1"), [Problem(BAD_DELTA)]),
    (b"incr a\r\n", [Problem(UNKNOWN)]),
    (b"version\r\nquit\r\nget a\r\n", [Command("version"), Command("quit")]),
    (b"quit noreply\r\n", [Problem(UNKNOWN)]),
    (b"x" * LINE_BYTES + b"\nversion\r\n", [Problem(UNKNOWN), Command("version")]),
    (b"x" * (LINE_BYTES + 1) + b"\nversion\r\n", [Problem(LONG_LINE, is_last=True)]),
    (b"x" * (LINE_BYTES + 1), [Problem(LONG_LINE, is_last=True)]),
    (b"x" * LINE_BYTES, []),
    (b"set a 0 0 3\r\nxyz\r", []),
    (b"get a\r", []),
]


def fed(*parts: bytes) -> list[Found]:
    parser = Parser()
    return [one for part in parts for one in parser.feed(part)]


@pytest.mark.parametrize(("said", "meant"), CORPUS, ids=[repr(said[:40]) for said, _ in CORPUS])
def test_what_is_said_is_understood_wherever_it_is_cut(said: bytes, meant: list[Found]) -> None:
    assert fed(said) == meant
    if len(said) < 5000:
        assert fed(*[said[i : i + 1] for i in range(len(said))]) == meant
    for at in range(1, min(len(said), 120)):
        assert fed(said[:at], said[at:]) == meant


@given(st.lists(st.sampled_from(CORPUS), max_size=6), st.lists(st.integers(1, 4000), max_size=6))
def test_what_is_said_in_a_row_is_understood_in_a_row(
    said: list[tuple[bytes, list[Found]]], cuts: list[int]
) -> None:
    whole = [pair for pair in said if pair[0].endswith(b"\n")]
    meant = list[Found]()
    for _, found in whole:
        meant += found
        if any(one.is_last for one in found):
            break
    text = b"".join(text for text, _ in whole)
    parts, at = [], 0
    for cut in cuts:
        parts.append(text[at : at + cut])
        at += cut

    assert fed(*parts, text[at:]) == meant


@given(st.binary(max_size=200))
def test_nothing_that_is_said_makes_it_raise_or_hold_more_than_a_line(said: bytes) -> None:
    parser = Parser()
    for one in parser.feed(said):
        assert isinstance(one, Command | Problem)
    assert len(parser._held) <= len(said)


def test_what_is_thrown_away_is_not_kept() -> None:
    parser = Parser()
    parser.feed(b"set a 0 0 999999999\r\n")
    for _ in range(100):
        assert parser.feed(b"x" * 10_000) == []
        assert len(parser._held) == 0


def test_a_value_is_kept_up_to_its_end_and_no_further() -> None:
    parser = Parser()
    parser.feed(b"set a 0 0 %d\r\n" % VALUE_BYTES)

    assert parser.feed(LARGEST) == []
    assert len(parser._held) == VALUE_BYTES
    assert parser.feed(b"\r\n" + b"x" * commands.LINE_BYTES) == [Command("set", ("a",), (0, LARGEST))]
    assert parser.feed(b"x") == [Problem(LONG_LINE, is_last=True)]
    assert parser.feed(b"\nversion\r\n") == []
    assert len(parser._held) == 0
