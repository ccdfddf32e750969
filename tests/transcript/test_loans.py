"""What is lent and given away, to the line: a loan is never released, and its position comes again."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from tests.transcript.conversation import Conversation, value
from tests.unit.peer.owners import Clerk, Desk, Sheet, Table


def talk_to_a_clerk() -> tuple[Conversation, Any]:
    talk = Conversation(Clerk())
    desk = talk.fetch(Desk)
    talk.new_lines()
    return talk, desk


def test_a_loan_is_named_by_a_position_that_nobody_releases() -> None:
    talk, desk = talk_to_a_clerk()
    table = talk.a.peer.vat.reference(Sheet(), Table)

    for _ in range(2):
        number = desk.read(table)
        talk.a.want(number)
        talk.settle()
        assert value(number) == 7
    lines = [line for line in talk.new_lines() if "gc-answers" not in line]
    assert lines == [
        "A>B op:call e1.read(lent e1) q1 wanted",
        "B>A op:call e1.put(1) q1 wanted",
        "B>A op:resolve q1 = 7",
        "A>B op:resolve q1 = 1",
        "A>B op:call e1.read(lent e1) q2 wanted",
        "B>A op:call e1.put(1) q1 wanted",
        "B>A op:resolve q2 = 7",
        "A>B op:resolve q1 = 2",
    ]
    del number, desk, table
    talk.ends_empty()


@pytest.mark.parametrize("hundreds", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_thousands_of_loans_leave_no_entry_and_no_release_of_an_export(hundreds: int) -> None:
    talk, desk = talk_to_a_clerk()
    table = talk.a.peer.vat.reference(Sheet(), Table)
    before = talk.a.peer.router.links[talk.a.conn].session.tables.dump()["exports"]

    for _ in range(hundreds):
        numbers = [desk.read(table) for _ in range(100)]
        for number in numbers:
            talk.a.want(number)
        talk.settle()
        assert {value(number) for number in numbers} == {7}
    assert not [line for line in talk.new_lines() if "gc-exports" in line]

    assert talk.a.peer.router.links[talk.a.conn].session.tables.dump()["exports"] == before
    del number, numbers, desk, table
    talk.ends_empty()


def test_a_call_with_a_loan_releases_what_a_call_without_arguments_does_and_nothing_else() -> None:
    talk, desk = talk_to_a_clerk()
    table = talk.a.peer.vat.reference(Sheet(), Table)
    talk.a.want(desk.keep(table))
    talk.settle()
    talk.beat()
    said: list[set[tuple[str, str]]] = []
    # Either way the clerk calls the table once.
    for call in (desk.use_kept, lambda: desk.read(table)):
        talk.new_lines()
        for _ in range(100):
            number = call()
            talk.a.want(number)
            talk.settle()
            assert type(value(number)) is int
        del number
        talk.beat()
        # Who releases what: how many answers that takes depends on what else a batch names.
        words = [line.split() for line in talk.new_lines() if " op:gc-" in line]
        said.append({(who, op) for who, op, *_ in words})

    assert said[1] == said[0] == {("A>B", "op:gc-answers"), ("B>A", "op:gc-answers")}


def test_what_is_given_away_is_marked_and_comes_back_marked() -> None:
    talk, desk = talk_to_a_clerk()
    made = talk.a.peer.vat.owning.owned(Sheet(), Table)
    back = desk.give_back(made)
    talk.a.want(back)
    talk.settle()

    lines = [line for line in talk.new_lines() if "gc-answers" not in line]
    assert lines[0] == "A>B op:call e1.give_back(sole e1) q1 wanted"
    assert lines[-1] == "B>A op:resolve q1 = your sole e1"
    assert isinstance(value(back), captp.Reference)
    del made, back, desk
    talk.ends_empty()


def test_who_shares_says_so_to_the_bootstrap_before_it_passes_it_on() -> None:
    talk, desk = talk_to_a_clerk()
    made = desk.make()
    talk.a.want(made)
    talk.settle()
    table = value(made)
    del made
    talk.new_lines()
    kept = desk.keep(captp.share(table))
    talk.a.want(kept)
    talk.settle()

    lines = [line for line in talk.new_lines() if "gc-" not in line]
    assert lines[0] == "A>B op:deliver e0.captp:share(your e2)"
    assert value(kept) is None
    del table, kept, desk
