"""What was signed or named once says nothing of another trace, session or question."""

from __future__ import annotations

from captp.limits import Limits
from captp.peer.cycles import statements
from captp.peer.cycles.words import SEED, Query, runs
from captp.sim.cycles.seals import Registry, Seals
from tests.sim.cycles.stage import A, B, Stage


def test_a_claim_stands_for_its_trace_its_session_and_its_incarnation_only() -> None:
    seals = Seals(Registry(), "somebody")
    one, other = seals.make(), seals.make()
    trace, token = b"a trace of sixte", b"twelve bytes"
    blob = statements.claim(seals, one, trace, {token: ()})
    here, elsewhere = (statements.Ledger(name, seals, Limits()) for name in (trace, bytes(16)))

    assert statements.Proof(here, [blob]).holds([(one, token)])
    assert not statements.Proof(elsewhere, [blob]).holds([(one, token)])
    assert not statements.Proof(here, [blob]).holds([(other, token)])
    assert elsewhere.forged == 1


def test_a_position_is_known_by_another_token_in_each_question() -> None:
    """Between two questions of one trace it may become another edge."""
    stage = Stage(2, lies=B)
    x, y, m = stage.new(A), stage.new(A), stage.new(B)
    for one in (x, y):
        stage.ref(B, one)
    stage.link(y, m)
    (holding,) = stage.puppet.vat.ground.holdings(m[1].key)
    trace = stage.start(A, x)
    stage.arrive(A, B)
    stage.puppet.tell(A, Query(trace, 1, 9, 1500, 99, bytes(SEED), runs([holding.position])))
    stage.arrive(B, A)
    stage.arrive(A, B)

    one, other = stage.puppet.heard_of(Query)
    assert one.trace == other.trace == trace
    assert one.seed != other.seed
