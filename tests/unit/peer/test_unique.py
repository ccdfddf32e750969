"""Unique references: one holder, wherever it is; passing one on consumes it."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from tests.unit.peer.owners import Clerk, Desk, Sheet, Table
from tests.unit.peer.pair import collect, outcome
from tests.unit.peer.test_borrow import Scene

HOSTS = ("near", "far")


def unique(scene: Scene, host: str) -> Any:
    """Return a unique reference to a table at ``a`` or at ``b``."""
    maker: Any = scene.get(scene.a if host == "near" else scene.b, Clerk(), Desk)
    return scene.ends(maker.make())


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("desk", HOSTS)
def test_passing_one_on_consumes_it(host: str, desk: str) -> None:
    scene = Scene(desk)
    table = unique(scene, host)
    assert scene.ends(table.put(4)) == 4
    promise = scene.desk.take(table)

    with pytest.raises(captp.Moved, match="not answered yet"):
        table.total()
    assert scene.ends(promise) == 5
    for use in (
        table.total,
        lambda: scene.desk.take(table),
        lambda: captp.share(table),
        lambda: captp.lend(table),
    ):
        with pytest.raises(captp.Moved, match="passed on"):
            use()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("desk", HOSTS)
def test_it_comes_back_as_another_one(host: str, desk: str) -> None:
    scene = Scene(desk)
    first = unique(scene, host)
    second = scene.ends(scene.desk.give_back(first))

    assert scene.ends(second.total()) == 5
    third = scene.ends(scene.desk.give_back(second))
    assert scene.ends(third.put(1)) == 11
    for gone in (first, second):
        with pytest.raises(captp.Moved):
            gone.total()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("desk", HOSTS)
def test_who_received_one_may_hand_it_on(host: str, desk: str) -> None:
    scene = Scene(desk)
    table = unique(scene, host)

    second: Any = scene.a.vat.reference(Clerk(), Desk) if desk == "near" else scene.other
    assert scene.ends(scene.desk.hand_on(table, second)) == 1


@pytest.mark.parametrize("host", HOSTS)
def test_one_that_is_dropped_is_freed_at_its_host(host: str) -> None:
    scene = Scene("far")
    home = scene.a if host == "near" else scene.b
    maker: Any = scene.get(home, Clerk(), Desk)
    collect(scene.net)
    before = len(list(home.vat.heap.objects()))
    table = scene.ends(maker.make())
    assert len(list(home.vat.heap.objects())) == before + 1
    assert scene.ends(scene.desk.take(table)) == 1
    del table
    collect(scene.net)
    scene.check()

    assert len(list(home.vat.heap.objects())) == before


@pytest.mark.parametrize("host", HOSTS)
def test_sharing_consumes_it_and_gives_one_that_can_be_stored(host: str) -> None:
    scene = Scene("far", has_faults=True)
    table = unique(scene, host)
    shared: Any = captp.share(table)

    with pytest.raises(captp.Moved, match="shared"):
        table.total()
    assert scene.ends(scene.desk.keep(shared)) is None
    assert scene.ends(shared.put(3)) == 3
    assert scene.ends(scene.desk.use_kept()) == 3
    assert captp.share(shared) is shared


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("desk", HOSTS)
def test_it_cannot_be_stored(host: str, desk: str) -> None:
    scene = Scene(desk, has_faults=True)
    table = unique(scene, host)
    problem = scene.ends(scene.desk.store(table))

    assert isinstance(problem, captp.RemoteFault)
    assert problem.class_name == "Moved"
    assert "Clerk.kept" in str(problem)


@pytest.mark.parametrize("host", HOSTS)
def test_it_can_be_lent_and_is_still_there(host: str) -> None:
    scene = Scene("far")
    table = unique(scene, host)

    assert scene.ends(scene.desk.read(table)) == 7
    assert scene.ends(scene.desk.stash(table)) == 1
    assert scene.ends(table.put(1)) == 2


def test_a_send_that_fails_returns_it() -> None:
    scene = Scene("far")
    table = unique(scene, "near")
    with pytest.raises(captp.Unpassable):
        captp.E(scene.desk).take(table, object())
    assert scene.ends(table.total()) == 0

    problem = scene.ends(captp.E(scene.desk).take(table, bytes(5_000_000)))
    assert isinstance(problem, captp.Unpassable)
    assert scene.ends(table.total()) == 0

    for wire in scene.net.wires:
        wire.cut()
    scene.net.rest()
    assert isinstance(scene.ends(scene.desk.take(table)), captp.Disconnected)
    assert scene.ends(table.total()) == 0


def test_a_turn_that_is_rolled_back_returns_it() -> None:
    scene = Scene("near", has_faults=True)
    table = unique(scene, "near")
    step: list[Any] = []

    class Body(captp.Object):
        @captp.method
        def run(self) -> None:
            scene.desk.take(step[0])
            raise captp.Refused("after all")

    step.append(table)
    assert isinstance(scene.ends(captp.E(scene.a.vat.reference(Body())).run()), captp.Refused)
    assert scene.ends(table.total()) == 0


@pytest.mark.parametrize("cut_after", range(6))
def test_a_crash_leaves_one_owner_or_none_and_the_sender_can_tell(cut_after: int) -> None:
    scene = Scene("far", has_faults=True)
    table = unique(scene, "near")
    promise = scene.a.want(scene.desk.take(table))
    for _ in range(cut_after):
        for wire in scene.net.wires:
            for end in (wire.near, wire.far):
                end.deliver()
        for host in (scene.a, scene.b):
            host.run()
    for wire in scene.net.wires:
        wire.cut()
    scene.net.rest()
    collect(scene.net)
    scene.check()

    try:
        assert outcome(promise) == 1
        told = "passed on:"
    except captp.Disconnected:
        told = "may be there or gone"
    with pytest.raises(captp.Moved, match=told):
        table.total()
    there = [o for o in scene.a.vat.heap.objects() if type(o) is Sheet and o is not scene.sheet]
    # What the other side had of it has ended with the session.
    assert not there


def test_the_host_gives_no_second_reference_to_it() -> None:
    class Leaky(captp.Object, Table):
        @captp.method
        def put(self, number: int) -> int:
            return number

        @captp.method
        def total(self) -> Any:
            return self

        @captp.method
        async def later(self, when: captp.Promise[None]) -> int:
            return 0

    class Maker(captp.Object):
        @captp.method
        def make(self) -> captp.Unique[Table]:
            return Leaky()

    scene = Scene("far", has_faults=True)
    maker: Any = scene.get(scene.b, Maker(), Maker)
    table = scene.ends(maker.make())
    problem = scene.ends(captp.E(table).total())

    assert isinstance(problem, captp.RemoteFault)
    assert "has one owner" in str(problem)


def test_one_whose_host_nobody_can_dial_stays() -> None:
    scene = Scene("far")
    maker: Any = scene.get(scene.c, Clerk(), Desk)
    table = scene.ends(maker.make())
    problem = scene.ends(scene.desk.take(table))

    assert isinstance(problem, captp.Unpassable)
    assert "captp.share()" in str(problem)
    assert scene.ends(table.total()) == 0


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("desk", HOSTS)
def test_an_exclusive_parameter_takes_a_unique_one_and_clones_a_shared_one(host: str, desk: str) -> None:
    scene = Scene(desk)
    table = unique(scene, host)
    assert scene.ends(scene.desk.own(table, 3)) == 3
    with pytest.raises(captp.Moved):
        table.total()


def test_an_exclusive_parameter_clones_what_is_near_and_refuses_what_is_far() -> None:
    scene = Scene("their-own", has_faults=True)
    scene.ends(scene.table.put(2))
    assert scene.ends(scene.desk.own(scene.table, 3)) == 5
    assert scene.ends(scene.table.total()) == 2

    scene = Scene("far", has_faults=True)
    problem = scene.ends(scene.desk.own(scene.table, 3))
    assert isinstance(problem, captp.BadArguments)
    assert "captp.make_unique" in str(problem)


def test_a_unique_parameter_takes_nothing_else() -> None:
    scene = Scene("far", has_faults=True)
    problem = scene.ends(scene.desk.take(scene.table))
    assert isinstance(problem, captp.BadArguments)
    assert "make_unique" in str(problem)

    with pytest.raises(captp.UsageError):
        captp.make_unique(unique(scene, "near"))
    with pytest.raises(captp.UsageError):
        captp.make_unique(scene.a.vat.promise()[0])
    with pytest.raises(captp.BorrowEscape):
        captp.make_unique(captp.lend(scene.table))


def test_a_call_that_gets_to_no_turn_returns_it() -> None:
    scene = Scene("near", has_faults=True)
    table = unique(scene, "near")
    broken, resolver = scene.a.vat.promise()
    resolver.break_(captp.Refused("no"))
    scene.net.rest()
    for target, method in ((scene.desk, "nothing"), (broken, "take")):
        assert isinstance(scene.ends(getattr(captp.E(target), method)(table)), captp.Broken)
        assert scene.ends(table.total()) == 0
