"""What is lost while a trace goes on: vats, sessions, time; nothing stays frozen and nothing leaks."""

from __future__ import annotations

from random import Random

import pytest

from captp.peer.cycles.ground import Key
from captp.peer.cycles.words import Commit, Confirm, Confirmed, End, Query, Reply
from captp.sim.cycles import build, faults, inbound, outbound, owner, rest
from captp.sim.cycles.values import Said
from tests.sim.cycles.stage import A, B, C, D, Stage


@pytest.mark.parametrize("role", [A, B, C])
def test_whoever_crashes_whenever_the_others_are_left_clean(role: int) -> None:
    for words in range(24):
        random = Random(words)
        stage = Stage(4)
        ring = stage.ring(A, B, C)
        held = stage.root(D, ring[1])
        stage.vat(D).roots.remove(held)
        stage.start(A, ring[0])
        for _ in range(words):
            if busy := stage.world.busy():
                inbound.move(stage.world, *random.choice(busy))
        faults.crash(stage.world, role, comes_back=False)
        rest.rest(stage.world, random)

        assert not any(vat.objects for vat in stage.world.vats)


@pytest.mark.parametrize("kind", [Query, Reply, Confirm, Confirmed, Commit, End])
def test_a_session_lost_in_any_phase_thaws_everything(kind: type) -> None:
    stage = Stage(3)
    ring = stage.ring(A, B, C)
    stage.start(A, ring[0])
    for receiver in (A, B, C):
        stage.until(kind, receiver)
    for number in list(stage.world.links):
        faults.cut_link(stage.world, number)
    random = Random(1)
    while stage.world.lost:
        faults.notice(stage.world, random)

    for vat in stage.world.vats:
        assert not vat.collector.frozen
        assert not vat.collector.traces
        assert not vat.held


def test_a_session_resumed_late_finds_a_trace_that_is_over() -> None:
    stage = Stage(2)
    ring = stage.ring(A, B)
    stage.start(A, ring[0])
    stage.wait(2 * stage.world.settings.deadline + stage.world.settings.hold)
    stage.flow()
    stage.wait(stage.world.settings.deadline + stage.world.settings.hold)

    assert stage.count("expired") + stage.count("live") >= 1
    assert not any(vat.collector.frozen for vat in stage.world.vats)


def test_a_hold_that_runs_out_lets_honest_turns_go_on() -> None:
    stage = Stage(3)
    x, a = stage.new(B), stage.new(A)
    stage.link(x, a)
    held = stage.root(C, x)
    stage.start(A, a)
    stage.until(Query, C)
    (trace,) = stage.vat(B).collector.traces.values()
    inbound.hear(stage.world, stage.vat(B), stage.vat(B).side(A), Said(Confirm(trace.name, bytes(32)).wire()))
    stage.send(C, held)
    stage.arrive(C, B)
    assert not stage.turns(B)

    stage.wait(stage.world.settings.hold)

    (turn,) = stage.turns(B)
    assert turn.target == x[1]


def test_exports_that_are_gone_are_cut_without_harm() -> None:
    stage = Stage(2)
    ring = stage.ring(A, B)
    stage.start(A, ring[0])
    stage.until(Confirmed, A)
    stage.vat(B).objects[ring[1][1].key].clear()
    outbound.collect(stage.world, stage.vat(B))
    stage.flow()
    build.drain(stage.world)
    owner.tick(stage.world, stage.vat(A))

    assert stage.vat(A).ground.holdings(Key(ring[0][1].key)) == ()
    assert not stage.vat(A).collector.frozen
