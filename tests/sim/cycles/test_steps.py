"""Honest vats, step by step: what moves, comes, goes or crashes while a trace looks at it."""

from __future__ import annotations

import pytest

from captp.peer.cycles.words import Confirm, Query
from captp.sim.cycles import inbound, outbound, rest
from captp.sim.cycles.oracle import Violation
from captp.sim.cycles.values import Deposit, Far, Own, Said, Withdraw
from tests.sim.cycles import planted
from tests.sim.cycles.stage import A, B, C, D, Stage


def test_a_ring_is_cut_by_all_who_hold_it_and_goes() -> None:
    stage = Stage(3)
    ring = stage.ring(A, B, C)

    stage.start(A, ring[0])
    stage.flow()
    for _ in range(2):
        for vat in stage.world.vats:
            rest.sweep(stage.world, vat)
        stage.flow()

    assert stage.count("cut") == 3
    assert not any(vat.objects for vat in stage.world.vats)
    tables = [table for vat in stage.world.vats for table in vat.tables.values()]
    assert not any(table.exports or table.imports for table in tables)


def test_a_ring_that_one_root_reaches_stays() -> None:
    stage = Stage(3)
    ring = stage.ring(A, B, C)
    stage.root(B, ring[2])

    stage.start(A, ring[0])
    stage.flow()

    assert stage.count("live") == 1
    assert stage.count("cut") == 0


def mention_and_release() -> Stage:
    """F2: C calls b, whose turn gives what b holds to something that lives, and releases b at once.

    A asks about a, which b holds; B has asked C about b before the call comes.
    """
    stage = Stage(3)
    a, b = stage.new(A), stage.new(B)
    inner = stage.link(b, a)
    stage.vat(A).objects[a[1].key].append(stage.ref(A, b))
    held = stage.root(C, b)
    keeper = stage.new(B, root=True)
    known = stage.root(C, keeper)
    stage.start(A, a)
    stage.arrive(A, B)
    stage.send(C, held, known)
    stage.drop(C, held)
    stage.arrive(C, B)
    (turn,) = stage.turns(B)
    assert turn.args == [keeper[1]]
    stage.vat(B).objects[keeper[1].key].append(inner)
    stage.flow()
    return stage


def test_f2_a_release_does_not_hide_what_was_said_before_it() -> None:
    stage = mention_and_release()

    assert stage.count("changed") == 1
    assert stage.count("cut") == 0


def test_f2_is_found_when_releases_hide_mentions(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.releases_hide_mentions(monkeypatch)

    with pytest.raises(Violation):
        mention_and_release()


def old_summary() -> Stage:
    """F3: B has looked; then C calls e, whose turn gives what e holds to what lives, and releases it."""
    stage = Stage(3, old=frozenset({B}))
    a, e = stage.new(A), stage.new(B)
    inner = stage.link(e, a)
    held = stage.root(C, e)
    keeper = stage.new(B, root=True)
    stage.vat(B).ground.look()
    stage.send(C, held)
    stage.drop(C, held)
    stage.arrive(C, B)
    stage.turns(B)
    stage.vat(B).objects[keeper[1].key].append(inner)
    stage.start(A, a)
    stage.flow()
    return stage


def test_f3_what_was_touched_since_the_summary_may_live() -> None:
    assert old_summary().count("live") == 1


def test_f3_is_found_when_summaries_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.summaries_are_believed(monkeypatch)

    with pytest.raises(Violation):
        old_summary()


def question_after_the_end() -> Stage:
    """F4: A ends a trace; C hears so from A, and only then the question that B asked it in that trace."""
    stage = Stage(3)
    a, b, c = stage.new(A), stage.new(B), stage.new(C)
    stage.link(b, a)
    stage.link(c, a)
    stage.link(c, b)
    stage.link(b, c)
    stage.root(A, c)
    stage.start(A, a)
    stage.arrive(A, B)
    stage.arrive(A, C)
    stage.flow((B, C))
    stage.wait(stage.world.settings.deadline)
    stage.flow((B, C))
    stage.flow()
    return stage


def test_f4_a_question_after_the_end_begins_nothing() -> None:
    stage = question_after_the_end()

    assert stage.count("refused: over") == 1
    assert not any(vat.collector.traces for vat in stage.world.vats)


def test_f4_is_seen_when_ended_names_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.ended_names_are_forgotten(monkeypatch)

    stage = question_after_the_end()

    assert any(vat.collector.traces for vat in stage.world.vats)


def held_and_behind() -> Stage:
    """F5: what is held back for one trace is decoded, so that another does not take its sender at its word.

    B names x, which A holds still for C's trace; behind that comes y, which B holds no more afterwards.
    """
    stage = Stage(4)
    x, y = stage.new(A), stage.new(A)
    m, n = stage.new(C), stage.new(D)
    stage.link(x, m)
    stage.link(y, n)
    held_x, held_y = stage.root(B, x), stage.root(B, y)
    stage.start(C, m)
    stage.until(Query, B)
    # B is asked about x; it says that it lives, but C hears that late, and A is made to stand still.
    collector = stage.vat(A).collector
    (trace,) = collector.traces.values()
    inbound.hear(stage.world, stage.vat(A), stage.vat(A).side(C), Said(Confirm(trace.name, bytes(32)).wire()))
    assert collector.frozen
    stage.send(B, held_x)
    stage.send(B, held_y)
    stage.arrive(B, A)
    stage.drop(B, held_y)
    assert len(stage.vat(A).held[stage.vat(A).side(B)]) == 2
    stage.start(D, n)
    stage.flow((A, C), (C, A))
    return stage


def test_f5_what_is_held_back_counts_for_other_traces() -> None:
    stage = held_and_behind()

    assert stage.count("cut") == 0


def test_f5_is_found_when_held_turns_are_no_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.held_turns_are_no_roots(monkeypatch)

    with pytest.raises(Violation):
        held_and_behind()


def test_f5_is_found_when_held_messages_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.held_messages_are_not_decoded(monkeypatch)

    with pytest.raises((Violation, AssertionError, KeyError)):
        held_and_behind()


def named_before_it_is_asked_about() -> Stage:
    """B calls x and releases it; A holds that back for C's trace, and asks about x itself then."""
    stage = Stage(4)
    x, m = stage.new(A), stage.new(C)
    stage.link(x, m)
    stage.link(stage.ring(C, D)[0], x)
    held = stage.root(B, x)
    stage.start(C, m)
    stage.until(Query, B)
    (trace,) = stage.vat(A).collector.traces.values()
    confirm = Said(Confirm(trace.name, bytes(32)).wire())
    inbound.hear(stage.world, stage.vat(A), stage.vat(A).side(C), confirm)
    stage.send(B, held)
    stage.drop(B, held)
    stage.arrive(B, A)
    assert stage.vat(A).held
    stage.start(A, x)
    stage.flow()
    return stage


def test_what_is_held_back_counts_when_it_came_before_the_question() -> None:
    stage = named_before_it_is_asked_about()

    assert stage.holders((A, Own(1))) == {C}
    stage.wait(3)
    assert [turn.target for turn in stage.turns(A)] == [Own(1)]


def test_that_what_is_held_back_never_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.what_is_held_back_never_counts(monkeypatch)

    with pytest.raises(Violation):
        named_before_it_is_asked_about()


def given_in_the_freeze(*, released: bool) -> tuple[Stage, tuple[int, Own]]:
    """F6: k at A is held by a ring of B and C only, but y leads to it at A, and D calls y.

    That turn gives k to D after the digest and before the proof; with ``released``, D calls k then and
    releases it at once.
    """
    stage = Stage(4)
    k, y = stage.new(A), stage.new(A)
    ring = stage.ring(B, C)
    stage.link(ring[0], k)
    stage.link(y, k)
    held, registry = stage.root(D, y), stage.new(D, root=True)
    known = stage.root(A, registry)
    stage.start(A, k)
    stage.until(Confirm, B)
    stage.send(D, held)
    stage.arrive(D, A)
    stage.turns(A)
    stage.send(A, known, k[1])
    stage.arrive(A, D)
    (turn,) = stage.turns(D)
    (given,) = turn.args
    stage.vat(D).roots.append(given)
    if released:
        stage.send(D, given)
        stage.drop(D, given)
        stage.arrive(D, A)
    stage.flow()
    stage.wait(0)
    return stage, k


@pytest.mark.parametrize("released", [False, True])
def test_f6_what_was_given_in_the_freeze_is_not_cut(released: bool) -> None:
    stage, k = given_in_the_freeze(released=released)

    assert k[1].key in stage.vat(A).objects
    assert D in stage.holders(k) or released
    if released:
        (turn,) = stage.turns(A)
        assert turn.target == k[1]


@pytest.mark.parametrize(
    ("plant", "released"),
    [(planted.gifts_after_the_digest_are_ignored, False), (planted.gifts_are_stamped_by_holder, True)],
)
def test_f6_is_found_when(plant: object, released: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)  # type: ignore[operator]

    with pytest.raises(Violation):
        given_in_the_freeze(released=released)


def hand_over(*, first: type) -> tuple[Stage, Far]:
    """C holds a, which is in a ring of A and B, and hands it to D; A looks for garbage meanwhile."""
    stage = Stage(4)
    ring = stage.ring(A, B)
    held = stage.root(C, ring[0])
    registry = stage.new(D, root=True)
    known = stage.root(C, registry)
    stage.send(C, known, held)
    stage.drop(C, held)
    if first is Deposit:
        stage.arrive(C, A)
        stage.start(A, ring[0])
        stage.flow((C, D))
    else:
        stage.arrive(C, D)
        stage.arrive(D, A)
        stage.start(B, ring[1])
        stage.flow((C, A))
    stage.flow()
    (turn,) = stage.turns(D)
    (given,) = turn.args
    return stage, given


@pytest.mark.parametrize("first", [Deposit, Withdraw])
def test_a_gift_keeps_a_ring_alive_whichever_comes_first(first: type) -> None:
    stage, given = hand_over(first=first)

    assert type(given) is Far
    assert stage.count("cut") == 0


def test_a_gift_is_found_when_gifts_are_no_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.gifts_are_no_roots(monkeypatch)

    with pytest.raises(Violation):
        hand_over(first=Deposit)


def test_a_position_that_is_used_again_is_another_export() -> None:
    """B releases a while A's question about it is under way; then A gives it p, at the same position."""
    stage = Stage(3)
    a, p = stage.new(A), stage.new(A)
    held = stage.root(B, a)
    registry = stage.new(B, root=True)
    known = stage.root(A, registry)
    stage.vat(B).roots.remove(held)
    stage.start(A, a)
    outbound.collect(stage.world, stage.vat(B))
    position = held.position
    stage.arrive(B, A)
    stage.send(A, known, p[1])
    stage.flow()
    (turn,) = stage.turns(B)

    assert turn.args == [Far(held.side, position)]
    assert stage.holders(p) == {B}
    assert stage.count("cut") == 0
