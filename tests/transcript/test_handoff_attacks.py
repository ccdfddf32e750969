"""The attacks on a handoff, one by one: each is refused, and the gift is there for who should have it."""

from __future__ import annotations

from typing import Any

import pytest

from captp.model.keys import PrivateKey, side_id
from captp.wire.canonical import location_record
from captp.wire.syrup import encode
from tests.transcript.strangers import (
    CODECS,
    TRANSPORT,
    Kept,
    Refused,
    Scene,
    Stranger,
    tampered,
)

pytestmark = pytest.mark.parametrize("codec", CODECS)


def test_a_right_receive_gets_the_gift(codec: str) -> None:
    Scene(codec).check()


def test_1_the_same_receive_sent_twice(codec: str) -> None:
    it = Scene(codec)
    receive = it.r.receive(it.give)
    assert isinstance(it.r.withdraw(receive), Kept)
    assert it.g.deposit(it.gift_id) == Kept(None)

    it.refused(it.r, receive, "handoff-count: ")

    it.check()


def test_2_the_same_receive_twice_at_once(codec: str) -> None:
    it = Scene(codec)
    receive = it.r.receive(it.g.give(b"later", it.r))

    first, second = it.r.withdraws(receive, receive)

    assert first not in it.r.results
    refused = it.r.results[second]
    assert isinstance(refused, Refused)
    assert refused.text.startswith("handoff-count: ")
    assert it.g.deposit(b"later") == Kept(None)
    it.r.hear()
    assert isinstance(it.r.results[first], Kept)
    it.check()


def test_2_the_same_receive_twice_at_once_when_the_gift_is_there(codec: str) -> None:
    it = Scene(codec)
    assert it.g.deposit(b"other") == Kept(None)
    receive = it.r.receive(it.g.give(b"other", it.r))

    first, second = it.r.withdraws(receive, receive)

    assert isinstance(it.r.results[first], Kept)
    refused = it.r.results[second]
    assert isinstance(refused, Refused)
    assert refused.text.startswith("handoff-count: ")
    it.check()


def test_3_a_receive_of_an_earlier_session_of_the_same_receiver(codec: str) -> None:
    it = Scene(codec)
    earlier = it.r.receive(it.give)
    it.r.die()
    # Its keys may be the old ones; the exporter's are new.
    it.r = Stranger(it.e, "r", it.codec)

    it.refused(it.r, earlier)

    it.e.ended.clear()
    it.check()


def test_4_a_count_that_was_used(codec: str) -> None:
    it = Scene(codec)
    assert it.g.deposit(b"other") == Kept(None)
    assert isinstance(it.r.withdraw(it.r.receive(it.g.give(b"other", it.r), count=0)), Kept)

    it.refused(it.r, it.r.receive(it.give, count=0), "handoff-count: ")

    it.r.count = 1
    it.check()


@pytest.mark.parametrize("count", [-1, 2**53 + 1, 2**64, 10**30, "0", b"0", True, False, 0.0, None, ()])
def test_4_a_count_that_is_no_count(codec: str, count: Any) -> None:
    it = Scene(codec)
    spelled = encode(count)

    receive = tampered(
        it.r.receive(it.give, count=7),
        lambda signed: signed.replace(b"7+<17'desc:sig-envelope", spelled + b"<17'desc:sig-envelope"),
        it.r.name,
    )

    it.refused(it.r, receive, "handoff-count: ")
    it.check()


def test_5_another_peer_presents_a_stolen_receive(codec: str) -> None:
    it = Scene(codec)

    it.refused(it.t, it.r.receive(it.give))

    it.check()


def test_6_a_stolen_give_in_a_receive_signed_by_the_thief(codec: str) -> None:
    it = Scene(codec)

    for signer in (it.t.name, it.t.key, it.g.key):
        it.refused(it.t, it.t.receive(it.give, signer=signer))

    it.check()


def test_6_a_stolen_give_made_out_to_the_thief(codec: str) -> None:
    it = Scene(codec)
    stolen = it.give.replace(it.r.name.public.raw, it.t.name.public.raw)

    it.refused(it.t, it.t.receive(stolen))

    it.check()


def test_7_a_receiving_session_that_is_anothers(codec: str) -> None:
    it = Scene(codec)

    for session in (it.t.session, it.g.session, bytes(32)):
        it.refused(it.r, it.r.receive(it.give, session=session))

    it.check()


def test_8_a_receiving_side_that_is_anothers(codec: str) -> None:
    it = Scene(codec)

    for side in (it.t.side, it.g.side, side_id(it.r.exporters_key), side_id(it.r.name.public.raw)):
        it.refused(it.r, it.r.receive(it.give, side=side))

    it.check()


def test_9_a_give_signed_by_another_sessions_key(codec: str) -> None:
    it = Scene(codec)

    for signer in (it.t.key, it.r.key, it.r.name, it.g.name):
        it.refused(it.r, it.r.receive(it.g.give(it.gift_id, it.r, signer=signer)))

    it.check()


def test_9_a_give_by_the_right_key_for_another_side(codec: str) -> None:
    it = Scene(codec)

    for side in (it.t.side, side_id(it.g.exporters_key), side_id(it.g.name.public.raw)):
        it.refused(it.r, it.r.receive(it.g.give(it.gift_id, it.r, gifter_side=side)))

    it.check()


def test_10_a_give_for_a_session_that_never_was(codec: str) -> None:
    it = Scene(codec)

    for session in (bytes(32), it.g.session[::-1]):
        it.refused(it.r, it.r.receive(it.g.give(it.gift_id, it.r, session=session)))

    it.check()


def test_10_a_give_for_a_session_that_is_the_receivers_own(codec: str) -> None:
    it = Scene(codec)

    it.refused(it.r, it.r.receive(it.g.give(it.gift_id, it.r, session=it.r.session)))

    it.check()


def test_10_a_give_for_a_session_that_has_ended_with_nothing_left(codec: str) -> None:
    it = Scene(codec)
    give = it.t.give(b"1", it.r)
    it.t.die()

    it.refused(it.r, it.r.receive(give))

    it.t = Stranger(it.e, "t", codec, life=1)
    it.e.ended.clear()
    it.check()


def test_10_an_ended_session_has_its_grace_and_no_more(codec: str) -> None:
    it = Scene(codec, gift_keep_s=100.0, ping_interval_s=1e6, ping_dead_s=1e6)
    assert it.g.deposit(b"early") == Kept(None)
    it.e.wait(50)
    early = it.g.give(b"early", it.r)
    it.g.abort()

    it.e.wait(49.5)
    it.redeemed()
    it.e.wait(0.5)
    it.refused(it.r, it.r.receive(early))

    assert it.e.peer.exporter.dump() == []


def test_11_a_give_that_names_another_exporter(codec: str) -> None:
    it = Scene(codec)
    other = PrivateKey.from_seed(b"another exporter".ljust(32)).public.designator

    place = encode(location_record(TRANSPORT, other, {"exts": "mp1", "node": "e"}))
    it.refused(it.r, it.r.receive(it.g.give(it.gift_id, it.r, exporter=place)))

    it.check()


def test_11_a_give_for_another_exporter_presented_here(codec: str) -> None:
    it, other = Scene(codec), Scene(codec)
    # The same peers meet two exporters; sessions there have other ids, since exporters have other keys.
    elsewhere = Stranger(other.e, "elsewhere", codec)
    assert elsewhere.deposit(it.gift_id) == Kept(None)

    it.refused(it.r, it.r.receive(elsewhere.give(it.gift_id, it.r)))

    it.check()


def test_12_a_gift_of_another_gifter_with_the_same_id(codec: str) -> None:
    it = Scene(codec)
    thiefs = it.t.give(it.gift_id, it.t)

    # The thief is a gifter too, and has deposited nothing: it waits for itself.
    assert it.t.withdraw(it.t.receive(thiefs)) is None
    it.refused(it.t, it.t.receive(it.t.give(it.gift_id, it.t, session=it.g.session)))
    both = it.t.give(it.gift_id, it.t, session=it.g.session, gifter_side=it.g.side)
    it.refused(it.t, it.t.receive(both))

    assert it.t.deposit(it.gift_id) == Kept(None)
    it.check()


def test_18_withdrawals_that_wait_for_ever(codec: str) -> None:
    it = Scene(codec, ping_interval_s=1e6, ping_dead_s=1e6)
    most = it.e.peer.limits.waiting_withdrawals
    give = [it.g.give(b"never %d" % n, it.r) for n in range(most + 20)]

    positions = it.r.withdraws(*[it.r.receive(g) for g in give])

    assert not any(p in it.r.results for p in positions[:most])
    for position in positions[most:]:
        refused = it.r.results[position]
        assert isinstance(refused, Refused)
        assert refused.text.startswith(f"{most} withdrawals wait")
    # Others may wait all the same, and what is there is given.
    other = it.t.receive(it.g.give(b"never", it.t))
    assert it.t.withdraw(other) is None
    for stranger in (it.g, it.r, it.t):
        stranger.fetch()
    it.redeemed()
    it.e.wait(it.e.peer.limits.gift_wait_s)
    it.r.hear()
    for position in positions[:most]:
        broken = it.r.results[position]
        assert isinstance(broken, Refused)
        assert broken.text.startswith("handoff: nobody has deposited")
    assert it.e.peer.exporter.dump() == []


def test_19_deposits_that_nobody_withdraws(codec: str) -> None:
    it = Scene(codec, answers=100_000)
    most = it.e.peer.limits.gifts
    gift = it.g.theirs()

    positions = it.g.send(0, "deposit-gift", *[(b"%d" % n, gift) for n in range(10_000)])

    results = [it.g.results[p] for p in positions]
    assert results[: most - 1] == [Kept(None)] * (most - 1)
    for refused in results[most - 1 :]:
        assert isinstance(refused, Refused)
        assert refused.text.startswith(f"{most} gifts")
    assert it.e.peer.exporter.dump() == [f"live {most} gifts, 0 awaited"]
    for stranger in (it.g, it.r, it.t):
        stranger.fetch()
    it.redeemed()


@pytest.mark.parametrize("ending", ["abort", "die"])
def test_20_a_gifter_that_goes_between_give_and_deposit(codec: str, ending: str) -> None:
    it = Scene(codec)
    waiting, late = (it.g.give(gift_id, it.r) for gift_id in (b"waiting", b"late"))
    (position,) = it.r.withdraws(it.r.receive(waiting))
    assert position not in it.r.results

    getattr(it.g, ending)()

    it.r.hear()
    broken = it.r.results[position]
    assert isinstance(broken, Refused)
    assert broken.text.startswith("handoff: the gifter has left")
    it.refused(it.r, it.r.receive(late))
    # What it did deposit is still there.
    it.r.fetch()
    it.redeemed()
    assert it.e.peer.exporter.dump() == []
