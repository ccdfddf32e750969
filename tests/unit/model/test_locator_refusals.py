"""Locators that are refused: where they go wrong is said, and nothing that may be a secret is repeated."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from captp.errors import BadLocator, UsageError
from captp.model.locator import (
    PeerLocator,
    SturdyRef,
    check_hint_names,
    parse_peer,
    parse_sturdyref,
    read_cap_file,
)
from tests.unit.model.locators import (
    KEY,
    PEER,
    PEER_URI,
    REF_URI,
    SECRET,
    SWISS,
    attempt,
    reads_back,
    refusal,
    shows_secret,
)


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("", "no ocapn:// at the start, at character 0"),
        (KEY, "no ocapn:// at the start"),
        ("OCAPN://x.tls", "no ocapn:// at the start"),
        ("ocapn:x.tls", "no ocapn:// at the start"),
        ("ocapn:///x.tls", "no dot between designator and transport, at character 8"),
        ("ocapn://", "no dot"),
        ("ocapn://tls", "no dot"),
        ("ocapn://.tls", "designator: expected"),
        ("ocapn://x.", "transport: expected"),
        ("ocapn://x.TLS", "transport: expected"),
        ("ocapn://x.t_s", "transport: expected"),
        ("ocapn://x!.tls", "designator: expected"),
        ("ocapn://x.tls:80", "a port before the path, at character 13"),
        ("ocapn://me@x.tls", "userinfo before the path, at character 10"),
        ("ocapn://x%2e.tls", "percent-encoding before the path, at character 9"),
        ("ocapn://x.tls#a", "a fragment, at character 13"),
        ("ocapn://x.tls?a=b#", "a fragment, at character 17"),
        ("ocapn://x.tls/", "a path where a peer's locator belongs, at character 13"),
        ("ocapn://x.tls/c/abc", "a path where"),
        (REF_URI, "a sturdyref where a peer's locator belongs"),
        ("ocapn://x.tls?", "an incomplete hint, at character 14"),
        ("ocapn://x.tls?a", "an incomplete hint, at character 14"),
        ("ocapn://x.tls?=b", "an incomplete hint, at character 14"),
        ("ocapn://x.tls?a=b&", "an incomplete hint, at character 18"),
        ("ocapn://x.tls?a=b&&c=d", "an incomplete hint, at character 18"),
        ("ocapn://x.tls?a=b&a=b", "a hint that was given before, at character 18"),
        ("ocapn://x.tls?a=b&%61=b", "a hint that was given before, at character 18"),
        ("ocapn://x.tls?a=b+c", "a + in a hint, at character 17"),
        ("ocapn://x.tls?a=%", "a % without two hex digits, at character 16"),
        ("ocapn://x.tls?a=%zz", "a % without two hex digits, at character 16"),
        ("ocapn://x.tls?a=%ff", "percent-encoding that is not UTF-8, at character 16"),
        ("ocapn://x.tls?a=%ED%A0%80", "percent-encoding that is not UTF-8"),
        ("ocapn://x.tls?a=%C0%80", "percent-encoding that is not UTF-8"),
        ("ocapn://x.tls?a=é", "a blank, control or non-ASCII character, at character 16"),
        ("ocapn://x.tls ", "a blank, control or non-ASCII character, at character 13"),
        ("ocapn://x.tls\n", "a blank, control or non-ASCII character, at character 13"),
        ("ocapn://x.tls?a=\x7f", "a blank, control or non-ASCII character"),
        ("ocapn://x.tls?a=\ud800", "a blank, control or non-ASCII character"),
    ],
)
def test_what_is_no_peer_locator_is_refused_with_its_place(uri: str, what: str) -> None:
    assert refusal(parse_peer, uri).startswith(what)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("", "no /s/ and swiss number"),
        ("/", "no /s/ and swiss number"),
        ("/s", "no /s/ and swiss number"),
        (f"/{SECRET}", "no /s/ and swiss number"),
        (f"/S/{SECRET}", "no /s/ and swiss number"),
        (f"/%73/{SECRET}", "no /s/ and swiss number"),
        (f"//s/{SECRET}", "no /s/ and swiss number"),
        (f"?{SECRET}", "an incomplete hint"),
        ("/s/", "a swiss number that is not base64url, at character 16"),
        (f"/s//{SECRET}", "a swiss number that is not base64url"),
        (f"/s/{SECRET}/", "a swiss number that is not base64url"),
        (f"/s/{SECRET}!", "a swiss number that is not base64url"),
        (f"/s/{SECRET}+", "a swiss number that is not base64url"),
        (f"/s/{SECRET[:-1]}%0A", "a swiss number that is not base64url"),
        (f"/s/%C3%A9{SECRET}", "a swiss number that is not base64url"),
        (f"/s/%FF{SECRET}", "percent-encoding that is not UTF-8"),
        (f"/s/{SECRET}%", "a % without"),
        (f"/s/{SECRET} ", "a blank"),
        (f"/s/{SECRET}#", "a fragment"),
        (f"/s/{SECRET}==", "a swiss number of impossible length"),
        (f"/s/{SECRET}===", "a swiss number that is not base64url"),
        (f"/s/{SECRET[:40]}=", "a swiss number of impossible length"),
        (f"/s/{SECRET[:41]}", "a swiss number of impossible length, at character 16"),
        ("/s/=", "a swiss number that is not base64url"),
        ("/s/****", "a masked swiss number"),
        (f"/s/{SECRET}?{SECRET}=1&{SECRET}=2", "a hint that was given before"),
    ],
)
def test_what_is_no_sturdyref_is_refused_without_repeating_it(path: str, what: str) -> None:
    assert refusal(parse_sturdyref, f"ocapn://x.tls{path}").startswith(what)


@pytest.mark.parametrize(
    "uri",
    [
        SECRET,
        f"ocapn://{SECRET}",
        f"ocapn://{SECRET}.tls",
        f"ocapn://x.{SECRET}",
        f"ocapn://x.tls:{SECRET}",
        f"ocapn://{SECRET}@x.tls",
        f"ocap://x.tls/s/{SECRET}",
        f"ocapn://x.tls/s/{SECRET}é",
    ],
)
def test_a_misplaced_secret_is_not_repeated_either(uri: str) -> None:
    refusal(parse_sturdyref, uri)


def test_a_swiss_number_with_stray_bits_in_its_last_character_is_refused() -> None:
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"

    tried = [attempt(parse_sturdyref, f"ocapn://x.tls/s/AAAAA{last}") for last in alphabet]

    taken = [one.swiss for one in tried if isinstance(one, SturdyRef)]
    refused = [str(one) for one in tried if isinstance(one, BadLocator)]
    assert taken == [bytes([0, 0, 0, last]) for last in range(4)]
    assert len(refused) == 60
    assert all("bits left over" in one for one in refused)


def test_16_hints_are_taken_and_17_are_not() -> None:
    hints = {f"k{i:02}": "v" for i in range(17)}
    query = "&".join(f"{k}=v" for k in hints)

    with pytest.raises(BadLocator, match="17 of them; at most 16"):
        PeerLocator.make("tls", "x", hints)
    assert "17 of them; at most 16" in refusal(parse_peer, f"ocapn://x.tls?{query}")
    hints.popitem()
    peer = PeerLocator.make("tls", "x", hints)
    assert parse_peer(peer.uri()) == peer


def test_4096_characters_are_taken_and_4097_are_not() -> None:
    fits = f"ocapn://x.tls?a={'b' * (4096 - 16)}"

    assert len(fits) == 4096
    assert parse_peer(fits).uri() == fits
    assert "4097 or more characters" in refusal(parse_peer, fits + "b")
    with pytest.raises(BadLocator, match="4097 or more characters"):
        PeerLocator.make("tls", "x", {"a": "b" * (4096 - 15)})


def test_the_bound_counts_characters_after_encoding_and_with_the_swiss_number() -> None:
    with pytest.raises(BadLocator, match="at most 4096"):
        PeerLocator.make("tls", "x", {"a": "é" * 700})
    peer = PeerLocator.make("tls", "x", {"a": "b" * (4096 - 16 - 3 - 43)})
    assert len(SturdyRef(peer, SWISS).reveal()) == 4096
    with pytest.raises(BadLocator, match="4097 or more"):
        SturdyRef(peer, SWISS + b"x")


def test_megabytes_of_hint_are_refused_before_they_are_quoted() -> None:
    with pytest.raises(BadLocator, match="16777222 or more characters"):
        PeerLocator.make("tls", "x", {"aa": "é" * 2**24})


@pytest.mark.parametrize(
    ("hints", "what"),
    [
        ((("b", "1"), ("a", "1")), "unsorted or duplicate"),
        ((("a", "1"), ("a", "2")), "unsorted or duplicate"),
        ((("", "1"),), "a name is empty"),
        ((("a", "\ud800"),), "lone surrogate"),
        ((("\udfff", "a"),), "lone surrogate"),
    ],
)
def test_the_constructor_takes_only_what_reads_back(hints: tuple[tuple[str, str], ...], what: str) -> None:
    with pytest.raises(BadLocator, match=what):
        PeerLocator("tls", "x", hints)


@pytest.mark.parametrize("swiss", [b"", "text", bytearray(b"x"), None])
def test_a_swiss_number_is_nonempty_bytes(swiss: bytes) -> None:
    with pytest.raises(BadLocator, match="expected one or more bytes"):
        SturdyRef(PEER, swiss)


uri_like = st.lists(
    st.sampled_from(["ocapn://", KEY, ".tls", ".", "/s/", SECRET, "?", "&", "=", "%", "%41", "%ff"])
    | st.sampled_from(["#", "@", ":", "/", "+", "é", "\n", "****", "host", "\ud800", "\0"])
    | st.text(max_size=3),
    max_size=12,
).map("".join)


@given(uri_like | st.text(max_size=80))
@example("ocapn://" + "." * 4000)
@settings(max_examples=500)
def test_only_bad_locator_escapes_and_what_is_taken_reads_back(text: str) -> None:
    for parse in (parse_peer, parse_sturdyref, read_cap_file):
        result = attempt(parse, text)
        if isinstance(result, BadLocator):
            assert not shows_secret(str(result))
        else:
            assert reads_back(result)


@given(st.integers(0, len(REF_URI) - 1), st.characters(max_codepoint=0xFF), st.booleans())
@settings(max_examples=300)
def test_a_sturdyref_with_one_character_off_reads_back_or_is_refused_unrepeated(
    at: int, char: str, insert: bool
) -> None:
    text = REF_URI[:at] + char + REF_URI[at + (not insert) :]

    result = attempt(parse_sturdyref, text)

    if isinstance(result, BadLocator):
        assert not shows_secret(str(result))
    else:
        assert reads_back(result)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "exactly one sturdyref URI; this one has 0"),
        ("# only a comment\n", "exactly one sturdyref URI; this one has 0"),
        (f"{REF_URI}\n{REF_URI}\n", "exactly one sturdyref URI; this one has 2"),
        (f"{REF_URI[:80]}\n{REF_URI[80:]}\n", "exactly one sturdyref URI; this one has 2"),
        (f"{SECRET}\n", "no ocapn:// at the start"),
        (PEER_URI, "no /s/ and swiss number"),
    ],
)
def test_a_cap_file_without_exactly_one_sturdyref_is_refused(text: str, what: str) -> None:
    assert what in refusal(read_cap_file, text)


@pytest.mark.parametrize("names", [[], ["url"], ["host", "port"], ["exts", "host", "path", "port"]])
def test_hint_names_of_one_length_are_fit_to_be_signed(names: list[str]) -> None:
    check_hint_names(dict.fromkeys(names, "v"))


@pytest.mark.parametrize("names", [["at", "url"], ["host", "port", "ex"], ["é", "a"]])
def test_hint_names_of_unequal_length_are_refused(names: list[str]) -> None:
    with pytest.raises(UsageError, match="choose names of equal length"):
        check_hint_names(dict.fromkeys(names, "v"))
