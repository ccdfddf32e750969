"""What a collector tells of itself, in figures and in a dump, by real peers."""

from __future__ import annotations

import pytest
from attrs import asdict

import captp
from captp.cycles import Cycles
from captp.peer.cycles.why import suspects
from captp.peer.peer import Peer
from tests.unit.peer.pair import Net, pair
from tests.unit.peer.rings import Cell, World, figures


def test_a_vat_without_peers_has_nothing_to_tell() -> None:
    view = figures(Net().host(1))

    assert view.enabled
    assert {k: v for k, v in asdict(view, recurse=False).items() if v and k != "enabled"} == {}


def test_exports_are_in_use_or_not_or_were_touched_just_now() -> None:
    world = World()
    ring = world.ring()
    fresh = figures(world.b)
    world.rest(3)
    looked_at = figures(world.b)

    assert (fresh.exports, fresh.rooted, fresh.unrooted, fresh.unknown) == (2, 0, 0, 2)
    assert (looked_at.exports, looked_at.rooted, looked_at.unrooted, looked_at.unknown) == (2, 1, 1, 0)
    assert ring


def test_what_waits_to_be_asked_about_is_a_suspect_with_an_age_and_a_verdict() -> None:
    world = World()
    kept = world.ring()
    world.rest(10)

    view = figures(world.b)
    (suspect,) = suspects(world.b.peer.cycles, 10)

    assert (view.suspects, suspect.id, suspect.type) == (1, "o2", "Cell")
    assert suspect.holders == (f"{world.a.peer.designator[:12]}…",)
    assert suspect.untouched_s == pytest.approx(view.oldest_suspect_s, abs=0.01)
    assert 8 < view.oldest_suspect_s < 10
    assert suspect.verdict == "live"
    assert suspect.asked_s is not None
    assert suspect.asked_s < suspect.untouched_s
    assert suspects(world.b.peer.cycles, 0) == []
    assert kept


def test_a_ring_that_is_freed_is_counted_by_trace_and_by_what_was_cut() -> None:
    world = World()
    kept = world.ring()
    world.rest(6)
    before = figures(world.b)
    kept.clear()
    world.rest(12)

    views = [figures(host) for host in (world.a, world.b)]

    assert before.started == before.live > 0
    assert before.garbage == before.cut == 0
    assert sum(v.garbage for v in views) == 1
    assert sum(v.cut for v in views) >= 1
    for view in views:
        assert view.started == view.garbage + view.live + view.changed + view.expired + view.broken_off
        assert (view.own_traces, view.peer_traces, view.frozen, view.waiting, view.suspects) == (
            0,
            0,
            0,
            0,
            0,
        )


def test_words_are_counted_by_kind_at_both_ends_and_bytes_where_they_leave() -> None:
    world = World()
    world.ring()
    world.rest(12)
    ours, theirs = figures(world.a), figures(world.b)

    assert dict(ours.said) == dict(theirs.heard)
    assert dict(theirs.said) == dict(ours.heard)
    assert ours.bytes_said.keys() == ours.said.keys()
    # An array of a word's number, its version, and a key of 32 bytes, in a call of the bootstrap.
    assert 32 < ours.bytes_said["hello"] < 100
    assert sum(ours.bytes_said.values()) > 40 * sum(ours.said.values())
    assert ours.unsaid == 0


def test_bytes_that_are_counted_are_those_that_are_written() -> None:
    world = World()
    kept = world.ring()
    world.rest(0.5)
    sizes: list[int] = []
    before = sum(figures(world.b).bytes_said.values())
    end = world.net.wires[0].near
    while not sum(figures(world.b).said.values()):
        world.net.now += 0.25
        world.b.peer.tick(world.net.now)
        waiting = len(end.inbox)
        world.b.run()
        sizes.append(len(end.inbox) - waiting)
        end.deliver()

    counted = sum(figures(world.b).bytes_said.values()) - before
    assert counted <= sizes[-1] <= counted + 40
    assert kept


def test_the_figures_are_a_picture() -> None:
    world = World()
    kept = world.ring()
    world.rest(3)
    view = figures(world.b)
    shown = repr(view)
    world.rest(6)

    assert repr(view) == shown != repr(figures(world.b))
    assert kept


def test_dump_has_suspects_and_what_was_collected() -> None:
    world = World()
    kept = world.ring()
    world.rest(6)
    waits = world.b.peer.dump()["cycles"]
    kept.clear()
    world.rest(12)
    lines = [host.peer.dump()["cycles"] for host in (world.a, world.b)]

    assert [line.partition(" ")[0] for line in waits["suspects"]] == ["o2"]
    assert waits["collected"] == []
    assert all(found["suspects"] == found["traces"] == [] for found in lines)
    assert sum(len(found["collected"]) for found in lines) == sum(
        figures(host).cut for host in (world.a, world.b)
    )


def test_settings_are_given_to_a_peer() -> None:
    settings = Cycles(age=2.0, enabled=False)

    peer = Peer(key=captp.PrivateKey.from_seed(b"k" * 32), entropy=bytes, cycles=settings)

    assert peer.cycles.settings is settings
    assert not peer.cycles.view().enabled


@pytest.mark.parametrize("who", [0, 1])
def test_a_vat_whose_collector_is_off_announces_none_and_is_told_nothing(who: int) -> None:
    net = Net()
    hosts = [net.host(1), net.host(2)]
    hosts[who].peer.cycle_settings = Cycles(enabled=False)
    sturdyref = hosts[1].mint(Cell())

    ref = hosts[0].get(hosts[0].enliven(sturdyref))
    for host in hosts:
        keeper = host.peer.cycles
        keeper.settings = keeper.survey.settings = keeper.collector.settings = Cycles(age=1.0, tick=0.25)
    net.wait(10)

    assert [session.extensions for host in hosts for session in host.peer.links] == [
        ("mp1", "own1", "frz1")
    ] * 2
    assert not any(host.peer.cycles.bytes_said for host in hosts)
    del ref


def test_a_vat_that_starts_answers_before_it_loads_its_collector() -> None:
    it = pair()
    it.net.tick()
    it.net.wait(0.2)
    assert "cycles" not in it.a.peer.__dict__
    assert "cycles" not in it.b.peer.__dict__

    it.net.wait(0.25)

    assert "cycles" in it.a.peer.__dict__
    assert "cycles" in it.b.peer.__dict__
