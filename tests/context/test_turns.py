"""A turn inherits nothing: not from who sent, not from who drives the vat, not from the turn before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

import captp
from tests.context.people import Words, line

MISSING = "Words.ref is needed at .*, and nothing binds it there: a turn inherits nothing"


class Reader(captp.Object):
    """Looks for words in the context of its turns."""

    @captp.method
    def read(self) -> int:
        return len(Words.get())

    @captp.method
    async def read_later(self) -> int:
        await captp.sleep(0)
        return len(Words.get())

    @captp.method
    def bind(self, *words: str) -> int:
        with captp.bind(Words.mut(list(words))):
            with Words.mut() as bound:
                bound.append("more")
            return self.read()

    @captp.method
    async def bind_over_an_await(self, until: captp.Promise[Any]) -> list[str]:
        with captp.bind(Words.mut(["mine"])):
            before = list(Words.get())
            await until
            with Words.mut() as words:
                words.append("changed")
            return [*before, *Words.get()]

    @captp.method
    async def clean_up(self, until: captp.Promise[Any]) -> None:
        try:
            with captp.bind(Words.ref(["mine"])):
                try:
                    await until
                finally:
                    cleaned.append(list(Words.get()))
        finally:
            cleaned.append(look_at_once())

    @captp.method
    @captp.needs(Words.ref, carry=True)
    async def foreign(self) -> None:
        await trio.lowlevel.checkpoint()  # awaits what it must not

    @captp.method
    async def outside(self) -> str:
        with captp.bind(Words.ref(["mine"])):
            return await captp.outside(_look)

    @captp.method
    def leave_open(self) -> str:
        kept.append(_bound())
        return next(kept[-1])


kept: list[Iterator[str]] = []
cleaned: list[Any] = []


def look_at_once() -> str:
    try:
        return f"found {len(Words.get())}"
    except captp.MissingContext:
        return "nothing"


def _bound() -> Iterator[str]:
    with captp.bind(Words.ref(["left open"])):
        yield Words.get()[0]


async def _look() -> str:
    try:
        return f"found {len(Words.get())}"
    except captp.MissingContext:
        return "nothing"


class Plain:
    """No Object: what is entrusted as it is."""


def left_open(_it: Any) -> str:
    kept.append(_bound())
    return next(kept[-1])


def count(_it: Any) -> int:
    return len(Words.get())


async def test_turn_does_not_inherit() -> None:
    async with captp.open_vat() as vat:
        reader = captp.E(vat.export(Reader()))
        with captp.bind(Words.ref(["sender's"])):
            for sent in (reader.read(), reader.read_later()):
                with pytest.raises(captp.RemoteFault, match=MISSING) as caught:
                    await sent
                assert caught.value.class_name == "MissingContext"
            with pytest.raises(captp.RemoteFault, match=MISSING):
                reader.read.now()


async def test_a_vat_that_is_opened_in_a_block_does_not_inherit() -> None:
    with captp.bind(Words.ref(["opener's"])):
        async with captp.open_vat() as vat:
            with pytest.raises(captp.RemoteFault, match=MISSING):
                await captp.E(vat.export(Reader())).read()


async def test_delegation_does_not_inherit_at_once_or_queued() -> None:
    async with captp.open_vat() as vat:
        for trust in (vat.entrust(Plain()), vat.entrust(Reader())):
            with captp.bind(Words.ref(["caller's"])):
                for _ in range(2):
                    with pytest.raises(captp.MissingContext, match=MISSING):
                        await trust.apply(count)
                with pytest.raises(captp.MissingContext, match=MISSING):
                    trust.apply_now(count)
                outcomes = await trust.apply_many([captp.Call(count)] * 2)
                assert [type(o.error) for o in outcomes] == [captp.MissingContext] * 2


async def test_a_thread_trustee_does_not_inherit() -> None:
    async with captp.open_vat() as vat, vat.trustee("thread") as trustee:
        trust = trustee.entrust(Plain())
        with captp.bind(Words.ref(["caller's"])), pytest.raises(captp.MissingContext):
            await trust.apply(count)
        assert await trust.apply(left_open) == "left open"
        outcomes = await trust.apply_many([captp.Call(left_open), captp.Call(count)])
        with pytest.raises(captp.MissingContext):
            await trust.apply(count)

    assert [type(o.error) for o in outcomes] == [type(None), captp.MissingContext]
    kept.clear()


async def test_a_near_call_in_a_turn_inherits() -> None:
    async with captp.open_vat() as vat:
        assert await captp.E(vat.export(Reader())).bind("a", "b") == 3


async def test_a_fiber_keeps_its_own_and_shows_it_to_nobody() -> None:
    async with captp.open_vat() as vat:
        reader = captp.E(vat.export(Reader()))
        other = captp.E(vat.export(Reader()))
        until, resolver = vat.promise()
        with captp.bind(Words.ref(["caller's"])):
            result = reader.bind_over_an_await(until)
            with pytest.raises(captp.RemoteFault, match=MISSING):
                await other.read()
        resolver.fulfill(None)

        assert await result == ("mine", "mine", "changed")


@pytest.mark.parametrize("way", ["drop", "close"])
async def test_the_cleanup_of_a_fiber_finds_what_the_fiber_did(way: str) -> None:
    cleaned.clear()
    with captp.bind(Words.ref(["of who closes it"])):
        async with captp.open_vat() as vat:
            until, _resolver = vat.promise()
            result = captp.E(vat.export(Reader())).clean_up(until)
            await trio.testing.wait_all_tasks_blocked()
            if way == "drop":
                del result
                await trio.testing.wait_all_tasks_blocked()

    assert cleaned == [["mine"], "nothing"]


async def test_a_foreign_await_is_told_with_the_line_behind_what_is_needed() -> None:
    async with captp.open_vat() as vat:
        reader = captp.E(vat.export(Reader()))
        with pytest.raises(captp.Broken, match=f"line {line('# awaits what it must not')}"):
            await reader.foreign(**{"captp:context": {"Words": ()}})


async def test_what_runs_outside_the_vat_does_not_inherit() -> None:
    async with captp.open_vat() as vat:
        with captp.bind(Words.ref(["caller's"])):
            assert await captp.E(vat.export(Reader())).outside() == "nothing"


async def test_a_binding_that_is_left_open_ends_with_its_turn() -> None:
    async with captp.open_vat() as vat:
        reader = captp.E(vat.export(Reader()))
        assert await reader.leave_open() == "left open"
        with pytest.raises(captp.RemoteFault, match=MISSING):
            await reader.read()
    kept.clear()


async def test_a_capability_is_not_made_in_a_turn() -> None:
    class Maker(captp.Object):
        @captp.method
        def make(self) -> None:
            captp.Cap("Late", int)

    async with captp.open_vat() as vat:
        with pytest.raises(captp.RemoteFault, match="is made in a turn"):
            await captp.E(vat.export(Maker())).make()


async def test_two_tasks_have_bindings_of_their_own() -> None:
    seen: list[list[str]] = []

    async def one(word: str) -> None:
        with captp.bind(Words.mut([word])):
            await trio.lowlevel.checkpoint()
            with Words.mut() as words:
                words.append(word)
            await trio.lowlevel.checkpoint()
            seen.append(list(Words.get()))

    async with trio.open_nursery() as nursery:
        for word in ("a", "b"):
            nursery.start_soon(one, word)

    assert sorted(seen) == [["a", "a"], ["b", "b"]]
