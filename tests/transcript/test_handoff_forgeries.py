"""The attacks on a handoff that forge its certificates: to the bit, the field and the spelling."""

from __future__ import annotations

import pytest

from tests.transcript.strangers import (
    CODECS,
    Scene,
    tampered,
)
from tests.unit.handoff.certificate_box import SMALL_ORDER

pytestmark = pytest.mark.parametrize("codec", CODECS)


@pytest.mark.parametrize("whose", ["gifter", "receiver"])
def test_13_every_single_bit_of_a_signature(codec: str, whose: str) -> None:
    it = Scene(codec)
    right = it.give if whose == "gifter" else it.r.receive(it.give, count=0)
    # r and s have 32 bytes each, and ``][1's32:`` between them, from the back.
    s = len(right) - len(b"]]]>") - 32
    r = s - len(b"][1's32:") - 32
    for byte in (*range(r, r + 32), *range(s, s + 32)):
        for bit in range(8):
            wrong = right[:byte] + bytes([right[byte] ^ 1 << bit]) + right[byte + 1 :]
            it.refused(it.r, it.r.receive(wrong, count=0) if whose == "gifter" else wrong)

    it.check()


@pytest.mark.parametrize("length", [0, 31, 33, 64])
@pytest.mark.parametrize("half", [b"[1'r", b"[1's"])
def test_14_half_a_signature_of_another_length(codec: str, half: bytes, length: int) -> None:
    it = Scene(codec)
    right = it.r.receive(it.give)
    at = right.rindex(half) + len(half)
    changed = b"%d:" % length + (right[at + 3 : at + 35] * 2)[:length]

    it.refused(it.r, right[:at] + changed + right[at + 35 :])

    it.check()


@pytest.mark.parametrize("point", SMALL_ORDER.values(), ids=SMALL_ORDER)
def test_15_a_receivers_key_that_is_everybodys(codec: str, point: int) -> None:
    it = Scene(codec)
    key = point.to_bytes(32, "little")
    everybodys = tampered(it.give, lambda signed: signed.replace(it.r.name.public.raw, key), it.g.key)
    receive = tampered(it.t.receive(it.give), lambda s: s.replace(it.give, everybodys), it.t.name)

    it.refused(it.t, receive)

    it.check()


def test_16_a_receivers_key_that_is_the_gifters(codec: str) -> None:
    it = Scene(codec)
    give = it.g.give(it.gift_id, it.r, receiver=it.g.key.public)

    for presenter in (it.r, it.g):
        it.refused(presenter, presenter.receive(give, signer=it.g.key))

    it.check()


def test_16_a_receivers_key_that_is_the_exporters(codec: str) -> None:
    it = Scene(codec)
    own = type(it.g.key.public).parse(it.g.exporters_key)

    it.refused(it.r, it.r.receive(it.g.give(it.gift_id, it.r, receiver=own)))

    it.check()


RESPELLED: dict[str, tuple[bytes, bytes]] = {
    "a field more at the front": (b"<20'desc:handoff-receive", b"<20'desc:handoff-receive1+"),
    "a field more before the give": (b"<17'desc:sig-envelope", b"f<17'desc:sig-envelope"),
    "no count": (b"7+<17'desc:sig-envelope", b"<17'desc:sig-envelope"),
    "a count with zeros in front": (b"7+<17'desc:sig-envelope", b"007+<17'desc:sig-envelope"),
    "another label": (b"<20'desc:handoff-receive", b"<20'desc:handoff-receipt"),
}


@pytest.mark.parametrize(("old", "new"), RESPELLED.values(), ids=RESPELLED)
def test_17_a_receive_of_other_fields_or_in_another_spelling(codec: str, old: bytes, new: bytes) -> None:
    it = Scene(codec)
    receive = tampered(it.r.receive(it.give, count=7), lambda s: s.replace(old, new, 1), it.r.name)

    it.refused(it.r, receive)

    it.check()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<17'desc:handoff-give", b"<17'desc:handoff-giveft"),
        (b"<17'desc:handoff-give", b"<17'desc:handoff-gift"),
        (b"32:" + Scene.gift_id, b""),
        (b"32:" + Scene.gift_id, b"32:" + Scene.gift_id + b"0+"),
        (b"32:" + Scene.gift_id, b'32"' + Scene.gift_id),
    ],
)
def test_17_a_give_of_other_fields_or_in_another_spelling(codec: str, old: bytes, new: bytes) -> None:
    it = Scene(codec)
    give = tampered(it.give, lambda signed: signed.replace(old, new), it.g.key)
    receive = tampered(it.r.receive(it.give), lambda s: s.replace(it.give, give), it.r.name)

    it.refused(it.r, receive)

    it.check()
