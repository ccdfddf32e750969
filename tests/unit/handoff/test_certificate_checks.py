"""Signatures on certificates, to the bit, and the sessions that certificates must name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import HandoffFailed
from captp.model.keys import PrivateKey
from captp.peer.handoff.certificates import (
    check_receive,
    parse_give,
    parse_receive,
)
from captp.wire.canonical import public_key_list
from tests.unit.handoff.certificate_box import (
    EXPORTER,
    GIFTER,
    RECEIVER,
    RECEIVERS_OTHER,
    RECEIVING,
    SESSION,
    THIEF,
    checked,
    envelope,
    give_bytes,
    receive_bytes,
    side,
    signed_give,
    signed_receive,
)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
@pytest.mark.parametrize("half", ["r", "s"])
def test_half_a_signature_of_another_length_is_refused(half: str, length: int) -> None:
    given = give_bytes()
    signature = GIFTER.sign(given)
    r, s = signature[:32], signature[32:]
    wrong = ((s if half == "s" else r) * 2)[:length]
    r, s = (wrong, s) if half == "r" else (r, wrong)
    halves = b"[1'r%d:%b][1's%d:%b]" % (len(r), r, len(s), s)

    with pytest.raises(HandoffFailed, match=r"^handoff"):
        parse_give(b"<17'desc:sig-envelope%b[7'sig-val[5'eddsa%b]]>" % (given, halves))


def test_every_single_bit_of_a_signature_counts() -> None:
    given = give_bytes()
    right = int.from_bytes(GIFTER.sign(given), "big")
    for bit in range(512):
        give = parse_give(envelope(given, (right ^ 1 << bit).to_bytes(64, "big")))

        with pytest.raises(HandoffFailed, match="not signed by the gifter"):
            checked(give)


def test_every_single_bit_of_the_receivers_signature_counts() -> None:
    signed = receive_bytes()
    right = int.from_bytes(RECEIVER.sign(signed), "big")
    for bit in range(512):
        receive = parse_receive(envelope(signed, (right ^ 1 << bit).to_bytes(64, "big")))

        with pytest.raises(HandoffFailed, match="not signed by the receiver"):
            check_receive(receive, session=RECEIVING, side=side(RECEIVERS_OTHER))


def all_checked(receive: bytes) -> None:
    parsed = parse_receive(receive)
    check_receive(parsed, session=RECEIVING, side=side(RECEIVERS_OTHER))
    checked(parsed.give)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 8 * len(signed_receive()) - 1))
def test_no_bit_of_a_receive_can_be_turned(bit: int) -> None:
    whole = bytearray(signed_receive())
    whole[bit // 8] ^= 1 << bit % 8

    with pytest.raises(HandoffFailed, match=r"^handoff"):
        all_checked(bytes(whole))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(signed_receive()) - 1), st.binary(max_size=3))
def test_a_receive_cut_short_or_grown_is_refused(cut: int, more: bytes) -> None:
    for wrong in (signed_receive()[:cut], signed_receive() + (more or b">"), more + b"<" + signed_receive()):
        with pytest.raises(HandoffFailed, match=r"^handoff"):
            parse_receive(wrong)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    for wrong in (noise, b"<17'desc:sig-envelope" + noise, envelope(noise, bytes(64))):
        with pytest.raises(HandoffFailed, match=r"^handoff"):
            parse_give(wrong)
        with pytest.raises(HandoffFailed, match=r"^handoff"):
            parse_receive(wrong)


@pytest.mark.parametrize(
    "changed",
    [{"session": RECEIVING}, {"session": bytes(32)}, {"side": side(RECEIVER)}, {"side": side(EXPORTER)}],
)
def test_a_give_that_names_another_session_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff: the give names another session"):
        checked(parse_give(signed_give(**changed)))


@pytest.mark.parametrize("signer", [THIEF, RECEIVER, EXPORTER])
def test_a_give_signed_by_anybody_else_is_refused(signer: PrivateKey) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff: the give is not signed by the gifter"):
        checked(parse_give(signed_give(signer)))


@pytest.mark.parametrize("key", [GIFTER, EXPORTER])
def test_a_receiver_with_the_key_of_another_party_is_refused(key: PrivateKey) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff: the receiver's key is that of"):
        checked(parse_give(signed_give(key=public_key_list(key.public.raw))))


@pytest.mark.parametrize("changed", [{"session": SESSION}, {"of": side(RECEIVER)}, {"of": side(EXPORTER)}])
def test_a_receive_that_names_another_session_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff: the receive names another session"):
        check_receive(parse_receive(signed_receive(**changed)), session=RECEIVING, side=side(RECEIVERS_OTHER))


@pytest.mark.parametrize("signer", [THIEF, GIFTER, EXPORTER, RECEIVERS_OTHER])
def test_a_receive_signed_by_anybody_else_is_refused(signer: PrivateKey) -> None:
    with pytest.raises(HandoffFailed, match=r"^handoff: the receive is not signed by the receiver"):
        check_receive(
            parse_receive(signed_receive(signer=signer)), session=RECEIVING, side=side(RECEIVERS_OTHER)
        )


def test_a_signature_over_the_envelope_is_not_one_over_what_is_in_it() -> None:
    whole = signed_give()

    with pytest.raises(HandoffFailed, match="not signed by the gifter"):
        checked(parse_give(envelope(give_bytes(), GIFTER.sign(whole))))
