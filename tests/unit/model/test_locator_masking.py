"""No way to print a sturdyref shows its swiss number, and mask hides it in any text."""

from __future__ import annotations

import base64
import pprint
import traceback
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from captp.model.locator import PeerLocator, SturdyRef, mask
from tests.unit.model.locators import MASKED_URI, PEER, REF, REF_URI, SECRET, SWISS, peers, shows_secret


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
