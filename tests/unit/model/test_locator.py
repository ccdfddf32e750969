"""Locators: the strict grammar, the round trip, and that no swiss number shows unasked."""

from __future__ import annotations

import base64
import pprint
import string
import traceback
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from captp.errors import BadLocator, UsageError
from captp.model.locator import (
    PeerLocator,
    SturdyRef,
    check_hint_names,
    mask,
    parse_peer,
    parse_sturdyref,
    read_cap_file,
    write_cap_file,
)

KEY = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4a"
SWISS = bytes(range(0xC0, 0xE0))
SECRET = base64.urlsafe_b64encode(SWISS).decode().rstrip("=")
PEER = PeerLocator.make("tls", KEY, {"port": "4711", "host": "::1"})
PEER_URI = f"ocapn://{KEY}.tls?host=%3A%3A1&port=4711"
REF = SturdyRef(PEER, SWISS)
REF_URI = f"ocapn://{KEY}.tls/s/{SECRET}?host=%3A%3A1&port=4711"
MASKED_URI = f"ocapn://{KEY}.tls/s/****?host=%3A%3A1&port=4711"

URL_CHARS = string.ascii_letters + string.digits + "-_.!~*'()"
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


# The grammar


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


# Equality


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


# Masking


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        "{}".format,
        "{!r}".format,
        lambda ref: f"{ref}",
        lambda ref: f"{ref!s}",
        lambda ref: f"{ref:>400}",
        lambda ref: "%r" % (ref,),  # noqa: UP031
        lambda ref: "%s" % (ref,),  # noqa: UP031
        lambda ref: repr({"ref": [ref]}),
        pprint.pformat,
        lambda ref: repr(ValueError(ref)),
        lambda ref: "".join(traceback.format_exception(ValueError(ref))),
    ],
)
def test_every_way_to_print_a_sturdyref_masks_the_swiss_number(
    show: Callable[[object], str],
) -> None:
    shown = show(REF)

    assert MASKED_URI in shown
    assert not shows_secret(shown)
    assert not shows_secret(shown, repr(SWISS))
    assert not shows_secret(shown, SWISS.hex())


def test_the_pretty_printer_of_tracebacks_does_not_show_the_swiss_number() -> None:
    shown = pretty_repr({"ref": REF})

    assert "SturdyRef(" in shown
    assert not shows_secret(shown)
    assert not shows_secret(shown, repr(SWISS))


def test_a_failed_assertion_about_sturdyrefs_does_not_show_the_swiss_number() -> None:
    other = SturdyRef(PEER, b"x")

    with pytest.raises(AssertionError) as caught:
        assert other == REF

    assert not shows_secret(str(caught.value))
    assert not shows_secret(str(caught.value), repr(SWISS))


def test_a_sturdyref_cannot_be_changed_and_has_no_dict() -> None:
    with pytest.raises(AttributeError):
        REF.swiss = b"x"  # type: ignore[misc]
    assert not hasattr(REF, "__dict__")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (REF_URI, MASKED_URI),
        (f"see {REF_URI}, then {REF_URI}.", f"see {MASKED_URI}, then {MASKED_URI}."),
        (f"'{REF_URI}'", f"'{MASKED_URI}'"),
        (f"GET /s/{SECRET} 404", "GET /s/**** 404"),
        (f'"ocapn:\\/\\/x.tls\\/s\\/{SECRET}"}}', '"ocapn:\\/\\/x.tls\\/s\\/****"}'),
        (f"?uri=ocapn%3A%2F%2Fx.tls%2Fs%2F{SECRET}&a=b", "?uri=ocapn%3A%2F%2Fx.tls%2Fs%2F****&a=b"),
        (f"%2fs%2f{SECRET}", "%2fs%2f****"),
        (f"%252Fs%252F{SECRET}", "%252Fs%252F****"),
        (f"/S/{SECRET}", "/S/****"),
        (f"/s/{SECRET}=", "/s/****"),
        (f"/s/{SECRET[:9]}+/{SECRET[9:]}", "/s/****"),
        (f"/s/%41{SECRET}", "/s/****"),
        ("/s/x", "/s/****"),
        (MASKED_URI, MASKED_URI),
        ("ocapn://x.tls?a=b", "ocapn://x.tls?a=b"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_mask_hides_swiss_parts_and_leaves_the_rest(text: str, masked: str) -> None:
    assert mask(text) == masked


@given(st.text(max_size=30), peers, st.binary(min_size=16, max_size=64), st.text(max_size=30))
@settings(max_examples=200)
def test_no_swiss_number_survives_mask_in_any_text(
    before: str, peer: PeerLocator, swiss: bytes, after: str
) -> None:
    ref = SturdyRef(peer, swiss)
    secret = base64.urlsafe_b64encode(swiss).decode().rstrip("=")
    assume(secret not in before + peer.uri() + after)

    masked = mask(before + ref.reveal() + after)

    assert secret not in masked
    assert mask(masked) == masked


# Only BadLocator


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


# Cap files


def test_a_cap_file_is_a_warning_and_the_uri() -> None:
    assert write_cap_file(REF) == (
        f"# captp sturdyref: whoever holds this file holds the object\n{REF_URI}\n"
    )


@pytest.mark.parametrize("text", [REF_URI, f"\r\n# a\r\n  {REF_URI}\t\r\n\r\n#b", f"\n{REF_URI}\n"])
def test_comments_blanks_and_line_ends_in_a_cap_file_do_not_matter(text: str) -> None:
    assert read_cap_file(text) == REF


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


# Names of our own hints


@pytest.mark.parametrize("names", [[], ["url"], ["host", "port"], ["exts", "host", "path", "port"]])
def test_hint_names_of_one_length_are_fit_to_be_signed(names: list[str]) -> None:
    check_hint_names(dict.fromkeys(names, "v"))


@pytest.mark.parametrize("names", [["at", "url"], ["host", "port", "ex"], ["é", "a"]])
def test_hint_names_of_unequal_length_are_refused(names: list[str]) -> None:
    with pytest.raises(UsageError, match="choose names of equal length"):
        check_hint_names(dict.fromkeys(names, "v"))
