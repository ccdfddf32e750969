"""Third-party handoff with the host in each part: exporter, gifter, receiver."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.interop.client import Host, Listener, Peer
from tests.interop.conftest import Connect
from tests.interop.keys import (
    Key,
    an_object,
    envelope,
    export,
    held,
    is_signed,
    public_list,
    signature_of,
    twice,
)
from tests.interop.ocapn_host import ECHO, ENLIVENER, GREETER, PAIRS
from tests.interop.syrup import Rec, Sym, rec, write

GIFT = b"my-gift"


class Parties:
    """A gifter and a receiver, each with a session with the host, and the receiver's key between them."""

    def __init__(self, gifter: Peer, receiver: Peer, location: Rec) -> None:
        self.gifter = gifter
        self.receiver = receiver
        self.key = Key()
        self.location = location

    def deposit(self, gift: Rec, gift_id: Any = GIFT) -> None:
        self.gifter.send(self.gifter.only(export(0), Sym("deposit-gift"), gift_id, gift))
        # One call more, and the deposit has been heard.
        self.gifter.outcome(export(0), Sym("fetch"), b"")

    def give(self, gift_id: bytes = GIFT) -> Rec:
        return self.gifter.give(self.key.raw, self.gifter, gift_id, self.location)

    def withdraw(self, receive: Rec | None = None, **options: Any) -> int:
        """Send a withdrawal; give its resolver."""
        receive = receive or self.receiver.withdrawal(self.give(), self.key, **options)
        return self.receiver.ask(export(0), Sym("withdraw-gift"), receive)[1]


@pytest.fixture
def parties(connect: Connect, way: dict[str, Any], host: Host) -> Parties:
    return Parties(connect(**way).open(), connect(**way).open(), host.location)


# The host exports.


def test_a_gift_is_withdrawn(parties: Parties) -> None:
    parties.deposit(parties.gifter.fetch(ECHO))

    gift = parties.receiver.value(parties.withdraw())

    assert gift.label == "desc:import-object"
    assert parties.receiver.call(held(gift), "hello") == ["hello"]


def test_a_withdrawal_waits_for_its_gift(parties: Parties) -> None:
    echo = parties.gifter.fetch(ECHO)
    resolver = parties.withdraw()
    with pytest.raises(TimeoutError):
        parties.receiver.settled(resolver, patience=0.1)

    parties.deposit(echo)

    assert parties.receiver.call(held(parties.receiver.value(resolver)), 1) == [1]


@pytest.mark.parametrize("gift_id", [b"\0", bytes(range(256)), b"16-bytes-of-endo"])
def test_any_bytes_are_a_gift_id(connect: Connect, host: Host, gift_id: bytes) -> None:
    parties = Parties(connect().open(), connect().open(), host.location)
    parties.deposit(parties.gifter.fetch(ECHO), gift_id)

    receive = parties.receiver.withdrawal(parties.give(gift_id), parties.key)

    assert parties.receiver.value(parties.withdraw(receive))


def test_the_exporters_location_may_be_spelled_as_somebody_else_knows_it(parties: Parties) -> None:
    parties.location = rec("ocapn-peer", Sym("tcp-testing-only"), "as-on-the-command-line", {"port": "1"})
    parties.deposit(parties.gifter.fetch(ECHO))

    assert parties.receiver.value(parties.withdraw())


def test_a_count_is_used_once(parties: Parties) -> None:
    parties.deposit(parties.gifter.fetch(ECHO))
    assert parties.receiver.value(parties.withdraw(count=0))

    parties.deposit(parties.gifter.fetch(GREETER))

    parties.receiver.reason(parties.withdraw(count=0))
    assert parties.receiver.value(parties.withdraw(count=1)), "and the gift is still there"


def test_counts_may_have_gaps_and_come_in_any_order(parties: Parties) -> None:
    for count in (5, 0, 3):
        parties.deposit(parties.gifter.fetch(ECHO))
        assert parties.receiver.value(parties.withdraw(count=count))


def test_a_gift_is_given_once(parties: Parties) -> None:
    parties.deposit(parties.gifter.fetch(ECHO))
    assert parties.receiver.value(parties.withdraw())

    resolver = parties.withdraw()
    with pytest.raises(TimeoutError):
        parties.receiver.settled(resolver, patience=0.1)
    parties.gifter.die()

    parties.receiver.reason(resolver)


def test_a_receive_by_another_key_breaks(parties: Parties) -> None:
    parties.deposit(parties.gifter.fetch(ECHO))

    forged = parties.receiver.withdrawal(parties.give(), Key())

    parties.receiver.reason(parties.withdraw(forged))
    assert parties.receiver.fetch(ECHO), "the session goes on"


def test_a_give_by_another_key_breaks(parties: Parties) -> None:
    parties.deposit(parties.gifter.fetch(ECHO))
    signed = parties.give().fields[0]

    forged = parties.receiver.withdrawal(envelope(signed, Key()), parties.key)

    parties.receiver.reason(parties.withdraw(forged))


@pytest.mark.parametrize("field", [0, 1])
def test_a_receive_for_another_session_breaks(parties: Parties, field: int) -> None:
    parties.deposit(parties.gifter.fetch(ECHO))
    fields = list(parties.receiver.withdrawal(parties.give(), parties.key).fields[0].fields)
    fields[field] = twice(b"another")

    wrong = envelope(Rec("desc:handoff-receive", fields), parties.key)

    parties.receiver.reason(parties.withdraw(wrong))


@pytest.mark.parametrize("field", [2, 3])
def test_a_give_of_another_session_breaks(parties: Parties, field: int) -> None:
    parties.deposit(parties.gifter.fetch(ECHO))
    fields = list(parties.give().fields[0].fields)
    fields[field] = twice(b"another")
    give = envelope(Rec("desc:handoff-give", fields), parties.gifter.key)

    parties.receiver.reason(parties.withdraw(parties.receiver.withdrawal(give, parties.key)))


def test_a_gift_outlives_its_gifters_session(parties: Parties) -> None:
    parties.deposit(parties.gifter.fetch(ECHO))

    parties.gifter.close()

    assert parties.receiver.value(parties.withdraw())


def test_a_promise_is_a_gift_too_and_settles_later(parties: Parties) -> None:
    """Elsewhere only objects are taken."""
    gifter, receiver = parties.gifter, parties.receiver
    promise, settler = map(held, gifter.call(gifter.fetch(PAIRS)))
    parties.deposit(promise)
    resolver = parties.withdraw()
    gifter.outcome(export(0), Sym("fetch"), b"")

    gifter.send(gifter.only(settler, Sym("fulfill"), ["late", 1]))

    assert receiver.value(resolver) == ["late", 1]


def test_a_promise_as_a_gift_can_break(parties: Parties) -> None:
    gifter = parties.gifter
    promise, settler = map(held, gifter.call(gifter.fetch(PAIRS)))
    parties.deposit(promise)
    resolver = parties.withdraw()

    gifter.send(gifter.only(settler, Sym("break"), Sym("no")))

    assert parties.receiver.reason(resolver) == Sym("no")


def test_calls_pipelined_on_a_withdrawal_reach_the_gift(parties: Parties) -> None:
    receiver = parties.receiver
    receive = receiver.withdrawal(parties.give(), parties.key)
    position, _ = receiver.ask(export(0), Sym("withdraw-gift"), receive)
    _, resolver = receiver.ask(rec("desc:answer", position), "early")

    parties.deposit(parties.gifter.fetch(ECHO))

    assert receiver.value(resolver) == ["early"]


# The host gives.


def exporter_dialled(peer: Peer, listener: Listener, way: dict[str, Any], swiss: bytes) -> tuple[Peer, int]:
    """Have the host enliven something of a third party's; give that party, its hellos exchanged."""
    name = uuid4().hex
    sturdyref = rec("ocapn-sturdyref", listener.location(name), swiss)
    _, resolver = peer.ask(peer.fetch(ENLIVENER), sturdyref)
    exporter = listener.accept(**way, location=listener.location(name))
    exporter.expect_hello()
    exporter.send(exporter.hello())
    return exporter, resolver


def test_the_host_introduces_by_a_deposit_and_a_certificate(
    connect: Connect, way: dict[str, Any], listener: Listener
) -> None:
    receiver = connect(**way).open()
    exporter, resolver = exporter_dialled(receiver, listener, way, b"thing")
    with exporter:
        fetch = exporter.serve_one(export(0))
        assert fetch.fields[1] == [Sym("fetch"), b"thing"]
        ours = exporter.new_export() + 5
        exporter.reply(fetch, an_object(ours))

        give, signature = receiver.value(resolver).fields
        deposit = exporter.serve_one(export(0))

    verb, gift_id, gift = deposit.fields[1]
    assert (verb, gift) == (Sym("deposit-gift"), export(ours))
    assert len(gift_id) == 32
    assert give.label == "desc:handoff-give"
    assert give.fields == [
        public_list(receiver.key.raw),
        exporter.location,
        exporter.session_id,
        exporter.their_side,
        gift_id,
    ]
    assert is_signed(signature_of(signature), exporter.their_key, write(give))


# The host receives.


def test_the_host_withdraws_from_a_peer_that_it_knows(
    connect: Connect, way: dict[str, Any], listener: Listener
) -> None:
    name = uuid4().hex
    exporter = connect(**way, location=listener.location(name)).open()

    check_withdrawal(connect(**way).open(), exporter)


def test_the_host_dials_a_peer_to_withdraw_from_it(
    connect: Connect, way: dict[str, Any], listener: Listener
) -> None:
    name, gifter = uuid4().hex, connect(**way).open()
    location = listener.location(name)
    give = a_give(gifter, location)
    gifter.send(gifter.only(gifter.fetch(GREETER), give))

    with listener.accept(**way, location=location) as exporter:
        exporter.expect_hello()
        exporter.send(exporter.hello())
        check_withdrawn(gifter, exporter, give)


def a_give(gifter: Peer, location: Rec) -> Rec:
    """Certify something for the host, out of a session of the gifter's that only it knows of."""
    fields = (public_list(gifter.their_key), location, twice(b"session"), gifter.key.side, GIFT)
    return envelope(rec("desc:handoff-give", *fields), gifter.key)


def check_withdrawal(gifter: Peer, exporter: Peer) -> None:
    give = a_give(gifter, exporter.location)
    gifter.send(gifter.only(gifter.fetch(GREETER), give))
    check_withdrawn(gifter, exporter, give)


def check_withdrawn(gifter: Peer, exporter: Peer, give: Rec) -> None:
    """Serve the host's withdrawal, check its certificate, and see that the gift is greeted."""
    withdrawal = exporter.serve_one(export(0))
    verb, certificate = withdrawal.fields[1]
    assert verb == Sym("withdraw-gift")
    receive, signature = certificate.fields
    session, side, count, signed_give = receive.fields
    assert receive.label == "desc:handoff-receive"
    assert (session, side) == (exporter.session_id, exporter.their_side)
    assert type(count) is int
    assert signed_give == give
    assert is_signed(signature_of(signature), gifter.their_key, write(receive))

    ours = 40
    exporter.reply(withdrawal, an_object(ours))

    pipelined = rec("desc:answer", withdrawal.fields[2])
    greeting = exporter.wait(lambda m: m.label.startswith("op:deliver") and m.fields[1] == ["Hello"])
    assert greeting.fields[0] in (pipelined, export(ours))


def test_counts_towards_one_exporter_never_repeat(
    connect: Connect, way: dict[str, Any], listener: Listener
) -> None:
    exporter = connect(**way, location=listener.location(uuid4().hex)).open()
    gifter = connect(**way).open()
    greeter = gifter.fetch(GREETER)

    for _ in range(3):
        gifter.send(gifter.only(greeter, a_give(gifter, exporter.location)))

    withdrawals = [exporter.serve_one(export(0)) for _ in range(3)]
    counts = [w.fields[1][1].fields[0].fields[2] for w in withdrawals]
    assert counts == sorted(set(counts))


def test_a_gift_of_the_hosts_own_is_taken_without_a_detour(connect: Connect, host: Host) -> None:
    """The host is receiver and exporter: the gift waits in its own session with the gifter."""
    gifter = connect().open()
    gifter.send(gifter.only(export(0), Sym("deposit-gift"), GIFT, gifter.fetch(PAIRS)))
    give = gifter.give(gifter.their_key, gifter, GIFT, host.location)

    (echoed,) = gifter.call(gifter.fetch(ECHO), give)

    assert echoed.label in ("desc:import-object", "desc:import-promise")


def test_an_introduction_for_somebody_else_breaks(connect: Connect, listener: Listener) -> None:
    gifter = connect().open()
    fields = (public_list(Key().raw), listener.location("x"), twice(b"s"), gifter.key.side, GIFT)
    give = envelope(rec("desc:handoff-give", *fields), gifter.key)
    echoed = gifter.call(gifter.fetch(ECHO), give)

    gifter.reason(gifter.listen(held(echoed[0])))
