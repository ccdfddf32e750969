"""Objects that take and give references on all terms, shared by the tests of ownership."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import captp

KEPT: list[Any] = []


class Table(captp.Interface):
    @captp.method
    def put(self, number: int) -> int: ...

    @captp.method
    def total(self) -> int: ...

    @captp.method
    async def later(self, when: captp.Promise[None]) -> int: ...


class Desk(captp.Interface):
    @captp.method
    def read(self, table: captp.Borrowed[Table]) -> int: ...

    @captp.method
    async def read_late(self, table: captp.Borrowed[Table], when: captp.Promise[None]) -> int: ...

    @captp.method
    async def pass_on(self, desk: Desk, table: captp.Borrowed[Table], when: captp.Promise[None]) -> int: ...

    @captp.method
    async def pass_on_and_leave(
        self, desk: Desk, table: captp.Borrowed[Table], when: captp.Promise[None]
    ) -> str: ...

    @captp.method
    def escape(self, table: captp.Borrowed[Table], how: str) -> Any: ...

    @captp.method
    async def stash(self, table: captp.Borrowed[Table]) -> int: ...

    @captp.method
    async def take(self, table: captp.Unique[Table]) -> int: ...

    @captp.method
    async def hand_on(self, table: captp.Unique[Table], desk: Desk) -> int: ...

    @captp.method
    async def give_back(self, table: captp.Unique[Table]) -> captp.Unique[Table]: ...

    @captp.method
    def fail(self, table: captp.Unique[Table]) -> None: ...

    @captp.method
    def store(self, table: captp.Unique[Table]) -> None: ...

    @captp.method
    async def own(self, table: captp.Exclusive[Table], number: int) -> int: ...

    @captp.method
    def make(self) -> captp.Unique[Table]: ...

    @captp.method
    def keep(self, table: Table) -> None: ...

    @captp.method
    async def later_keep(self, table: Table, when: captp.Promise[None]) -> None: ...

    @captp.method
    async def use_kept(self) -> int: ...


class Sheet(captp.Object, Table):
    """Can be cloned."""

    numbers: captp.List[int]

    @captp.method
    def put(self, number: int) -> int:
        self.numbers.append(number)
        return sum(self.numbers)

    @captp.method
    def total(self) -> int:
        return sum(self.numbers)

    @captp.method(latch=False)
    async def later(self, when: captp.Promise[None]) -> int:
        await when
        return sum(self.numbers)

    def __captp_clone__(self) -> Sheet:
        return Sheet(numbers=captp.List(self.numbers))


class Seal(captp.Object, Table):
    """Cannot be cloned."""

    @captp.method
    def put(self, number: int) -> int:
        return number

    @captp.method
    def total(self) -> int:
        return 0

    @captp.method
    async def later(self, when: captp.Promise[None]) -> int:
        await when
        return 0


class Clerk(captp.Object, Desk):
    kept: Any = None
    kepts: captp.List[Any]

    @captp.method
    def read(self, table: captp.Borrowed[Table]) -> int:
        table.put(1)
        return 7

    @captp.method(latch=False)
    async def read_late(self, table: captp.Borrowed[Table], when: captp.Promise[None]) -> int:
        await table.put(1)
        await when
        return await table.put(2)

    @captp.method(latch=False)
    async def pass_on(self, desk: Desk, table: captp.Borrowed[Table], when: captp.Promise[None]) -> int:
        return await desk.read_late(table, when)

    @captp.method(latch=False)
    async def pass_on_and_leave(
        self, desk: Desk, table: captp.Borrowed[Table], when: captp.Promise[None]
    ) -> str:
        KEPT.append(desk.read_late(table, when))
        await table.put(0)
        return "left"

    @captp.method
    def escape(self, table: captp.Borrowed[Table], how: str) -> Any:
        match how:
            case "field":
                self.kept = table
            case "container":
                self.kepts.append(table)
            case "nested":
                self.kepts.append((table,))
            case "result":
                return table
            case "in-a-result":
                return {"table": [table]}
            case "argument":
                return captp.E(table).take(table)
            case "resolver":
                promise: captp.Promise[Any] = captp.Promise(self._home.vat)
                captp.Resolver(promise).fulfill([table])
            case "outside":
                captp.outside(print, table)
            case "share":
                captp.share(table)
            case "make_unique":
                captp.make_unique(table)
            case "near":
                captp.near(table, Sheet)
        return "escaped"

    @captp.method
    async def stash(self, table: captp.Borrowed[Table]) -> int:
        KEPT.append(table)
        return await table.total()

    @captp.method
    async def take(self, table: captp.Unique[Table]) -> int:
        return await table.put(1)

    @captp.method
    async def hand_on(self, table: captp.Unique[Table], desk: Desk) -> int:
        number = await desk.take(table)
        try:
            table.total()
        except captp.Moved:
            return number
        return -1

    @captp.method
    async def give_back(self, table: captp.Unique[Table]) -> captp.Unique[Table]:
        await table.put(5)
        return table

    @captp.method
    def fail(self, table: captp.Unique[Table]) -> None:
        raise captp.Refused("no")

    @captp.method
    def store(self, table: captp.Unique[Table]) -> None:
        self.kept = table

    @captp.method
    async def own(self, table: captp.Exclusive[Table], number: int) -> int:
        return await table.put(number)

    @captp.method
    def make(self) -> captp.Unique[Table]:
        return Sheet()

    @captp.method
    def keep(self, table: Table) -> None:
        self.kept = table

    @captp.method(latch=False)
    async def later_keep(self, table: Table, when: captp.Promise[None]) -> None:
        await when

    @captp.method
    async def use_kept(self) -> int:
        total: int = await captp.E(self.kept).total()
        return total
