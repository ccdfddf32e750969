"""Which run of its store a peer is in, read from what its hello announces, which may be anything."""

from __future__ import annotations

import pytest

from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.session.handshake import Hello

KEY = PrivateKey.from_seed(b"k" * 32).public


@pytest.mark.parametrize(
    ("extensions", "incarnation"),
    [
        ((), 0),
        (("mp1", "dur1"), 0),
        (("mp1", "dur1", "run=17"), 17),
        (("run=17", "run=18"), 17),
        (("run=99999999999999999999",), 99999999999999999999),
        *(((f"run={said}",), 0) for said in ("", "x", "-1", "+1", "1_0", " 1", "1.0", "٣", "9" * 21)),
    ],
)
def test_the_incarnation_is_a_short_decimal_number_or_none(
    extensions: tuple[str, ...], incarnation: int
) -> None:
    place = PeerLocator.make("tls", KEY.designator, {})
    assert Hello(KEY, place, b"", extensions, b"", b"").incarnation == incarnation
