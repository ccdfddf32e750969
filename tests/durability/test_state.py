"""Whatever state may be is there again after a restart; what nothing stored leads to is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

import captp
from captp import NULL, E, FrozenMap, Symbol, Tagged
from captp.net.memory import MemoryNetwork
from captp.run.live import LiveVat
from tests.durability.memory_store import MemoryStore

KEY = captp.PrivateKey.from_seed(b"d" * 32)


class Cell(captp.Interface):
    @captp.method
    def get(self) -> Any: ...

    @captp.method
    def put(self, value: Any) -> None: ...


class Part(captp.Object):
    number: int = 0


class Box(captp.Object, Cell):
    value: Any = None
    part: Part | None = None
    other: Cell | None = None
    items: captp.List[Any]
    rows: captp.Map[Any, Any]
    names: captp.Set[Any]

    @captp.method
    def get(self) -> Any:
        return self.value

    @captp.method
    def put(self, value: Any) -> None:
        self.value = value

    @captp.method
    def point(self, other: Cell) -> None:
        self.other = other

    @captp.method
    def make(self) -> Cell:
        self.other = Box(other=self.other)
        return self.other

    @captp.method
    def let_go(self) -> None:
        self.other = None

    @captp.method
    def next(self) -> Any:
        return self.other

    @captp.method
    def part_of(self, change: int) -> int:
        if self.part is None:
            self.part = Part()
        self.part.number += change
        return self.part.number

    @captp.method
    def change(self, verb: str, *args: Any) -> None:
        CHANGES[verb](self, *args)

    @captp.method
    def sum_of_rows(self) -> int:
        return sum(captp.near(row, Box).value for row in self.rows.values())

    @captp.method
    def shown(self) -> Any:
        return Tagged("box", (tuple(self.items), tuple(self.rows.items()), tuple(sorted(self.names))))


CHANGES: dict[str, Callable[..., Any]] = {
    "append": lambda box, x: box.items.append(x),
    "pop": lambda box: box.items and box.items.pop(),
    "insert": lambda box, x: box.items.insert(1, x),
    "sort": lambda box: box.items.sort(),
    "set": lambda box, k, v: box.rows.__setitem__(k, v),
    "del": lambda box, k: box.rows.pop(k, None),
    "clear": lambda box: box.rows.clear(),
    "renew": lambda box, k, v: setattr(box, "rows", {k: v}),
    "nest": lambda box, k, v: box.rows.setdefault(-1, [k]).append(v),
    "add": lambda box, x: box.names.add(x),
    "discard": lambda box, x: box.names.discard(x),
    "fail": lambda box: (box.items.append(1), box.rows.update(a=1), box.part_of(1), 1 / 0),
}


@asynccontextmanager
async def opened(store: MemoryStore) -> AsyncIterator[LiveVat]:
    async with captp.open_vat(key=KEY, store=store) as vat:
        yield vat
        vat.peer.check()


VALUES = [
    0,
    -1,
    2**63,
    -(2**64) - 1,
    10**100,
    1.5,
    float("inf"),
    True,
    None,
    NULL,
    "text",
    "lone \udc80 surrogate",
    b"\x00\xff",
    Symbol("name"),
    Tagged("tag", (1, Tagged("inner", None))),
    FrozenMap({"a": 1, "b": FrozenMap()}),
    (),
    (1, ("two", (3.0,))),
    captp.Fault("went wrong", FrozenMap({"class": "Refused"}), b"id"),
    captp.SturdyRef(
        captp.PeerLocator.make("tls", KEY.public.designator, {"host": "h", "port": "1"}), b"s" * 32
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_a_value_is_what_it_was(value: Any) -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        await E(vat.root("box", Box)).put(value)
    async with opened(store) as vat:
        found = await E(vat.root("box", Box)).get()

    assert (type(found), found) == (type(value), value)


async def test_references_and_parts_are_there_again_cycles_included() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        box: Any = vat.root("box", Box)
        other = await E(box).make()
        await E(other).point(box)
        await E(other).put("the other")
        await E(other).part_of(3)
    async with opened(store) as vat:
        box = vat.root("box", Box)
        other = await E(box).next()
        found = await E(other).get(), await E(other).part_of(4), captp.same(await E(other).next(), box)

    assert found == ("the other", 7, True)


def nested(levels: int) -> Any:
    value: Any = (FrozenMap({"a": 1}), 2**70, Symbol("s"))
    for level in range(levels):
        value = Tagged("deep", value) if level % 3 else Tagged("tuple", (level, FrozenMap({"inner": value})))
    return value


@pytest.mark.parametrize("levels", [120, 300, 2000])
async def test_state_may_be_deeper_than_any_message(levels: int) -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        box = Box(value=nested(levels))
        await E(vat.root("box", lambda: box)).change("set", 1, vat.root("box", Box))
    async with opened(store) as vat:
        box = vat.root("box", Box)._anchor
        await E(vat.root("box", Box)).change("append", 1)
        found, wanted = box.value, nested(levels)
        for _ in range(levels):
            assert type(found) is type(wanted) is Tagged
            assert found.tag == wanted.tag
            found, wanted = found.value, wanted.value
            if type(found) is tuple:
                assert found[0] == wanted[0]
                found, wanted = found[1]["inner"], wanted[1]["inner"]
        assert found == wanted


@pytest.mark.parametrize("value", [5, 2**70, "text", (1, 2), NULL, None])
async def test_a_promise_in_state_that_is_fulfilled_stays_so(value: Any) -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        box = E(vat.root("box", Box))
        for key, there in ((1, value), (2, vat.root("other", Box))):
            promise, resolver = vat.promise()
            await box.change("set", key, promise)
            resolver.fulfill(there)
            await promise
        # It is looked at now and then, without a turn.
        before = len(store.commits)
        with trio.fail_after(5):
            while len(store.commits) == before:
                await trio.sleep(0.01)
    async with opened(store) as vat:
        rows = dict((await E(vat.root("box", Box)).shown()).value[1])

        found = await rows[1]
        assert (type(found), found) == (type(value), value)
        assert captp.same(await rows[2], vat.root("other", Box))


async def test_what_is_live_in_state_stays_in_memory_and_breaks_at_the_end() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        box = E(vat.root("box", Box))
        promise, resolver = vat.promise()
        await box.put(promise)
        await box.change("append", promise)
        for _ in range(20):
            await trio.sleep(0.001)
        resolver.fulfill(7)
        assert await box.get() == 7
    async with opened(store) as vat:
        await E(vat.root("other", Box)).put(vat.promise()[0])
    async with opened(store) as vat:
        with pytest.raises(captp.Disconnected, match="was live"):
            await E(vat.root("other", Box)).get()


class Handle(captp.Object):
    """Has more than state."""

    __slots__ = ("opened",)

    def __init__(self) -> None:
        self.opened = True

    @captp.method
    def is_open(self) -> bool:
        return self.opened


async def test_an_object_with_more_than_state_is_not_stored_and_works_as_long_as_its_vat() -> None:
    store = MemoryStore()
    net = MemoryNetwork()
    layer = net.netlayer(KEY.public.designator)
    for _ in range(2):
        async with captp.open_vat(key=KEY, store=store, listen=[layer]) as vat:
            handle = vat.root("handle", Handle)
            assert await E(vat.enliven(vat.mint(handle, swiss=b"s" * 32))).is_open()
            box = E(vat.root("box", Box))
            await box.put(handle)
            assert await E(box.get()).is_open()
    async with opened(store) as vat:
        with pytest.raises(captp.Disconnected, match="more than state"):
            await E(vat.root("box", Box)).get()
    assert store.count("object") == 1


async def test_what_nothing_stored_leads_to_is_not_stored() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        lonely = vat.export(Box())
        await E(lonely).put(1)
        await E(lonely).part_of(1)
        stored = store.count("object")
        await E(vat.root("box", Box)).point(lonely)

        assert (stored, store.count("object")) == (0, 3)


async def test_a_row_of_a_map_is_written_alone() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        box = E(vat.root("box", Box))
        for i in range(200):
            await box.change("set", i, "x" * 100)
        before = len(store.commits)
        await box.change("set", 7, "y")
        (last,) = store.commits[before:]

        assert [change.table for change in last] == ["entry", "meta"]


async def test_a_turn_that_is_rolled_back_is_not_stored() -> None:
    store = MemoryStore()
    async with opened(store) as vat:
        box = E(vat.root("box", Box))
        await box.put(1)
        before = len(store.commits)
        for steps in ("fail", "no such verb"):
            with pytest.raises(captp.RemoteFault):
                await box.change(steps)
        assert await box.shown() == Tagged("box", ((), (), ()))

        assert len(store.commits) == before


KEYS = st.sampled_from([0, 1, True, 0.0, "a", "b", b"c", (1, "x"), Symbol("s")])
ITEMS = st.integers(-3, 3)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["append", "insert", "add", "discard"]), ITEMS),
    st.tuples(st.sampled_from(["set", "renew", "nest"]), KEYS, ITEMS),
    st.tuples(st.just("del"), KEYS),
    st.tuples(st.sampled_from(["pop", "clear", "sort", "restart"])),
)


@settings(max_examples=60, deadline=None)
@example([[("set", 1, 0)], [("set", 0, 0), ("del", 1), ("set", 1, 0)]])
@example([[("set", 1, 0)], [("nest", 0, 0), ("set", "a", 0), ("del", 1), ("set", 1, 0), ("nest", 0, 1)]])
@given(st.lists(st.lists(STEPS, max_size=6), max_size=8))
def test_any_program_leaves_what_it_leaves_in_memory(batches: list[list[tuple[Any, ...]]]) -> None:
    import trio

    async def run() -> tuple[Any, Any]:
        store, volatile = MemoryStore(), {}
        plain = Box()
        steps = [*batches, [("restart",)]]
        while steps:
            async with opened(store) as vat:
                box = E(vat.root("box", Box))
                while steps:
                    promises = [box.change(*step) for step in steps[0] if step != ("restart",)]
                    for step in steps[0]:
                        if step != ("restart",):
                            CHANGES[step[0]](plain, *step[1:])
                    for promise in promises:
                        await promise
                    if ("restart",) in steps.pop(0):
                        break
                volatile["shown"] = await box.shown()
        async with opened(store) as vat:
            return await E(vat.root("box", Box)).shown(), plain.shown()

    stored, wanted = trio.run(run)

    assert repr(stored) == repr(frozen(wanted))


def frozen(value: Any) -> Any:
    if isinstance(value, Tagged):
        return Tagged(value.tag, frozen(value.value))
    if isinstance(value, tuple | list):
        return tuple(map(frozen, value))
    return value
