"""How much of the exporter's memory others may take: gifts, withdrawals that wait, and counts."""

from __future__ import annotations

import pytest

from captp.errors import HandoffFailed, Overloaded
from captp.model.promise import FULFILLED
from captp.peer.handoff.exporter import ABSENT
from tests.unit.handoff.exporter_box import three, told


def test_as_many_gifts_wait_as_the_limit_says_and_not_one_more() -> None:
    it, gifter, receiver = three(gifts=3)
    for number in range(3):
        it.deposit(gifter, b"%d" % number, it.present())

    with pytest.raises(Overloaded, match=r"^3 gifts"):
        it.deposit(gifter, b"3", it.present())

    it.withdraw(receiver, gifter, b"1")
    it.deposit(gifter, b"3", it.present())


def test_a_full_table_of_one_gifter_is_not_anothers() -> None:
    it, gifter, other = three(gifts=1)
    it.deposit(gifter, b"1", it.present())

    it.deposit(other, b"1", it.present())


def test_a_gift_that_is_awaited_is_taken_when_the_table_is_full() -> None:
    it, gifter, receiver = three(gifts=1)
    promise = it.waits(receiver, gifter, b"2")
    it.deposit(gifter, b"1", it.present())

    assert [p for p, _, _ in told(it.deposit(gifter, b"2", it.present()))] == [promise]


def test_as_many_withdrawals_wait_as_the_limit_says_and_not_one_more() -> None:
    it, gifter, receiver = three(waiting_withdrawals=3)
    for number in range(3):
        it.waits(receiver, gifter, b"%d" % number)

    with pytest.raises(Overloaded, match=r"^3 withdrawals"):
        it.withdraw(receiver, gifter, b"3", it.promise())

    it.deposit(gifter, b"1", it.present())
    it.waits(receiver, gifter, b"3")


def test_one_that_waits_a_lot_keeps_nobody_else_from_waiting() -> None:
    it, gifter, receiver = three(waiting_withdrawals=1)
    other = it.visitor()
    it.waits(receiver, gifter, b"1")

    it.waits(other, gifter, b"2")


@pytest.mark.parametrize("ending", ["expiry", "end of the gifter"])
def test_withdrawals_that_ended_make_room_for_others(ending: str) -> None:
    it, gifter, receiver = three(waiting_withdrawals=1, gift_wait_s=5.0)
    it.waits(receiver, gifter, b"1")

    if ending == "expiry":
        it.expire(5.0)
    else:
        it.end(gifter)

    it.waits(receiver, it.visitor(), b"1")


@pytest.mark.parametrize("left", [3, 4])
def test_ended_sessions_leave_as_many_gifts_as_one_live_session_may_have(left: int) -> None:
    it, receiver, _ = three(gifts=3)
    gifters, gifts = [it.visitor() for _ in range(left)], [it.present() for _ in range(left)]
    for gifter, gift in zip(gifters, gifts, strict=True):
        it.deposit(gifter, b"1", gift)

    for gifter in gifters:
        it.end(gifter)

    assert it.kept() == gifts[-3:]
    for gifter, gift in list(zip(gifters, gifts, strict=True))[-3:]:
        assert it.withdraw(receiver, gifter, b"1") is gift
    assert it.exporter.dump() == []


def test_of_one_ended_session_the_oldest_gifts_go_first() -> None:
    it, gifter, receiver = three(gifts=3)
    gifts = [it.present() for _ in range(3)]
    for number, gift in enumerate(gifts):
        it.deposit(gifter, b"%d" % number, gift)
    it.deposit(receiver, b"1", it.present())

    it.end(gifter)
    it.end(receiver)

    assert len(it.kept()) == 3
    assert it.kept()[:2] == gifts[1:]


def test_live_gifts_do_not_count_among_those_left_behind() -> None:
    it, gifter, receiver = three(gifts=1)
    gift = it.present()
    it.deposit(gifter, b"1", gift)
    it.deposit(receiver, b"1", it.present())

    it.end(receiver)

    assert len(it.kept()) == 2
    assert it.withdraw(it.visitor(), gifter, b"1") is gift


# Counts.


def test_a_count_is_used_up_by_a_withdrawal_that_waits() -> None:
    it, gifter, receiver = three()
    envelope = receiver.receive(gifter.give(b"1", receiver))
    promise = it.promise()
    assert it.hand_in(receiver, envelope, promise) is ABSENT

    with pytest.raises(HandoffFailed, match=r"^handoff-count"):
        it.hand_in(receiver, envelope, it.promise())

    gift = it.present()
    assert told(it.deposit(gifter, b"1", gift)) == [(promise, FULFILLED, gift)]


def test_a_count_is_not_used_up_by_a_receive_that_is_wrong() -> None:
    it, gifter, receiver = three()
    it.deposit(gifter, b"1", it.present())
    stranger = it.visitor()
    it.end(stranger)
    with pytest.raises(HandoffFailed, match="names no session"):
        it.withdraw(receiver, stranger, b"1", count=0)

    assert it.withdraw(receiver, gifter, b"1", count=0) is not ABSENT


def test_counts_belong_to_one_receivers_session() -> None:
    it, gifter, receiver = three()
    other = it.visitor()
    for number, visitor in enumerate((receiver, other)):
        it.deposit(gifter, b"%d" % number, it.present())

        assert it.withdraw(visitor, gifter, b"%d" % number, count=0) is not ABSENT


def test_so_many_counts_may_be_left_out_and_not_one_more() -> None:
    it, gifter, receiver = three(handoff_window=2)
    gift = it.present()
    it.deposit(gifter, b"1", gift)
    for ahead in (5, 9):
        assert it.withdraw(receiver, gifter, b"%d" % ahead, it.promise(), count=ahead) is ABSENT

    with pytest.raises(HandoffFailed, match=r"^handoff-count: too many"):
        it.withdraw(receiver, gifter, b"1", count=7)

    assert it.withdraw(receiver, gifter, b"1", count=0) is gift
