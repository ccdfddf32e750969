"""What nothing stored leads to goes from the store, circles too, and nothing else does."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.peer.durable import stored
from captp.peer.durable.kept import object_key
from captp.peer.rows import Change, Verb, packed
from captp.run import gate, pump
from captp.run.live import LiveVat
from captp.run.sealed import Overread, Sealed
from captp.run.sweeper import Sweeper
from tests.durability.memory_store import MemoryStore

KEY = captp.PrivateKey.from_seed(b"s" * 32)


class Node(captp.Interface):
    @captp.method
    def put(self, key: int, other: Node) -> None: ...

    @captp.method
    def make(self, key: int, name: int) -> Node: ...

    @captp.method
    def drop(self, key: int) -> None: ...

    @captp.method
    def get(self, key: int) -> Node: ...

    @captp.method
    def seen(self) -> tuple[int, tuple[int, ...]]: ...

    @captp.method
    def grow(self) -> None: ...


class Part(captp.Object):
    inner: captp.List[Node]


class TheNode(captp.Object, Node):
    name: int = 0
    next: captp.Map[int, Node]
    part: Part | None = None

    @captp.method
    def put(self, key: int, other: Node) -> None:
        self.next[key] = other

    @captp.method
    def make(self, key: int, name: int) -> Node:
        self.next[key] = TheNode(name=name)
        return self.next[key]

    @captp.method
    def drop(self, key: int) -> None:
        self.next.pop(key, None)

    @captp.method
    def get(self, key: int) -> Node:
        return self.next[key]

    @captp.method
    def seen(self) -> tuple[int, tuple[int, ...]]:
        return self.name, tuple(self.next)

    @captp.method
    def grow(self) -> None:
        """Hold everything by a part too."""
        self.part = Part(inner=captp.List(self.next.values()))


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep all the time, in small steps."""
    monkeypatch.setattr(stored, "FIRST_SWEEP_S", 0.0)
    monkeypatch.setattr(stored, "SWEEP_S", 0.0)
    monkeypatch.setattr(stored, "SWEEP_SHARE", 1.0)
    monkeypatch.setattr(gate, "SWEEP_ROWS", 2)
    monkeypatch.setattr(gate, "SWEEP_S", 0.0001)
    monkeypatch.setattr(pump, "BEAT_S", 0.005)


async def eventually(holds: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not holds():
            await trio.sleep(0.005)


async def test_an_object_that_is_let_go_of_goes_with_all_its_rows_circles_too() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store, cycles=captp.Cycles(tick=0.01)) as vat:
        root = vat.root("root", TheNode)
        first = await root.make(0, 1)
        second = await first.make(0, 2)
        await second.put(0, first)
        await second.grow()
        assert store.count("object") == 4
        await root.drop(0)
        del first, second
        await eventually(lambda: store.count("object") == 1)

        assert (store.count("entry"), store.count("edge")) == (0, 0)


async def test_what_a_client_holds_stays_while_it_does_and_is_not_stored_for_ever() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        root = vat.root("root", TheNode)
        first = await root.make(0, 1)
        await first.make(5, 2)
        await root.drop(0)
        for _ in range(20):
            await trio.sleep(0.005)
        assert store.count("object") == 3
        assert await first.get(5).seen() == (2, ())
        # It is stored again, as what it was.
        await root.put(1, first)
        del first
        for _ in range(20):
            await trio.sleep(0.005)
        assert await root.get(1).get(5).seen() == (2, ())


async def test_what_was_held_at_the_end_alone_goes_after_the_next_start() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        root = vat.root("root", TheNode)
        first = await root.make(0, 1)
        await root.drop(0)
        assert store.count("object") == 2
    del first
    async with captp.open_vat(key=KEY, store=store) as vat:
        await vat.root("root", TheNode).seen()
        await eventually(lambda: store.count("object") == 1)


async def test_what_nothing_but_its_live_state_keeps_in_memory_goes_too() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        root = vat.root("root", TheNode)
        first, (promise, resolver) = await root.make(0, 1), vat.promise()
        await E(first).put(1, promise)
        await root.drop(0)
        del first
        await eventually(lambda: store.count("object") == 1)
        resolver.fulfill(None)


async def test_an_object_is_let_go_of_when_nothing_in_it_is_live_any_more() -> None:
    async with captp.open_vat(key=KEY, store=MemoryStore()) as vat:
        root = vat.root("root", TheNode)
        await E(root).put(1, vat.promise()[0])
        stored_now = vat.peer.stored
        assert stored_now is not None
        oid = root._anchor._entry.oid
        assert oid in stored_now._pins
        await root.drop(1)

        assert oid not in stored_now._pins


@pytest.mark.parametrize("most", [3, 100_000])
@pytest.mark.parametrize("seed", range(8))
async def test_any_program_keeps_what_is_reachable_and_loses_the_rest(seed: int, most: int) -> None:
    limits = captp.Limits(objects_in_memory=most)
    chooser = random.Random(seed)
    store = MemoryStore()
    graph: dict[int, dict[int, int]] = {0: {}}
    made = 0
    for _ in range(4):
        async with captp.open_vat(key=KEY, store=store, limits=limits) as vat:
            held: list[tuple[int, Any]] = [(0, vat.root("root", TheNode))]
            for _ in range(60):
                name, node = chooser.choice(held)
                key = chooser.randrange(3)
                match chooser.randrange(6):
                    case 0 | 1:
                        made += 1
                        graph[name][key], graph[made] = made, {}
                        held.append((made, await node.make(key, made)))
                    case 2:
                        other, target = chooser.choice(held)
                        graph[name][key] = other
                        await node.put(key, target)
                    case 3:
                        graph[name].pop(key, None)
                        await node.drop(key)
                    case 4 if key in graph[name]:
                        held.append((graph[name][key], await node.get(key)))
                    case _ if len(held) > 1:
                        held.pop(chooser.randrange(1, len(held)))
                del node
                if chooser.randrange(4) == 0:
                    await trio.sleep(0.002)
            target = None
            held.clear()
        await check(store, graph)


async def check(store: MemoryStore, graph: dict[int, dict[int, int]]) -> None:
    """Compare what is stored, once all sweeps are done, with what is reachable."""
    async with captp.open_vat(key=KEY, store=store) as vat:
        reached = await walk(vat, graph)
        wanted = len(reached)
        await eventually(lambda: store.count("object") == wanted)
        assert await walk(vat, graph) == reached
    assert store.count("entry") == sum(len(graph[name]) for name in reached)


async def walk(vat: LiveVat, graph: dict[int, dict[int, int]]) -> set[int]:
    reached: set[int] = set()
    stack: list[tuple[int, Any]] = [(0, vat.root("root", TheNode))]
    while stack:
        name, node = stack.pop()
        if name in reached:
            continue
        reached.add(name)
        found, keys = await E(node).seen()
        assert (found, set(keys)) == (name, set(graph[name]))
        for key, other in graph[name].items():
            stack.append((other, await node.get(key)))
    return reached


def rows(verb: Verb, oid: int, *targets: int) -> Change:
    return Change(verb, "edge", object_key(oid), b"".join((t << 1).to_bytes(8, "big") for t in targets))


def sweeping(
    roots: dict[str, int], edges: dict[int, list[int]], *more: Change
) -> tuple[MemoryStore, Sealed, Sweeper]:
    """Return a store with a graph, and a sweep of it that has looked at the roots and at nothing else."""
    store = MemoryStore()
    sealed = Sealed(store, b"k" * 32)
    sealed.open(0.0)
    sealed.begin()
    changes = [Change(Verb.INSERT, "object", object_key(oid), b"") for oid in edges]
    changes += [rows(Verb.INSERT, oid, *targets) for oid, targets in edges.items() if targets]
    changes += [Change(Verb.INSERT, "root", name.encode(), packed(oid, 1)) for name, oid in roots.items()]
    sealed.commit([*changes, *more], 10)
    sweeper = Sweeper(sealed, ())
    assert sweeper.step(len(roots))
    return store, sealed, sweeper


def finish(store: MemoryStore, sealed: Sealed, sweeper: Sweeper, *changes: Change) -> set[int]:
    """Make a commit in the middle of the sweep, end that, and return what is left."""
    sweeper.before(changes)
    sealed.commit(list(changes), 10)
    while sweeper.step(1):
        pass
    return {int.from_bytes(key, "big") for key in store.tables["object"]}


def test_what_is_moved_behind_the_back_of_a_sweep_is_not_lost() -> None:
    store, sealed, sweeper = sweeping({"a": 1, "b": 2}, {1: [3], 2: [], 3: [4], 4: [], 5: [6], 6: []})
    # The one with nothing is looked at first.
    sweeper.step(1)

    left = finish(store, sealed, sweeper, rows(Verb.DELETE, 1), rows(Verb.INSERT, 2, 3))

    assert left == {1, 2, 3, 4}


def test_a_root_that_goes_in_the_middle_of_a_sweep_is_kept_this_time() -> None:
    sturdyref = Change(Verb.INSERT, "swiss", b"m", packed(1, 1, "", None, None))
    store, sealed, sweeper = sweeping({"a": 3}, {1: [2], 2: [], 3: []}, sturdyref)

    left = finish(store, sealed, sweeper, Change(Verb.DELETE, "swiss", b"m"))

    assert left == {1, 2, 3}


def test_what_is_made_in_the_middle_of_a_sweep_is_kept() -> None:
    store, sealed, sweeper = sweeping({"a": 1}, {1: []})

    left = finish(store, sealed, sweeper, Change(Verb.INSERT, "object", object_key(9)))

    assert left == {1, 9}


async def test_a_sweep_deletes_nothing_when_a_row_of_edges_is_not_in_its_place() -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        await vat.root("root", TheNode).make(0, 1)
    edges = store.tables["edge"]
    (key,) = edges
    # One bit of it, which would make what the object leads to look dead.
    edges[key[:7] + bytes([key[7] ^ 0x40]) + key[8:]] = edges.pop(key)
    before = dict(store.tables["object"])
    sealed = Sealed(store, KEY.seed())
    sealed.open(0.0)
    sweeper = Sweeper(sealed, [])
    with pytest.raises(captp.StoreDamaged):
        sweeper.step(1000)

    assert store.tables["object"] == before


async def test_a_row_that_a_sweep_cannot_read_stops_the_sweep_and_not_the_vat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    async with captp.open_vat(key=KEY, store=store) as vat:
        await vat.root("hit", TheNode).make(0, 1)
    edges = store.tables["edge"]
    (key,) = edges
    edges[key] = edges[key][:-1] + bytes([edges[key][-1] ^ 1])
    async with captp.open_vat(key=KEY, store=store) as vat:
        other = vat.root("other", TheNode)
        for name in range(5):
            await other.make(0, name)
            for _ in range(10):
                await trio.sleep(0.005)
        with pytest.raises(captp.RemoteFault, match="damaged"):
            await vat.root("hit", TheNode).seen()

        assert await other.get(0).seen() == (4, ())
    (line,) = [record for record in caplog.records if record.message == "sweep given up"]
    assert "a row of edge is not what was written there" in line.captp["why"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("short", [0, 1])
def test_a_sweep_has_as_many_ids_in_memory_as_it_may_and_no_more(short: int) -> None:
    """Three pages of marks, and of ids that are still to be looked at two at once."""
    store, sealed, sweeper = sweeping({"a": 1}, {1: [1 << 20, 1 << 30], 1 << 20: [], 1 << 30: [], 7: []})
    sealed.most_swept = 5 - short
    if short:
        with pytest.raises(Overread):
            finish(store, sealed, sweeper)
    else:
        assert finish(store, sealed, sweeper) == {1, 1 << 20, 1 << 30}


@pytest.mark.parametrize("short", [0, 1])
def test_a_sweep_deletes_as_many_rows_at_once_as_it_may_and_no_more(short: int) -> None:
    store, sealed, sweeper = sweeping({"a": 1}, {1: [], 2: [1], 3: [1]})
    sealed.most_swept = 4 - short
    if short:
        with pytest.raises(Overread):
            sweeper.step(1000)
    else:
        while sweeper.step(1000):
            pass

    assert len(store.tables["object"]) == (3 if short else 1)
