"""A social graph in arenas that nobody passes around: here, in trustees, and in a process of its own.

Run it with ``python -m captp.examples.social_graph``. The program is the one of the text that proposed
contextual capabilities, whose literal form borrows pets to read and then writes: the checker says so.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass, field
from typing import Any

import trio

import captp
from captp import Arena, Index
from captp.check import check


@dataclass
class SocialGroup:
    """People who are friends with all of an allied group."""

    name: str
    alliances: set[Index[SocialGroup]] = field(default_factory=set)
    people: set[Index[Person]] = field(default_factory=set)


@dataclass
class Person:
    """Somebody with friends, in a group."""

    name: str
    friends: set[Index[Person]] = field(default_factory=set)
    social_groups: set[Index[SocialGroup]] = field(default_factory=set)
    pets: set[Index[Pet]] = field(default_factory=set)


@dataclass
class Pet:
    """Remembers who pet it."""

    name: str
    petted_by: set[Index[Person]] = field(default_factory=set)


Groups = captp.Cap("Groups", Arena[SocialGroup])
People = captp.Cap("People", Arena[Person])
Pets = captp.Cap("Pets", Arena[Pet])
Story = captp.Cap("Story", list[str])
World = captp.Cap.group(Groups, People, Pets, Story)


def add_alliance(group_1: Index[SocialGroup], group_2: Index[SocialGroup]) -> None:
    """Ally two groups, which has everyone be friends with everyone else."""
    for person_a in Groups.get()[group_1].people:
        for person_b in Groups.get()[group_2].people:
            add_friends(person_a, person_b)
    with Groups.mut() as groups:
        groups[group_1].alliances.add(group_2)
        groups[group_2].alliances.add(group_1)


def add_friends(person_a: Index[Person], person_b: Index[Person]) -> None:
    """Make two people friends, and have each pet the other's pets."""
    with People.mut() as people:
        people[person_a].friends.add(person_b)
        people[person_b].friends.add(person_a)
    for pet in People.get()[person_a].pets:
        pet_that_animal(person_b, pet)
    for pet in People.get()[person_b].pets:
        pet_that_animal(person_a, pet)


def pet_that_animal(person: Index[Person], pet: Index[Pet]) -> None:
    """Have somebody pet a pet, and tell of it."""
    with Pets.mut() as pets:
        pets[pet].petted_by.add(person)
    who = People.get()[person]
    group = Groups.get()[next(iter(who.social_groups))]
    with Story.mut() as story:
        story.append(f"{Pets.get()[pet].name} was pet by {who.name}, a member of {group.name}")


@captp.needs(World.mut, carry=True)
def ally(_holder: Any, one: str, other: str) -> None:
    """Make an alliance in the world that the caller gives."""
    found = {group.name: index for index, group in Groups.get().items()}
    add_alliance(found[one], found[other])


class Town(captp.Object):
    """Makes alliances for callers from other processes."""

    ally = captp.method(ally)


def new_world() -> tuple[Arena[SocialGroup], Arena[Person], Arena[Pet], list[str]]:
    """Return two groups of two, some with pets."""
    groups, people, pets = Arena[SocialGroup](), Arena[Person](), Arena[Pet]()
    for name, members in (("Readers", ("Ann", "Bob")), ("Climbers", ("Cid", "Dot"))):
        group = groups.insert(SocialGroup(name))
        for member in members:
            person = Person(member, social_groups={group})
            if member in ("Ann", "Dot"):
                person.pets.add(pets.insert(Pet(f"{member}'s cat")))
            groups[group].people.add(people.insert(person))
    return groups, people, pets, []


async def everywhere() -> dict[str, Any]:
    """Make the same alliance in each place, each time in a new world; return what became of those."""
    worlds: dict[str, Any] = {place: new_world() for place in ("here", "loop", "thread", "process")}
    async with captp.open_vat() as vat, vat.trustee("thread") as thread:
        with captp.bind(World.mut(*worlds["here"])):
            ally(None, "Readers", "Climbers")
        for place, trustee in (("loop", vat), ("thread", thread)):
            with captp.bind(World.mut(*worlds[place])):
                await trustee.entrust({}).apply(ally, "Readers", "Climbers")
        async with vat.trustee("process", [Town]) as process:
            town = await process.entrust_new(Town)
            with captp.bind(World.mut(*worlds["process"])):
                await town.apply(Town.ally, "Readers", "Climbers")
    return worlds


def main() -> None:
    """Print the story, whether it is the same everywhere, and what the checker says of both forms."""
    worlds = trio.run(everywhere)
    print(*worlds["here"][3], sep="\n")
    for place, world in worlds.items():
        same = all(list(a) == list(b) for a, b in zip(world, worlds["here"], strict=True))
        print(f"{place}: {'the same' if same else 'another'} world")
    corrected = inspect.getsource(sys.modules[__name__])
    literal = corrected.replace("    with Pets.mut() as pets:\n", "    with Pets.ref() as pets:\n")
    for form, text in (("as proposed", literal), ("corrected", corrected)):
        print(
            f"{form}:",
            *[f"{found.code} {found.message}" for found in check({"town.py": text})] or ["accepted"],
        )


if __name__ == "__main__":
    # By its name, as a process of its own imports the town.
    from captp.examples import social_graph  # noqa: PLW0406

    social_graph.main()
