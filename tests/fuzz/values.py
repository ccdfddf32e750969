"""Values of the model that both encodings have, and nesting made by grammar, as Hypothesis strategies."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from captp.model.values import NULL, Fault, FrozenMap, Symbol, Tagged

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def _structs(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[FrozenMap]:
    return st.dictionaries(TEXT, inner, max_size=4).map(lambda found: FrozenMap(sorted(found.items())))


VALUES = st.recursive(
    st.none()
    | st.just(NULL)
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    # Of the NaNs only one: native keeps their payload bits, which no value of the model has.
    | st.floats(allow_nan=False)
    | st.just(math.nan)
    | st.binary(max_size=40)
    | TEXT
    | TEXT.map(Symbol)
    | TEXT.map(Fault),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | _structs(inner) | st.builds(Tagged, TEXT, inner),
    max_leaves=12,
)

# Syrup by its grammar, and now and then not: tokens that are right or nearly right, in brackets that
# close or do not.
_ATOMS = st.sampled_from(
    (
        *(b"0+", b"1-", b"007+", b"t", b"f", b'1"a', b"1:\xff", b"1'a", b'2"\xc3\xb6', b'1"\xff'),
        *(b"D" + bytes(8), b"D\x7f\xf8" + bytes(6), b"D\x7f\xf8" + bytes(5) + b"\1"),
        *(b"01:a", b"5:a", b"99999999:", b"", b"#", b"-"),
    )
)
_LABELS = st.sampled_from(
    (
        *(b"4'void", b"4'null", b"10'desc:error", b"11'desc:tagged", b"8'desc:tag", b"11'user-record"),
        *(b"16'exn:fail:mystery", b"8'op:abort", b"10'op:deliver", b"11'desc:export", b"10'ocapn-peer"),
        *(b"18'desc:import-object", b"15'ocapn-sturdyref", b"17'desc:sig-envelope", b'1"a', b"1'x", b""),
    )
)


def _closed(right: bytes, wrong: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from([right, right, right, wrong, b""])


def _grown(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    many = st.lists(inner, max_size=4).map(b"".join)
    return (
        st.tuples(many, _closed(b"]", b"}")).map(lambda parts: b"[%b%b" % parts)
        | st.tuples(many, _closed(b"}", b"]")).map(lambda parts: b"{%b%b" % parts)
        | st.tuples(_LABELS, many, _closed(b">", b"]")).map(lambda parts: b"<%b%b%b" % parts)
    )


SYRUP = st.recursive(_ATOMS, _grown, max_leaves=12)

# MessagePack likewise: openings of lists, structs and operations, and what may stand in them.
_OPENINGS = """
    90 91 92 93 96 80 81 dc0002 dd00000001 de0001 dcffff dfffffffff 92c70003 93c70003 94c70004
    930f01 931001 961101a161 9503d41201 9202 9209 9308
"""
_PARTS = """
    00 7f ff ccff cfffffffffffffffff d38000000000000000 cb0000000000000000 ca00000000 a161 a1ff a561
    c40161 c6ffffffff61 c0 c2 d40261 d41001 d41302 c70000 c703012d0101 c70015 d6ff00000001 c1 c703143c313e
    d44d00
"""
_TOKENS = st.sampled_from([bytes.fromhex(token) for token in (_OPENINGS + _PARTS).split()])
MESSAGEPACK = st.lists(_TOKENS, max_size=24).map(b"".join)
