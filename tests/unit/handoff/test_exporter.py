"""Gifts and withdrawals that come together in any order, and what time and the end of sessions do."""

from __future__ import annotations

from typing import Any

import pytest

from captp.errors import BadArguments, HandoffFailed
from captp.model.promise import BROKEN, FULFILLED
from captp.model.ref import Far, Ref, view
from captp.peer.handoff.certificates import GIFT_ID_BYTES, parse_give
from captp.peer.handoff.exporter import ABSENT
from tests.unit.handoff.exporter_box import Present, three, told
from tests.unit.peer.pair import outcome


def test_what_is_deposited_first_is_given_at_once() -> None:
    it, gifter, receiver = three()
    gift = it.present()

    assert it.deposit(gifter, b"1", gift) == []

    assert it.withdraw(receiver, gifter, b"1", it.promise()) is gift
    assert it.kept() == []


def test_what_is_withdrawn_first_comes_with_the_deposit() -> None:
    it, gifter, receiver = three()
    gift = it.present()
    promise = it.waits(receiver, gifter, b"1")

    assert told(it.deposit(gifter, b"1", gift)) == [(promise, FULFILLED, gift)]

    assert it.kept() == []
    assert it.exporter.dump() == []


def test_a_withdrawal_that_wants_no_answer_takes_the_gift_all_the_same() -> None:
    it, gifter, receiver = three()
    assert it.withdraw(receiver, gifter, b"1") is ABSENT

    assert it.deposit(gifter, b"1", it.present()) == []

    assert it.kept() == []


def test_a_gift_is_given_once() -> None:
    it, gifter, receiver = three()
    it.deposit(gifter, b"1", it.present())
    it.withdraw(receiver, gifter, b"1", it.promise())

    # It waits for another gift of that id, as for one that was never there.
    assert it.withdraw(receiver, gifter, b"1", it.promise()) is ABSENT


def test_an_id_may_be_used_again_once_its_gift_is_gone() -> None:
    it, gifter, receiver = three()
    for gift in (it.present(), it.present()):
        it.deposit(gifter, b"1", gift)
        assert it.withdraw(receiver, gifter, b"1") is gift


def test_a_second_deposit_of_one_id_is_refused_and_the_first_stays() -> None:
    it, gifter, receiver = three()
    gift = it.present()
    it.deposit(gifter, b"1", gift)

    with pytest.raises(HandoffFailed, match=r"^gift-exists"):
        it.deposit(gifter, b"1", it.present())

    assert it.withdraw(receiver, gifter, b"1") is gift


def test_a_gift_that_is_awaited_cannot_be_awaited_twice() -> None:
    it, gifter, receiver = three()
    other = it.visitor()
    promise = it.waits(receiver, gifter, b"1")

    with pytest.raises(HandoffFailed, match=r"^handoff: there is no such gift, or it is spoken for"):
        it.withdraw(other, gifter, b"1", it.promise())

    gift = it.present()
    assert told(it.deposit(gifter, b"1", gift)) == [(promise, FULFILLED, gift)]


def test_two_gifters_may_use_one_id() -> None:
    it, gifter, receiver = three()
    other = it.visitor()
    gift, others = it.present(), it.present()
    it.deposit(gifter, b"1", gift)
    it.deposit(other, b"1", others)

    assert it.withdraw(receiver, other, b"1") is others
    assert it.withdraw(receiver, gifter, b"1") is gift


@pytest.mark.parametrize("gift_id", [b"", b"i" * (GIFT_ID_BYTES + 1), "1", 1, None, True])
def test_a_gift_id_is_a_few_bytes(gift_id: Any) -> None:
    it, gifter, _ = three()

    with pytest.raises(BadArguments, match=r"^bad-args"):
        it.deposit(gifter, gift_id, it.present())


@pytest.mark.parametrize("gift", [None, 7, "text", b"bytes", (), {}])
def test_data_is_no_gift(gift: Any) -> None:
    it, gifter, _ = three()

    with pytest.raises(BadArguments, match=r"^bad-gift"):
        it.deposit(gifter, b"1", gift)


def test_what_is_the_gifters_own_is_no_gift_and_what_is_a_third_ones_is() -> None:
    it, gifter, receiver = three()
    own, other = (view(it.vat, Far(visitor.session, 1), Ref) for visitor in (gifter, receiver))

    with pytest.raises(BadArguments, match=r"^bad-gift"):
        it.deposit(gifter, b"1", own)
    it.deposit(gifter, b"1", other)

    assert it.kept() == [other]


def test_a_promise_is_a_gift() -> None:
    it, gifter, receiver = three()
    promise = it.promise()
    it.deposit(gifter, b"1", promise)

    assert it.withdraw(receiver, gifter, b"1") is promise


UNIQUE = "handoff: what was to be given is unique, and its owner has not shared it"


def unique(it: Any, gifter: Any) -> Any:
    """Give something away to the gifter; return what it reaches there, and names to us."""
    tables = gifter.session.tables
    desc = tables.describe(it.vat.owning.owned(Present()))
    tables.commit()
    return tables.exports[desc.position].target


def moved(it: Any) -> Any:
    """Return something that its owner has given up."""
    return it.vat.owning.owned(Present())


@pytest.mark.parametrize("is_awaited", [False, True])
def test_who_withdraws_what_is_unique_is_told_so(is_awaited: bool) -> None:
    it, _, receiver = three()
    gifter = it.visitor("own1")
    promise = it.promise()
    if is_awaited:
        assert it.withdraw(receiver, gifter, b"1", promise) is ABSENT
    settled = it.deposit(gifter, b"1", unique(it, gifter))

    if is_awaited:
        (settlement,) = settled
        assert settlement.promise is promise
        told_of = settlement.value
    else:
        assert settled == []
        told_of = it.withdraw(receiver, gifter, b"1", promise)
    with pytest.raises(HandoffFailed, match=UNIQUE):
        outcome(told_of)
    assert it.kept() == []


def test_what_was_given_to_one_who_knows_no_owners_is_a_gift() -> None:
    it, gifter, receiver = three()
    gift = unique(it, gifter)
    it.deposit(gifter, b"1", gift)

    assert it.withdraw(receiver, gifter, b"1", it.promise()) is gift


def test_what_is_anothers_own_is_no_gift() -> None:
    it, _, _ = three()
    gifter, owner = it.visitor("own1"), it.visitor("own1")

    with pytest.raises(BadArguments, match=r"^bad-gift: what was lent"):
        it.deposit(gifter, b"1", unique(it, owner))


@pytest.mark.parametrize("is_awaited", [False, True])
def test_what_its_owner_gives_up_goes_to_one_who_can_own_and_to_no_other(is_awaited: bool) -> None:
    it, _, other = three()
    gifter, receiver = it.visitor("own1"), it.visitor("own1")
    for one, gift_id in ((other, b"1"), (receiver, b"2")):
        gift, promise = moved(it), it.promise()
        if is_awaited:
            assert it.withdraw(one, gifter, gift_id, promise) is ABSENT
            (settlement,) = it.deposit(gifter, gift_id, gift)
            state, value = settlement.state, settlement.value
        else:
            assert it.deposit(gifter, gift_id, gift) == []
            try:
                state, value = FULFILLED, it.withdraw(one, gifter, gift_id, promise)
            except HandoffFailed as problem:
                state, value = BROKEN, problem
        assert (state, value is gift) == ((FULFILLED, True) if one is receiver else (BROKEN, False))
    assert len(it.kept()) == (not is_awaited)


def test_the_vat_itself_takes_what_was_given_to_it() -> None:
    it, gifter, receiver = three()
    gift = it.present()
    it.deposit(gifter, b"1", gift)
    give = parse_give(gifter.give(b"1", receiver))

    assert it.exporter.take(receiver.session, give, it.promise(), it.now) is gift
    it.exporter.check()


def test_the_vat_itself_waits_for_what_was_given_to_it() -> None:
    it, gifter, receiver = three()
    give, promise, gift = parse_give(gifter.give(b"1", receiver)), it.promise(), it.present()

    assert it.exporter.take(receiver.session, give, promise, it.now) is ABSENT
    it.exporter.check()
    with pytest.raises(HandoffFailed, match=r"^handoff: there is no such gift, or it is spoken for"):
        it.exporter.take(receiver.session, give, it.promise(), it.now)
    (settlement,) = it.deposit(gifter, b"1", gift)
    assert (settlement.promise, settlement.value) == (promise, gift)


# Time.


def test_a_gift_is_kept_until_its_time_is_over_and_not_longer() -> None:
    it, gifter, receiver = three(gift_keep_s=10.0)
    gift, later = it.present(), it.present()
    it.deposit(gifter, b"1", gift)
    it.now = 0.5
    it.deposit(gifter, b"2", later)

    assert it.expire(9.999) == []
    assert it.kept() == [gift, later]
    assert it.expire(10.0) == []

    assert it.kept() == [later]
    assert it.withdraw(receiver, gifter, b"1", it.promise()) is ABSENT
    assert it.withdraw(receiver, gifter, b"2") is later


def test_a_withdrawal_waits_until_its_time_is_over_and_not_longer() -> None:
    it, gifter, receiver = three(gift_wait_s=10.0)
    promise = it.waits(receiver, gifter, b"1")
    it.now = 0.5
    later = it.waits(receiver, gifter, b"2")

    assert it.expire(9.999) == []
    assert told(it.expire(10.0)) == [(promise, BROKEN, "handoff: nobody has deposited this gift in time")]

    gift = it.present()
    assert it.deposit(gifter, b"1", gift) == []
    assert told(it.deposit(gifter, b"2", gift)) == [(later, FULFILLED, gift)]


def test_gifts_and_withdrawals_end_together_when_their_times_do() -> None:
    it, gifter, receiver = three(gift_keep_s=5.0, gift_wait_s=5.0)
    it.deposit(gifter, b"1", it.present())
    promise = it.waits(receiver, gifter, b"2")
    assert it.withdraw(receiver, gifter, b"3") is ABSENT

    assert [p for p, _, _ in told(it.expire(5.0))] == [promise]

    assert it.kept() == []
    assert it.exporter.dump() == []


def test_an_ended_session_is_forgotten_with_its_last_gift() -> None:
    it, gifter, receiver = three(gift_keep_s=10.0)
    give = gifter.give(b"1", receiver)
    it.deposit(gifter, b"1", it.present())
    it.end(gifter)

    it.expire(10.0)

    assert it.exporter.dump() == []
    with pytest.raises(HandoffFailed, match=r"^handoff: the give names no session of this vat"):
        it.hand_in(receiver, receiver.receive(give))


# Ends of sessions.


def test_a_gift_outlives_the_session_it_was_deposited_in() -> None:
    it, gifter, receiver = three()
    gift = it.present()
    it.deposit(gifter, b"1", gift)

    assert it.end(gifter) == []

    assert it.exporter.dump() == ["ended 1 gifts, 0 awaited"]
    assert it.withdraw(receiver, gifter, b"1") is gift
    assert it.exporter.dump() == []


def test_a_withdrawal_breaks_when_its_gifter_goes() -> None:
    it, gifter, receiver = three()
    promise = it.waits(receiver, gifter, b"1")
    assert it.withdraw(receiver, gifter, b"2") is ABSENT

    broken = told(it.end(gifter))

    assert broken == [(promise, BROKEN, "handoff: the gifter has left without depositing this gift")]


def test_nobody_waits_for_a_gift_of_one_who_has_left() -> None:
    it, gifter, receiver = three()
    it.deposit(gifter, b"1", it.present())
    it.end(gifter)

    with pytest.raises(HandoffFailed, match=r"^handoff: there is no such gift"):
        it.withdraw(receiver, gifter, b"2", it.promise())

    assert it.withdraw(receiver, gifter, b"1") is not ABSENT


def test_a_session_that_leaves_nothing_is_forgotten() -> None:
    it, gifter, receiver = three()
    it.end(gifter)

    with pytest.raises(HandoffFailed, match=r"^handoff: the give names no session of this vat"):
        it.withdraw(receiver, gifter, b"1", it.promise())


def test_what_a_receiver_waited_for_is_free_again_when_it_has_gone() -> None:
    it, gifter, receiver = three()
    it.waits(receiver, gifter, b"1")

    assert it.end(receiver) == []

    other, gift = it.visitor(), it.present()
    promise = it.waits(other, gifter, b"1")
    assert told(it.deposit(gifter, b"1", gift)) == [(promise, FULFILLED, gift)]


def test_one_that_waits_for_its_own_gift_goes_like_any_other() -> None:
    it, gifter, _ = three()
    promise = it.waits(gifter, gifter, b"1")

    assert [p for p, _, _ in told(it.end(gifter))] == [promise]


def test_an_unknown_session_ends_without_a_trace() -> None:
    it, gifter, _ = three()
    it.end(gifter)

    assert it.end(gifter) == []


def test_a_receiver_that_was_a_gifter_too_goes_while_it_waits() -> None:
    it, gifter, receiver = three()
    gift = it.present()
    it.deposit(receiver, b"mine", gift)
    it.waits(receiver, gifter, b"1")

    it.end(receiver)

    assert it.withdraw(gifter, receiver, b"mine") is gift
