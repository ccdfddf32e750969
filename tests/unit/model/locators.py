"""Sample locators, a swiss number that must not show, and ways to parse and to find it."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from captp.errors import BadLocator
from captp.model.locator import PeerLocator, SturdyRef, parse_peer, parse_sturdyref

KEY = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4a"
SWISS = bytes(range(0xC0, 0xE0))
SECRET = base64.urlsafe_b64encode(SWISS).decode().rstrip("=")
PEER = PeerLocator.make("tls", KEY, {"port": "4711", "host": "::1"})
PEER_URI = f"ocapn://{KEY}.tls?host=%3A%3A1&port=4711"
REF = SturdyRef(PEER, SWISS)
REF_URI = f"ocapn://{KEY}.tls/s/{SECRET}?host=%3A%3A1&port=4711"
MASKED_URI = f"ocapn://{KEY}.tls/s/****?host=%3A%3A1&port=4711"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
peers = st.builds(
    PeerLocator.make,
    st.text("abyz09-", min_size=1, max_size=20),
    st.text("abzABZ059._~-", min_size=1, max_size=60),
    st.dictionaries(texts.filter(bool), texts, max_size=6),
)
refs = st.builds(SturdyRef, peers, st.binary(min_size=1, max_size=64))


def shows_secret(text: str, secret: str = SECRET) -> bool:
    """Say whether any eight characters in a row of the secret stand in the text."""
    return any(secret[i : i + 8] in text for i in range(len(secret) - 7))


def attempt(parse: Callable[[str], object], text: str) -> object:
    """Give what the parser makes of the text, be it the error; any other error escapes."""
    try:
        return parse(text)
    except BadLocator as error:
        return error


def reads_back(parsed: object) -> bool:
    if isinstance(parsed, PeerLocator):
        return parse_peer(parsed.uri()) == parsed
    assert isinstance(parsed, SturdyRef)
    return parse_sturdyref(parsed.reveal()) == parsed


def refusal(parse: Callable[[str], object], text: str) -> str:
    with pytest.raises(BadLocator) as caught:
        parse(text)
    everything = "".join(traceback.format_exception(caught.value))
    assert not shows_secret(str(caught.value))
    assert not shows_secret(everything)
    assert caught.value.__context__ is None
    return str(caught.value)
