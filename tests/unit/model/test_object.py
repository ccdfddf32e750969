"""Objects: inheritance of state, construction, adoption by a vat, edges; no wire, no peer."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest

import captp
from captp.errors import BadClass, NotInTurn, UsageError
from captp.model.object import edges
from tests.support import Solo


class Account(captp.Interface):
    @captp.method
    def balance(self) -> int: ...


class Named(captp.Interface):
    @captp.method
    def name(self) -> str: ...


class Purse(captp.Object, Account):
    total: int = 0
    log: captp.List[str]

    @captp.method
    def balance(self) -> int:
        return self.total

    def describe(self) -> str:
        return f"holds {self.total}"


class SavingsPurse(Purse, Named):
    rate: float = 0.0
    history: captp.List[int]

    @captp.method
    def name(self) -> str:
        return "savings"

    @captp.method
    def balance(self) -> int:
        return super().balance() + 1


class DeepPurse(SavingsPurse):
    total: int = 5
    depth: int = 0


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


def test_a_subclass_has_the_fields_of_all_its_bases() -> None:
    made = DeepPurse(rate=0.5, depth=2)

    assert (made.total, made.rate, made.depth, made.log) == (5, 0.5, 2, [])


def test_super_reaches_the_method_of_the_base() -> None:
    assert DeepPurse().balance() == 6


@pytest.mark.parametrize("first", ["total", "rate", "depth"])
def test_whichever_setter_writes_first_all_fields_of_the_concrete_class_roll_back(first: str) -> None:
    solo, made = Solo(), DeepPurse(total=1, rate=1.0, depth=1)
    solo.ref(made)

    def body() -> None:
        setattr(made, first, 2)
        made.total, made.rate, made.depth = 3, 3.0, 3
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert (made.total, made.rate, made.depth) == (1, 1.0, 1)


def test_a_method_of_the_base_that_writes_rolls_back_the_subclass_too() -> None:
    class Base(captp.Object):
        low: int = 0

        def raise_low(self) -> None:
            self.low += 1

    class Derived(Base):
        high: int = 0

    solo, made = Solo(), Derived()
    solo.ref(made)

    def body() -> None:
        made.raise_low()
        made.high += 1
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert (made.low, made.high) == (0, 0)


def test_two_bases_with_state_are_refused_with_both_names_and_the_way_out() -> None:
    class One(captp.Object):
        one: int = 0

    class Two(captp.Object):
        two: int = 0

    with pytest.raises(BadClass, match=r"Both has two bases with state, One and Two: keep one, and hold"):

        class Both(One, Two):
            pass


def test_interfaces_and_stateless_mixins_stand_beside_one_stateful_base() -> None:
    class Mixin(captp.Object):
        @captp.method
        def hello(self) -> str:
            return "hello"

    class Joined(Mixin, Purse, Named):
        extra: int = 0

        @captp.method
        def name(self) -> str:
            return "joined"

    solo, made = Solo(), Joined(total=4)
    ref = solo.ref(made)

    assert solo.value(ref.hello()) == "hello"
    assert solo.value(ref.balance()) == 4
    assert solo.value(ref.name()) == "joined"


def test_an_undeclared_attribute_cannot_be_set() -> None:
    with pytest.raises(AttributeError, match="colour"):
        Purse().colour = "red"  # type: ignore[attr-defined]


def test_an_init_of_ones_own_starts_from_the_defaults() -> None:
    class Counter(captp.Object):
        name: str
        count: int = 3
        log: captp.List[str]

        def __init__(self, name: str) -> None:
            self.name = name.upper()
            self.log.append("made")

    class Special(Counter):
        special: bool = True

    solo, made = Solo(), Special("x")
    solo.ref(made)
    solo.turn(lambda: setattr(made, "count", 4))

    assert (made.name, made.count, made.log, made.special) == ("X", 4, ["made"], True)


def test_an_init_that_forgets_a_required_field_is_refused_naming_it() -> None:
    class Counter(captp.Object):
        name: str
        count: int = 0

        def __init__(self) -> None:
            self.count = 1

    with pytest.raises((TypeError, UsageError), match=r"Counter\.name"):
        Counter()


def test_objects_are_equal_to_themselves_only_and_can_be_keys() -> None:
    one, two = Purse(), Purse()

    assert one != two
    assert {one: 1, two: 2}[one] == 1


def test_an_object_cannot_be_copied_or_serialised() -> None:
    for attempt in (copy.copy, copy.deepcopy, lambda o: o.__reduce_ex__(4)):
        with pytest.raises(TypeError, match="an Object cannot be copied"):
            attempt(Purse())


def test_the_repr_of_an_object_shows_no_state() -> None:
    assert repr(Purse(log=["secret"])) == "<Purse object>"


def test_an_object_without_a_vat_writes_freely_and_journals_nothing() -> None:
    purse = Purse()

    purse.total = 5
    purse.log.append("x")

    assert purse.describe() == "holds 5"


def test_plain_calls_on_an_owned_object_outside_a_turn_may_read() -> None:
    solo, purse = Solo(), Purse(total=3)
    solo.ref(purse)

    assert purse.balance() == 3
    assert purse.describe() == "holds 3"


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


def test_a_field_given_a_new_default_without_its_annotation_is_refused_naming_it() -> None:
    with pytest.raises(BadClass, match=r"Richer\.total"):

        class Richer(Purse):
            total = 100


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
