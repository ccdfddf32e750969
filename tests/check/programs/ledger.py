"""A ledger whose clerks are given their books by whoever calls, over a border or by delegation."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from dataclasses import dataclass, field

import trio

import captp
from captp import Arena, Index


@dataclass
class Entry:
    who: str
    amount: int
    notes: list[str] = field(default_factory=list)


Entries = captp.Cap("Entries", Arena[Entry])
Rates = captp.Cap("Rates", dict[str, int])
Errors = captp.Cap("Errors", list[str])


class Clerk(captp.Interface):
    @captp.method
    @captp.needs(Entries.mut, Rates.ref, carry=True)
    def book(self, who: str, amount: int) -> int: ...

    @captp.method
    @captp.needs(Entries.ref, carry=True)
    def total(self, who: str) -> int: ...

    @captp.method
    def number(self) -> int: ...


def convert(who: str, amount: int) -> int:
    return amount * Rates.get().get(who, 1)


def add(entry: Entry) -> int:
    with Entries.mut() as entries:
        entries.insert(entry)
        return len(entries)


class Desk(captp.Object, Clerk):
    booked: int = 0

    @captp.method
    @captp.needs(Entries.mut, Rates.ref, carry=True)
    def book(self, who: str, amount: int) -> int:
        self.booked += 1
        return add(Entry(who, convert(who, amount)))

    @captp.method
    @captp.needs(Entries.ref, carry=True)
    def total(self, who: str) -> int:
        return sum(entry.amount for entry in Entries.get() if entry.who == who)

    @captp.method
    def number(self) -> int:
        with captp.bind(Errors.mut([])):
            self._check()
            return self.booked + len(Errors.get())

    def _check(self) -> None:
        if self.booked > 100:
            with Errors.mut() as errors:
                errors.append("too many")


class Tally:
    """What a trustee keeps."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}

    def count(self, who: str, amount: int) -> int:
        self.sums[who] = self.sums.get(who, 0) + amount
        return self.sums[who]


@captp.needs(Entries.ref, carry=True)
def tally_all(tally: Tally) -> int:
    for entry in Entries.get():
        tally.count(entry.who, entry.amount)
    return len(tally.sums)


@captp.needs(Entries.mut, carry=True)
async def annotate(tally: Tally, note: str) -> int:
    await captp.sleep(0.001)
    with Entries.mut() as entries:
        for entry in entries:
            entry.notes.append(f"{note}: {tally.sums.get(entry.who, 0)}")
    return len(tally.sums)


async def busy(clerk: Clerk) -> int:
    done = 0
    for who, amount in (("ann", 3), ("bob", 4), ("ann", 5)):
        done = await clerk.book(who, amount)
    return done


async def show(clerk: Clerk, names: list[str], told: list[str]) -> None:
    for name in names:
        total = await clerk.total(name)
        told.append(f"{name} {total}")


def first_note(index: Index[Entry]) -> str:
    with Entries.ref() as entries:
        notes = entries[index].notes
        return notes[0] if notes else ""


async def work(clerk: Clerk, tally: captp.Trust[Tally]) -> None:
    print("booked", await busy(clerk), await clerk.number())
    told: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(show, clerk, ["ann", "bob"], told)
    print(told)
    print("tallied", await tally.apply(tally_all))
    print("annotated", await tally.launch(annotate, "sum"))
    print(await tally.apply(lambda kept, who: kept.sums[who], "ann"))
    print(sorted(first_note(index) for index, _ in Entries.get().items()))


async def main() -> None:
    async with captp.open_vat() as vat:
        clerk: Clerk = vat.export(Desk())
        tally = vat.entrust(Tally())
        entries: Arena[Entry] = Arena()
        with captp.bind(Entries.mut(entries), Rates.ref({"bob": 10})):
            await work(clerk, tally)
        print(len(entries))


if __name__ == "__main__":
    trio.run(main)
