"""What the library has, as capabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import captp
from captp import Arena, Index


class State(Enum):
    FREE = "free"
    LENT = "lent"


@dataclass
class Book:
    title: str
    state: State = State.FREE
    history: list[str] = field(default_factory=list)


@dataclass
class Member:
    name: str
    books: list[Index[Book]] = field(default_factory=list)


@dataclass
class Policy:
    limit: int
    greeting: str


Books = captp.Cap("Books", Arena[Book])
Members = captp.Cap("Members", Arena[Member])
Rules = captp.Cap("Rules", Policy)
All = captp.Cap.group(Books, Members)
