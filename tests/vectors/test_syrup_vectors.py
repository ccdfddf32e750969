"""Session start and handoff to the byte: vectors on which the OCapN test suite and Endo agree."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from captp.limits import Limits
from captp.model.values import FrozenMap
from captp.wire.canonical import (
    captp_hello,
    handoff_give,
    handoff_receive,
    my_location,
    public_key_list,
    sig_envelope,
)
from captp.wire.dialect import SyrupCodec
from captp.wire.ops import START, Desc, Kind
from captp.wire.syrup import decode_one, encode

KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(bytes(range(start, start + 32)))
    for name, start in (("A", 0x00), ("B", 0x20), ("C", 0x40))
}
RAW = {name: key.public_key().public_bytes_raw() for name, key in KEYS.items()}
IDS = {
    "A": "faf328db5bc8cf63e851bd0e95032fdb6f72403aefd6d0b79cfa6849c04f0741",
    "B": "dc5fef641d6ff495c0ea46a09000ef91475441baadf2611598ec6cb66ffb524a",
    "C": "d525481faa33a4a394f5f489fabcbe0860f851bf3d7ddc17b284a441320857d1",
}
SESSION = bytes.fromhex("f6621a0e8f7d543c617c4958cc5a13ebef8d7638b714bd527e8f94ec0beddef0")
PLACE = ("tcp-testing-only", "alice", FrozenMap(host="127.0.0.1", port="22045"))
PLACE_BYTES = b'<10\'ocapn-peer16\'tcp-testing-only5"alice{4"host9"127.0.0.14"port5"22045}>'
LOCATION_SIGNATURE = bytes.fromhex(
    "53be4509d2e97ba9954d66c8d129ce8334b5508ac8a62f472bd76743a5e613c2"
    "28bc2fb3ad2f56acfeae03e1c97e24720895d234ebe43d9ca48412cbb53c5902"
)
GIVE_SIGNATURE = bytes.fromhex(
    "6e44fb647c4e54c2c0aa296e866ff758fb1c9f2f462a202d44164cec25a67ac5"
    "a98da50a5b4e5c31aa0bdf6ab54e08be74012cd93a4ac95cb2bcc5891c474a0d"
)
RECEIVE_SIGNATURE = bytes.fromhex(
    "48d39acd01bb8d9bc799f98f3554992319743125281fbcf42d533b86c05297de"
    "92e45c1950b68f3c377305b75bfa4b652585aeb8ebc902eca6feada31ed00f06"
)
FETCH = (
    b"<10'op:deliver<11'desc:export0+>[5'fetch32:IO58l1laTyhcrgDKbEzFOO32MDd6zE5w]0+"
    b"<18'desc:import-object0+>>"
)


class NoRefs:
    def describe(self, value: object) -> Desc:
        raise AssertionError(value)

    def resolve(self, kind: Kind, position: object) -> object:
        raise AssertionError(kind)


def codec() -> SyrupCodec:
    return SyrupCodec(NoRefs(), Limits(), framed=False)


def check(data: bytes, length: int, digest: str) -> bytes:
    assert len(data) == length
    assert sha256(data).hexdigest() == digest
    assert encode(decode_one(data, Limits(), strict=True)) == data
    return data


@pytest.mark.parametrize("name", "ABC")
def test_the_list_form_of_a_public_key_has_96_bytes_and_hashes_to_the_side_id(name: str) -> None:
    form = encode(public_key_list(RAW[name]))

    assert len(form) == 96
    assert sha256(sha256(form).digest()).hexdigest() == IDS[name]


def test_the_signed_location() -> None:
    signed = my_location(PLACE)

    assert signed == b"<11'my-location" + PLACE_BYTES + b">"
    assert KEYS["A"].sign(signed) == LOCATION_SIGNATURE


def test_the_complete_start_session() -> None:
    op = (START, "1.0", RAW["A"], PLACE, LOCATION_SIGNATURE)
    reader = codec()

    data = check(codec().encode(op), 295, "695bb07c7a00157f2d6c8bb722060d55465eb420164a9e501625b2e3a26b0c7c")

    assert list(reader.feed(data)) == [op]
    assert reader.hello_location == PLACE_BYTES
    assert codec().encode((*op, ())) == data


def test_the_handoff_chain() -> None:
    give = check(
        handoff_give(RAW["C"], PLACE, SESSION, bytes.fromhex(IDS["B"]), bytes(range(32))),
        296,
        "84eae57c9516eaf01b48af21fca63c5772ee2b466142979b2f5d7f9a17dfb7eb",
    )
    assert KEYS["B"].sign(give) == GIVE_SIGNATURE

    envelope = check(
        sig_envelope(give, GIVE_SIGNATURE),
        418,
        "16397b1cf281b5da4418e7edd75bdda6922b438ca46bd319111a826d7d9657e4",
    )
    receive = check(
        handoff_receive(SESSION, bytes.fromhex(IDS["C"]), 0, envelope),
        515,
        "03f17792f289e77ba77b6468e96344256fe2d7242d8b6fe05ae0500616b5c4b0",
    )
    assert KEYS["C"].sign(receive) == RECEIVE_SIGNATURE


def test_the_native_hello() -> None:
    assert captp_hello(PLACE, ("mp1", "dgc1"), b"\x01\x02") == (
        b"<11'captp:hello" + PLACE_BYTES + b'8"mp1,dgc12:\x01\x02>'
    )


def test_a_fetch_as_the_suite_sends_it_reads_and_writes_to_the_byte() -> None:
    class Refs(NoRefs):
        def resolve(self, kind: Kind, position: object) -> object:
            return Desc(kind, position)

    own = SyrupCodec(Refs(), Limits(), framed=None)

    (op,) = own.feed(FETCH)

    assert own.encode(op) == FETCH
