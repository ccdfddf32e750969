"""What is left of a unique reference that has moved: its promise and those who watch it say so."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from tests.unit.peer.owners import Clerk, Desk
from tests.unit.peer.test_borrow import Scene
from tests.unit.peer.test_owning_edges import at
from tests.unit.peer.test_unique import HOSTS, unique


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("how", ["take", "only", "share"])
@pytest.mark.parametrize("is_early", [True, False])
def test_who_watches_a_unique_reference_hears_that_it_moved(host: str, how: str, is_early: bool) -> None:
    scene = Scene("far")
    table = unique(scene, host)
    heard = scene.a.when_broken(table) if is_early else None
    scene.net.rest()
    assert heard is None or not heard.settled
    match how:
        case "take":
            assert scene.ends(scene.desk.take(table)) == 1
        case "only":
            scene.desk.take.only(table)
        case _:
            shared = captp.share(table)
    scene.net.rest()
    told = scene.ends(scene.a.when_broken(table) if heard is None else heard)

    assert told.data["class"] == "Moved"
    assert ("shared" if how == "share" else "passed on") in told.message
    if how == "share":
        assert scene.ends(shared.total()) == 0


def test_who_watches_it_hears_nothing_of_a_move_that_was_undone() -> None:
    scene = Scene("far", has_faults=True)
    table = unique(scene, "far")
    heard = scene.a.when_broken(table)

    class Body(captp.Object):
        @captp.method
        def run(self, how: str) -> None:
            if how == "share":
                captp.share(steps[0])
            else:
                scene.desk.take(steps[0])
            raise captp.Refused("after all")

    steps = [table]
    body = captp.E(scene.a.vat.reference(Body()))
    for how in ("share", "take"):
        assert isinstance(scene.ends(body.run(how)), captp.Refused)
    assert isinstance(scene.ends(captp.E(scene.desk).take(table, bytes(5_000_000))), captp.Unpassable)
    assert not heard.settled
    assert scene.ends(table.total()) == 0
    assert scene.ends(scene.desk.take(table)) == 1
    assert heard.settled


@pytest.mark.parametrize("host", HOSTS)
def test_who_watches_it_hears_that_its_fate_is_unknown(host: str) -> None:
    scene = Scene("far")
    table = unique(scene, host)
    heard = scene.a.when_broken(table)
    scene.a.want(scene.desk.take(table))
    scene.a.run()
    scene.a.run()
    assert not heard.settled
    for wire in scene.net.wires:
        wire.cut()
    scene.net.rest()

    told = scene.ends(heard).message
    assert "may be there or gone" in told or (host == "far" and "has ended" in told)


@pytest.mark.parametrize("host", HOSTS)
def test_calls_through_the_promise_of_one_that_moved_are_refused_at_once(host: str) -> None:
    scene = Scene("far")
    made: Any = at(scene, host, Clerk(), Desk).make()
    early = made.put(1)
    table = scene.ends(made)
    before = made.put(2)
    moved = scene.desk.take(table)
    for use in (
        lambda: made.put(50),
        lambda: made.put.only(50),
        lambda: made.put.now(50),
        lambda: captp.E(made).put(50),
        lambda: made.apply(lambda t: t.put(50)),
        lambda: made["x"],
        lambda: captp.make_unique(made),
    ):
        with pytest.raises(captp.Moved, match="passed on, in a call that is not answered yet"):
            use()

    # What was sent before arrives before.
    assert [scene.ends(p) for p in (early, before, moved)] == [1, 3, 4]
    with pytest.raises(captp.Moved):
        made.put(50)


def test_a_promise_of_one_that_came_back_by_a_failure_works_again() -> None:
    scene = Scene("far")
    made: Any = at(scene, "far", Clerk(), Desk).make()
    table = scene.ends(made)
    with pytest.raises(captp.Unpassable):
        captp.E(scene.desk).take(table, object())

    assert scene.ends(made.put(2)) == 2


def test_a_near_call_in_a_turn_that_is_rolled_back_took_nothing() -> None:
    class Body(captp.Object):
        @captp.method
        def run(self) -> None:
            with pytest.raises(captp.Refused):
                captp.E(scene.desk).fail.now(tables[0])
            raise captp.Refused("after all")

    scene = Scene("near", has_faults=True)
    tables = [unique(scene, "near")]
    heard = scene.a.when_broken(tables[0])
    assert isinstance(scene.ends(captp.E(scene.a.vat.reference(Body())).run()), captp.Refused)

    assert not heard.settled
    assert scene.ends(tables[0].put(2)) == 2
