"""What a method declares its callers give, near and over sockets; what is lent comes back with the result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import captp
from captp import Index
from captp.net.tcp import TcpNetlayer
from tests.context.people import People, Person, Words, line, two


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


@both
async def test_what_is_read_is_a_copy(place: Any) -> None:
    people, _ann, _bob = two()
    async with place() as (_vat, service):
        with captp.bind(People.ref(people)):
            assert await service.names() == ("ann", "bob")
        with captp.bind(People.mut(people)):
            sent = service.names()
            with People.mut() as changed:
                changed.insert(Person("cid"))
            assert await sent == ("ann", "bob")


@both
async def test_context_over_a_border_changes_what_is_lent(place: Any) -> None:
    people, ann, bob = two()
    async with place() as (_vat, service):
        with captp.bind(People.mut(people), Words.ref(["hi"])):
            assert await service.befriend(0, 1) == 3
            assert People.get()[ann].friends == {bob}

    assert (people[ann].friends, people[bob].notes) == ({bob}, [["hi"]])
    assert sorted(p.name for p in people) == ["ann", "bob", "eve"]


@both
async def test_mut_loan_blocks_second_mut(place: Any) -> None:
    words = ["first"]
    async with place() as (vat, service):
        until, resolver = vat.promise()
        with captp.bind(Words.mut(words)):
            sent = service.slowly(until)
            for late in (Words.mut, Words.ref):
                with pytest.raises(captp.BorrowConflict, match=r"slowly\(\) has it to change since"), late():
                    pytest.fail("the body ran")
            with pytest.raises(captp.BorrowConflict):
                len(Words.get())
            with pytest.raises(captp.BorrowConflict, match="has it to change"):
                service.slowly(until)
            assert words == ["first"]
            resolver.fulfill(None)
            assert await sent == "first"
            assert Words.get() == ["first", "begun", "done"]

    assert words == ["first", "begun", "done"]


@both
async def test_a_call_that_breaks_gives_back_what_was_lent_as_it_was(place: Any) -> None:
    words = ["first"]
    async with place() as (_vat, service):
        with captp.bind(Words.mut(words)):
            with pytest.raises(captp.Refused):
                await service.fail()
            with Words.mut() as again:
                again.append("mine")

    assert words == ["first", "mine"]


@both
async def test_an_object_is_lent_by_reference(place: Any) -> None:
    sheet = Sheet(total=1)
    async with place() as (vat, service):
        with captp.bind(Ledger.mut(vat.export(sheet))):
            assert await service.book(2) == 3
        with captp.bind(Ledger.mut(sheet)):
            assert await service.book(2) == 5

        with captp.bind(Ledger.ref(sheet)):
            assert await service.audit() == "5 BorrowConflict"
        assert sheet.total == 5


class Slow(captp.Object, Tally):
    waits: captp.Promise[Any]

    @captp.method(latch=False)
    async def add(self, amount: int) -> int:  # type: ignore[override]
        await self.waits
        return amount

    @captp.method
    def look(self) -> int:
        return 7


async def test_a_facet_is_latched_where_its_object_is() -> None:
    class Looker(Server):
        @captp.method
        @captp.needs(Ledger.ref, carry=True)
        async def audit(self) -> str:
            with Ledger.ref() as ledger:
                _begun = ledger.add(1)
                return str(await ledger.look())

    async with captp.open_vat() as vat:
        until, _resolver = vat.promise()
        with captp.bind(Ledger.ref(Slow(waits=until))), trio.fail_after(5):
            assert await vat.export(Looker()).audit() == "7"


@both
async def test_a_result_that_is_a_reference_keeps_its_type(place: Any) -> None:
    words: list[str] = []
    async with place() as (_vat, service):
        with captp.bind(Words.mut(words), People.ref(two()[0])):
            me = await service.me()
            assert await me.names() == ("ann", "bob")
            assert await service.me().names() == ("ann", "bob")

    assert words == ["me", "me"]


@both
async def test_a_caller_without_the_context_sends_nothing(place: Any) -> None:
    async with place() as (_vat, service):
        with pytest.raises(captp.MissingContext, match=r"People\.ref is needed"):
            service.names()
        with captp.bind(People.ref(two()[0]), Words.ref([])), pytest.raises(captp.MissingContext):
            service.befriend(0, 1)
        with captp.bind(Words.mut([])), pytest.raises(captp.MissingContext):
            service.befriend(0, 1)
        with captp.bind(Words.mut([])):
            with pytest.raises(captp.MissingContext):
                service.befriend(0, 1)
            with Words.mut():
                pass


@both
async def test_an_untyped_call_gives_none(place: Any) -> None:
    async with place() as (_vat, service):
        with (
            captp.bind(People.ref(two()[0])),
            pytest.raises(captp.RemoteFault, match="a turn inherits") as caught,
        ):
            await captp.E(service).names()

    assert caught.value.class_name == "MissingContext"
    assert f"is needed at test_carry.py:{line('# where it needs them') - 2}" in str(caught.value)


@both
async def test_context_that_is_not_declared_is_refused(place: Any) -> None:
    async with place() as (_vat, service):
        for given in ({}, {"Words": ()}, {"People": (), "Words": ()}, (), {"People": 3}):
            with pytest.raises(captp.BadArguments):
                await captp.E(service).names(**{"captp:context": given})


async def test_a_call_whose_turn_is_rolled_back_lends_nothing() -> None:
    class Caller(captp.Object):
        service: Service
        log: captp.List[str]

        @captp.method
        def call(self) -> None:
            with captp.bind(Words.mut(lent)):
                self.service.slowly(None)  # type: ignore[arg-type]
                raise captp.Refused("no")

        @captp.method
        async def call_and_wait(self) -> list[str]:
            with captp.bind(Words.mut(["mine"])):
                await self.service.me()
                return list(Words.get())

    lent = ["as it was"]
    async with near() as (vat, service):
        caller = captp.E(vat.export(Caller(service=service)))
        with pytest.raises(captp.Refused):
            await caller.call()
        assert lent == ["as it was"]
        assert await caller.call_and_wait() == ("mine", "me")


async def test_a_near_call_in_a_turn_needs_no_copy() -> None:
    class Caller(Server):
        @captp.method
        def call(self) -> list[str]:
            people, _ann, _bob = two()
            with captp.bind(People.mut(people), Words.ref(["w"])):
                self.befriend(0, 1)
                return self.names()

    async with captp.open_vat() as vat:
        assert await captp.E(vat.export(Caller())).call() == ("ann", "bob", "eve")


async def test_now_gives_context_too() -> None:
    words = ["a"]
    async with near() as (_vat, service):
        with captp.bind(Words.mut(words), People.ref(two()[0])):
            assert service.names.now() == ("ann", "bob")
            assert await service.me.now().names() == ("ann", "bob")
            with pytest.raises(captp.Refused):
                service.fail.now()
            service.me.only()
            await trio.testing.wait_all_tasks_blocked()

    assert words == ["a", "me", "me"]


async def test_a_lost_session_gives_back_what_was_lent() -> None:
    words = ["first"]
    async with captp.open_vat() as vat:
        async with captp.open_vat(listen=[TcpNetlayer()]) as host:
            service = await vat.enliven(host.mint(Server()).reveal(), Service)
            until, _resolver = vat.promise()
            with captp.bind(Words.mut(words)):
                sent = service.slowly(until)
                await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(captp.Broken):
            await sent

    assert words == ["first"]


class Plain:
    """Entrusted as it is."""

    def __init__(self) -> None:
        self.seen: list[Any] = []


@captp.needs(People.mut, Words.ref, carry=True)
def enter(plain: Plain, name: str) -> int:
    with People.mut() as people:
        people.insert(Person(name + Words.get()[0]))
        plain.seen.append(name)
        if name == "bad":
            raise captp.Refused("no")
        return len(people)


@captp.needs(Words.mut, carry=True)
async def wait_there(plain: Plain, until: captp.Promise[Any]) -> int:
    with Words.mut() as words:
        words.append("a")
    await until
    with Words.mut() as words:
        words.append("b")
        return len(words)


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_context_across_trustees(kind: str) -> None:
    people, _ann, _bob = two()
    async with captp.open_vat() as vat, vat.trustee("thread") as thread:
        trust: Any = (vat if kind == "loop" else thread).entrust(Plain())
        with captp.bind(People.mut(people), Words.ref(["!"])):
            assert await trust.apply(enter, "cid") == 3
            with pytest.raises(captp.Refused):
                await trust.apply(enter, "bad")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trust.apply, lambda plain: plain.seen.append("first"))
                nursery.start_soon(refused, trust)
                assert await trust.apply(enter, "dan") in (4, 5)
            assert sorted(p.name for p in People.get() if p.name != "bad!") == ["ann", "bob", "cid!", "dan!"]
        with pytest.raises(captp.MissingContext):
            await trust.apply(enter, "eve")


async def refused(trust: Any) -> None:
    with pytest.raises(
        (captp.MissingContext, captp.BorrowConflict), match=r"by another task|has it to change"
    ):
        await trust.apply(enter, "child")


async def test_a_function_that_is_called_off_changes_nothing_later() -> None:
    words: list[str] = []
    async with captp.open_vat() as vat:
        trust = vat.entrust(Plain())
        until, resolver = vat.promise()
        with captp.bind(Words.mut(words)):
            with trio.move_on_after(0.01):
                await trust.launch(wait_there, until)
            assert words == []
            resolver.fulfill(None)
            done, resolver = vat.promise()
            resolver.fulfill(None)
            assert await trust.launch(wait_there, done) == 2

    assert words == ["a", "b"]


@both
async def test_a_far_trust_gives_context_too(place: Any) -> None:
    words: list[str] = []
    async with place() as (_vat, service):
        trust = captp.trust(service, Server)
        with captp.bind(Words.mut(words), People.ref(two()[0])):
            assert await trust.apply(Server.names) == ("ann", "bob")
            await trust.apply(Server.me)

    assert words == ["me"]


async def test_an_object_is_not_given_to_a_thread() -> None:
    @captp.needs(Ledger.mut, carry=True)
    def book(_plain: Plain) -> None:
        pytest.fail("it ran")

    async with captp.open_vat() as vat, vat.trustee("thread") as thread:
        trust = thread.entrust(Plain())
        with captp.bind(Ledger.mut(Sheet())), pytest.raises(captp.UsageError, match="object of a vat"):
            await trust.apply(book)


def test_both_sides_declare_alike() -> None:
    with pytest.raises(
        captp.errors.BadClass, match=r"names needs nothing, and as Service has it, People\.ref"
    ):

        class Less(captp.Object, Service):
            @captp.method
            def names(self) -> list[str]:
                return []


def test_a_method_takes_no_more_than_callers_see() -> None:
    with pytest.raises(
        captp.errors.BadClass, match=r"needs Ledger\.mut, .*, and as Service has it, Words\.mut"
    ):

        class More(captp.Object, Service):
            @captp.method
            @captp.needs(Words.mut, Ledger.mut, carry=True)
            def fail(self) -> None: ...


def test_what_cannot_come_back_is_not_lent() -> None:
    Number = captp.Cap("Number", int)
    with pytest.raises(captp.UsageError, match="a int cannot be carried to be changed"):
        captp.needs(Number.mut, carry=True)(lambda _self: None)
    with pytest.raises(captp.UsageError, match="two capabilities of one name"):
        captp.needs(captp.Cap("Words", int).ref, Words.ref, carry=True)(lambda _self: None)


async def test_an_arena_keeps_its_gaps() -> None:
    people, ann, bob = two()
    people.remove(ann)
    async with far() as (_vat, service):
        with (
            captp.bind(People.mut(people), Words.ref(["w"])),
            pytest.raises(captp.RemoteFault, match="stale"),
        ):
            await service.befriend(0, 1)
        assert people[bob].name == "bob"
        assert ann not in people
        ann = people.insert(Person("anna"))
        assert (ann.slot, ann.generation) == (0, 3)


async def test_undeclared_context_never_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    write = captp.run.connection.Connection.write  # type: ignore[attr-defined]

    def kept(self: Any, data: Any) -> None:
        sent.append(bytes(data) if not isinstance(data, list) else b"".join(data))
        write(self, data)

    monkeypatch.setattr("captp.run.connection.Connection.write", kept)
    async with far() as (_vat, service):
        with captp.bind(People.ref(two()[0]), Secret.ref(["hidden-word"]), Words.mut(["lent-word"])):
            await service.names()
            await service.me()

    wire = b"".join(sent)
    assert b"captp:context" in wire
    assert b"ann" in wire
    assert b"lent-word" in wire
    for name in (b"Secret", b"hidden-word"):
        assert name not in wire
