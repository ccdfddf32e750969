"""What a delegated function declares whoever delegates it gives, to the loop, a thread and a far object."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import captp
from tests.context.people import People, Person, Words, two
from tests.context.service import Ledger, Server, Sheet, both


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
