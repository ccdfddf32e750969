"""Why something is kept or was collected: its roots, holders and paths, asked for by id, by real peers."""

from __future__ import annotations

import pytest

import captp
from captp.cycles import Cycles
from captp.peer.cycles import roots
from captp.peer.cycles.ground import Key
from captp.peer.cycles.view import key_of, name_of
from captp.peer.cycles.why import Why, collected, why
from tests.unit.peer.pair import Host, outcome
from tests.unit.peer.rings import Cell, World, figures

UNKNOWN = roots.UNKNOWN


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


@pytest.mark.parametrize("key", [1, 12, 2**63, -(1 << 64 | 1), -(77 << 64 | 5)])
def test_an_id_reads_as_the_key_that_it_was_made_of(key: int) -> None:
    assert key_of(name_of(Key(key))) == key


@pytest.mark.parametrize(
    "text", ["", "o", "o0", "12", "o-1", "o1x", "c1", "c1:i", "c:i1", "c1:o2", "c0:i1", "o²"]
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert key_of(text) is None
