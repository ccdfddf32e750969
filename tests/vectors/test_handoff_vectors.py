"""The chain of a third-party handoff to the byte, as OCapN suite and Endo make it."""

from __future__ import annotations

from hashlib import sha256

from captp.model.keys import PrivateKey, session_id, side_id
from captp.peer.handoff.certificates import (
    check_give,
    check_receive,
    parse_give,
    parse_receive,
    sign,
    write_give,
    write_receive,
)

A, B, C = (PrivateKey.from_seed(bytes(range(i, i + 0x20))) for i in (0, 0x20, 0x40))

#: B is the gifter, A the exporter, C the receiver; the receiver's session has the same id, by decree.
PLACE = b'<10\'ocapn-peer16\'tcp-testing-only5"alice{4"host9"127.0.0.14"port5"22045}>'
SIDES = {name: side_id(key.public.raw) for name, key in {"A": A, "B": B, "C": C}.items()}
SESSION = session_id(SIDES["A"], SIDES["B"])
GIFT_ID = bytes(range(0x20))

GIVE_SHA256 = "84eae57c9516eaf01b48af21fca63c5772ee2b466142979b2f5d7f9a17dfb7eb"
GIVE_SIGNATURE = (
    "6e44fb647c4e54c2c0aa296e866ff758fb1c9f2f462a202d44164cec25a67ac5"
    "a98da50a5b4e5c31aa0bdf6ab54e08be74012cd93a4ac95cb2bcc5891c474a0d"
)
ENVELOPE_SHA256 = "16397b1cf281b5da4418e7edd75bdda6922b438ca46bd319111a826d7d9657e4"
RECEIVE_SHA256 = "03f17792f289e77ba77b6468e96344256fe2d7242d8b6fe05ae0500616b5c4b0"
RECEIVE_SIGNATURE = (
    "48d39acd01bb8d9bc799f98f3554992319743125281fbcf42d533b86c05297de"
    "92e45c1950b68f3c377305b75bfa4b652585aeb8ebc902eca6feada31ed00f06"
)


def the_give() -> bytes:
    return write_give(
        receiver=C.public, exporter=PLACE, session=SESSION, gifter_side=SIDES["B"], gift_id=GIFT_ID
    )


def the_receive() -> bytes:
    give = parse_give(sign(the_give(), B))
    return write_receive(session=SESSION, side=SIDES["C"], count=0, give=give)


def test_the_give_is_296_bytes_of_the_known_hash() -> None:
    give = the_give()

    assert len(give) == 296
    assert sha256(give).hexdigest() == GIVE_SHA256


def test_the_give_is_spelled_part_by_part() -> None:
    # A second way to the same bytes: every part with its length, nothing shared with the product.
    words = [b"public-key", b"ecc", b"curve", b"Ed25519", b"flags", b"eddsa", b"q"]
    pk, ecc, curve, ed, flags, eddsa, q = [b"%d'%b" % (len(w), w) for w in words]
    key = b"[%b[%b[%b%b][%b%b][%b32:%b]]]" % (pk, ecc, curve, ed, flags, eddsa, q, C.public.raw)
    ids = b"32:%b32:%b32:%b" % (SESSION, SIDES["B"], GIFT_ID)

    assert the_give() == b"<17'desc:handoff-give%b%b%b>" % (key, PLACE, ids)


def test_the_gifters_signature_on_the_give_is_the_known_one() -> None:
    assert B.sign(the_give()).hex() == GIVE_SIGNATURE


def test_the_envelope_of_the_give_is_418_bytes_of_the_known_hash() -> None:
    envelope = sign(the_give(), B)

    assert len(envelope) == 418
    assert sha256(envelope).hexdigest() == ENVELOPE_SHA256


def test_the_envelope_is_spelled_part_by_part() -> None:
    signature = bytes.fromhex(GIVE_SIGNATURE)
    halves = b"[1'r32:%b][1's32:%b]" % (signature[:32], signature[32:])

    envelope = b"<17'desc:sig-envelope%b[7'sig-val[5'eddsa%b]]>" % (the_give(), halves)

    assert sign(the_give(), B) == envelope


def test_the_receive_is_515_bytes_of_the_known_hash() -> None:
    receive = the_receive()

    assert len(receive) == 515
    assert sha256(receive).hexdigest() == RECEIVE_SHA256


def test_the_receivers_signature_on_the_receive_is_the_known_one() -> None:
    assert C.sign(the_receive()).hex() == RECEIVE_SIGNATURE


def test_the_give_reads_back_as_what_was_certified() -> None:
    give = parse_give(sign(the_give(), B))

    assert give.receiver == C.public
    assert give.exporter.uri() == "ocapn://alice.tcp-testing-only?host=127.0.0.1&port=22045"
    assert (give.session, give.gifter_side, give.gift_id) == (SESSION, SIDES["B"], GIFT_ID)
    assert (give.signed, give.signature.hex()) == (the_give(), GIVE_SIGNATURE)
    check_give(give, session=SESSION, gifter_side=SIDES["B"], gifter=B.public, own=A.public)


def test_the_receive_reads_back_with_the_give_in_it_to_the_byte() -> None:
    receive = parse_receive(sign(the_receive(), C))

    assert (receive.session, receive.side, receive.count) == (SESSION, SIDES["C"], 0)
    assert (receive.signed, receive.signature.hex()) == (the_receive(), RECEIVE_SIGNATURE)
    assert sha256(receive.give.envelope).hexdigest() == ENVELOPE_SHA256
    check_receive(receive, session=SESSION, side=SIDES["C"])
