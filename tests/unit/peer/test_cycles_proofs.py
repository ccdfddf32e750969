"""What proves to a collector that something is garbage, who may say so, and who may take that back."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from captp.limits import Limits
from captp.peer.cycles import statements
from captp.peer.cycles.statements import Ledger, Proof, claim, standing
from captp.peer.cycles.words import (
    KEY,
    SIGNATURE,
    TRACE,
    Commit,
    Confirm,
    Confirmed,
    End,
    Query,
    Reply,
    Withdraw,
)
from captp.wire.syrup import encode
from tests.unit.peer.liars import Liar, name, signing, token
from tests.unit.peer.test_cycles_limits import junk, quiet, reasons
from tests.unit.peer.test_cycles_refusals import DIGEST, two_who_hold_one_cell


class Proved:
    """Two liars have a proof that a cell of their victim's, which both hold, is garbage."""

    def __init__(self, **settings: Any) -> None:
        self.one, self.other = two_who_hold_one_cell(**settings)
        self.one.query(name(0))
        both = (self.one, self.other)
        self.claims = tuple(self._claim(liar) for liar in both)
        self.digest = statements.digest(self.claims)
        self.other.say(Reply(name(0), self.other.said(Query)[0].number, self.claims[1:], (), ""))
        self.one.say(Confirm(name(0), self.digest))
        self.stand = tuple(standing(o.signing, o.key, name(0), self.digest, []) for o in both)
        assert self.one.machine.frozen

    @staticmethod
    def _claim(liar: Liar) -> bytes:
        (word,) = liar.said(Query)
        return claim(liar.signing, liar.key, name(0), {at: () for _, at in word.edges})

    def commit(self, liar: Liar) -> int:
        """Return how many exports are cut."""
        liar.say(Commit(name(0), self.claims, self.stand))
        return int(self.one.machine.counts["cut"])


def test_a_proof_is_passed_on_to_all_other_holders_by_the_names_of_what_they_know() -> None:
    at = Proved()

    assert at.commit(at.one) == 1

    (word,) = at.other.said(Commit)
    assert word.claims == (at.claims[0], statements.short(at.claims[1]))
    assert not at.one.said(Commit)


@pytest.mark.parametrize(("who", "cut"), [("one", 1), ("other", 0)])
def test_who_has_taken_back_its_word_cuts_only_by_those_whose_exports_its_own_depend_on(
    who: str, cut: int
) -> None:
    at = Proved(linger=3.0)
    at.other.say(Withdraw(name(0)))
    assert at.one.said(Withdraw)

    assert at.commit(getattr(at, who)) == cut


def test_only_a_holder_of_what_was_asked_about_takes_back_its_word() -> None:
    at = Proved()
    third = Liar(at.one.net, at.one.victim)

    third.say(Withdraw(name(0)))

    assert not at.one.said(Withdraw)
    assert at.commit(at.one) == 1


def test_what_no_proof_was_for_goes_on_soon_after_the_rest_was_cut() -> None:
    liar = quiet(hold=60.0, linger=1.0)
    liar.tie(2)
    liar.machine.start(liar.victim.peer.cycles.candidates(), liar.net.now)
    liar.net.wait(0.25)
    (word,) = liar.said(Query)
    (_, one), (_, other) = word.edges
    claims = (claim(liar.signing, liar.key, word.trace, {one: (), other: ()}),)
    liar.say(Reply(word.trace, word.number, claims, (), ""))
    (asked,) = liar.said(Confirm)
    stand = standing(liar.signing, liar.key, word.trace, asked.digest, [other])

    liar.say(Confirmed(word.trace, asked.digest, (stand,)))

    assert (liar.machine.counts["cut"], len(liar.machine.frozen)) == (1, 1)
    liar.net.wait(1.3)
    assert not liar.machine.frozen


def test_short_times_for_which_an_export_stands_still_add_up() -> None:
    liar = quiet(hold=4.0, linger=1.0, thaw=40.0)
    liar.tie()
    stood = []
    for _ in range(3):
        key, trace = begun(liar)
        liar.say(Confirm(trace, DIGEST))
        stood.append(len(liar.machine.frozen))
        liar.net.wait(0.5)
        liar.end(key, trace)
        liar.net.wait(1.5)

    # Each time it owes more than fifteen seconds, and may owe twenty.
    assert stood == [1, 1, 0]


# Ends.


def test_so_many_ends_of_traces_that_nobody_knows_are_looked_at() -> None:
    liar = quiet(queries_burst=3.0, queries_per_s=0.001)

    for number in range(5):
        liar.say(End(name(number), bytes(KEY), bytes(SIGNATURE)))

    assert liar.machine.counts["forged"] == 3


def begun(one: Liar) -> tuple[bytes, bytes]:
    """Have a liar begin a trace that it can end; return its key and its name."""
    key = one.signing.make()
    trace = sha256(key).digest()[:TRACE]
    one.query(trace)
    return key, trace


def test_a_question_that_the_end_of_its_trace_overtook_begins_nothing() -> None:
    liar = quiet()
    liar.tie()
    key = liar.signing.make()
    trace = sha256(key).digest()[:TRACE]
    liar.end(key, trace)

    liar.query(trace)

    assert reasons(liar) == ["over"]


@pytest.mark.parametrize("is_over", [False, True], ids=["open", "over"])
def test_an_end_is_passed_on_once_however_often_it_comes_and_whenever(is_over: bool) -> None:
    one, other = two_who_hold_one_cell(deadline=2.0, hold=2.0)
    key, trace = begun(one)
    assert other.said(Query)
    if is_over:
        one.net.wait(5)
        assert not one.machine.traces

    for _ in range(3):
        one.end(key, trace)

    assert len(other.said(End)) == 1
    assert not one.said(End)
    assert not one.machine.traces


# Statements.


def test_a_trace_remembers_a_statement_by_all_of_it() -> None:
    ledger = Ledger(name(1), signing(), Limits())
    ledger.known[statements.short(junk(1))] = junk(2)

    assert not ledger.has(junk(1))


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_claims_of_one_edge_whatever_either_names_leads_to_it(is_first: bool) -> None:
    keys = signing()
    key = keys.make()
    here, there = (key, token(1)), (key, token(2))
    blobs = [claim(keys, key, name(1), {token(1): by}) for by in ((there,), ())]
    proof = Proof(Ledger(name(1), keys, Limits()), blobs if is_first else blobs[::-1])

    assert not proof.holds([here])


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_who_say_what_stands_whatever_either_takes_back_does_not(is_first: bool) -> None:
    keys = signing()
    key = keys.make()
    claims = [claim(keys, key, name(1), {token(1): ()})]
    ledger = Ledger(name(1), keys, Limits())
    stand = [standing(keys, key, name(1), DIGEST, changed) for changed in ([token(1)], [])]
    proof = Proof(ledger, claims)

    proof.confirmed(ledger, DIGEST, stand if is_first else stand[::-1])

    assert not proof.holds([(key, token(1))])


@pytest.mark.parametrize(("digest", "holds"), [(DIGEST, True), (bytes(32), False)])
def test_what_was_said_of_another_digest_counts_for_nothing(digest: bytes, holds: bool) -> None:
    keys = signing()
    key = keys.make()
    ledger = Ledger(name(1), keys, Limits())
    proof = Proof(ledger, [claim(keys, key, name(1), {token(1): ()})])

    proof.confirmed(ledger, DIGEST, [standing(keys, key, name(1), digest, [])])

    assert proof.holds([(key, token(1))]) is holds


@pytest.mark.parametrize(
    ("named", "by"), [(((-1, token(2)),), (0,)), (((0, token(2)),), (-1,))], ids=["signer", "edge"]
)
def test_a_number_below_nothing_names_nothing(named: Any, by: Any) -> None:
    keys = signing()
    key = keys.make()
    body = encode((statements.CLAIM, name(1), (key,), named, ((token(1), by),)))

    read = Ledger(name(1), keys, Limits()).read(key + keys.sign(key, body) + body)

    assert read is None or not any(read.leading.values())  # type: ignore[union-attr]
