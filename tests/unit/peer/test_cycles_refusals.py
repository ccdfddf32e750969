"""What of a peer's word a collector does not take, and what it grants no more than it has said."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.peer.cycles import statements
from captp.peer.cycles.statements import claim
from captp.peer.cycles.words import (
    SEED,
    Commit,
    Confirm,
    Confirmed,
    End,
    Query,
    Reply,
    Withdraw,
    runs,
)
from tests.unit.peer.liars import KNOWN_S, Liar, name
from tests.unit.peer.test_cycles import Cell, ask
from tests.unit.peer.test_cycles_limits import asked, junk, quiet, reasons

#: The digest by which ``freeze`` has a victim stand still.
DIGEST = statements.digest(())


def only(liar: Liar, number: int) -> tuple[int, ...]:
    """Return how a question has one of a liar's own cells."""
    return runs([liar.position(number)])


def two_who_hold_one_cell(**settings: Any) -> tuple[Liar, Liar]:
    """Return liars who hold the same cell of their victim's, which holds one of the first's."""
    one = quiet(**settings)
    one.tie()
    other = Liar(one.net, one.victim)
    cell = next(o for o in one.victim.vat.heap.objects() if type(o) is Cell and o.held)
    sturdyref = one.victim.mint(cell, uses=1)
    del cell
    other.cells.append(other.fetch(sturdyref))
    one.net.wait(2 * KNOWN_S)
    return one, other


def one_cell_that_holds_two(**settings: Any) -> Liar:
    """Return a liar that holds one cell of its victim's, which holds two of its own."""
    liar = quiet(**settings)
    liar.tie()
    liar.mine.append(Cell())
    ask(liar.net, captp.E(liar.cells[0]).hold(liar.mine[1]))
    liar.net.wait(2 * KNOWN_S)
    return liar


# Questions.


def test_a_peer_that_grants_more_time_is_answered_within_ones_own_deadline() -> None:
    liar = quiet(deadline=2.0)
    liar.tie()

    liar.query(name(0), milliseconds=10**9)
    liar.net.wait(2.3)

    assert len(liar.said(Reply)) == 1


@pytest.mark.parametrize(("granted", "left"), [(9, 9), (10, 10), (10**9, 10)])
def test_a_budget_that_is_passed_on_is_no_more_than_ones_own(granted: int, left: int) -> None:
    liar = quiet(edges=10)
    liar.tie()

    liar.query(name(0), budget=granted)

    assert [word.budget for word in liar.said(Query)] == [left]


def test_a_budget_is_shared_among_those_who_are_asked() -> None:
    one, other = two_who_hold_one_cell()

    one.query(name(0), budget=11)

    assert [word.budget for liar in (one, other) for word in liar.said(Query)] == [5, 5]


def test_a_trace_asks_about_so_many_edges_however_many_questions_they_come_in() -> None:
    liar = quiet(edges=3)
    liar.tie(4)
    liar.query(name(0), cells=3)

    liar.query(name(0), 1, runs=only(liar, 3))

    assert reasons(liar) == ["live"]
    assert liar.machine.counts["capped"] == 1


def test_what_was_asked_about_already_costs_nothing() -> None:
    liar = one_cell_that_holds_two(edges=1)
    liar.query(name(0))

    liar.query(name(0), 1, runs=only(liar, 1))

    assert liar.machine.counts["capped"] == 0
    assert "live" not in reasons(liar)


def test_a_question_that_was_too_large_leaves_nothing_claimed() -> None:
    liar = quiet(edges=3)
    liar.tie(4)
    liar.query(name(0))

    liar.query(name(0), 1, cells=4)
    assert reasons(liar) == ["live"]
    liar.query(name(0), 2, cells=3)

    assert [word.count for word in liar.said(Query)] == [1, 2]


def test_a_question_about_what_was_just_used_leaves_nothing_behind() -> None:
    liar = quiet()
    liar.tie()
    ask(liar.net, captp.E(liar.cells[0]).count())

    liar.query(name(0))

    assert reasons(liar) == ["live"]
    assert not liar.machine.traces


def test_a_question_after_the_digest_is_late() -> None:
    liar = quiet()
    liar.tie()
    liar.freeze()

    liar.query(name(0), 5)

    assert reasons(liar) == ["late"]


def test_a_claim_stands_for_the_edge_that_it_was_made_of_and_for_no_other_name_of_it() -> None:
    liar = quiet()
    liar.tie()
    liar.query(name(0))

    liar.query(name(0), 1, seed=bytes([9]) * SEED)

    assert reasons(liar) == ["live"]


def test_nothing_more_is_claimed_by_what_was_touched_since_it_was_asked_about() -> None:
    liar = one_cell_that_holds_two()
    liar.query(name(0))
    ask(liar.net, captp.E(liar.cells[0]).count())
    liar.net.wait(2 * KNOWN_S)
    link = liar.net.link(liar.victim, liar.host)
    assert liar.victim.peer.cycles.reaching(link, liar.position(1))

    liar.query(name(0), 1, runs=only(liar, 1))

    assert reasons(liar) == ["live"]


def test_every_question_names_its_edges_anew_for_each_who_is_asked() -> None:
    one, other = two_who_hold_one_cell()
    one.tie()

    for trace in range(2):
        for number in range(2):
            one.query(name(trace), number, runs=only(one, number))

    seeds = [word.seed for liar in (one, other) for word in liar.said(Query)]
    assert len(seeds) == len(set(seeds)) == 6


# Answers.


def test_what_has_come_already_is_not_charged_again() -> None:
    liar = quiet(bytes=8192)
    liar.tie(2)
    for number in range(2):
        liar.query(name(0), number, runs=only(liar, number))
    (trace,) = liar.machine.traces.values()
    most = (junk(1, 8192 - trace.ledger.size),)

    for word in liar.said(Query):
        liar.say(Reply(word.trace, word.number, most, (), ""))

    assert len(liar.said(Reply)) == 2
    assert liar.machine.counts["capped"] == 0


@pytest.mark.parametrize(
    ("reason", "lived"),
    [("quota", 0), ("traces", 0), ("late", 0), ("over", 0), ("live", 1), ("hops", 1), ("", 1)],
)
def test_who_had_no_time_to_look_has_not_said_that_it_is_in_use(reason: str, lived: int) -> None:
    liar, word = asked(own_traces=1)
    live = () if reason else tuple(at for _, at in word.edges)

    liar.say(Reply(word.trace, word.number, (), live, reason))

    (watched,) = liar.machine.schedule.watched.values()
    assert (watched.lived, watched.excused) == (lived, 1 - lived)


def test_what_was_claimed_is_asked_about_again_at_once_without_what_is_in_use() -> None:
    liar = quiet()
    liar.tie(2)
    liar.machine.start(liar.victim.peer.cycles.candidates(), liar.net.now)
    liar.net.wait(0.25)
    (word,) = liar.said(Query)
    (good, named), (_, bad) = word.edges
    claimed = claim(liar.signing, liar.key, word.trace, {named: ()})

    liar.say(Reply(word.trace, word.number, (claimed,), (bad,), ""))

    _, again = liar.said(Query)
    assert [at for at, _ in again.edges] == [good]
    assert again.trace != word.trace


def asked_twice_in_one_trace() -> tuple[Liar, Query, Query]:
    """Return a liar and what its victim has asked it in one trace: of a suspect, and of what followed."""
    liar = quiet()
    liar.tie(2)
    suspect = min(liar.victim.peer.cycles.candidates())
    liar.machine.start([suspect], liar.net.now)
    liar.net.wait(0.25)
    (word,) = liar.said(Query)
    liar.query(word.trace, 9, runs=only(liar, 1))
    first, second = liar.said(Query)
    return liar, first, second


def in_use(liar: Liar, word: Query) -> None:
    liar.say(Reply(word.trace, word.number, (), (), "live"))


def claimed(liar: Liar, word: Query) -> None:
    blob = claim(liar.signing, liar.key, word.trace, {at: () for _, at in word.edges})
    liar.say(Reply(word.trace, word.number, (blob,), (), ""))


def test_who_has_claimed_nothing_is_not_told_the_end() -> None:
    liar, word = asked(own_traces=1)

    in_use(liar, word)

    assert not liar.machine.traces
    assert not liar.said(End)


def test_who_has_claimed_something_is_told_the_end_whatever_it_said_of_the_rest() -> None:
    liar, first, second = asked_twice_in_one_trace()
    claimed(liar, second)

    in_use(liar, first)

    assert [word.trace for word in liar.said(End)] == [first.trace]


def test_who_has_still_to_answer_is_told_the_end() -> None:
    liar, first, _ = asked_twice_in_one_trace()

    in_use(liar, first)

    assert [word.trace for word in liar.said(End)] == [first.trace]


# Digests, and what is confirmed.


def test_only_who_has_asked_may_say_the_digest() -> None:
    one, other = two_who_hold_one_cell()
    one.query(name(0))
    assert other.said(Query)

    other.say(Confirm(name(0), DIGEST))

    assert not one.machine.frozen
    assert [word.statements for word in other.said(Confirmed)] == [()]


def test_who_has_taken_back_its_word_does_not_give_it_again() -> None:
    liar = quiet(hold=2.0, linger=3.0)
    liar.tie()
    liar.freeze()
    liar.net.wait(2.3)
    assert liar.said(Withdraw)
    assert liar.machine.frozen

    liar.say(Confirm(name(0), DIGEST))

    assert [word.statements for word in liar.said(Confirmed)] == [()]


def test_who_has_taken_back_its_word_does_not_pass_on_what_comes_late() -> None:
    liar = quiet(hold=2.0, linger=3.0)
    liar.tie()
    liar.freeze()
    (word,) = liar.said(Confirm)
    liar.net.wait(2.3)
    assert liar.said(Withdraw)

    liar.say(Confirmed(word.trace, word.digest, ()))

    assert not liar.said(Confirmed)


def test_an_answer_is_taken_from_whom_it_was_asked_of_and_once() -> None:
    liar = quiet()
    liar.tie()
    liar.freeze()
    (word,) = liar.said(Confirm)

    for _ in range(2):
        liar.say(Confirmed(word.trace, word.digest, ()))

    assert len(liar.said(Confirmed)) == 1


def test_so_many_proofs_are_looked_at() -> None:
    liar = quiet(queries_burst=3.5, queries_per_s=0.001)
    liar.tie()
    # The digest is one of the three.
    liar.freeze()
    for _ in range(2):
        liar.say(Commit(name(0), (junk(1),), ()))
    assert not liar.machine.counts["refused: quota"]

    liar.say(Commit(name(0), (junk(1),), ()))

    assert liar.machine.counts["refused: quota"] == 1
