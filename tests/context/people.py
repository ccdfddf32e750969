"""The values that the tests of contexts bind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import captp
from captp import Arena, Index


@dataclass
class Person:
    """Somebody with friends."""

    Cap: ClassVar[Any]
    name: str
    friends: set[Index[Person]] = field(default_factory=set)
    notes: list[list[str]] = field(default_factory=list)

    def rename(self, name: str) -> None:
        self.name = name

    @property
    def title(self) -> str:
        return self.name.title()


People = captp.Cap("People", Arena[Person])
Words = captp.Cap("Words", list[str])
Number = captp.Cap("Number", int)
Person.Cap = People


def two() -> tuple[Arena[Person], Index[Person], Index[Person]]:
    """Return an arena with Ann and Bob."""
    people: Arena[Person] = Arena()
    return people, people.insert(Person("ann", notes=[["x"]])), people.insert(Person("bob"))


def line(text: str) -> int:
    """Return the number of the line in the caller's file that has ``text`` in it once."""
    import sys

    with open(sys._getframe(1).f_code.co_filename) as source:
        found = [n for n, one in enumerate(source, 1) if text in one and "line(" not in one]
    assert len(found) == 1, found
    return found[0]
