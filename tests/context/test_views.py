"""Views are read only, however deep, and read as what they show does."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict, deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import pytest

import captp
from tests.context.people import People, Person, two

Anything = captp.Cap("Anything", object)


class Plain:
    """A class with what views meet in classes."""

    shared: ClassVar[list[int]] = [1]

    def __init__(self) -> None:
        self.items = [[1], [2]]
        self.count = 0

    def bump(self) -> None:
        self.count += 1

    def first(self) -> Any:
        return self.items[0]

    @property
    def second(self) -> Any:
        return self.items[1]

    @cached_property
    def total(self) -> int:
        return sum(map(len, self.items))

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: int) -> Any:
        return self.items[at]

    def __call__(self) -> None:
        self.count += 1

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_rest: object) -> None:
        return None


@dataclass
class Point:
    x: int
    y: list[int]


class Tally(captp.Object):
    total: int = 0
    log: captp.List[int]

    @captp.method
    def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    @captp.method
    def look(self) -> tuple[int, int]:
        return self.total, len(self.log)


def viewed(value: Any) -> Any:
    """Return a view that stays good: its block never ends."""
    captp.bind(Anything.ref(value)).__enter__()
    return Anything.get()


WRITES = {
    "attribute": (Plain, lambda v: setattr(v, "count", 1)),
    "deletion": (Plain, lambda v: delattr(v, "count")),
    "method": (Plain, lambda v: v.bump()),
    "call": (Plain, lambda v: v()),
    "item of a part": (Plain, lambda v: v.items.__setitem__(0, 1)),
    "part of a part": (Plain, lambda v: v.items[0].append(3)),
    "what a method returns": (Plain, lambda v: v.first().append(3)),
    "what a property returns": (Plain, lambda v: v.second.append(3)),
    "what an item is": (Plain, lambda v: v[0].append(3)),
    "what iterating gives": (Plain, lambda v: next(iter(v)).append(3)),
    "its dict": (Plain, lambda v: v.__dict__.update(count=1)),
    "vars": (Plain, lambda v: vars(v).update(count=1)),
    "list": (lambda: [1], lambda v: v.append(1)),
    "list +=": (lambda: [[1]], lambda v: (v + [[2]])[0].append(2)),  # noqa: RUF005
    "list *": (lambda: [[1]], lambda v: (v * 2)[0].append(2)),
    "slice": (lambda: [[1]], lambda v: v[:][0].append(2)),
    "sort": (lambda: [2, 1], lambda v: v.sort()),
    "reversed": (lambda: [[1]], lambda v: next(reversed(v)).append(2)),
    "sorted": (lambda: [[1]], lambda v: sorted(v)[-1].append(2)),  # noqa: FURB192
    "copy()": (lambda: [[1]], lambda v: v.copy()[0].append(2)),
    "deletion of an item": (lambda: [1], lambda v: v.__delitem__(0)),
    "dict": (lambda: {"a": [1]}, lambda v: v.pop("a")),
    "values": (lambda: {"a": [1]}, lambda v: next(iter(v.values())).append(2)),
    "items": (lambda: {"a": [1]}, lambda v: next(iter(v.items()))[1].append(2)),
    "get": (lambda: {"a": [1]}, lambda v: v.get("a").append(2)),
    "setdefault": (lambda: {"a": [1]}, lambda v: v.setdefault("b", 2)),
    "dict |": (lambda: {"a": [1]}, lambda v: (v | {})["a"].append(2)),
    "set": (lambda: {1}, lambda v: v.add(2)),
    "tuple": (lambda: ([1],), lambda v: v[0].append(2)),
    "named": (lambda: OrderedDict(a=[1]), lambda v: v.move_to_end("a")),
    "deque": (lambda: deque([[1]]), lambda v: v.appendleft(2)),
    "dataclass": (lambda: Point(1, [2]), lambda v: v.y.append(3)),
    "iterator": (lambda: iter([1]), next),
    "an iterator's iterator": (lambda: iter([1]), lambda v: next(iter(v))),
    "Object": (Tally, lambda v: v.add(1)),
    "field": (Tally, lambda v: setattr(v, "total", 1)),
    "container of an Object": (Tally, lambda v: v.log.append(1)),
    "bound method": (lambda: Plain().bump, lambda v: v()),
    "bytearray": (lambda: bytearray(b"a"), lambda v: v.extend(b"b")),
    "memory": (lambda: bytearray(b"a"), memoryview),
}


@pytest.mark.parametrize("way", WRITES)
def test_a_write_through_a_view_fails(way: str) -> None:
    make, write = WRITES[way]
    value: Any = make()
    before = repr(vars(value) if isinstance(value, Plain) else value)

    with pytest.raises((captp.BorrowConflict, TypeError)):
        write(viewed(value))

    assert repr(vars(value) if isinstance(value, Plain) else value) == before


def test_what_it_says() -> None:
    people, ann, _bob = two()
    with (
        captp.bind(People.ref(people)),
        pytest.raises(captp.BorrowConflict, match=r"People is read only, and Person.name may write"),
    ):
        People.get()[ann].rename("x")


def test_it_reads_as_what_it_shows() -> None:
    people, ann, bob = two()
    people[ann].friends.add(bob)
    with captp.bind(People.ref(people)):
        view = People.get()[ann]
        assert isinstance(view, Person)
        assert view == people[ann]
        assert view.title == "Ann"
        assert view.friends == {bob}
        assert bob in view.friends
        assert repr(view) == repr(people[ann])
        assert [p.name for p in People.get()] == ["ann", "bob"]
        assert {index: p.name for index, p in People.get().items()} == {ann: "ann", bob: "bob"}
        assert len(People.get()) == 2
        match view:
            case Person(name=name):
                assert name == "ann"

    plain = viewed(Plain())
    assert (len(plain), plain.name(), plain[1], plain.shared) == (2, "Plain", [2], [1])
    assert sum(viewed([1, 2])) == 3
    assert viewed({"a": 1})["a"] == 1
    assert viewed({1, 2}) & {2, 3} == {2}
    assert {3} | viewed({2}) == {2, 3}
    assert viewed([3, 1]) < [3, 2]
    assert f"{viewed([1])}" == "[1]"
    assert viewed(Tally()).look() == (0, 0)
    assert hash(viewed(frozenset({1}))) == hash(frozenset({1}))
    assert not viewed([])


def test_what_cannot_be_written_is_given_as_it_is() -> None:
    for value in ("a", 1, 2.5, None, b"c", (1, "a"), len, Plain):
        assert viewed({"it": value})["it"] is value or type(viewed({"it": value})["it"]) is type(value)


def test_a_copy_is_deep_or_none() -> None:
    value = [[1]]
    view = viewed(value)
    copied = copy.deepcopy(view)
    copied[0].append(2)

    assert value == [[1]]
    with pytest.raises(TypeError, match="neither copied nor serialised"):
        copy.copy(view)
    with pytest.raises(TypeError):
        json.dumps(view)


async def test_a_view_leaves_in_a_message_as_a_copy_of_data_or_not_at_all() -> None:
    class Sink(captp.Object):
        @captp.method
        def put(self, value: object) -> None:
            got.append(value)

    got: list[object] = []
    async with captp.open_vat() as vat:
        sink = captp.E(vat.export(Sink()))
        await sink.put(viewed([1, {"a": [2]}]))
        for value in (Tally(), [Tally()], {"a": Tally()}, Plain(), {1}):
            with pytest.raises(captp.Unpassable, match=r"a view of a (Tally|Plain|set) cannot cross"):
                sink.put(viewed(value))

    assert got == [(1, {"a": (2,)})]
