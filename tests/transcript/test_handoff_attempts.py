"""What else a peer may try with gifts and certificates: refused in words, and nobody else is harmed."""

from __future__ import annotations

from typing import Any

import pytest

from captp.model.keys import PublicKey, side_id
from captp.peer.handoff.certificates import check_give, parse_give
from captp.wire.canonical import location_record
from captp.wire.ops import Desc, Kind
from captp.wire.syrup import encode
from tests.transcript.strangers import CODECS, TRANSPORT, Kept, Refused, Scene, Stranger, tampered
from tests.unit.handoff.certificate_box import envelope

BOTH = pytest.mark.parametrize("codec", CODECS)


@BOTH
@pytest.mark.parametrize("gift_id", [b"", b"x" * 257, "text", 7, None])
def test_a_gift_id_that_is_none(codec: str, gift_id: Any) -> None:
    it = Scene(codec)

    refused = it.g.deposit(gift_id)

    assert isinstance(refused, Refused)
    assert refused.text.startswith("bad-args: ")
    it.check()


@BOTH
def test_a_second_deposit_under_one_id(codec: str) -> None:
    it = Scene(codec)

    refused = it.g.deposit(it.gift_id)

    assert isinstance(refused, Refused)
    assert refused.text.startswith("gift-exists: ")
    it.check()


@BOTH
@pytest.mark.parametrize("what", ["data", "their own"])
def test_a_gift_that_is_not_ours(codec: str, what: str) -> None:
    it = Scene(codec)

    refused = it.g.deposit(b"1", 7 if what == "data" else it.g.mine(1_000))

    assert isinstance(refused, Refused)
    assert refused.text.startswith("bad-gift: ")
    it.check()


@BOTH
def test_a_gift_that_is_a_promise_of_the_gifters_own(codec: str) -> None:
    it = Scene(codec)

    refused = it.g.deposit(b"1", it.g.mine(1_000, Kind.IMPORT_PROMISE))

    assert isinstance(refused, Refused)
    assert refused.text.startswith("bad-gift: ")
    it.check()


@BOTH
@pytest.mark.parametrize("args", [(), (1,), (b"bytes",), (None,), (1, 2)])
def test_a_withdrawal_with_other_arguments(codec: str, args: tuple[Any, ...]) -> None:
    it = Scene(codec)

    refused = it.r.call("withdraw-gift", *args)

    assert isinstance(refused, Refused)
    assert refused.text.startswith("handoff: " if len(args) == 1 else "bad-args: ")
    it.check()


@BOTH
def test_a_give_where_a_receive_belongs(codec: str) -> None:
    it = Scene(codec)

    it.refused(it.r, it.give)

    assert it.e.dials == []
    it.check()


@BOTH
def test_a_receive_with_no_give_inside(codec: str) -> None:
    it = Scene(codec)
    inside = it.r.receive(it.give)

    def holding(kind: bytes) -> bytes:
        return tampered(it.r.receive(it.give), lambda signed: signed.replace(it.give, kind), it.r.name)

    for kind in (inside, envelope(b"1+", bytes(64)), envelope(it.give, bytes(64))):
        it.refused(it.r, holding(kind))

    it.check()


@BOTH
def test_an_introduction_that_is_for_somebody_else(codec: str) -> None:
    it = Scene(codec)
    # The thief introduces the exporter, which has no such key in their session.
    result = it.t.call("wait", Desc(Kind.CERTIFICATE, it.give), to=it.t.fetch())

    assert isinstance(result, Refused)
    assert result.text.startswith("handoff: this introduction is for somebody else")
    assert it.e.dials == []
    it.check()


@BOTH
def test_an_introduction_to_a_transport_of_this_machine(codec: str) -> None:
    it = Scene(codec)
    place = encode(location_record("unix", "somebody", {"path": "/run/x"}))
    own = type(it.t.key.public).parse(it.t.exporters_key)
    give = it.t.give(b"1", it.r, receiver=own, exporter=place)

    result = it.t.call("wait", Desc(Kind.CERTIFICATE, give), to=it.t.fetch())

    assert isinstance(result, Refused)
    assert result.text.startswith("handoff: the introduction leads to 'unix'")
    assert it.e.dials == []
    it.check()


@BOTH
def test_an_introduction_of_the_exporter_to_itself_by_a_thief(codec: str) -> None:
    it = Scene(codec)
    own = type(it.t.key.public).parse(it.t.exporters_key)
    forged = it.t.give(it.gift_id, it.r, receiver=own, session=it.g.session, gifter_side=it.g.side)

    for give in (forged, it.t.give(it.gift_id, it.r, receiver=own)):
        result = it.t.call("wait", Desc(Kind.CERTIFICATE, give), to=it.t.fetch())
        assert isinstance(result, Refused)
        assert result.text.startswith("handoff: ")

    assert it.e.dials == []
    it.check()


HOLLOW = [b"f", b"1+", b"[]", b"<17'desc:handoff-give>", b"<20'desc:handoff-receive>", b"<11'my-locationf>"]


@BOTH
@pytest.mark.parametrize("inside", HOLLOW)
def test_an_envelope_that_holds_something_else(codec: str, inside: bytes) -> None:
    it = Scene(codec)

    for signer in (it.r.name, it.r.key):
        it.refused(it.r, envelope(inside, signer.sign(inside)))

    it.check()


def test_natively_an_envelope_may_be_any_bytes_and_is_refused() -> None:
    # Over Syrup what is no Syrup ends the session before it is an envelope.
    it = Scene("native")

    for noise in (b"", b"x", b"<17'desc:sig-envelope", bytes(1_000), it.give[:-1], b"<" * 20_000):
        it.refused(it.r, noise)

    it.check()


@BOTH
def test_a_give_names_the_exporter_as_that_spelled_itself(codec: str) -> None:
    # Here the vat is the gifter, between an exporter that is Syrup and spells its hints backwards, and R.
    it = Scene(codec)
    spelled = b'<10\'ocapn-peer3\'sim1"x{4"port1"24"host1"1}>'
    exporter = Stranger(it.e, "x", "syrup", place=spelled)
    exporter.call("keep", exporter.mine(1), to=exporter.fetch())
    it.e.root.source = lambda: it.e.root.kept[0]

    introduced = it.r.call("later", to=it.r.fetch())

    assert isinstance(introduced, Kept)
    assert introduced.value.kind is Kind.CERTIFICATE
    give = parse_give(introduced.value.position)
    assert spelled in give.signed
    assert (give.session, give.gifter_side) == (exporter.session, side_id(exporter.exporters_key))
    assert give.receiver.raw == it.r.key.public.raw
    exporter.hear()
    (deposited,) = exporter.deposits()
    assert deposited == (give.gift_id, Desc(Kind.EXPORT, 1))
    check_give(
        give,
        session=exporter.session,
        gifter_side=side_id(exporter.exporters_key),
        gifter=PublicKey.parse(exporter.exporters_key),
        own=exporter.key.public,
    )


@BOTH
@pytest.mark.parametrize("transport", [TRANSPORT, "websocket"])
def test_only_one_who_may_have_proved_who_it_is_is_introduced(codec: str, transport: str) -> None:
    it = Scene(codec)
    claims = Stranger(it.e, "x", codec, transport=transport)
    claims.call("keep", claims.mine(1), to=claims.fetch())
    it.e.root.source = lambda: it.e.root.kept[0]

    introduced = it.r.call("later", to=it.r.fetch())

    # Over a websocket nobody knows who has dialled: what is its own is forwarded.
    assert isinstance(introduced, Kept)
    is_certified = introduced.value.kind is Kind.CERTIFICATE
    assert is_certified == (transport == TRANSPORT)
