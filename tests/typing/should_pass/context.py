# mypy: disable-error-code="empty-body"
"""A capability knows the type of what is bound, and so do groups, arenas, indexes and what is tied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, assert_type

import captp
from captp import Arena, Index


@dataclass
class Person:
    Cap: ClassVar[captp.Cap[Arena[Any]]]
    name: str
    friends: set[Index[Person]]


class Tally(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...


People = captp.Cap("People", Arena[Person])
Words = captp.Cap("Words", list[str])
Ledger = captp.Cap("Ledger", Tally)
Both = captp.Cap.group(People, Words)
Person.Cap = People


def reads() -> None:
    assert_type(People, captp.Cap[Arena[Person]])
    assert_type(People.get(), Arena[Person])
    assert_type(Words.get()[0], str)
    with People.ref() as people:
        assert_type(people, Arena[Person])
        for person in people:
            assert_type(person, Person)
        for index, person in people.items():
            assert_type(index, Index[Person])
            assert_type(person, Person)
            assert_type(people.get(index, None), Person | None)
    assert_type(Words.ref.use(len), int)


def writes(person: Person) -> None:
    with People.mut() as people, Words.mut() as words:
        index = people.insert(person)
        assert_type(index, Index[Person])
        assert_type(index.get(), Person)
        assert_type(people.remove(index), Person)
        words.append("a")
    with index.mut() as changed:
        assert_type(changed, Person)
    with Words.mut().map(len) as count:
        assert_type(count, int)


def binds(people: Arena[Person]) -> None:
    with captp.bind(People.mut(people), Words.ref(["a"])):
        reads()
    with captp.bind(Both.mut(people, ["a"])), captp.bind(Both.ref(people, [])):
        reads()


@captp.needs(People.mut, Words.ref)
def enter(name: str) -> int:
    return len(name)


@captp.needs(Both.ref)
async def later(name: str) -> int:
    return len(name)


@captp.tie(People.mut)
def to_change(at: Index[Person]) -> captp.Borrow[Person]:
    return People.mut().map(lambda people: people[at])


@captp.tie(People.ref)
def somebody(at: Index[Person]) -> Person:
    return People.get()[at]


class Service(captp.Interface):
    @captp.method
    @captp.needs(People.mut, Words.ref, carry=True)
    def enter(self, name: str) -> int: ...

    @captp.method
    @captp.needs(Ledger.mut, carry=True)
    async def book(self, amount: int) -> None: ...


class Office(captp.Object, Service):
    @captp.method
    @captp.needs(People.mut, Words.ref, carry=True)
    def enter(self, name: str) -> int:
        return len(name)

    @captp.method
    @captp.needs(Ledger.mut, carry=True)
    async def book(self, amount: int) -> None:
        with Ledger.mut() as ledger:
            assert_type(await ledger.add(amount), int)


async def uses(service: Service, at: Index[Person], steps: Iterator[str]) -> None:
    assert_type(enter("a"), int)
    assert_type(await later("a"), int)
    assert_type(somebody(at), Person)
    with to_change(at) as person:
        assert_type(person, Person)
    assert_type(await service.enter("a"), int)
    await service.book(3)
    for step in steps:
        service.enter.only(step)
