"""Session keys, ids and the location signature to the byte, as OCapN suite and Endo make them."""

from __future__ import annotations

from hashlib import sha256

import pytest

from captp.model.keys import PrivateKey, PublicKey, session_id, side_id

SEEDS = {
    "A": bytes(range(0x20)),
    "B": bytes(range(0x20, 0x40)),
    "C": bytes(range(0x40, 0x60)),
}
PUBLIC = {
    "A": "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
    "B": "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7",
    "C": "2543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d",
}
SIDE_IDS = {
    "A": "faf328db5bc8cf63e851bd0e95032fdb6f72403aefd6d0b79cfa6849c04f0741",
    "B": "dc5fef641d6ff495c0ea46a09000ef91475441baadf2611598ec6cb66ffb524a",
    "C": "d525481faa33a4a394f5f489fabcbe0860f851bf3d7ddc17b284a441320857d1",
}
SESSION_AB = "f6621a0e8f7d543c617c4958cc5a13ebef8d7638b714bd527e8f94ec0beddef0"
MY_LOCATION = b'<11\'my-location<10\'ocapn-peer16\'tcp-testing-only5"alice{4"host9"127.0.0.14"port5"22045}>>'
MY_LOCATION_BY_A = (
    "53be4509d2e97ba9954d66c8d129ce8334b5508ac8a62f472bd76743a5e613c2"
    "28bc2fb3ad2f56acfeae03e1c97e24720895d234ebe43d9ca48412cbb53c5902"
)


@pytest.mark.parametrize("name", "ABC")
def test_a_seed_gives_its_public_key(name: str) -> None:
    assert PrivateKey.from_seed(SEEDS[name]).public.raw.hex() == PUBLIC[name]


@pytest.mark.parametrize("name", "ABC")
def test_a_side_id_is_the_double_hash_of_the_96_byte_list_form(name: str) -> None:
    raw = bytes.fromhex(PUBLIC[name])
    # A second way to the same bytes: every part with its length, nothing shared with the product.
    words = [b"public-key", b"ecc", b"curve", b"Ed25519", b"flags", b"eddsa", b"q"]
    pk, ecc, curve, ed, flags, eddsa, q = [b"%d'%b" % (len(w), w) for w in words]
    form = b"[%b[%b[%b%b][%b%b][%b%d:%b]]]" % (pk, ecc, curve, ed, flags, eddsa, q, len(raw), raw)

    assert len(form) == 96
    assert side_id(raw) == sha256(sha256(form).digest()).digest()
    assert side_id(raw).hex() == SIDE_IDS[name]


def test_a_session_id_is_the_same_from_both_sides() -> None:
    a, b = bytes.fromhex(SIDE_IDS["A"]), bytes.fromhex(SIDE_IDS["B"])

    assert session_id(a, b).hex() == SESSION_AB
    assert session_id(b, a).hex() == SESSION_AB


def test_the_location_signature_covers_the_my_location_wrapper() -> None:
    key = PrivateKey.from_seed(SEEDS["A"])

    assert key.sign(MY_LOCATION).hex() == MY_LOCATION_BY_A
    public = PublicKey.parse(bytes.fromhex(PUBLIC["A"]))
    assert public.verify(bytes.fromhex(MY_LOCATION_BY_A), MY_LOCATION)
    assert not public.verify(bytes.fromhex(MY_LOCATION_BY_A), MY_LOCATION[15:-1])
