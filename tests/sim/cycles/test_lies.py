"""What liars do, step by step: nothing that honest vats reach is lost; what liars hold alone goes whole."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from captp.peer.cycles import statements
from captp.peer.cycles.words import Commit, Confirm, Confirmed, End, Query, Reply, runs, token
from captp.sim.cycles import build, outbound, program, rest
from captp.sim.cycles.oracle import Violation
from captp.sim.cycles.values import Far
from tests.sim.cycles import planted
from tests.sim.cycles.stage import A, B, C, D, Stage

SEED = bytes(16)

Plant = Callable[[pytest.MonkeyPatch], None]


def lie_then_use(hand_over: bool) -> tuple[Stage, tuple[int, object]]:
    """D lies: it holds b at B, which leads to c at C and o at A; it denies that, and uses b then."""
    stage = Stage(4 + hand_over, lies=D)
    b, c, o = stage.new(B), stage.new(C), stage.new(A)
    stage.link(b, c)
    stage.link(c, o)
    held = stage.root(D, b)
    registry = stage.new(4, root=True) if hand_over else None
    known = stage.ref(D, registry) if registry else None
    for index in (A, B, C):
        rest.sweep(stage.world, stage.vat(index))
    trace = stage.start(A, o)
    stage.until(Query, D)
    stage.arrive(B, D)
    (query,) = stage.puppet.heard_of(Query)
    claim = stage.puppet.claim(B, trace, [at for _, at in query.edges])
    stage.puppet.tell(B, Reply(trace, query.number, (claim,), (), ""))
    stage.flow()
    (confirm,) = stage.puppet.heard_of(Confirm)
    if hand_over:
        stage.send(D, known, held)
    else:
        stage.send(D, held)
    stage.arrive(D, B)
    standing = stage.puppet.stand(B, trace, confirm.digest)
    stage.puppet.tell(B, Confirmed(trace, confirm.digest, (standing,)))
    stage.flow()
    return stage, b


def test_f1_who_denies_what_it_holds_cannot_call_it() -> None:
    stage, b = lie_then_use(hand_over=False)

    (turn,) = stage.turns(B)
    assert turn.target is None
    assert stage.holders(b) == set()
    assert stage.count("cut") == 3
    assert not stage.vat(B).collector.frozen


def test_f1_who_denies_what_it_holds_cannot_hand_it_over() -> None:
    stage, b = lie_then_use(hand_over=True)

    (turn,) = stage.turns(4)
    assert turn.args == [None]
    assert stage.holders(b) == set()


@pytest.mark.parametrize("plant", [planted.nothing_is_held_back, planted.what_waits_is_not_cut])
def test_f1_is_damage_when(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    stage, _ = lie_then_use(hand_over=False)

    (turn,) = stage.turns(B)
    assert turn.target is not None
    program.look(stage.world, stage.vat(B), turn)

    assert stage.world.counts["damage"] == 1


def early_and_late() -> Stage:
    """F7: C begins a trace, lets A stand still before B has claimed, and shows a proof without an instant.

    B holds x at A as a root and gives it to A's registry once A stands still; then it claims not to hold it.
    """
    stage = Stage(3, lies=C)
    x, m, registry = stage.new(A), stage.new(C), stage.new(A, root=True)
    stage.link(x, m)
    held = stage.root(B, x)
    known = stage.ref(B, registry)
    puppet = stage.puppet
    key = puppet.seals.make()
    trace = statements.sha256(key).digest()[:16]
    (holding,) = puppet.vat.ground.holdings(m[1].key)
    puppet.tell(A, Query(trace, 1, 9, 1500, 99, SEED, runs([holding.position])))
    agreed = statements.digest([b"some claims"])
    puppet.tell(A, Confirm(trace, agreed))
    stage.arrive(C, A)
    stage.send(B, known, held)
    stage.arrive(B, A)
    stage.vat(B).roots.remove(held)
    stage.flow()
    (reply,), (confirmed,) = puppet.heard_of(Reply), puppet.heard_of(Confirmed)
    assert len(reply.claims) == 2
    assert len(confirmed.statements) == 2
    puppet.tell(A, Commit(trace, reply.claims, confirmed.statements))
    stage.flow()
    stage.wait(5)
    return stage


def test_f7_a_proof_of_different_instants_is_none() -> None:
    stage = early_and_late()

    (turn,) = stage.turns(A)
    assert turn.args != [None]
    assert stage.count("cut") == 0


def test_f7_is_seen_when_whoever_begins_chooses_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.any_digest_will_do(monkeypatch)

    stage = early_and_late()

    (turn,) = stage.turns(A)
    assert turn.args == [None]


def certificate_in_the_freeze() -> Stage:
    """F10: D calls b with something of C's beside it, which B has to withdraw while b is frozen."""
    stage = Stage(4, lies=D)
    b, o, c = stage.new(B), stage.new(A), stage.new(C, root=True)
    stage.link(b, o)
    held, other = stage.root(D, b), stage.root(D, c)
    trace = stage.start(A, o)
    stage.flow()
    (query,) = stage.puppet.heard_of(Query)
    claim = stage.puppet.claim(B, trace, [at for _, at in query.edges])
    stage.puppet.tell(B, Reply(trace, query.number, (claim,), (), ""))
    stage.flow()
    stage.send(D, held, other)
    stage.arrive(D, B)
    assert len(stage.vat(B).pending) == 1
    (confirm,) = stage.puppet.heard_of(Confirm)
    standing = stage.puppet.stand(B, trace, confirm.digest)
    stage.puppet.tell(B, Confirmed(trace, confirm.digest, (standing,)))
    stage.flow((B, C), (C, B))
    stage.flow()
    return stage


def test_f10_what_waits_for_a_gift_is_cut_as_well() -> None:
    stage = certificate_in_the_freeze()

    (turn,) = stage.turns(B)
    assert turn.target is None
    assert type(turn.args[0]) is Far


def test_f10_is_damage_when_what_waits_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.what_waits_is_not_cut(monkeypatch)

    stage = certificate_in_the_freeze()

    (turn,) = stage.turns(B)
    program.look(stage.world, stage.vat(B), turn)
    assert stage.world.counts["damage"] == 1


def test_f11_only_who_began_a_trace_ends_it() -> None:
    stage = Stage(3, lies=C)
    ring = stage.ring(A, B)
    trace = stage.start(A, ring[0])
    stage.until(Confirm, B)
    stage.arrive(A, B)
    assert stage.vat(B).collector.frozen
    key = stage.puppet.seals.make()
    seal = stage.puppet.seals.sign(key, statements.over(trace))

    stage.puppet.tell(B, End(trace, key, seal))
    stage.arrive(C, B)

    assert stage.vat(B).collector.frozen
    assert stage.count("forged") == 1


def test_f11_a_relay_cannot_end_a_trace_and_use_what_it_denied() -> None:
    stage, _, _ = relay_that_ends()

    (turn,) = stage.turns(B)
    assert turn.target is None


def test_f11_is_damage_when_anybody_ends_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.anybody_ends_a_trace(monkeypatch)

    stage, _, _ = relay_that_ends()

    (turn,) = stage.turns(B)
    program.look(stage.world, stage.vat(B), turn)
    assert stage.world.counts["damage"] == 1


def relay_that_ends() -> tuple[Stage, object, object]:
    """D is between A and B: B's b is held by D, A's o by C and D; what D asks B is in A's trace."""
    stage = Stage(4, lies=D)
    o, c, b, m = stage.new(A), stage.new(C), stage.new(B), stage.new(D)
    # b -> c -> o, and b -> m, so that D may ask B; D holds o too, so that it hears of the trace.
    stage.link(b, c)
    stage.link(c, o)
    stage.link(b, m)
    held = stage.root(D, b)
    stage.root(D, o)
    puppet = stage.puppet
    trace = stage.start(A, o)
    stage.arrive(A, D)
    (first,) = puppet.heard_of(Query)
    (holding,) = puppet.vat.ground.holdings(m[1].key)
    puppet.tell(B, Query(trace, 1, 9, 1500, 99, SEED, runs([holding.position])))
    stage.arrive(D, B)
    stage.flow()
    _, second = puppet.heard_of(Query)
    claim = puppet.claim(B, trace, [at for _, at in second.edges])
    puppet.tell(B, Reply(trace, second.number, (claim,), (), ""))
    stage.flow()
    (swallowed,) = puppet.heard_of(Reply)
    claims = (puppet.claim(A, trace, [t for _, t in first.edges]), *swallowed.claims)
    puppet.tell(A, Reply(trace, first.number, claims, (), ""))
    stage.flow()
    digest = puppet.heard_of(Confirm)[0].digest
    puppet.tell(B, Confirmed(trace, digest, (puppet.stand(B, trace, digest),)))
    stage.flow()
    # All have confirmed but D itself: the proof comes when it does.
    puppet.tell(B, End(trace, puppet.seals.make(), bytes(64)))
    stage.send(D, held)
    stage.flow()
    mine = [puppet.stand(peer, trace, digest) for peer in (A, B)]
    puppet.tell(A, Confirmed(trace, digest, tuple(mine)))
    stage.flow()
    stage.wait(0.1)
    return stage, b, o


def test_no_second_digest_is_confirmed() -> None:
    stage = Stage(3, lies=C)
    x, m = stage.new(A), stage.new(C)
    stage.link(x, m)
    stage.root(B, x)
    (holding,) = stage.puppet.vat.ground.holdings(m[1].key)
    trace = bytes(16)
    stage.puppet.tell(A, Query(trace, 1, 9, 1500, 99, SEED, runs([holding.position])))

    for name in (b"one", b"two"):
        stage.puppet.tell(A, Confirm(trace, statements.digest([name])))
    stage.flow()

    one, two = sorted(stage.puppet.heard_of(Confirmed), key=lambda word: -len(word.statements))
    assert len(one.statements) == 1
    assert two.statements == ()


def test_nobody_confirms_a_trace_to_who_began_it() -> None:
    """C asks A in A's own trace, of which it has heard, and so might confirm; A has no digest yet."""
    stage = Stage(3, lies=C)
    o, m, other = stage.new(A), stage.new(C), stage.new(A)
    stage.link(o, m)
    stage.root(C, o)
    stage.ref(B, other)
    trace = stage.start(A, other)
    (holding,) = stage.puppet.vat.ground.holdings(m[1].key)
    stage.puppet.tell(A, Query(trace, 1, 9, 1500, 99, SEED, runs([holding.position])))
    stage.puppet.tell(A, Confirm(trace, bytes(32)))
    stage.arrive(C, A)

    for _ in range(3):
        stage.flow()
        stage.wait(5)

    assert not stage.vat(A).collector.traces
    assert not stage.vat(A).collector.frozen


def test_a_second_question_does_not_unsay_what_was_claimed() -> None:
    stage = Stage(3, lies=C)
    x, m, n = stage.new(A), stage.new(C), stage.new(C)
    stage.link(x, m)
    x2 = stage.new(A)
    stage.link(x2, n)
    stage.ref(B, x2)
    stage.root(B, x)
    ground = stage.puppet.vat.ground
    places = {name: ground.holdings(made[1].key)[0].position for name, made in (("m", m), ("n", n))}
    trace = bytes(16)
    stage.puppet.tell(A, Query(trace, 1, 9, 1500, 99, SEED, runs([places["m"]])))
    stage.arrive(C, A)
    # More than what may be asked about: nothing of this is looked into, but the first answer is signed.
    stage.puppet.tell(A, Query(trace, 2, 9, 1500, 0, SEED, runs(places.values())))
    stage.arrive(C, A)
    stage.root(A, m)
    stage.puppet.tell(A, Query(trace, 3, 9, 1500, 0, SEED, ()))
    stage.vat(A).tables[stage.vat(A).side(C)].imports[places["m"]].touched = stage.vat(A).tick()
    stage.puppet.tell(A, Confirm(trace, statements.digest([b"claims"])))
    stage.flow()

    (confirmed,) = stage.puppet.heard_of(Confirmed)
    ledger = statements.Ledger(trace, stage.puppet.seals, stage.world.limits)
    changed = set().union(*(ledger.read(blob).changed for blob in confirmed.statements))  # type: ignore[union-attr]
    assert token(SEED, places["m"]) in changed


@pytest.mark.parametrize("seed", range(60))
def test_who_is_asked_first_cannot_swallow_that_something_lives(seed: int) -> None:
    random = Random(seed)
    stage = Stage(4, lies=D)
    o, b, m = stage.new(A), stage.new(B), stage.new(D)
    stage.link(b, o)
    stage.link(b, m)
    stage.root(C, b)
    stage.root(D, o)
    trace = stage.start(A, o)
    puppet = stage.puppet
    (holding,) = puppet.vat.ground.holdings(m[1].key)
    stage.arrive(A, D)
    (query,) = puppet.heard_of(Query)
    puppet.tell(B, Query(trace, 1, 9, 1500, 99, SEED, runs([holding.position])))
    puppet.tell(A, Reply(trace, query.number, (puppet.claim(A, trace, [t for _, t in query.edges]),), (), ""))
    build.drain(stage.world, random)
    stage.wait(3)
    build.drain(stage.world, random)

    assert stage.holders(o) == {B, D}
    assert stage.count("cut") == 0


def test_who_freezes_and_keeps_quiet_is_not_waited_for_longer_than_the_hold() -> None:
    stage = Stage(3, lies=C)
    x, m = stage.new(A), stage.new(C)
    stage.link(x, m)
    held = stage.root(B, x)
    (holding,) = stage.puppet.vat.ground.holdings(m[1].key)
    trace = bytes(16)
    stage.puppet.tell(A, Query(trace, 1, 9, 1500, 99, SEED, runs([holding.position])))
    stage.puppet.tell(A, Confirm(trace, statements.digest([b"claims"])))
    stage.flow()
    stage.send(B, held)
    stage.flow()
    assert not stage.vat(A).turns
    assert len(stage.vat(A).held) == 1

    stage.wait(stage.world.settings.hold)

    (turn,) = stage.turns(A)
    assert turn.target == x[1]
    assert not stage.vat(A).collector.frozen


def test_a_fake_proof_cuts_nothing() -> None:
    stage = Stage(3, lies=C)
    x, m = stage.new(A), stage.new(C)
    stage.link(x, m)
    stage.root(B, x)
    (holding,) = stage.puppet.vat.ground.holdings(m[1].key)
    trace = bytes(16)
    stage.puppet.tell(A, Query(trace, 1, 9, 1500, 99, SEED, runs([holding.position])))
    stage.flow()
    (reply,) = stage.puppet.heard_of(Reply)
    ledger = statements.Ledger(trace, stage.puppet.seals, stage.world.limits)
    ((signer, named),) = ledger.read(reply.claims[0]).leading[token(SEED, holding.position)]  # type: ignore[union-attr]
    mine = stage.puppet.claim(A, trace, [named])
    forged = signer + mine[32:]
    claims = (*reply.claims, mine, forged)
    digest = statements.digest(claims)
    stage.puppet.tell(A, Confirm(trace, digest))
    stage.flow()
    stands = stage.puppet.heard_of(Confirmed)[0].statements
    standing = stage.puppet.stand(A, trace, digest)

    stage.puppet.tell(A, Commit(trace, claims, (*stands, standing, signer + standing[32:])))
    stage.flow()

    assert stage.holders(x) == {B}
    assert stage.count("forged") == 2


def test_a_fake_proof_cuts_when_nobody_checks_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.nobody_checks_signatures(monkeypatch)

    with pytest.raises(Violation):
        test_a_fake_proof_cuts_nothing()


def test_a_gift_of_what_was_denied_is_broken_whichever_comes_first() -> None:
    stage, _ = lie_then_use(hand_over=True)

    assert not stage.vat(B).gifts
    assert not stage.vat(B).callers
    outbound.collect(stage.world, stage.vat(B))
    assert stage.world.counts["damage"] == 0
