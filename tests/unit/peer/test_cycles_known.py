"""What a collector knows of its own vat, for how long, and what it takes for a root."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import captp
from captp.model.idents import ConnId
from captp.model.promise import BROKEN, Message, Settlement, broken
from captp.model.ref import Ref
from captp.model.values import Fault, FrozenMap, Tagged
from captp.peer.cycles import roots, survey
from captp.peer.cycles.parts import has_key, references, without
from captp.peer.cycles.roots import peer_of
from captp.vat.walk import ITEMS
from tests.unit.peer.liars import KNOWN_S, Liar
from tests.unit.peer.pair import pair
from tests.unit.peer.test_anonymous import say_hello
from tests.unit.peer.test_cycles import SOON, Cell, ask, ring, vats
from tests.unit.peer.test_cycles_leftovers import cut
from tests.unit.peer.test_cycles_limits import quiet
from tests.unit.vat.traced import Node, Scene


def known_to_lead(liar: Liar) -> bool:
    link = liar.net.link(liar.victim, liar.host)
    return liar.victim.peer.cycles.reaching(link, liar.position()) is not None


def test_what_leads_to_an_import_is_not_known_any_more_once_it_was_called() -> None:
    liar = quiet()
    liar.tie()
    assert known_to_lead(liar)

    ask(liar.net, captp.E(liar.cells[0]).count())

    assert not known_to_lead(liar)


def test_what_leads_to_an_import_is_not_known_any_more_once_that_was_named() -> None:
    liar = quiet()
    liar.tie()
    cell = next(o for o in liar.victim.vat.heap.objects() if type(o) is Cell and o.held)
    told = liar.victim.want(captp.E(cell.held[0]).count())
    del cell
    assert known_to_lead(liar)

    assert ask(liar.net, told) == 0

    assert not known_to_lead(liar)


def test_what_was_called_is_no_suspect_until_it_was_looked_at_again() -> None:
    liar = quiet()
    liar.tie()
    keeper = liar.victim.peer.cycles
    assert len(list(keeper.candidates())) == 1

    ask(liar.net, captp.E(liar.cells[0]).count())
    liar.net.wait(0.3)

    assert not list(keeper.candidates())


def test_what_is_found_to_be_rooted_is_no_suspect_any_more() -> None:
    liar = quiet()
    liar.tie()
    keeper = liar.victim.peer.cycles

    held = next(o for o in liar.victim.vat.heap.objects() if type(o) is Cell and o.held)
    liar.net.wait(survey.AGAIN + 1)

    assert not list(keeper.candidates())
    assert held


def test_what_is_held_back_roots_what_it_names_until_that_is_proved_to_be_garbage() -> None:
    liar = quiet()
    liar.tie(2)
    keeper = liar.victim.peer.cycles
    keys = set(keeper.candidates())
    assert len(keys) == 2
    liar.freeze()

    liar.late += [captp.E(cell).count() for cell in liar.cells]
    liar.net.rest()

    assert liar.machine.counts["held"] >= 2
    assert keeper.unrooted(keys) == set()
    assert keeper.unrooted(keys, keys) == keys
    assert [len(keeper.entries(keeper.find(key))) for key in keys] == [1, 1]
    assert keeper.unrooted(keys) == set()


def test_what_a_vat_holds_of_a_session_that_ended_and_has_given_on_does_no_harm() -> None:
    net, hosts, makers = vats(3, introduces=False)
    made = ring(net, makers)
    ask(net, captp.E(made[0]).hold(made[2]))
    ask(net, captp.E(made[1]).hold(made[0]))
    made.clear()
    net.wait(KNOWN_S)

    net.wires[-1].cut()
    net.wait(SOON)

    assert [host.peer.cycles.view().fault for host in hosts] == [""] * 3


@pytest.mark.parametrize(("most", "together"), [(2, 2), (1, 0)])
def test_exports_that_meet_are_looked_at_together_up_to_so_many_and_as_long_as_they_are_there(
    most: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "TOGETHER", 1)
    monkeypatch.setattr(survey, "REGION", most)
    liar = quiet()
    known = liar.victim.peer.cycles.survey
    liar.cells += ask(liar.net, captp.E(liar.maker).make_two_that_share())[:2]
    liar.net.wait(5 * KNOWN_S)
    assert [len(region) for region in known._regions.values()] == [together] * together

    liar.cells.pop()
    gc.collect()
    liar.net.wait(5 * KNOWN_S)
    assert all(len(region) == 1 for region in known._regions.values())

    liar.cells.clear()
    gc.collect()
    liar.net.wait(5 * KNOWN_S)
    assert not known._regions
    assert not known._blocked


@pytest.mark.parametrize(
    ("items", "is_whole"), [(50 * ITEMS - 10, True), (50 * ITEMS + 10, False)], ids=["all", "too-many"]
)
def test_containers_have_so_many_items_together_that_are_looked_at(items: int, is_whole: bool) -> None:
    scene = Scene()
    for label in "ab":
        scene.give(Node(label=label, items=captp.List([0] * items)))

    found = scene.trace(limit=100)

    assert found.is_whole is is_whole


def test_a_name_that_nobody_has_proved_is_not_shown_as_who_holds_something() -> None:
    it = pair()
    conn, _ = say_hello(it.b, it.a.peer.designator, None, seed=7)
    links = it.b.peer.router.links

    assert peer_of(links[ConnId(conn)]) == f"a peer at c{conn}"
    assert peer_of(it.net.link(it.b, it.a)).startswith(it.a.peer.designator[: roots.SHORT])


# What is held back, and what stands in it.


class Thing(captp.Object):
    """Stands in what is held back."""


SPELLED = [
    lambda ref: (ref,),
    lambda ref: FrozenMap({"a": ref}),
    lambda ref: Tagged("t", ref),
    lambda ref: Fault("f", ref, None),
    lambda ref: Settlement(ref, BROKEN, (1, ref)),
    lambda ref: Message(ref, "m", (), None, None),
    lambda ref: Message(None, "m", ((ref,),), None, None),
    lambda ref: Message(None, "m", (), FrozenMap({"k": ref}), None),
]


@pytest.mark.parametrize(
    "spell",
    SPELLED,
    ids=["tuple", "struct", "tagged", "fault", "settlement", "target", "argument", "keyword"],
)
def test_what_names_a_thing_anywhere_in_it_is_found_and_names_it_no_more_after_the_cut(spell: Any) -> None:
    liar = quiet()
    vat, thing = liar.victim.vat, Thing()
    ref: Any = vat.reference(thing)
    value = spell(ref)

    found = references(value)
    left = references(without(value, thing, broken(vat, captp.Broken("gone"))))

    assert found == [ref]
    assert left == []


def test_an_import_of_a_session_that_ended_has_no_key() -> None:
    liar = quiet()
    ref: Ref = liar.maker
    assert has_key(ref._anchor)

    cut(liar)

    assert not has_key(ref._anchor)
