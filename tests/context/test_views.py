"""Views are read only, however deep, and read as what they show does."""

from __future__ import annotations

import copy
import json
import operator
import re
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from functools import cached_property, partialmethod, singledispatchmethod
from types import MappingProxyType
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


class Counted:
    """Python code in descriptors, and special methods that others stand for; all of it writes."""

    class Hits:
        def __get__(self, obj: Any, _kind: Any = None) -> Any:
            obj.count += 1
            return obj.items

    hits = Hits()

    def __init__(self) -> None:
        self.items = [1]
        self.count = 0

    def _push(self, item: Any) -> None:
        self.items.append(item)

    push_one = partialmethod(_push, 1)

    @singledispatchmethod
    def put(self, item: Any) -> None:
        self.items.append(item)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self.count += 1
        return self.count

    def __eq__(self, other: object) -> bool:
        self.count += 1
        return self is other

    def __hash__(self) -> int:
        self.count += 1
        return 1

    def __repr__(self) -> str:
        self.count += 1
        return "Counted()"

    def __len__(self) -> int:
        self.count += 1
        return 1

    def __getitem__(self, at: int) -> Any:
        self.count += 1
        return self.items[at]

    def __index__(self) -> int:
        self.count += 1
        return 0


class Recent(dict[str, int]):
    """A dict that notes what is read, and makes what is missing."""

    def get(self, key: str, _default: Any = None) -> Any:  # type: ignore[override]
        self[key] = 1
        return 1

    def __missing__(self, key: str) -> int:
        self[key] = 2
        return 2


class Zeros(dict[str, int]):
    """A dict that has something for what is missing, and keeps nothing."""

    def __missing__(self, key: str) -> int:
        return 0


class Label(str):
    """Text with more."""

    __slots__ = ()

    def twice(self) -> str:
        return self + self


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
    "method of an object": (lambda: {"do": Plain().bump}, lambda v: v["do"]()),
    "method of a list": (lambda: {"do": [1].append}, lambda v: v["do"](2)),
    "list of a method": (lambda: {"do": [1].append}, lambda v: v["do"].__self__.append(2)),
    "list += in place": (lambda: [1], lambda v: operator.iadd(v, [2])),
    "set |= in place": (lambda: {1}, lambda v: operator.ior(v, {2})),
    "dict |= in place": (lambda: {1: 1}, lambda v: operator.ior(v, {2: 2})),
    "default": (lambda: defaultdict(list), lambda v: v["a"]),
    "missing": (Recent, lambda v: v["a"]),
    "get of one's own": (Recent, lambda v: v.get("a")),
    "mapping of a proxy": (lambda: MappingProxyType({"a": [1]}), lambda v: v.get("a").append(2)),
    "descriptor": (Counted, lambda v: v.hits),
    "partial method": (Counted, lambda v: v.push_one()),
    "method by type": (Counted, lambda v: v.put(2)),
    "attribute that is made": (Counted, lambda v: v.anything),
    "ne": (Counted, lambda v: v != 1),
    "str": (Counted, str),
    "format": (Counted, lambda v: f"{v}"),
    "bool": (Counted, bool),
    "in": (Counted, lambda v: 1 in v),
    "items by index": (Counted, list),
    "reversed by index": (Counted, lambda v: list(reversed(v))),
    "int": (Counted, int),
    "float": (Counted, float),
    "bytearray": (lambda: bytearray(b"a"), lambda v: v.extend(b"b")),
    "memory": (lambda: bytearray(b"a"), memoryview),
}


@pytest.mark.parametrize("way", WRITES)
def test_a_write_through_a_view_fails(way: str) -> None:
    make, write = WRITES[way]
    value: Any = make()
    before = _shown(value)

    with pytest.raises((captp.BorrowConflict, TypeError)):
        write(viewed(value))

    assert _shown(value) == before


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "do" in value:
        value = value["do"].__self__
    return repr(vars(value) if isinstance(value, Plain | Counted) else value)


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


def test_what_python_code_computes_is_computed_of_the_view() -> None:
    plain = Plain()
    view = viewed(plain)
    assert (view.total, view.total, "total" in vars(plain)) == (2, 2, False)
    assert plain.total == 2
    plain.items.append([3])
    assert view.total == 2

    assert (viewed(Zeros(a=1))["a"], viewed(Zeros())["b"]) == (1, 0)
    assert viewed(defaultdict(list, a=[1]))["a"] == [1]
    assert (viewed(Label("ab")).upper(), viewed(Label("ab")).twice()) == ("AB", "abab")
    assert viewed(MappingProxyType({"a": 1})).get("a") == 1
    number = viewed(3)
    number += 1
    assert number == 4

    class Steps:
        def __getitem__(self, at: int) -> int:
            return [5, 6][at]

        def __len__(self) -> int:
            return 2

        def __index__(self) -> int:
            return 7

    steps = viewed(Steps())
    assert (list(steps), list(reversed(steps)), 6 in steps, 8 in steps) == ([5, 6], [6, 5], True, False)
    assert (int(steps), float(steps), bool(steps)) == (7, 7.0, True)


def test_what_cannot_be_written_is_given_as_it_is() -> None:
    for value in ("a", 1, 2.5, None, b"c", (1, "a"), len, dict.fromkeys, Plain, re.compile("a")):
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
