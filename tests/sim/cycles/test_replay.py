"""What was signed or named once says nothing of another trace, session or incarnation."""

from __future__ import annotations

from attrs import evolve

from captp.limits import Limits
from captp.peer.cycles import statements
from captp.peer.cycles.ground import Holding
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


def test_a_token_stands_for_one_incarnation_of_a_position() -> None:
    stage = Stage(2)
    collector = stage.vat(A).collector
    holding = Holding(stage.vat(A).side(B), 0, 1, 1, 1)
    trace = collector.enter(bytes(16), 1.0)

    assert collector.token(trace, holding) != collector.token(trace, evolve(holding, incarnation=2))
