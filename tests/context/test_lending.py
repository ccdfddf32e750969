"""What may come back of a loan, and what has it come back in any case; callers and callees that lie."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import captp
import captp.sync
from captp import Arena, Index
from captp.net.tcp import TcpNetlayer
from tests.context.people import People, Person, Words, two
from tests.context.service import Ledger, Server, Service, Sheet, both, near


@dataclass
class Part:
    name: str
    count: int = field(init=False, default=0)
    parts: list[Part] = field(default_factory=list)


@attrs.define
class Range:
    _low: int
    high: int = attrs.field(default=9, validator=attrs.validators.le(9))


@dataclass
class Strict:
    positive: int

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            raise RuntimeError("set once")
        super().__setattr__(name, value)


class Short(list[int]):
    """A list that takes one item at most."""

    def __setitem__(self, at: Any, value: Any) -> None:
        if len(list(value)) > 1:
            raise RuntimeError("too long")
        super().__setitem__(at, value)


@dataclass(frozen=True)
class Fixed:
    x: int = 0


@attrs.frozen
class FixedToo:
    x: int = 0


def _grow(part: Part) -> None:
    part.count += 1
    part.parts[0].parts.append(Part("c"))


def _gappy() -> Arena[str]:
    arena: Arena[str] = Arena()
    arena.remove(arena.insert("a"))
    arena.insert("b")
    return arena


CASES: dict[str, tuple[Any, Callable[[], Any], Callable[[Any], Any]]] = {
    "list": (list[float], lambda: [1.5], lambda v: v.append(2)),
    "set": (set[int], lambda: {1, 2}, lambda v: v.remove(1)),
    "dict": (dict[str, int], lambda: {"a": 1}, lambda v: (v.pop("a"), v.update(b=2))),
    "dict by number": (dict[int, list[str]], lambda: {1: ["a"]}, lambda v: v[1].append("b")),
    "deque": (deque[int], lambda: deque([1, 2]), deque.popleft),
    "bytes": (bytearray, lambda: bytearray(b"a"), lambda v: v.extend(b"b")),
    "dataclass": (Part, lambda: Part("a", parts=[Part("b")]), _grow),
    "attrs": (Range, lambda: Range(1), lambda v: setattr(v, "high", 2)),
    "set once": (Strict, lambda: Strict(1), lambda v: v.__dict__.update(positive=2)),
    "arena": (Arena[str], _gappy, lambda v: v.insert("c")),
}


def _shown(value: Any) -> str:
    return repr((value._captp_slots(), len(value)) if isinstance(value, Arena) else value)


def desk(kind: Any, write: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    """Return a capability, an interface whose method writes to it, and an object that has it."""
    cap: Any = captp.Cap("Lent", kind)

    class Writer(captp.Interface):
        @captp.method
        @captp.needs(cap.mut, carry=True)
        def write(self) -> None: ...

    class Clerk(captp.Object, Writer):
        @captp.method
        @captp.needs(cap.mut, carry=True)
        def write(self) -> None:
            with cap.mut() as value:
                write(value)

    return cap, Writer, Clerk


@pytest.mark.parametrize("case", CASES)
async def test_each_kind_comes_back_as_it_was_left(case: str) -> None:
    kind, make, write = CASES[case]
    cap, writer, clerk = desk(kind, write)
    value, wanted = make(), make()
    if case == "dataclass":
        value.count = wanted.count = 7
    write(wanted)
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as vat:
        far = await vat.enliven(host.mint(clerk()).reveal(), writer)
        with captp.bind(cap.mut(value)):
            await far.write()

    assert _shown(value) == _shown(wanted)


async def test_a_value_that_refuses_what_came_back_breaks_the_call_and_no_more() -> None:
    cap, _writer, clerk = desk(list[int], lambda value: value.append(2))
    async with captp.open_vat() as vat:
        ref = vat.export(clerk())
        with captp.bind(cap.mut(Short([1]))):
            with pytest.raises(captp.BadArguments, match=r"Lent\.mut does not take what came back"):
                await ref.write()
            with cap.mut() as value:
                assert value == [1]
        with captp.bind(cap.mut([1])):
            await ref.write()


First = captp.Cap("First", list[int])
Second = captp.Cap("Second", list[int])


@captp.needs(First.mut, Second.mut, carry=True)
def write_both(_holder: Any) -> None:
    for cap in (First, Second):
        with cap.mut() as value:
            value += [2]


class Both(captp.Object):
    write = captp.method(write_both)


@pytest.mark.parametrize("place", ["vat", "thread"])
async def test_where_one_value_refuses_what_came_back_the_others_are_as_they_were(place: str) -> None:
    first, second = [1], Short([1])
    async with captp.open_vat() as vat, vat.trustee("thread") as thread:
        call: Any = vat.export(Both()).write if place == "vat" else thread.entrust({}).apply
        given = () if place == "vat" else (write_both,)
        with captp.bind(First.mut(first), Second.mut(second)):
            with pytest.raises(captp.BadArguments, match=r"Second\.mut does not take what came back"):
                await call(*given)
            assert (First.get(), Second.get()) == ([1], [1])


@pytest.mark.parametrize("kind", [Fixed, FixedToo])
def test_what_is_frozen_is_not_lent(kind: Any) -> None:
    with pytest.raises(captp.UsageError, match=f"a {kind.__name__} cannot be carried to be changed"):
        desk(kind, lambda _value: None)


@both
async def test_what_cannot_be_sent_is_not_lent(place: Any) -> None:
    words: list[Any] = [object()]
    async with place() as (_vat, service):
        with captp.bind(Words.mut(words)):
            for call in (service.me, service.me.only):
                with pytest.raises(captp.Unpassable):
                    call()
                with Words.mut():
                    pass
    with captp.bind(Words.mut(["a"])):
        with pytest.raises(captp.Closed):
            service.me()
        with Words.mut():
            pass


@both
async def test_what_is_missing_has_nothing_else_lent(place: Any) -> None:
    async with place() as (_vat, service):
        with captp.bind(People.mut(two()[0])):
            with pytest.raises(captp.MissingContext, match=r"Words\.ref"):
                service.befriend(0, 1)
            with People.mut():
                pass


async def test_a_vat_that_closes_gives_back_what_was_lent() -> None:
    with captp.bind(Words.mut(["as it was"])):
        async with near() as (vat, service):
            until, _resolver = vat.promise()
            _sent = service.slowly(until)
            await trio.testing.wait_all_tasks_blocked()
        with Words.mut() as words:
            assert words == ["as it was"]


async def test_a_loan_whose_result_nobody_wants_comes_back() -> None:
    async with near() as (vat, service):
        until, resolver = vat.promise()
        with captp.bind(Words.mut([])):
            service.slowly.only(until)
            gc.collect()
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(captp.BorrowConflict, match="has it to change"), Words.mut():
                pytest.fail("the body ran")
            resolver.fulfill(None)
            await trio.testing.wait_all_tasks_blocked()
            assert Words.get() == ["begun", "done"]


async def test_a_step_that_is_rolled_back_lends_nothing() -> None:
    class Caller(captp.Object):
        service: Service

        @captp.method
        async def call(self) -> list[str]:
            with captp.bind(Words.mut(["mine"])):
                self.service.me()
                try:
                    await trio.lowlevel.checkpoint()
                except captp.ForeignAwait:
                    with Words.mut() as words:
                        words.append("again")
                return list(Words.get())

    async with near() as (vat, service):
        assert await captp.E(vat.export(Caller(service=service))).call() == ("mine", "again")


async def test_an_arena_that_came_back_fills_its_gaps() -> None:
    people, ann, bob = two()
    people.insert(Person("cid"))
    people.remove(ann)
    cap, _writer, clerk = desk(Arena[Person], lambda arena: arena.insert(Person("dan")))
    async with captp.open_vat() as vat:
        with captp.bind(cap.mut(people)):
            await vat.export(clerk()).write()

    assert [(i.slot, i.generation, p.name) for i, p in people.items()] == [
        (0, 3, "dan"),
        (1, 1, "bob"),
        (2, 1, "cid"),
    ]
    assert (bob in people, ann in people) == (True, False)
    assert people.insert(Person("eve")) == Index(3, 1)


class Gate(captp.Interface):
    @captp.method
    def service(self) -> Service: ...


class Shut(captp.Object, Gate):
    @captp.method
    def service(self) -> Service:
        raise captp.Refused("no service")


def test_a_plain_thread_lends_too() -> None:
    uris: list[str] = []
    ready, done = threading.Event(), threading.Event()

    async def host() -> None:
        async with captp.open_vat(listen=[TcpNetlayer()]) as vat:
            uris.extend([vat.mint(Server()).reveal(), vat.mint(Shut()).reveal()])
            ready.set()
            await trio.to_thread.run_sync(done.wait)

    thread = threading.Thread(target=trio.run, args=(host,))
    thread.start()
    words, sheet = ["a"], Sheet(total=1)
    try:
        ready.wait(10)
        with captp.sync.connect(uris[0], Service) as service, captp.sync.connect(uris[1], Gate) as gate:
            with captp.bind(Words.mut(words), People.ref(two()[0])):
                assert captp.sync.result(service.names(), 10) == ("ann", "bob")
                me = captp.sync.result(service.me(), 10)
                with pytest.raises(captp.Refused):
                    captp.sync.result(me.fail(), 10)
                with Words.mut():
                    assert words == ["a", "me"]
                with pytest.raises(captp.Refused, match="no service"):
                    captp.sync.result(gate.service().me(), 10)
                with Words.mut():
                    pass
            unsendable: list[Any] = [object()]
            with captp.bind(Words.mut(unsendable)):
                with pytest.raises(captp.Unpassable):
                    service.me()
                with Words.mut():
                    pass
            with captp.bind(Ledger.ref(sheet)):
                assert captp.sync.result(service.audit(), 10) == "1 BorrowConflict"
            with captp.bind(Ledger.mut(sheet)):
                assert captp.sync.result(service.book(2), 10) == 3
                with Ledger.mut():
                    pass
    finally:
        done.set()
        thread.join()


async def test_data_where_a_reference_is_said_is_refused() -> None:
    cap, _writer, clerk = desk(dict[str, Service], lambda value: value.clear())
    async with captp.open_vat() as vat:
        ref = vat.export(clerk())
        with pytest.raises(captp.BadArguments):
            await captp.E(ref).write(**{"captp:context": {"Lent": {"a": 1}}})
        held = {"a": vat.export(Server())}
        with captp.bind(cap.mut(held)):
            await ref.write()
        assert held == {}
