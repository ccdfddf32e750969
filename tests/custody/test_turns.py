"""Capsules and the turns of a vat: merged into it, undone with a turn, and never both at once."""

from __future__ import annotations

import contextvars
from typing import Any, ClassVar

import pytest
import trio
import trio.testing

import captp
from captp import Access, Capsule, Data
from tests.custody.boxes import Account, Stock, holding
from tests.custody.interleaved import outcome
from tests.custody.test_passwords import in_thread


async def test_merge_then_near_call() -> None:
    data, key = holding([Account(total=n) for n in range(3)])

    class Bank(captp.Object):
        accounts: captp.List[Account]

        @captp.method
        def take(self) -> int:
            self.accounts = data.unwrap(key.destroy())
            return self.accounts[2].add(5)

        @captp.method
        def fail(self) -> None:
            self.accounts[2].add(100)
            raise captp.Refused("no")

        @captp.method
        def total(self) -> int:
            return sum(account.total for account in self.accounts)

    async with captp.open_vat() as vat:
        bank = vat.export(Bank())

        assert await captp.E(bank).take() == 7
        assert type(bank._anchor.accounts) is captp.List
        with pytest.raises(captp.Refused):
            await captp.E(bank).fail()
        assert await captp.E(bank).total() == 8


async def test_a_turn_that_is_rolled_back_undoes_what_it_did_in_a_capsule() -> None:
    data, key = holding()
    keys = [key]

    def change(account: Account, amount: int) -> int:
        total = account.add(amount)
        account.log.insert(0, 5)
        account.log.pop()
        account.log.sort()
        account.log.pop(0)
        account.log.append(total)
        return total

    class Teller(captp.Object):
        @captp.method
        def add(self, amount: int, *, is_refused: bool) -> int:
            with keys[0].password() as password:
                total = data.extract(password, lambda account: change(account, amount))
            if is_refused:
                raise captp.Refused("no")
            return total

    async with captp.open_vat() as vat:
        teller = vat.export(Teller())
        assert await captp.E(teller).add(1, is_refused=False) == 1
        with pytest.raises(captp.Refused):
            await captp.E(teller).add(10, is_refused=True)

        assert await captp.E(teller).add(1, is_refused=False) == 2
    assert key.access(lambda access: data.unwrap(access).log)[0] == (5, 2)


async def test_a_vat_takes_no_object_of_a_capsule() -> None:
    data, key = holding()
    carried: list[Account] = []
    key.access(lambda access: carried.append(data.unwrap(access)))

    async with captp.open_vat() as vat:
        with pytest.raises(captp.Contended, match="Account is in capsule"):
            vat.export(carried[0])


class Till(captp.Object):
    """An object of a vat that looks into a capsule."""

    total: int = 0
    keys: ClassVar[list[Any]] = []
    data: ClassVar[Any] = None

    @captp.method
    def mix(self) -> None:
        self.total = 1

        def both(access: Access[Stock]) -> None:
            self.data.unwrap(access).add(1)
            self.total = 2

        self.keys[0].access(both)

    @captp.method
    def peep(self) -> int:
        return self.keys[0].access(lambda _access: self.total)[0]  # type: ignore[no-any-return]

    @captp.method
    def after(self) -> int:
        self.total = 5
        with self.keys[0].password() as password:
            self.total += self.data.extract(password, lambda account: account.add(1))
        return self.total

    @captp.method
    async def over_an_await(self) -> int:
        with self.keys[0].password() as password:
            first = self.data.extract(password, lambda account: account.add(1))
            await captp.sleep(0)
            return first + self.data.extract(password, lambda account: account.add(1))


async def test_an_object_of_a_vat_does_not_change_within_an_access() -> None:
    Till.data, key = holding()
    Till.keys = [key]

    async with captp.open_vat() as vat:
        till = vat.export(Till())
        with pytest.raises(captp.RemoteFault, match="change it after the access"):
            await captp.E(till).mix()

        assert await captp.E(till).after() == 6
        assert await captp.E(till).over_an_await() == 2 + 3


async def test_a_turn_does_not_run_within_an_access() -> None:
    _, key = holding()

    async with captp.open_vat() as vat:
        trust, till = vat.entrust(Till()), vat.export(Till())
        with pytest.raises(captp.Contended, match=r"apply_now\(\) after it"):
            key.access(lambda _: trust.apply_now(Till.after))
        with pytest.raises(captp.Contended, match=r"now\(\) after it"):
            key.access(lambda _: captp.E(till).after.now())


async def test_what_was_merged_stays_merged_where_the_turn_fails() -> None:
    data, key = holding()

    class Merger(captp.Object):
        @captp.method
        def fail(self) -> None:
            data.unwrap(key.destroy()).add(1)
            raise captp.Refused("no")

        @captp.method
        def look(self) -> tuple[int, tuple[int, ...]]:
            account = data.unwrap(Access.current())
            return account.total, tuple(account.log)

    async with captp.open_vat() as vat:
        merger = vat.export(Merger())
        with pytest.raises(captp.Refused):
            await captp.E(merger).fail()

        assert await captp.E(merger).look() == (0, ())
    assert isinstance(in_thread(lambda: data.unwrap(Access.current())), captp.BrandMismatch)


async def test_a_thread_that_a_turn_starts_is_not_in_its_capsule() -> None:
    class Starter(captp.Object):
        @captp.method
        def start(self) -> tuple[str, str]:
            context = contextvars.copy_context()
            there = in_thread(lambda: context.run(lambda: repr(Access.current())))
            return repr(Access.current()), there

    async with captp.open_vat() as vat:
        here, there = await captp.E(vat.export(Starter())).start()

    assert here.startswith("<Access to turns#")
    assert there.startswith("<Access to thread#")


async def test_a_task_that_is_started_within_an_access_runs_turns_when_it_has_ended() -> None:
    class Counter(captp.Object):
        total: int = 0

        @captp.method
        def add(self) -> int:
            self.total += 1
            return self.total

    _, key = holding()
    totals: list[int] = []

    async with captp.open_vat() as vat, trio.open_nursery() as nursery:

        async def in_task() -> None:
            totals.append(vat.export(Counter()).add.now())  # type: ignore[attr-defined]

        key.access(lambda _: nursery.start_soon(in_task))

    assert totals == [1]


def test_what_is_the_thread_s_own_changes_in_a_context_copied_from_readers() -> None:
    _, key = holding()
    own = Data.wrap(Access.current(), Account())
    contexts: list[contextvars.Context] = []

    with key.password() as password:
        Capsule.access_shared(password.shared(), lambda _: contexts.append(contextvars.copy_context()))

    assert contexts[0].run(lambda: own.unwrap(Access.current()).add(1)) == 1


async def test_a_password_that_one_object_has_in_its_turn_is_no_use_in_another_s() -> None:
    data, key = holding()
    lent: list[captp.Password[Any]] = []

    class Lender(captp.Object):
        @captp.method
        async def lend(self, until: captp.Promise[None]) -> int:
            with key.password() as password:
                lent.append(password)
                await until
                return data.extract(password, lambda account: account.add(1))  # type: ignore[no-any-return]

    class Borrower(captp.Object):
        @captp.method
        def use(self) -> str:
            return outcome(lambda: data.extract(lent[0], lambda account: account.add(1)))

    async with captp.open_vat() as vat:
        promise, resolver = vat.promise()
        lending = captp.E(vat.export(Lender())).lend(promise)
        borrower = captp.E(vat.export(Borrower()))
        assert await borrower.use() == "Contended"
        resolver.fulfill(None)
        assert await lending == 1


def test_a_password_is_no_use_in_its_context_on_another_thread() -> None:
    data, key = holding()
    context = contextvars.copy_context()
    lent = key.password()
    password = context.run(lent.__enter__)

    def use() -> int:
        return context.run(data.extract, password, lambda account: account.add(1))  # type: ignore[no-any-return]

    assert isinstance(in_thread(use), captp.Contended)
    assert use() == 1
    lent.__exit__(None, None, None)


async def test_an_object_of_a_vat_is_not_read_within_an_access() -> None:
    Till.data, key = holding()
    Till.keys = [key]

    async with captp.open_vat() as vat:
        till = Till()
        ref = vat.export(till)
        with pytest.raises(captp.RemoteFault, match="a Till belongs to a vat, and this runs in Stock#"):
            await captp.E(ref).peep()
        with pytest.raises(captp.Contended, match="a Till belongs to a vat, and this runs in Stock#"):
            key.access(lambda _access: till.total)

        assert await captp.E(ref).after() == 6


async def test_an_object_of_a_vat_is_not_read_from_another_vats_turn_or_thread() -> None:
    theirs = Till()

    class Reader(captp.Object):
        @captp.method
        def peep(self) -> int:
            return theirs.total

    async with captp.open_vat() as vat, captp.open_vat() as other:
        vat.export(theirs)
        reader = other.export(Reader())
        with pytest.raises(captp.RemoteFault, match="a Till belongs to a vat, and this runs in turns#"):
            await captp.E(reader).peep()
        refused = in_thread(lambda: theirs.total)

        assert isinstance(refused, captp.Contended)
        assert "and this runs in thread#" in str(refused)


async def test_the_code_around_a_vat_reads_its_objects_between_turns() -> None:
    Till.data, key = holding()
    Till.keys = [key]

    async with captp.open_vat() as vat:
        till = Till()
        await captp.E(vat.export(till)).after()

        assert till.total == 6


async def test_what_a_turn_sends_within_an_access_leaves_after_the_turn_and_not_in_its_middle() -> None:
    _, key = holding()

    class Sink(captp.Object):
        count: int = 0

        @captp.method
        def add(self) -> None:
            self.count += 1

    def send_many(_it: Any, sink: Any) -> None:
        key.access(lambda _access: [captp.E(sink).add() for _ in range(200)] and None)
        raise captp.Refused("no")

    async with captp.open_vat() as vat:
        sink = Sink()
        ref, trust = vat.export(sink), vat.entrust(Till())
        with pytest.raises(captp.Refused):
            await trust.apply(lambda it, function, to: function(it, to), send_many, ref)
        await trio.testing.wait_all_tasks_blocked()

        assert sink.count == 0
