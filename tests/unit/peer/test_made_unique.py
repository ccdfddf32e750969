"""What becomes unique: an object that nobody else has, there or here; what others hold is not taken."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.model.ref import Ref, view
from tests.unit.peer.owners import Clerk, Seal, Sheet, Table
from tests.unit.peer.pair import collect
from tests.unit.peer.test_borrow import Scene
from tests.unit.peer.test_unique import HOSTS


@pytest.mark.parametrize("host", HOSTS)
def test_a_sole_holder_gets_the_same_object(host: str) -> None:
    scene = Scene("far")
    shared: Any = (
        scene.a.vat.reference(Seal(), Table) if host == "near" else scene.ends(_fresh(scene).fresh())
    )
    table = scene.ends(captp.make_unique(shared))

    assert not isinstance(table, Exception), table
    with pytest.raises(captp.Moved, match="made unique"):
        shared.total()
    assert scene.ends(table.put(3)) == 3


def _fresh(scene: Scene) -> Any:
    class Maker(captp.Object):
        @captp.method
        def fresh(self) -> Table:
            return Seal()

    return scene.get(scene.b, Maker(), Maker)


@pytest.mark.parametrize("host", HOSTS)
def test_where_others_have_it_too_a_clone_is_made(host: str) -> None:
    scene = Scene("far")
    home = scene.a if host == "near" else scene.b
    sheet = Sheet()
    shared = scene.get(home, sheet, Table)
    scene.ends(shared.put(3))
    table = scene.ends(captp.make_unique(shared))

    assert scene.ends(table.put(4)) == 7
    assert scene.ends(shared.total()) == 3
    assert list(sheet.numbers) == [3]


def other_view(ref: Any) -> Any:
    return view(ref._home, ref._anchor, Ref)


@pytest.mark.parametrize("how", ["variable", "view", "argument", "loan", "claim"])
def test_a_far_one_that_others_of_the_vat_hold_is_not_consumed(how: str) -> None:
    scene = Scene("far")
    shared: Any = scene.ends(_fresh(scene).fresh())
    made: Any = None
    held: Any = None
    match how:
        case "variable":
            held = [shared]
        case "view":
            held = other_view(shared)
        case "argument":
            held = scene.a.want(captp.E(scene.a.vat.reference(Clerk())).later_keep(shared, scene.when))
        case "loan":
            held = scene.a.want(scene.desk.read_late(shared, scene.when))
            scene.net.rest()
        case _:
            made = captp.make_unique(shared)
            scene.a.run()
    asked = captp.make_unique(shared)
    problem = scene.ends(asked)

    assert isinstance(problem, captp.StillShared)
    assert "others in this vat hold this reference" in str(problem)
    if made is None:
        assert scene.ends(shared.total()) == 0
    else:
        assert scene.ends(scene.ends(made).total()) == 0
    del problem, asked
    scene.resolver.fulfill(None)
    if how != "claim":
        if isinstance(held, captp.Promise):
            scene.ends(held)
        del held
        collect(scene.net)
        assert scene.ends(scene.ends(captp.make_unique(shared)).put(2)) == 2


def test_calls_that_went_before_do_not_hold_a_far_one() -> None:
    scene = Scene("far")
    shared: Any = scene.ends(_fresh(scene).fresh())
    put = shared.put(3)
    asked = captp.make_unique(shared)
    total: Any = asked.total()

    assert scene.ends(total) == 0
    assert scene.ends(put) == 3
    with pytest.raises(captp.Moved, match="made unique"):
        shared.total()


def test_a_far_one_that_is_asked_for_inside_a_method_is_that_methods_alone() -> None:
    class Asker(captp.Object):
        @captp.method
        async def ask(self, table: Any) -> Any:
            unique: Any = await captp.make_unique(table)
            try:
                await captp.E(table).total()
            except captp.Moved:
                return await unique.put(4)

    scene = Scene("far", has_faults=True)
    shared: Any = scene.ends(_fresh(scene).fresh())
    asker = captp.E(scene.a.vat.reference(Asker()))
    problem = scene.ends(asker.ask(shared))
    assert problem.class_name == "StillShared"
    # Its traceback holds what the method held.
    scene.a.traces.clear()
    scene.a.batches.clear()
    del problem
    collect(scene.net)
    asked = asker.ask(shared)
    del shared
    assert scene.ends(asked) == 4


def test_one_that_took_a_detour_is_consumed_when_that_is_over() -> None:
    scene = Scene("far")
    promise: Any = _fresh(scene).fresh()
    before = promise.later(scene.when)
    shared: Any = scene.ends(promise)
    del promise
    # The call that is under way holds what it went through.
    assert isinstance(scene.ends(captp.make_unique(shared)), captp.StillShared)
    scene.resolver.fulfill(None)
    assert scene.ends(before) == 0
    collect(scene.net)

    unique: Any = scene.ends(captp.make_unique(shared))
    assert scene.ends(unique.put(3)) == 3
    with pytest.raises(captp.Moved, match="made unique"):
        shared.total()


def test_what_cannot_be_cloned_and_is_shared_is_refused() -> None:
    scene = Scene("far", has_faults=True)
    shared = scene.get(scene.b, Seal(), Table)
    problem = scene.ends(captp.make_unique(shared))

    assert isinstance(problem, captp.Refused)
    assert "__captp_clone__" in str(problem)
    assert scene.ends(shared.total()) == 0
