"""An object that has one owner goes on at another host: its state is sent there, and nobody has it here."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import pytest

import captp
from tests.transcript.parties import Parties
from tests.unit.peer.pair import outcome

#: Rounds in which all that a move sends has arrived, and more.
ROUNDS = 12


class Purse(captp.Interface):
    @captp.method
    def put(self, coins: int) -> int: ...


class Leather(captp.Object, Purse):
    coins: int = 0

    @captp.method
    def put(self, coins: int) -> int:
        self.coins += coins
        return self.coins


class Shop(captp.Interface):
    @captp.method
    def arrive(self, coins: int) -> captp.Unique[Purse]: ...


class Till(captp.Object, Shop):
    """Takes purses, of some size: it makes what it knows, of what it has looked at."""

    most: int = 100
    arrived: captp.List[int]

    @captp.method
    def arrive(self, coins: int) -> captp.Unique[Purse]:
        if coins > self.most:
            raise captp.Refused("too much")
        self.arrived.append(coins)
        return Leather(coins=coins)


class Office(captp.Interface):
    @captp.method
    def make(self) -> captp.Unique[Purse]: ...

    @captp.method
    async def move(self, purse: captp.Unique[Purse], shop: Shop) -> captp.Unique[Purse]: ...


class Bank(captp.Object, Office):
    """Moves its purses for their owners, and gives back those that nobody takes."""

    @captp.method
    def make(self) -> captp.Unique[Purse]:
        return Leather()

    @captp.method(latch=False)
    async def move(self, purse: captp.Unique[Purse], shop: Shop) -> captp.Unique[Purse]:
        try:
            return await shop.arrive(captp.near(purse, Leather).coins)
        except captp.Refused:
            return purse


class Scene:
    """The owner at ``a``, the bank at ``b``, and the shop that the purse goes to at ``c``."""

    def __init__(self, shop: str = "c") -> None:
        self.net = Parties()
        self.a, self.b, self.c = (self.net.party(name) for name in "ABC")
        self.till = Till()
        self.office: Any = self.get(self.b, Bank(), Office)
        self.shop: Any = self.get(getattr(self, shop), self.till, Shop)
        self.purse: Any = self.ends(self.office.make())

    def get(self, host: Any, obj: Any, interface: type) -> Any:
        if host is self.a:
            return self.a.vat.reference(obj, interface)
        return self.ends(self.a.enliven(host.mint(obj), interface))

    def ends(self, promise: Any) -> Any:
        self.a.want(promise)
        self.net.rest()
        for host in (self.a, self.b, self.c):
            host.peer.check()
        try:
            return outcome(promise)
        except captp.Error as problem:
            return problem

    def purses(self) -> dict[str, list[int]]:
        """Return the coins in every purse that there is, by host."""
        self.net.collect()
        hosts = {"a": self.a, "b": self.b, "c": self.c}
        return {
            name: [o.coins for o in host.vat.heap.objects() if isinstance(o, Leather)]
            for name, host in hosts.items()
        }


SHOPS = ("a", "b", "c")


@pytest.mark.parametrize("shop", SHOPS)
def test_its_state_goes_on_there_and_nowhere_else(shop: str) -> None:
    scene = Scene(shop)
    old = scene.purse
    early = old.put(3)
    moved = scene.office.move(old, scene.shop)
    with pytest.raises(captp.Moved):
        old.put(50)
    new = scene.ends(moved)

    assert scene.ends(early) == 3
    assert scene.ends(new.put(4)) == 7
    del moved
    assert scene.purses() == {host: [7] if host == shop else [] for host in SHOPS}
    with pytest.raises(captp.Moved):
        old.put(50)
    assert list(scene.till.arrived) == [3]


@pytest.mark.parametrize("shop", SHOPS)
def test_what_is_sent_through_the_promise_of_the_move_arrives_there(shop: str) -> None:
    scene = Scene(shop)
    moved = scene.office.move(scene.purse, scene.shop)
    first, second = moved.put(1), moved.put(2)

    assert (scene.ends(first), scene.ends(second)) == (1, 3)
    assert scene.purses()[shop] == [3]


@pytest.mark.parametrize("shop", SHOPS)
def test_one_that_is_refused_comes_back_to_its_owner(shop: str) -> None:
    scene = Scene(shop)
    scene.ends(scene.purse.put(101))
    again = scene.ends(scene.office.move(scene.purse, scene.shop))

    assert scene.ends(again.put(-1)) == 100
    assert scene.purses() == {"a": [], "b": [100], "c": []}
    assert scene.ends(scene.ends(scene.office.move(again, scene.shop)).put(1)) == 101
    assert scene.purses() == {host: [101] if host == shop else [] for host in SHOPS}


def test_who_borrows_it_or_has_a_shared_reference_cannot_have_it_moved() -> None:
    scene = Scene()

    class Thief(captp.Object):
        @captp.method
        async def steal(self, purse: captp.Borrowed[Purse], office: Office, shop: Shop) -> None:
            await office.move(purse, shop)

    thief: Any = captp.E(scene.get(scene.c, Thief(), captp.Interface))
    problem = scene.ends(thief.steal(captp.lend(scene.purse), scene.office, scene.shop))

    assert problem.class_name == "BorrowEscape"
    assert scene.ends(scene.purse.put(1)) == 1
    shared = captp.share(scene.purse)
    assert isinstance(scene.ends(scene.office.move(shared, scene.shop)), captp.BadArguments)
    assert scene.ends(shared.put(1)) == 2
    assert list(scene.till.arrived) == []


def advance(scene: Scene) -> None:
    """Let everybody run, and bring everybody what the others had sent by then."""
    for host in scene.net.hosts:
        host.run()
        while host.dials:
            scene.net.connect(host)
    for wire in scene.net.wires:
        for end in (wire.near, wire.far):
            end.deliver()


@pytest.mark.parametrize("who", ["a", "b", "c", "all"])
@pytest.mark.parametrize("rounds", range(ROUNDS))
def test_whenever_one_is_cut_off_it_has_one_owner_or_none(rounds: int, who: str) -> None:
    scene = Scene()
    assert scene.ends(scene.purse.put(5)) == 5
    moved = scene.a.want(scene.office.move(scene.purse, scene.shop))
    for _ in range(rounds):
        advance(scene)
    for wire in scene.net.wires:
        if wire.near.is_open and (who == "all" or getattr(scene, who) in (wire.near.host, wire.far.host)):
            wire.cut()
    scene.net.rest()
    if not moved.settled:
        # The bank was about to be introduced to the shop, which nobody told it is gone.
        scene.net.wait(200.0)
    new = scene.ends(moved)

    assert sum(map(len, scene.purses().values())) <= 1
    if not isinstance(new, captp.Error):
        used = scene.ends(new.put(1))
        assert used == 6 or isinstance(used, captp.Disconnected)
