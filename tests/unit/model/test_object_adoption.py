"""A vat adopts all that an object's state holds, by value or by reference, and forgets what nobody holds."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import captp
from captp.errors import NotInTurn, UsageError
from captp.model.object import edges
from tests.support import Solo
from tests.unit.model.purses import Account, Purse


class Link(captp.Object):
    next: Link | None = None
    count: int = 0


class LooseLink(captp.Object, Account):
    next: Account | None = None

    @captp.method
    def balance(self) -> int:
        return 0


class LinkInList(captp.Object):
    rest: captp.List[LinkInList]


class Nest(captp.Object):
    by_value: Purse | None = None
    row: captp.List[Purse]
    faces: captp.Map[str, captp.List[Account]]
    members: captp.Set[Account]
    anything: Any = None
    pair: tuple[Any, ...] = ()


def chain(kind: type, length: int) -> list[Any]:
    links = [kind()]
    for _ in range(length - 1):
        links.append(kind(next=links[-1]))
    links.reverse()
    return links


def test_a_chain_of_5000_objects_by_value_is_adopted_whole() -> None:
    solo, links = Solo(), chain(Link, 5_000)

    solo.ref(links[0])

    assert links[0].next is links[1]
    with pytest.raises(NotInTurn):
        links[-1].count = 1
    assert len(list(solo.vat.heap.objects())) == 5_001
    solo.peer.check()


def test_a_chain_of_5000_objects_becomes_a_chain_of_references() -> None:
    solo, links = Solo(), chain(LooseLink, 5_000)

    solo.ref(links[0])

    assert links[0].next is solo.ref(links[1], Account)
    assert links[-2].next is solo.ref(links[-1], Account)


def test_a_chain_of_5000_objects_through_containers_is_adopted_in_a_turn_and_falls_apart_again() -> None:
    solo, root = Solo(), LinkInList()
    solo.ref(root)
    tails = [LinkInList()]
    for _ in range(4_999):
        tails.append(LinkInList(rest=[tails.pop()]))

    solo.turn(lambda: root.rest.append(tails.pop()))
    assert len(list(solo.vat.heap.objects())) == 5_002

    solo.turn(root.rest.clear)
    gc.collect()
    solo.run()
    assert len(list(solo.vat.heap.objects())) == 2
    solo.peer.check()


def test_a_ring_of_objects_is_adopted_once() -> None:
    solo, one, two = Solo(), Link(), Link()
    one.next, two.next = two, one

    solo.ref(one)

    assert one.next is two
    assert two.next is one
    assert len(list(solo.vat.heap.objects())) == 3


def test_adoption_reaches_objects_wherever_state_holds_them() -> None:
    solo = Solo()
    purses = [Purse(total=i) for i in range(6)]
    nest = Nest(
        by_value=purses[0],
        row=[purses[1]],
        faces={"a": [purses[2]]},
        members={purses[3]},
        anything={"k": [(purses[4],)]},
        pair=(1, (purses[5],)),
    )

    solo.ref(nest)

    for purse in purses:
        with pytest.raises(NotInTurn):
            purse.total = 99
    assert nest.by_value is purses[0]
    assert nest.row == [purses[1]]
    assert nest.faces["a"][0] is solo.ref(purses[2], Account)
    assert list(nest.members) == [solo.ref(purses[3], Account)]


def test_assigning_an_object_to_an_interface_field_makes_it_a_reference_at_once_when_owned() -> None:
    solo, loose, purse = Solo(), LooseLink(), Purse(total=3)
    solo.ref(loose)

    solo.turn(lambda: setattr(loose, "next", purse))

    assert loose.next is solo.ref(purse, Account)
    assert solo.value(loose.next.balance()) == 3


def test_assigning_an_object_to_an_interface_field_of_an_unowned_object_becomes_a_reference_later() -> None:
    solo, purse = Solo(), Purse(total=3)
    loose = LooseLink(next=purse)
    assert loose.next is purse

    solo.ref(loose)

    assert loose.next is solo.ref(purse, Account)


def test_an_untyped_promise_in_an_interface_field_gets_the_methods_of_the_interface() -> None:
    solo, loose, purse = Solo(), LooseLink(), Purse(total=3)
    solo.ref(loose)
    promise, resolver = solo.promise()

    solo.turn(lambda: setattr(loose, "next", promise))
    answer = loose.next.balance()  # type: ignore[union-attr]
    resolver.fulfill(solo.ref(purse))

    assert solo.value(answer) == 3


def test_a_field_of_object_type_refuses_a_reference_and_names_near_as_the_way() -> None:
    solo, purse = Solo(), Purse()
    nest = Nest()

    with pytest.raises(captp.Unpassable, match=r"Nest\.by_value"):
        nest.by_value = solo.ref(purse)


def test_an_object_of_another_vat_is_refused_and_nothing_is_half_adopted() -> None:
    home, other, stranger = Solo(), Solo(seed=1), Link()
    other.ref(stranger)
    made = Link(next=Link(next=stranger))

    with pytest.raises(UsageError, match=r"Link belongs to another vat; pass a reference"):
        home.ref(made)
    with pytest.raises(UsageError):
        home.ref(made)

    made.count = 1
    assert len(list(home.vat.heap.objects())) == 1


def test_a_reference_of_another_vat_is_no_state_of_this_one() -> None:
    home, other, loose = Solo(), Solo(seed=1), LooseLink()
    foreign = other.ref(Purse(), Account)
    home.ref(loose)

    with pytest.raises(UsageError, match="another vat"):
        home.turn(lambda: setattr(loose, "next", foreign))
    with pytest.raises(UsageError, match="another vat"):
        home.ref(LooseLink(next=foreign))

    assert loose.next is None


def test_edges_are_exactly_what_the_state_holds() -> None:
    solo = Solo()
    purses = [Purse() for _ in range(5)]
    nest = Nest(by_value=purses[0], row=[purses[1]], members={purses[2]}, pair=(1, (purses[3], "x")))
    solo.ref(nest)
    ref = solo.ref(purses[2], Account)

    assert list(edges(nest)) == [purses[0], purses[1], ref, purses[3]]


def test_the_heap_forgets_an_object_that_nobody_holds() -> None:
    solo, link = Solo(), Link()
    solo.ref(link)
    before = len(list(solo.vat.heap.objects()))

    del link
    gc.collect()
    solo.run()

    assert len(list(solo.vat.heap.objects())) == before - 1
    solo.peer.check()
