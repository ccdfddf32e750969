"""A town: people, groups and pets in arenas, which functions reach by capabilities."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import captp
from captp import Arena, Index


@dataclass
class Pet:
    name: str
    petted_by: set[Index[Person]] = field(default_factory=set)


@dataclass
class Person:
    name: str
    friends: set[Index[Person]] = field(default_factory=set)
    pets: list[Index[Pet]] = field(default_factory=list)


@dataclass
class Group:
    name: str
    members: list[Index[Person]] = field(default_factory=list)


People = captp.Cap("People", Arena[Person])
Pets = captp.Cap("Pets", Arena[Pet])
Groups = captp.Cap("Groups", Arena[Group])
Town = captp.Cap.group(People, Pets)
News = captp.Cap("News", list[str])


def announce(line: str) -> None:
    with News.mut() as news:
        news.append(line)


def announced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Tell everybody what is done."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        announce(function.__name__)
        return result

    return run


@announced
def move_in(name: str, *pets: str) -> Index[Person]:
    with Pets.mut() as all_pets:
        own = [all_pets.insert(Pet(pet)) for pet in pets]
    with People.mut() as people:
        return people.insert(Person(name, set(), own))


@announced
def befriend(one: Index[Person], other: Index[Person]) -> None:
    with People.mut() as people:
        people[one].friends.add(other)
        people[other].friends.add(one)
    for pet in list(People.get()[one].pets):
        stroke(other, pet)
    for pet in list(People.get()[other].pets):
        stroke(one, pet)


def stroke(person: Index[Person], pet: Index[Pet]) -> None:
    with Pets.mut() as pets:
        pets[pet].petted_by.add(person)
    announce(f"{name_of(person)} strokes {Pets.get()[pet].name}")


def name_of(person: Index[Person]) -> str:
    return People.get()[person].name


@captp.tie(People.ref)
def found(name: str) -> Person:
    return next(person for person in People.get() if person.name == name)


@captp.tie(People.mut)
def to_change(person: Index[Person]) -> Any:
    return People.mut().map(lambda people: people[person])


def rename(person: Index[Person], name: str) -> None:
    with to_change(person) as changed:
        changed.name = name


def everybody(act: Callable[[Index[Person]], None]) -> None:
    for index, _ in list(People.get().items()):
        act(index)


@captp.needs(Groups.mut, People.ref)
def found_group(name: str, *names: str) -> Index[Group]:
    with Groups.mut() as groups:
        group = groups.insert(Group(name))
        for index, person in People.get().items():
            if person.name in names:
                groups[group].members.append(index)
    return group


def party(group: Index[Group]) -> int:
    guests = 0
    for one in Groups.get()[group].members:
        for other in Groups.get()[group].members:
            if one != other:
                befriend(one, other)
        guests += 1
    return guests


class Census:
    """Counts when it is asked, and remembers numbers only."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self) -> int:
        self.counts.append(len(People.get()))
        return self.counts[-1]


@contextmanager
def town() -> Iterator[list[str]]:
    news: list[str] = []
    with captp.bind(Town.mut(Arena(), Arena()), Groups.mut(Arena()), News.mut(news)):
        yield news


def shout(person: Index[Person]) -> None:
    rename(person, name_of(person).upper())


def main() -> None:
    census = Census()
    with town() as news:
        ann = move_in("Ann", "Rex")
        bob = move_in("Bob", "Tom", "Kit")
        move_in("Cid")
        befriend(ann, bob)
        group = found_group("chess", "Ann", "Cid")
        print(party(group), census(), len(found("Ann").friends))
        everybody(shout)
        everybody(lambda person: rename(person, name_of(person) + "!"))
        everybody(functools.partial(befriend, ann))
        print(sorted(person.name for person in People.get()), len(news))
        with captp.bind(People.ref(Arena())):
            print(census())


if __name__ == "__main__":
    main()
