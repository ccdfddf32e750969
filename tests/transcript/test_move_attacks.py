"""The attacks on a move, one by one: whatever its gifter says, what is unique has one owner at most."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.model.values import Fault
from captp.peer.handoff.certificates import sign, write_give
from captp.wire.ops import CALL, GC_EXPORTS, Desc, Kind
from tests.transcript.strangers import Kept, Refused
from tests.transcript.thieves_box import DESK, GIFT, HIDDEN, Scene, is_broken


def test_the_right_receiver_gets_it_and_the_gifter_has_nothing_left() -> None:
    it = Scene()
    it.move()
    assert it.owners() == []
    it.lost()

    it.gets(it.r)
    it.lost()
    assert it.e.peer.exporter.dump() == []
    assert it.e.ended == []


def test_a_moved_gift_is_withdrawn_twice() -> None:
    it = Scene(gift_wait_s=5.0)
    it.move()
    it.gets(it.r)

    # It waits for another gift of that id, and there never is one.
    (at,) = it.r.withdraws(it.r.receive(it.g.give(GIFT, it.r)))
    assert at not in it.r.results
    it.e.wait(6.0)
    it.r.hear()
    assert isinstance(it.r.results[at], Refused)
    assert it.owners() == [it.r]
    it.lost()


def test_a_moved_gift_is_withdrawn_by_the_same_receive_again() -> None:
    it = Scene()
    it.move()
    receive = it.r.receive(it.g.give(GIFT, it.r))
    assert isinstance(it.r.withdraw(receive), Kept)

    again = it.r.withdraw(receive)
    assert isinstance(again, Refused)
    assert again.text.startswith("handoff-count: ")
    assert it.owners() == [it.r]


def test_a_moved_gift_is_withdrawn_with_another_key() -> None:
    it = Scene()
    it.move()
    give = it.g.give(GIFT, it.r)

    assert isinstance(it.t.withdraw(it.t.receive(give)), Refused)
    assert isinstance(it.t.withdraw(it.r.receive(give)), Refused)
    forged = sign(
        write_give(
            receiver=it.t.name.public,
            exporter=it.e.place,
            session=it.g.session,
            gifter_side=it.g.side,
            gift_id=GIFT,
        ),
        it.t.key,
    )
    assert isinstance(it.t.withdraw(it.t.receive(forged)), Refused)
    it.gets(it.r)


def test_one_moved_gift_is_promised_to_two() -> None:
    it = Scene()
    it.move()
    it.gets(it.t)

    assert it.withdraw(it.r) is None
    assert it.owners() == [it.t]
    it.lost()


def test_one_that_has_moved_is_moved_again() -> None:
    it = Scene()
    it.move()
    # The certificate for the thief is right, and what is deposited for it is what its gifter has: nothing.
    assert it.g.deposit(b"again", it.back()) == Kept(None)

    assert is_broken(it.withdraw(it.t, b"again"))
    it.gets(it.r)
    assert it.e.peer.exporter.dump() == []


def test_both_moves_come_in_one_write() -> None:
    it = Scene()
    it.g.send(0, "deposit-gift", (GIFT, it.back()), (b"again", it.back()))

    it.gets(it.r)
    assert is_broken(it.withdraw(it.t, b"again"))
    assert it.owners() == [it.r]


def test_one_that_has_moved_is_deposited_again_under_the_same_id() -> None:
    it = Scene()
    it.move()
    again = it.g.deposit(GIFT, it.back())

    assert isinstance(again, Refused)
    assert again.text.startswith("gift-exists")
    it.gets(it.r)


def test_a_withdrawal_that_waits_gets_it_and_no_second_one_does() -> None:
    it = Scene()
    receive = it.r.receive(it.g.give(GIFT, it.r))
    (at,) = it.r.withdraws(receive)
    assert isinstance(it.withdraw(it.t), Refused)
    it.move()
    it.r.hear()

    assert it.r.results[at] == Kept(Desc(Kind.IMPORT_SOLE, it.r.results[at].value.position))  # type: ignore[union-attr]
    assert it.owners() == [it.r]
    it.lost()


def test_one_who_does_not_hold_it_moves_it() -> None:
    it = Scene()
    # The thief names positions of its own, and what it has shared with all.
    assert it.t.deposit(GIFT, it.t.mine(it.desks[it.t], Kind.EXPORT_SOLE)) == Kept(None)
    result = it.r.withdraw(it.r.receive(it.t.give(GIFT, it.r)))
    assert isinstance(result, Kept)
    assert result.value.kind is Kind.IMPORT_OBJECT

    assert it.owners() == [it.g]
    it.t.deposit(b"other", it.t.mine(it.table + 7, Kind.EXPORT_SOLE))
    assert [reason.split()[0] for reason in it.e.ended] == ["bad-ref"]
    assert it.owners() == [it.g]


def test_one_who_gives_the_depositor_his_own_moves_nothing() -> None:
    it = Scene()
    for kind in (Kind.IMPORT_OBJECT, Kind.IMPORT_SOLE):
        refused = it.g.deposit(GIFT, it.g.mine(40, kind))
        assert isinstance(refused, Refused)
        assert refused.text.startswith("bad-gift")


def test_an_introduction_that_does_not_move_it_is_refused() -> None:
    it = Scene()
    refused = it.g.deposit(GIFT, it.g._codec.target(Kind.EXPORT, it.table))
    assert isinstance(refused, Refused)
    assert refused.text.startswith("bad-gift: its owner alone")

    told = it.withdraw(it.r)
    assert is_broken(told)
    assert it.owners() == [it.g]
    it.move(b"now")
    it.gets(it.r, b"now")


@pytest.mark.parametrize("method", ["keep", "echo"])
def test_the_gifter_has_an_object_of_the_hosts_keep_a_copy(method: str) -> None:
    it = Scene()
    kept = it.g.call(method, it.g._codec.target(Kind.EXPORT, it.table), to=it.desks[it.g])
    assert isinstance(kept, Refused)
    it.move()

    assert isinstance(it.g.call("use_kept", to=it.desks[it.g]), Refused)
    it.lost()
    it.gets(it.r)
    assert isinstance(it.g.call("use_kept", to=it.desks[it.g]), Refused)
    assert list(it.sheet.numbers) == [1]


def test_the_gifter_shares_and_moves_it_in_one_write() -> None:
    it = Scene()
    calls = (
        (CALL, 0, "captp:share", (it.g._codec.target(Kind.EXPORT, it.table),), 90, True),
        (CALL, 0, "deposit-gift", (GIFT, it.back()), 91, True),
    )
    it.g.raw(it.g._codec.frame([it.g._codec.encode(op) for op in calls]))

    assert isinstance(it.g.results[90], Refused)
    assert it.sheet._entry.sole
    it.gets(it.r)
    it.lost()


def test_what_the_gifter_has_named_in_a_call_is_over_when_it_has_moved() -> None:
    it = Scene()
    HIDDEN.clear()
    desk = it.desks[it.g]
    assert it.g.call("hide", it.g._codec.target(Kind.EXPORT, it.table), to=desk) == Kept(None)
    assert it.g.call("use_hidden", to=desk) == Kept(100)
    it.move()

    told = it.g.call("use_hidden", to=desk)
    assert isinstance(told, Refused)
    assert "named by its owner, who alone has it, which is over" in told.text
    it.gets(it.r)
    assert list(it.sheet.numbers) == [100, 1]


def test_the_gifter_says_that_it_moves_and_keeps_it() -> None:
    it = Scene(gift_wait_s=5.0)
    (at,) = it.r.withdraws(it.r.receive(it.g.give(GIFT, it.r)))
    it.e.wait(6.0)
    it.r.hear()

    told = it.r.results[at]
    assert isinstance(told, Refused)
    assert told.text == "handoff: nobody has deposited this gift in time"
    assert it.owners() == [it.g]
    assert it.g.call("put", 1, to=it.table) == Kept(1)


def test_the_gifter_says_that_it_shares_what_has_moved() -> None:
    it = Scene()
    share = it.g._codec.target(Kind.EXPORT, it.table)
    it.move()

    assert isinstance(it.g.call("captp:share", share), Refused)
    it.gets(it.r)
    assert it.sheet._entry.sole


def test_a_thief_says_that_it_shares_what_is_somebody_elses() -> None:
    it = Scene()
    theirs = it.t._codec.target(Kind.EXPORT, it.desks[it.t])

    assert isinstance(it.t.call("captp:share", theirs), Refused)
    assert it.sheet._entry.sole


def test_it_moves_and_its_gifter_dies() -> None:
    it = Scene()
    give = it.g.give(GIFT, it.r)
    it.move()
    it.g.die()
    result = it.r.withdraw(it.r.receive(give))

    assert isinstance(result, Kept)
    assert result.value.kind is Kind.IMPORT_SOLE
    assert it.owners() == [it.r]
    assert it.e.peer.exporter.dump() == []


def test_a_gift_that_is_too_old_is_nobodys() -> None:
    it = Scene(gift_keep_s=5.0)
    it.move()
    it.e.wait(6.0)

    assert it.withdraw(it.r) is None
    assert it.owners() == []
    it.lost()


def test_gifts_beyond_the_limit_are_nobodys() -> None:
    it = Scene(gifts=2)
    for gift_id in (b"1", b"2"):
        assert it.g.deposit(gift_id) == Kept(None)
    refused = it.g.deposit(GIFT, it.back())

    assert isinstance(refused, Refused)
    assert refused.text.startswith("2 gifts")
    assert it.owners() == []
    it.lost()
    assert it.e.peer.exporter.dump() == ["live 2 gifts, 0 awaited"]


@pytest.mark.parametrize("is_awaited", [False, True])
def test_one_who_cannot_own_does_not_get_it(is_awaited: bool) -> None:
    it = Scene(others="r")
    if is_awaited:
        (at,) = it.r.withdraws(it.r.receive(it.g.give(GIFT, it.r)))
        it.move()
        it.r.hear()
        told: Any = it.r.results[at]
    else:
        it.move()
        told = it.withdraw(it.r)

    assert isinstance(told, Refused)
    assert "does not know the extension own1" in told.text
    assert it.owners() == []
    it.lost()


def test_its_count_is_released_as_any_other() -> None:
    it = Scene()
    it.move()
    at = it.gets(it.r)
    for one, position in ((it.g, it.table), (it.r, at)):
        before = len(it.e.peer.router.links[one.conn].session.tables.exports)
        one.raw(one._codec.frame([one._codec.encode((GC_EXPORTS, (position,), (1,)))]))
        assert len(it.e.peer.router.links[one.conn].session.tables.exports) == before - 1
    assert it.e.ended == []
    assert not isinstance(it.g.call("fetch", DESK), Fault)


class Busy(captp.Object):
    @captp.method
    async def hold(self, what: Any) -> Any:
        return await what

    @captp.method
    def take(self, what: Any, data: bytes) -> None: ...


def test_large_calls_that_bring_what_moves_weigh_until_they_have_run() -> None:
    it = Scene(in_flight_bytes=100_000)
    it.e.peer.mint(Busy(), "sim", swiss=b"busy")
    busy = it.g.call("fetch", b"busy")
    assert isinstance(busy, Kept)
    it.g.call("hold", it.g.mine(50, Kind.IMPORT_PROMISE), to=busy.value.position)
    link = it.e.peer.router.links[it.g.conn]
    forged, data = Desc(Kind.CERTIFICATE_SOLE, b"forged"), bytes(30_000)

    # They wait for the object in the middle of its call, and nobody for their results.
    for _ in range(8):
        said = it.g._codec.encode((CALL, busy.value.position, "take", (forged, data), False, False))
        it.g.raw(it.g._codec.frame([said]))

    assert 100_000 < link.burden.lighten() < 150_000
