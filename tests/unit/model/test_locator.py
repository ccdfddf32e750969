"""Locators that are taken: how they are written, read back, compared, and kept in cap files."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import given, settings

from captp.model.locator import (
    PeerLocator,
    SturdyRef,
    parse_peer,
    parse_sturdyref,
    read_cap_file,
    write_cap_file,
)
from tests.unit.model.locators import KEY, PEER, PEER_URI, REF, REF_URI, SECRET, SWISS, peers, refs

URL_CHARS = string.ascii_letters + string.digits + "-_.!~*'()"


def test_a_peer_locator_is_written_with_sorted_percent_encoded_hints() -> None:
    assert PEER.hints == (("host", "::1"), ("port", "4711"))
    assert PEER.uri() == str(PEER) == PEER_URI
    assert parse_peer(PEER_URI) == PEER


def test_a_sturdyref_is_written_with_unpadded_base64url_between_peer_and_hints() -> None:
    assert REF.reveal() == REF_URI
    assert parse_sturdyref(REF_URI) == REF


def test_hints_use_the_alphabet_of_encode_uri_component() -> None:
    value = "".join(map(chr, range(0x20, 0x7F))) + "é€😀"
    peer = PeerLocator.make("tls", "x", {"k": value})

    written = peer.uri().partition("?k=")[2]

    literal = "".join(part[2:] if i else part for i, part in enumerate(written.split("%")))
    assert sorted(literal) == sorted(URL_CHARS)
    assert "%20" in written
    assert "+" not in written
    assert written.endswith("~%C3%A9%E2%82%AC%F0%9F%98%80")


def test_a_url_as_hint_survives_the_round_trip() -> None:
    uri = f"ocapn://{KEY}.websocket?url=wss%3A%2F%2Fhost%3A8080"

    peer = parse_peer(uri)

    assert peer.hint("url") == "wss://host:8080"
    assert peer.uri() == uri


@given(peers)
@settings(max_examples=200)
def test_every_peer_locator_reads_back_as_itself(peer: PeerLocator) -> None:
    assert parse_peer(peer.uri()) == peer
    assert parse_peer(peer.uri()).uri() == peer.uri()


@given(refs)
@settings(max_examples=200)
def test_every_sturdyref_reads_back_as_itself(ref: SturdyRef) -> None:
    assert parse_sturdyref(ref.reveal()) == ref
    assert hash(parse_sturdyref(ref.reveal())) == hash(ref)
    assert read_cap_file(write_cap_file(ref)) == ref


def test_hints_come_in_any_order_and_read_by_name() -> None:
    peer = parse_peer("ocapn://x.tls?port=1&host=h&exts=mp1%2Cdgc1")

    assert peer == PeerLocator.make("tls", "x", {"exts": "mp1,dgc1", "host": "h", "port": "1"})
    assert peer.hint("exts") == "mp1,dgc1"
    assert peer.hint("path") is None


def test_a_raw_equals_sign_and_an_empty_value_are_fine_in_a_hint() -> None:
    assert parse_peer("ocapn://x.tls?a=b=c&d=").hints == (("a", "b=c"), ("d", ""))


def test_peers_are_compared_without_hints_and_locators_with_them() -> None:
    bare = PeerLocator.make("tls", KEY)

    assert bare != PEER
    assert bare.peer == PEER.peer == ("tls", KEY)
    assert len({bare, PEER, parse_peer(PEER_URI)}) == 2


def test_the_case_of_a_designator_is_kept() -> None:
    assert parse_peer("ocapn://AbC.tls").designator == "AbC"


def test_the_authority_splits_at_the_last_dot() -> None:
    assert parse_peer("ocapn://a.b..c.tls").peer == ("tls", "a.b..c")


@pytest.mark.parametrize("encode", [lambda s: s + "=", lambda s: s + "%3D", lambda s: s + "%3d"])
def test_padding_of_the_swiss_number_is_accepted(encode: Callable[[str], str]) -> None:
    assert parse_sturdyref(f"ocapn://x.tls/s/{encode(SECRET)}").swiss == SWISS


def test_the_swiss_number_is_percent_decoded_first() -> None:
    quoted = "".join(f"%{ord(c):02X}" for c in SECRET)

    assert parse_sturdyref(f"ocapn://x.tls/s/{quoted}").swiss == SWISS


def test_sturdyrefs_are_equal_when_locator_and_swiss_number_are() -> None:
    other = bytes([SWISS[0] ^ 1]) + SWISS[1:]

    assert SturdyRef(PEER, bytes(SWISS)) == REF
    assert SturdyRef(PEER, other) != REF
    assert SturdyRef(PEER, SWISS[:-1]) != REF
    assert SturdyRef(PeerLocator.make("tls", KEY), SWISS) != REF
    assert REF.reveal() != REF
    assert len({REF, SturdyRef(PEER, bytes(SWISS)), SturdyRef(PEER, other)}) == 2


def test_the_hash_of_a_sturdyref_is_not_made_of_the_swiss_number_alone() -> None:
    assert hash(REF) not in {hash(SWISS), hash((PEER, SWISS)), hash(REF.reveal())}


def test_a_cap_file_is_a_warning_and_the_uri() -> None:
    assert write_cap_file(REF) == (
        f"# captp sturdyref: whoever holds this file holds the object\n{REF_URI}\n"
    )


@pytest.mark.parametrize("text", [REF_URI, f"\r\n# a\r\n  {REF_URI}\t\r\n\r\n#b", f"\n{REF_URI}\n"])
def test_comments_blanks_and_line_ends_in_a_cap_file_do_not_matter(text: str) -> None:
    assert read_cap_file(text) == REF
