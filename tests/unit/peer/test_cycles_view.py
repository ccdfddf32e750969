"""What a collector tells of itself, and why something is kept, by real peers."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from attrs import asdict

import captp
from captp.cycles import Cycles
from captp.peer.cycles import roots
from captp.peer.cycles.ground import Key
from captp.peer.cycles.view import CyclesView, key_of, name_of
from captp.peer.cycles.why import Why, collected, suspects, why
from captp.peer.peer import Peer
from captp.peer.view import view_of
from tests.unit.peer.pair import Host, Net, outcome

UNKNOWN = roots.UNKNOWN


class Cell(captp.Object):
    """Holds whatever it is given, and makes others."""

    held: captp.List[Any]

    @captp.method
    def make(self) -> Any:
        return Cell()

    @captp.method
    def hold(self, what: Any) -> None:
        self.held.append(what)

    @captp.method
    async def rest(self) -> None:
        await captp.sleep(1e6)


class World:
    """Two hosts with collectors that are quick, and a maker of cells on each, held by the first."""

    def __init__(self, **settings: Any) -> None:
        self.net = Net()
        quick = Cycles(**{"age": 1.0, "tick": 0.25, **settings})
        self.a, self.b = self.net.host(1), self.net.host(2)
        for host in (self.a, self.b):
            keeper = host.peer.cycles
            keeper.settings = keeper.survey.settings = keeper.collector.settings = quick
        self.makers = [self.made(host) for host in (self.a, self.b)]

    def made(self, host: Host) -> Any:
        promise = self.a.want(self.a.enliven(host.mint(Cell(), label="maker")))
        self.net.rest()
        return outcome(promise)

    def ask(self, promise: Any) -> Any:
        self.net.rest()
        return outcome(promise)

    def ring(self) -> list[Any]:
        """Return what the first host holds: a cell of each, which hold each other."""
        one, other = [self.ask(captp.E(maker).make()) for maker in self.makers]
        self.ask(captp.E(one).hold(other))
        self.ask(captp.E(other).hold(one))
        return [one, other]

    def rest(self, seconds: float = 6) -> None:
        gc.collect()
        self.net.wait(seconds)


def figures(host: Host) -> CyclesView:
    return view_of(host.peer).cycles


def told(host: Host, name: str) -> Why:
    key = key_of(name)
    assert key is not None
    found = why(host.peer.cycles, key)
    assert found is not None
    return found


def steps(one: Why) -> list[tuple[tuple[str, ...], list[str], str]]:
    """Return roots, holders and the path of each way."""
    return [
        (w.roots, [h.peer for h in w.holders], " ".join(f"{s.type} {s.id}" for s in w.steps))
        for w in one.ways
    ]


# The figures.


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


# Why something is kept.


def test_an_object_with_a_sturdyref_is_rooted_by_its_label() -> None:
    world = World()

    one = told(world.a, "o1")

    assert (one.id, one.type, one.state, one.verdict) == ("o1", "Cell", "rooted", "")
    assert steps(one)[0][0][0] == "the sturdyref maker"
    assert steps(one)[0][2] == "Cell o1"


def test_an_object_is_kept_by_a_path_of_others_and_the_shortest_comes_first() -> None:
    world = World()
    inner = Cell()
    world.a.mint(Cell(held=[Cell(held=[inner])]), label="outer")
    world.a.mint(Cell(held=[inner]), label="near")
    name = name_of(Key(inner._entry.oid))
    del inner

    ways = steps(told(world.a, name))

    assert [(roots, len(path.split("Cell")) - 1) for roots, _, path in ways] == [
        (("the sturdyref near",), 2),
        (("the sturdyref outer",), 3),
    ]
    assert all(path.endswith(f"Cell {name}") for _, _, path in ways)


def test_what_a_variable_holds_is_kept_by_something_in_this_program() -> None:
    world = World()
    cell = Cell()
    ref = world.a.vat.reference(cell)
    one = told(world.a, name_of(Key(cell._entry.oid)))

    assert one.state == "rooted"
    assert [way[0] for way in steps(one)] == [(UNKNOWN,)]
    assert ref is not None


def test_what_a_call_that_runs_uses_is_kept_by_that() -> None:
    world = World()
    cell = Cell()
    promise = world.a.want(captp.E(world.a.vat.reference(cell)).rest())
    world.net.rest()
    key = Key(cell._entry.oid)
    del cell

    one = told(world.a, name_of(key))

    assert one.state == "rooted"
    assert "a call of it that runs" in one.ways[0].roots
    assert not promise.settled


def test_what_peers_alone_hold_says_who_and_what_they_answered() -> None:
    world = World()
    kept = world.ring()
    before = told(world.b, "o2")
    world.rest(10)

    one = told(world.b, "o2")

    assert before.state == one.state == "held by peers"
    ((roots, peers, path),) = steps(one)
    assert (roots, peers, path) == ((), [f"{world.a.peer.designator[:12]}…"], "Cell o2")
    (holder,) = one.ways[0].holders
    assert (holder.conn, holder.answer, holder.reason) == (1, "live", "")
    assert holder.touched_s is not None
    assert holder.asked_s is not None
    assert 9 < holder.touched_s < 10
    assert holder.asked_s < holder.touched_s
    assert (one.verdict, one.asked_s) == ("live", holder.asked_s)
    assert before.ways[0].holders[0].touched_s is None
    assert before.ways[0].holders[0].answer == "no key yet"
    assert kept


def test_a_holder_that_claims_while_what_leads_to_it_lives_has_claimed() -> None:
    world = World()
    kept = world.ring()
    # A root of the second host holds the first host's cell, and nothing else there does.
    world.ask(captp.E(world.makers[1]).hold(kept[0]))
    kept.clear()
    world.rest(12)

    one = told(world.b, "o2")

    assert (one.state, one.verdict) == ("held by peers", "live")
    (holder,) = one.ways[0].holders
    assert (holder.answer, holder.reason) == ("claimed", "")


def test_a_holder_without_a_collector_is_told_of_as_one() -> None:
    world = World()
    kept = world.ring()
    world.a.peer.cycles.settings = Cycles(enabled=False)
    keeper = world.b.peer.cycles
    keeper.speaks = lambda side: False  # type: ignore[method-assign] # what another's locator would say
    world.rest(5)

    one = told(world.b, "o2")

    assert one.state == "held by peers"
    assert one.ways[0].holders[0].answer == "no collector"
    assert (one.verdict, one.asked_s) == ("", None)
    assert kept


def test_what_was_collected_is_remembered_with_its_times() -> None:
    world = World()
    kept = world.ring()
    world.rest(2)
    kept.clear()
    world.rest(10)
    (host,) = [host for host in (world.a, world.b) if figures(host).cut]
    (last,) = collected(host.peer.cycles, 5)

    one = told(host, "o2")

    assert one == last
    assert (one.type, one.state, one.ways) == ("Cell", "collected", ())
    assert one.collected_s is not None
    assert one.untouched_s is not None
    assert 0 < one.collected_s < one.untouched_s
    assert len(one.trace) == 8
    assert collected(host.peer.cycles, 0) == []


def test_nothing_is_known_of_what_never_was_or_went_by_itself() -> None:
    world = World()
    cell = Cell()
    world.a.vat.reference(cell)
    key = Key(cell._entry.oid)
    del cell
    world.rest(1)

    assert why(world.a.peer.cycles, key) is None
    assert why(world.a.peer.cycles, Key(10_000)) is None
    assert why(world.a.peer.cycles, Key(-5)) is None


def test_to_ask_keeps_nothing_alive_and_uses_no_sturdyref_up() -> None:
    world = World()
    kept = world.ring()
    sturdyref = world.b.mint(Cell(), uses=1)
    kept.clear()
    for _ in range(12):
        world.rest(1)
        for host in (world.a, world.b):
            why(host.peer.cycles, Key(2))
            host.peer.registry.find(sturdyref.swiss)

    assert [figures(host).exports for host in (world.a, world.b)] == [0, 1]
    promise = world.a.want(world.a.enliven(sturdyref))
    world.net.rest()
    assert outcome(promise) is not None


def test_of_many_ways_eight_are_told() -> None:
    world = World()
    inner = Cell()
    for number in range(11):
        world.a.mint(Cell(held=[inner]), label=f"n{number}")
    key = Key(inner._entry.oid)
    del inner

    one = told(world.a, name_of(key))

    assert (len(one.ways), one.more) == (8, 3)


def test_what_a_vat_too_large_to_look_at_keeps_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    kept = world.ring()
    deep = Cell()
    for number in range(40):
        world.b.mint(Cell(held=[deep] if number == 30 else []))
    name = name_of(Key(deep._entry.oid))
    del deep
    world.rest(3)
    monkeypatch.setattr(roots, "LOOKED_AT", 8)

    exported, minted, inner = (told(world.b, name) for name in ("o2", "o30", name))

    assert (exported.state, len(exported.ways[0].holders)) == ("not known", 1)
    assert (minted.state, minted.ways[0].roots) == ("rooted", ("a sturdyref without a label",))
    assert (inner.state, steps(inner)[0][0]) == ("not known", (roots.UNSEEN,))
    monkeypatch.setattr(roots, "LOOKED_AT", 0)
    assert (told(world.b, "o2").state, told(world.b, "o2").ways) == ("not known", ())
    assert kept


# Ids.


@pytest.mark.parametrize("key", [1, 12, 2**63, -(1 << 64 | 1), -(77 << 64 | 5)])
def test_an_id_reads_as_the_key_that_it_was_made_of(key: int) -> None:
    assert key_of(name_of(Key(key))) == key


@pytest.mark.parametrize(
    "text", ["", "o", "o0", "12", "o-1", "o1x", "c1", "c1:i", "c:i1", "c1:o2", "c0:i1", "o²"]
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert key_of(text) is None


def test_settings_are_given_to_a_peer() -> None:
    settings = Cycles(age=2.0, enabled=False)

    peer = Peer(key=captp.PrivateKey.from_seed(b"k" * 32), entropy=bytes, cycles=settings)

    assert peer.cycles.settings is settings
    assert not peer.cycles.view().enabled
