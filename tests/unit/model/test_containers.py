"""List, Map and Set: what may go in, who may write, and what a failed turn leaves."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp.errors import NotInTurn, Unpassable
from tests.support import Solo


class Box(captp.Object):
    items: captp.List[int]
    table: captp.Map[str, int]
    tags: captp.Set[int]
    nested: captp.Map[str, captp.List[int]]
    anything: captp.List[Any]
    mixed: captp.Set[Any]
    keyed: captp.Map[Any, int]


class Named(captp.Interface):
    @captp.method
    def name(self) -> str: ...


class Thing(captp.Object, Named):
    title: str = ""

    @captp.method
    def name(self) -> str:
        return self.title


class Shelf(captp.Object):
    row: captp.List[Named]
    by_name: captp.Map[str, Named]
    members: captp.Set[Named]


def test_set_pop_takes_one_element_and_rolls_back() -> None:
    solo, box = Solo(), Box(tags={1, 2, 3})
    solo.ref(box)
    popped: list[int] = []

    def body() -> None:
        popped.append(box.tags.pop())
        assert box.tags == {1, 2, 3} - set(popped)
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert box.tags == {1, 2, 3}


@pytest.mark.parametrize(
    ("make", "builtin", "act"),
    [
        (captp.List, list, lambda c: c.pop()),
        (captp.List, list, lambda c: c.pop(1.5)),
        (captp.List, list, lambda c: c.insert("1", 2)),
        (captp.List, list, lambda c: c.insert(1.5, 2)),
        (captp.List, list, lambda c: c.remove(7)),
        (captp.List, list, lambda c: c.extend(3)),
        (captp.List, list, lambda c: c.__imul__("x")),
        (captp.Map, dict, lambda c: c.popitem()),
        (captp.Map, dict, lambda c: c.pop("no")),
        (captp.Map, dict, lambda c: c.__setitem__([], 1)),
        (captp.Map, dict, lambda c: c.update(3)),
        (captp.Set, set, lambda c: c.pop()),
        (captp.Set, set, lambda c: c.remove(1)),
        (captp.Set, set, lambda c: c.add([])),
    ],
)
def test_a_wrong_operation_raises_what_the_builtin_raises(
    make: Any, builtin: Any, act: Callable[[Any], Any]
) -> None:
    with pytest.raises(Exception) as expected:  # noqa: PT011
        act(builtin())

    with pytest.raises(expected.type):
        act(make())


READERS = {
    list: {"copy", "count", "index", "__add__", "__mul__", "__rmul__", "__getitem__", "__contains__"},
    dict: {"copy", "get", "items", "keys", "values", "fromkeys", "__or__", "__ror__", "__getitem__"},
    set: {
        *("copy", "difference", "intersection", "isdisjoint", "issubset", "issuperset"),
        *("symmetric_difference", "union", "__and__", "__or__", "__sub__", "__xor__"),
        *("__rand__", "__ror__", "__rsub__", "__rxor__"),
    },
}  # fmt: skip
PLAIN = {
    *("__contains__", "__iter__", "__len__", "__reversed__", "__class_getitem__", "__doc__", "__hash__"),
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__repr__", "__new__", "__init__"),
    *("__getattribute__", "__sizeof__", "__reduce__"),
}  # fmt: skip


@pytest.mark.parametrize(("tracked", "builtin"), [(captp.List, list), (captp.Map, dict), (captp.Set, set)])
def test_no_changing_method_of_a_builtin_is_left_untracked(tracked: Any, builtin: Any) -> None:
    inherited = {n for n in vars(builtin) if n not in vars(tracked)}

    assert inherited - READERS[builtin] - PLAIN == set()


@pytest.mark.parametrize(
    "write",
    [
        lambda b: b.items.append(1),
        lambda b: b.items.sort(),
        lambda b: b.table.__setitem__("x", 1),
        lambda b: b.table.clear(),
        lambda b: b.tags.add(9),
        lambda b: b.tags.discard(1),
        lambda b: b.nested["x"].append(1),
    ],
)
def test_a_write_outside_a_turn_is_refused_with_the_fix_and_changes_nothing(
    write: Callable[[Box], None],
) -> None:
    solo, box = Solo(), Box(items=[2, 1], table={"a": 1}, tags={1}, nested={"x": [1]})
    solo.ref(box)

    with pytest.raises(NotInTurn, match=r"Box belongs to a vat.*inside its own methods; send it a message"):
        write(box)

    assert (box.items, box.table, box.tags, box.nested) == ([2, 1], {"a": 1}, {1}, {"x": [1]})


def test_a_container_of_an_object_without_a_vat_changes_freely() -> None:
    box = Box()

    box.items.append(1)
    box.table["a"] = 2
    box.tags.add(3)

    assert (box.items, box.table, box.tags) == ([1], {"a": 2}, {3})


def test_a_nested_container_rolls_back() -> None:
    solo, box = Solo(), Box(nested={"x": [1]})
    solo.ref(box)

    def body() -> None:
        box.nested["x"].append(2)
        box.nested["y"] = [3]
        box.nested["y"].append(4)
        del box.nested["x"]
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert box.nested == {"x": [1]}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("field", ["items", "table", "tags"])
def test_a_copy_of_a_container_is_one_s_own_and_leaves_the_state_alone(copied: Any, field: str) -> None:
    solo, box = Solo(), Box(items=[1], table={"a": 1}, tags={1})
    solo.ref(box)
    before = getattr(box, field)

    mine = copied(before)
    assert mine == before
    mine.clear()

    assert len(getattr(box, field)) == 1
    solo.turn(lambda: copied(before).clear())
    assert len(getattr(box, field)) == 1


def test_taking_many_items_out_of_a_long_list_keeps_the_journal_short() -> None:
    solo, box = Solo(), Box(items=list(range(2_000)))
    solo.ref(box)

    def body() -> int:
        for _ in range(500):
            box.items.pop(0)
            box.items.insert(0, 7)
            box.items.remove(7)
        saved = [arg for _, args in solo.vat.trustee.journal for arg in args]
        return sum(len(arg) for arg in saved if type(arg) is list)

    assert solo.turn(body) < 10_000
    assert box.items == list(range(500, 2_000))


def test_a_container_taken_out_of_the_state_still_belongs_to_its_owner() -> None:
    solo, box = Solo(), Box(nested={"x": [1]})
    solo.ref(box)
    inner = box.nested["x"]

    solo.turn(box.nested.clear)

    with pytest.raises(NotInTurn):
        inner.append(2)


@pytest.mark.parametrize(
    ("write", "where"),
    [
        (lambda b: b.items.append("x"), "Box.items"),
        (lambda b: b.items.extend([1, None]), "Box.items"),
        (lambda b: b.items.insert(0, 1.5), "Box.items"),
        (lambda b: b.items.__setitem__(0, True), "Box.items"),
        (lambda b: b.items.__setitem__(slice(0, 1), ["x"]), "Box.items"),
        (lambda b: b.items.__iadd__(["x"]), "Box.items"),
        (lambda b: b.table.__setitem__("k", "x"), "Box.table"),
        (lambda b: b.table.update(k="x"), "Box.table"),
        (lambda b: b.table.setdefault("k", "x"), "Box.table"),
        (lambda b: b.table.__setitem__(object(), 1), "Box.table"),
        (lambda b: b.table.__setitem__(1, 1), "Box.table"),
        (lambda b: b.keyed.__setitem__((object(),), 1), "Box.keyed"),
        (lambda b: b.keyed.__setitem__(captp.FrozenMap(a=1), 1), "Box.keyed"),
        (lambda b: b.keyed.__setitem__(Thing(), 1), "Box.keyed"),
        (lambda b: b.keyed.__setitem__((1, (Thing(),)), 1), "Box.keyed"),
        (lambda b: b.tags.add("x"), "Box.tags"),
        (lambda b: b.tags.update([1, "x"]), "Box.tags"),
        (lambda b: b.tags.__ixor__({"x"}), "Box.tags"),
        (lambda b: b.anything.append(object()), "Box.anything"),
        (lambda b: b.anything.append([[object()]]), "Box.anything"),
    ],
)
def test_what_is_not_of_the_declared_kind_is_refused_naming_the_field(
    write: Callable[[Box], Any], where: str
) -> None:
    box = Box(items=[1], table={"a": 1}, tags={1})

    with pytest.raises(Unpassable) as refused:
        write(box)

    assert refused.value.path.startswith(where)
    assert (box.items, box.table) == ([1], {"a": 1})


def test_the_constructor_checks_keys_as_assignment_does() -> None:
    with pytest.raises(Unpassable, match=r"Box\.table"):
        Box(table={1: 1})


def test_plain_containers_inside_a_tracked_one_become_tracked() -> None:
    solo, box = Solo(), Box()
    solo.ref(box)

    solo.turn(lambda: box.anything.append({"k": [1, {2}]}))

    (inner,) = box.anything
    assert (type(inner), type(inner["k"]), type(inner["k"][1])) == (captp.Map, captp.List, captp.Set)
    with pytest.raises(NotInTurn):
        inner["k"][1].add(3)


def test_objects_put_into_a_container_of_references_become_references() -> None:
    solo, shelf, thing = Solo(), Shelf(), Thing(title="t")
    solo.ref(shelf)

    def body() -> None:
        shelf.row.append(thing)
        shelf.by_name["t"] = thing
        shelf.members.add(thing)

    solo.turn(body)

    ref = solo.ref(thing, Named)
    assert shelf.row[0] is ref
    assert shelf.by_name["t"] is ref
    assert list(shelf.members) == [ref]


def test_adding_an_object_whose_reference_is_there_already_rolls_back_to_having_it() -> None:
    solo, shelf, thing = Solo(), Shelf(), Thing()
    ref = solo.ref(thing, Named)
    shelf.members.add(ref)
    solo.ref(shelf)

    def body() -> None:
        shelf.members.add(thing)
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert shelf.members == {ref}


@pytest.mark.parametrize(
    ("field", "start", "act"),
    [
        ("mixed", {1}, lambda b: b.mixed.discard(True)),
        ("mixed", {1}, lambda b: b.mixed.remove(1.0)),
        ("keyed", {1: 2}, lambda b: b.keyed.pop(True)),
        ("keyed", {1: 2}, lambda b: b.keyed.__delitem__(1.0)),
    ],
)
def test_what_a_lookalike_removed_comes_back_as_the_value_it_was(
    field: str, start: Any, act: Callable[[Box], Any]
) -> None:
    solo, box = Solo(), Box(**{field: start})
    solo.ref(box)

    def body() -> None:
        act(box)
        assert len(getattr(box, field)) == 0
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert [type(k) for k in getattr(box, field)] == [int]


def test_an_object_goes_with_its_last_holder_and_its_containers_are_plain_then() -> None:
    solo = Solo()
    box = Box()
    solo.vat.reference(box)
    items, gone = box.items, weakref.ref(box)

    del box

    assert gone() is None
    items.append(1)
    assert items == [1]
