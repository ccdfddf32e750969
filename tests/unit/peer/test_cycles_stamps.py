"""Whatever names or gives an export or an import moves its stamps, on whichever way it goes."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import captp
from captp.peer.cycles.words import QUERY, Reply
from tests.unit.peer.liars import SEED, Liar, name
from tests.unit.peer.pair import Host
from tests.unit.peer.test_cycles import Cell, ask, vats


class Thing(captp.Object):
    """Keeps one thing and does with it as it is told."""

    kept: captp.List[Any]

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept.append(what)

    @captp.method
    def take(self, what: Any) -> None:
        pass

    @captp.method(latch=False)
    async def wait(self, what: Any) -> None:
        await what

    @captp.method
    def back(self) -> Any:
        return self.kept[0]

    @captp.method
    def deep(self) -> Any:
        return [{"kept": self.kept[0]}]

    @captp.method
    def lose(self) -> None:
        loop: list[Any] = [self.kept.pop()]
        loop.append(loop)

    @captp.method
    async def pass_on(self, to: Any) -> None:
        await captp.E(to).take(self.kept[0])

    @captp.method
    async def call(self) -> None:
        await captp.E(self.kept[0]).take(1)

    @captp.method
    async def get(self, of: Any) -> None:
        await captp.E(of).back()


class Scene:
    """``near`` and a third vat know ``there``, a thing of the second vat, whose stamps are looked at."""

    def __init__(self) -> None:
        self.net, self.hosts, _ = vats(3)
        self.mine = Thing()
        self.theirs, self.third = Thing(), Thing()
        self.there = self.fetch(self.hosts[1], self.theirs)
        self.far = self.fetch(self.hosts[2], self.third)

    def fetch(self, host: Host, thing: Thing) -> Any:
        near = self.hosts[0]
        return ask(self.net, near.want(near.enliven(host.mint(thing))))

    def tell(self, ref: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return ask(self.net, self.hosts[0].want(getattr(captp.E(ref), method)(*args, **kwargs)))


def called(at: Scene, named: Any) -> None:
    at.tell(named, "take", 1)


def called_for_nothing(at: Scene, named: Any) -> None:
    captp.E(named).take(1)
    at.net.rest()


def argument(at: Scene, named: Any) -> None:
    at.tell(at.there, "take", named)


def keyword(at: Scene, named: Any) -> None:
    at.tell(at.there, "take", what=named)


def deep_argument(at: Scene, named: Any) -> None:
    at.tell(at.there, "take", ({"a": [named]},))


def pipelined(at: Scene, named: Any) -> None:
    captp.E(captp.E(at.there).deep()[0]["kept"]).take(named)
    at.net.rest()


def resolved(at: Scene, named: Any) -> None:
    promise, resolver = at.hosts[0].vat.promise()
    waiting = captp.E(at.there).wait(promise)
    at.net.rest()
    resolver.fulfill(named)
    if not at.hosts[0].vat.awake:
        at.hosts[0].vat.ring()
    at.net.rest()
    del waiting


def result(at: Scene, named: Any) -> None:
    mine = Thing()
    mine.kept.append(named)
    at.tell(at.there, "get", mine)


def gift(at: Scene, named: Any) -> None:
    at.tell(at.far, "take", named)


NAMED = [called, called_for_nothing, argument, keyword, deep_argument, pipelined, resolved, result, gift]


@pytest.mark.parametrize("way", NAMED, ids=lambda way: way.__name__)
def test_an_export_that_is_named_is_touched(way: Any) -> None:
    at = Scene()
    thing = Thing()
    named = at.fetch(at.hosts[1], thing)
    at.tell(at.there, "keep", at.mine)
    keeper = at.hosts[1].peer.cycles
    before = keeper.holdings(keeper.key(thing))

    way(at, named)

    now = keeper.holdings(keeper.key(thing))
    assert now[0].side is before[0].side
    assert now[0].touched > before[0].touched


def as_result(at: Scene) -> None:
    at.tell(at.there, "back")


def deep_in_a_result(at: Scene) -> None:
    at.tell(at.there, "deep")


def as_argument(at: Scene) -> None:
    at.tell(at.there, "pass_on", Thing())


def to_a_third(at: Scene) -> None:
    at.tell(at.there, "pass_on", at.far)


GIVEN = [as_result, deep_in_a_result, as_argument, to_a_third]


@pytest.mark.parametrize("way", GIVEN, ids=lambda way: way.__name__)
def test_an_export_that_is_given_is_transferred(way: Any) -> None:
    at = Scene()
    thing = Thing()
    kept = at.fetch(at.hosts[1], thing)
    at.tell(at.there, "keep", kept)
    keeper = at.hosts[1].peer.cycles
    before = keeper.holdings(keeper.key(thing))

    way(at)

    assert keeper.holdings(keeper.key(thing))[0].transferred > before[0].transferred
    del kept


def called_there(at: Scene) -> None:
    at.tell(at.there, "call")


def given_again(at: Scene) -> None:
    at.tell(at.there, "take", at.mine)


def given_as_a_result(at: Scene) -> None:
    mine = Thing()
    mine.kept.append(at.mine)
    at.tell(at.there, "get", mine)


@pytest.mark.parametrize(
    "way", [*GIVEN, called_there, given_again, given_as_a_result], ids=lambda way: way.__name__
)
def test_an_import_that_is_named_or_given_is_touched(way: Any) -> None:
    at = Scene()
    at.tell(at.there, "keep", at.mine)
    link = at.net.link(at.hosts[1], at.hosts[0])
    position = at.theirs.kept[0]._anchor.entry.position
    keeper = at.hosts[1].peer.cycles
    before = keeper.imported(link, position)
    assert before is not None

    way(at)

    now = keeper.imported(link, position)
    assert now is not None
    assert now.incarnation == before.incarnation
    assert now.touched > before.touched


def test_nothing_is_claimed_of_an_import_that_a_finalizer_may_bring_back() -> None:
    liar = Liar()
    thing = liar.fetch(liar.victim.mint(Thing()))
    liar.mine.append(Cell())
    gc.disable()
    try:
        ask(liar.net, captp.E(thing).keep(liar.mine[0]))
        ask(liar.net, captp.E(thing).lose())
        liar.put((QUERY, name(1), 1, 8, 5000, 100, SEED, (liar.position(), 1)))
        liar.host.run()

        gc.collect()
        for wire in liar.net.wires:
            wire.far.deliver()
        liar.net.rest()
    finally:
        gc.enable()

    (reply,) = liar.said(Reply)
    assert (reply.claims, reply.reason) == ((), "live")
