"""A service that is given context by its callers, near and over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import captp
from captp import Index
from captp.net.tcp import TcpNetlayer
from tests.context.people import People, Person, Words, line


class Tally(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...

    @captp.method
    def look(self) -> int: ...


class Sheet(captp.Object, Tally):
    total: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    @captp.method
    def look(self) -> int:
        return self.total


Ledger = captp.Cap("Ledger", Tally)
Secret = captp.Cap("Secret", list[str])


class Service(captp.Interface):
    """What needs context of its callers."""

    @captp.method
    @captp.needs(People.ref, carry=True)
    def names(self) -> list[str]: ...

    @captp.method
    @captp.needs(People.mut, Words.ref, carry=True)
    def befriend(self, one: int, other: int) -> int: ...

    @captp.method
    @captp.needs(Words.mut, carry=True)
    async def slowly(self, until: captp.Promise[Any]) -> str: ...

    @captp.method
    @captp.needs(Words.mut, carry=True)
    def fail(self) -> None: ...

    @captp.method
    @captp.needs(Ledger.mut, carry=True)
    async def book(self, amount: int) -> int: ...

    @captp.method
    @captp.needs(Ledger.ref, carry=True)
    async def audit(self) -> str: ...

    @captp.method
    @captp.needs(Words.mut, carry=True)
    def me(self) -> Service: ...


class Server(captp.Object, Service):
    kept: captp.List[str]

    @captp.method
    @captp.needs(People.ref, carry=True)
    def names(self) -> list[str]:  # where it needs them
        return sorted(person.name for person in People.get())

    @captp.method
    @captp.needs(People.mut, Words.ref, carry=True)
    def befriend(self, one: int, other: int) -> int:
        first, second = (Index[Person](slot, 1, Person) for slot in (one, other))
        with People.mut() as people:
            people[first].friends.add(second)
            people[second].notes.append([Words.get()[0]])
            people.insert(Person("eve"))
        return len(people)

    @captp.method
    @captp.needs(Words.mut, carry=True)
    async def slowly(self, until: captp.Promise[Any]) -> str:
        with Words.mut() as words:
            words.append("begun")
        await until
        with Words.mut() as words:
            words.append("done")
        return words[0]

    @captp.method
    @captp.needs(Words.mut, carry=True)
    def fail(self) -> None:
        with Words.mut() as words:
            words.append("half")
        raise captp.Refused("no")

    @captp.method
    @captp.needs(Ledger.mut, carry=True)
    async def book(self, amount: int) -> int:
        with Ledger.mut() as ledger:
            await ledger.add(amount)
            return await ledger.look()

    @captp.method
    @captp.needs(Ledger.ref, carry=True)
    async def audit(self) -> str:
        with Ledger.ref() as ledger:
            seen = await ledger.look()
            try:
                await ledger.add(1)
            except captp.RemoteFault as problem:
                return f"{seen} {problem.class_name}"
        return "written"

    @captp.method
    @captp.needs(Words.mut, carry=True)
    def me(self) -> Service:
        with Words.mut() as words:
            words.append("me")
        return self


@asynccontextmanager
async def near() -> AsyncIterator[Any]:
    async with captp.open_vat() as vat:
        yield vat, vat.export(Server())


@asynccontextmanager
async def far() -> AsyncIterator[Any]:
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as vat:
        yield vat, await vat.enliven(host.mint(Server()).reveal(), Service)


both = pytest.mark.parametrize("place", [near, far])

#: The line of this file where ``names`` begins, which is where it is told that its context is missing.
NAMES = line("# where it needs them") - 2
