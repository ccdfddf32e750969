"""What the suite entrusts, twice: as an Object, and as plain Python with the same method names."""

from __future__ import annotations

import threading

import trio

import captp

#: What objects of this process were told, by key: the order of turns on different objects.
JOURNAL: dict[str, list[int]] = {}


class Counter(captp.Object):
    """Counts and takes notes; the place of its turns shows in none of it."""

    count: int = 0
    #: No captp.List: such a list and its object hold each other, and go when the collector comes.
    notes: tuple[object, ...] = ()

    @captp.method
    def add(self, number: int) -> int:
        self.count += number
        return self.count

    @captp.method
    def get(self) -> int:
        return self.count

    @captp.method
    def set(self, number: int) -> int:
        self.count = number
        return number

    @captp.method
    def note(self, what: object) -> int:
        self.notes = (*self.notes, what)
        return len(self.notes)

    @captp.method
    def noted(self) -> object:
        return self.notes

    @captp.method
    def listed(self) -> list[int]:
        return [self.count]

    @captp.method
    def stamp(self, key: str, number: int) -> None:
        JOURNAL.setdefault(key, []).append(number)

    @captp.method
    def stamps(self, key: str) -> object:
        return JOURNAL.pop(key)

    @captp.method
    def refuse(self, number: int) -> int:
        self.count += number
        raise captp.Refused("after all")

    @captp.method
    def fail(self) -> None:
        raise KeyError("no error of captp")

    @captp.method
    def odd(self) -> object:
        return object()

    @captp.method
    async def hold(self, promise: captp.Promise[None]) -> int:
        await promise
        self.count += 1
        return self.count

    @captp.method
    async def nap(self, how: str) -> None:
        if how == "sleep":
            await trio.sleep(0.01)
        await trio.lowlevel.checkpoint()

    @captp.method
    async def ask(self, ready: captp.Promise[None], other: object) -> object:
        await ready
        return await captp.E(other).get()


class Plain:
    """The same for trustees of plain objects."""

    def __init__(self) -> None:
        self.count = 0
        self.notes: list[object] = []

    def add(self, number: int) -> int:
        self.count += number
        return self.count

    def get(self) -> int:
        return self.count

    def set(self, number: int) -> int:
        self.count = number
        return number

    def note(self, what: object) -> int:
        self.notes.append(what)
        return len(self.notes)

    def noted(self) -> object:
        return list(self.notes)

    def listed(self) -> list[int]:
        return [self.count]

    def stamp(self, key: str, number: int) -> None:
        JOURNAL.setdefault(key, []).append(number)

    def stamps(self, key: str) -> object:
        return JOURNAL.pop(key)

    def refuse(self, number: int) -> int:
        self.count += number
        raise captp.Refused("after all")

    def fail(self) -> None:
        raise KeyError("no error of captp")

    def odd(self) -> object:
        return object()

    async def hold(self, promise: captp.Promise[None]) -> int:
        await promise
        self.count += 1
        return self.count

    async def nap(self, how: str) -> None:
        if how == "sleep":
            await trio.sleep(0.01)
        await trio.lowlevel.checkpoint()


class Gate:
    """Holds a trustee's thread in a turn until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()


def passes(_: object, gate: Gate) -> None:
    gate.entered.set()
    assert gate.open.wait(10)
