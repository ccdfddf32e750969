"""The signed forms and the lists in them: written, read back, and refused when they are odd."""

from __future__ import annotations

from typing import Any

import pytest

from captp.errors import DecodeError
from captp.limits import Limits
from captp.model.values import FrozenMap, Symbol
from captp.wire.canonical import (
    captp_hello,
    handoff_give,
    handoff_receive,
    location_record,
    my_location,
    public_key_list,
    read_location,
    read_public_key,
    read_signature,
    sig_envelope,
    signature_list,
)
from captp.wire.syrup import Record, decode_one, encode

KEY = bytes(range(32))
SIGNATURE = bytes(range(64))
PLACE = ("tls", "abc", {"port": "1", "host": "h"})
PLACE_BYTES = b'<10\'ocapn-peer3\'tls3"abc{4"host1"h4"port1"1}>'


def back(data: bytes) -> Any:
    return decode_one(data, Limits(), strict=True)


def changed(value: Any, path: tuple[int, ...], to: Any) -> Any:
    if not path:
        return to
    items = list(value)
    items[path[0]] = changed(items[path[0]], path[1:], to)
    return tuple(items)


def test_a_location_is_a_record_with_sorted_hints() -> None:
    assert encode(location_record(*PLACE)) == PLACE_BYTES


def test_no_hints_are_written_as_false() -> None:
    assert encode(location_record("onion", "x", {})) == b"<10'ocapn-peer5'onion1\"xf>"


def test_a_location_as_bytes_is_signed_as_it_was_received() -> None:
    unsorted = b'<10\'ocapn-peer3\'tls3"abc{4"port1"14"host1"h}>'

    assert my_location(PLACE) == my_location(PLACE_BYTES) == b"<11'my-location" + PLACE_BYTES + b">"
    assert my_location(unsorted) == b"<11'my-location" + unsorted + b">"
    assert unsorted in captp_hello(unsorted, "", b"")
    assert unsorted in handoff_give(KEY, unsorted, b"", b"", b"")


def test_a_native_hello_signs_location_extensions_and_binding() -> None:
    expected = b"<11'captp:hello" + PLACE_BYTES + b'7"mp1,dgc3:xyz>'

    assert captp_hello(PLACE, ("mp1", "dgc"), b"xyz") == expected
    assert captp_hello(PLACE, "mp1,dgc", b"xyz") == expected


def test_a_certificate_reads_back_as_what_was_signed() -> None:
    give = handoff_give(KEY, PLACE, b"session", b"side", b"gift")
    envelope = sig_envelope(give, SIGNATURE)
    receive = handoff_receive(b"other", b"mine", 3, envelope)

    assert back(give) == Record(
        "desc:handoff-give",
        (
            public_key_list(KEY),
            Record("ocapn-peer", (Symbol("tls"), "abc", FrozenMap(host="h", port="1"))),
            b"session",
            b"side",
            b"gift",
        ),
    )
    assert back(envelope) == Record("desc:sig-envelope", (back(give), signature_list(SIGNATURE)))
    assert back(receive) == Record("desc:handoff-receive", (b"other", b"mine", 3, back(envelope)))


def test_keys_and_signatures_read_back() -> None:
    assert read_public_key(public_key_list(KEY)) == KEY
    assert read_signature(signature_list(SIGNATURE)) == SIGNATURE


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ((), None),
        ((), ()),
        ((0,), Symbol("private-key")),
        ((0,), "public-key"),
        ((1, 0), Symbol("rsa")),
        ((1, 1, 1), Symbol("P-256")),
        ((1, 2, 1), Symbol("rfc6979")),
        ((1, 2), (Symbol("flags"),)),
        ((1, 3, 0), Symbol("p")),
        ((1, 3, 1), KEY[:31]),
        ((1, 3, 1), KEY + b"x"),
        ((1, 3, 1), "x" * 32),
    ],
)
def test_an_odd_public_key_is_a_bad_key(path: tuple[int, ...], to: Any) -> None:
    with pytest.raises(DecodeError, match="bad-key"):
        read_public_key(changed(public_key_list(KEY), path, to))


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ((), None),
        ((0,), Symbol("sig")),
        ((1, 0), Symbol("rsa")),
        ((1, 1, 0), Symbol("s")),
        ((1, 1, 1), KEY[:31]),
        ((1, 2, 1), KEY + b"x"),
        ((1, 2, 1), 5),
        ((1, 2), (Symbol("s"),)),
    ],
)
def test_an_odd_signature_is_a_bad_signature(path: tuple[int, ...], to: Any) -> None:
    with pytest.raises(DecodeError, match="bad-signature"):
        read_signature(changed(signature_list(SIGNATURE), path, to))


@pytest.mark.parametrize(
    ("label", "hints"),
    [
        ("ocapn-peer", FrozenMap(host="h")),
        ("ocapn-node", FrozenMap(host="h")),
        ("ocapn-node", ((Symbol("host"), "h"),)),
        ("ocapn-peer", (("host", "h"),)),
    ],
)
def test_locations_of_old_goblins_are_read_too(label: str, hints: Any) -> None:
    record = Record(label, (Symbol("onion"), "x", hints))

    assert read_location(record, "bad-op") == ("onion", "x", {"host": "h"})


@pytest.mark.parametrize("hints", [False, None, FrozenMap(), ()])
def test_every_spelling_of_no_hints_is_an_empty_struct(hints: Any) -> None:
    assert read_location(Record("ocapn-peer", (Symbol("onion"), "x", hints)), "bad-op") == ("onion", "x", {})


@pytest.mark.parametrize(
    "value",
    [
        None,
        "ocapn-peer",
        Record("peer", (Symbol("tls"), "x", False)),
        Record("ocapn-peer", (Symbol("tls"), "x")),
        Record("ocapn-peer", ("tls", "x", False)),
        Record("ocapn-peer", (Symbol("tls"), b"x", False)),
        Record("ocapn-peer", (Symbol("tls"), "x", True)),
        Record("ocapn-peer", (Symbol("tls"), "x", FrozenMap(port=1))),
        Record("ocapn-peer", (Symbol("tls"), "x", (("a", "b", "c"),))),
        Record("ocapn-peer", (Symbol("tls"), "x", (("a", "b"), (Symbol("a"), "c")))),
        Record("ocapn-peer", (Symbol("tls"), "x", (("a", 1),))),
    ],
)
def test_what_is_no_location_has_the_code_of_its_place(value: Any) -> None:
    with pytest.raises(DecodeError, match="bad-thing"):
        read_location(value, "bad-thing")
