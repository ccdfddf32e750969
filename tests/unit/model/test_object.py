"""Objects: fields by inheritance, construction, identity, and writes; no wire, no peer."""

from __future__ import annotations

import copy

import pytest

import captp
from captp.errors import BadClass, UsageError
from tests.support import Solo
from tests.unit.model.purses import Purse


class Named(captp.Interface):
    @captp.method
    def name(self) -> str: ...


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


def test_a_field_given_a_new_default_without_its_annotation_is_refused_naming_it() -> None:
    with pytest.raises(BadClass, match=r"Richer\.total"):

        class Richer(Purse):
            total = 100


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
