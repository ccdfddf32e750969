"""What a method declares its callers give, near and over sockets; what is lent comes back with the result."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp.net.tcp import TcpNetlayer
from tests.context.people import People, Person, Words, two
from tests.context.service import NAMES, Ledger, Secret, Server, Service, Sheet, Tally, both, far, near


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
    assert f"is needed at service.py:{NAMES}" in str(caught.value)


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
