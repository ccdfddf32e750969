"""Random programs of promises in state and timed calls, through restarts, kills, evictions and sweeps.

A program moves promises about between desks; the model knows which promise is in which place, and what each
becomes. What a desk gives is never another value, in no run, and in the end nothing is left of any.
"""

from __future__ import annotations

import gc
import random
from collections import Counter
from typing import Any, Final

import pytest
import trio

import captp
from captp import E
from captp.net.memory import MemoryNetwork
from captp.run.sealed import Sealed
from captpd.keeper.survey import survey
from tests.durability.memory_store import MemoryStore
from tests.durability.test_messages import Host
from tests.durability.test_sweep import eventually, swift

__all__ = ["swift"]

SEEDS: Final = 10
RUNS: Final = 5
OPS: Final = 30
DESKS: Final = 3
#: Seconds after which a short and a long timer come; most of the long are over in a later run.
SHORT, LONG = 0.005, 0.2
#: Places of a desk: its field, items of its list, entries of its Map, and what is nested in one.
PLACES: Final = ("one", "list 0", "list 1", "map a", "map b", "nest a")


class Bureau(captp.Object):
    seen: captp.List[int]

    @captp.method
    def echo(self, tag: int, *_more: Any) -> int:
        self.seen.append(tag)
        return tag

    @captp.method
    def fail(self, tag: int, *_more: Any) -> None:
        raise captp.Refused(f"no {tag}")

    @captp.method
    def rest(self, _tag: int, *_more: Any) -> Any:
        return captp.sleep(SHORT)

    @captp.method
    def all(self) -> Any:
        return tuple(self.seen)


class Desk(captp.Object):
    one: captp.Promise[Any] | None = None
    items: captp.List[Any]
    rows: captp.Map[str, Any]
    ran: captp.List[int]

    @captp.method
    def put(self, place: str, boxed: tuple[Any, ...]) -> None:
        what, _, key = place.partition(" ")
        (value,) = boxed
        if what == "list":
            self.items.extend([None] * (2 - len(self.items)))
            self.items[int(key)] = value
        elif what == "map":
            self.rows[key] = value
        elif what == "nest":
            self.rows["nest"] = captp.Map({key: captp.List([(value,)])})
        else:
            self.one = value

    def at(self, place: str) -> Any:
        what, _, key = place.partition(" ")
        if what == "list":
            return self.items[int(key)] if self.items else None
        if what == "map":
            return self.rows.get(key)
        if what == "nest":
            return self.rows["nest"][key][0][0] if "nest" in self.rows else None
        return self.one

    @captp.method
    def ask(self, place: str, to: captp.SturdyRef, method: str, tag: int, *more: str) -> None:
        self.put(place, (captp.send_durable(to, method, tag, *map(self.at, more)),))

    @captp.method
    def later(self, place: str, seconds: float, tag: int, *more: str) -> None:
        self.put(place, (captp.later(seconds, self.run, tag, tuple(map(self.at, more))),))

    @captp.method
    def run(self, tag: int, _more: Any) -> int:
        self.ran.append(tag)
        return tag

    @captp.method
    def sleep(self, place: str, seconds: float) -> None:
        self.put(place, (captp.sleep(seconds),))

    @captp.method
    def copy(self, place: str, other: Any, to: str) -> Any:
        return E(other).put(to, (self.at(place),))

    @captp.method
    def drop(self) -> None:
        self.one = None
        self.items.clear()
        self.rows.clear()

    @captp.method
    def shown(self) -> Any:
        return tuple((self.at(place),) for place in PLACES), tuple(self.ran)


class Model:
    """Where the promises are, what those became that settled, and which timed calls were made."""

    def __init__(self, seed: int) -> None:
        self.chooser = random.Random(seed)
        self.net = MemoryNetwork()
        self.here, self.there = Host(self.net, 1), Host(self.net, 2)
        self.places: dict[tuple[int, str], tuple[str, int] | None] = {}
        self.made = 0
        self.timed: set[int] = set()
        self.bureaus: list[captp.SturdyRef] = []
        self.known: dict[int, str] = {}

    async def step(self, vat: Any) -> None:
        choose = self.chooser
        number, place = choose.randrange(DESKS), choose.choice(PLACES)
        desk = E(vat.root(f"desk {number}", Desk))
        more = choose.sample(PLACES, choose.choice((0, 0, 1, 2)))
        self.made += 1
        match choose.randrange(8):
            case 0 | 1:
                method = choose.choice(("echo", "echo", "fail", "rest"))
                await desk.ask(place, choose.choice(self.bureaus), method, self.made, *more)
                self.places[number, place] = method, self.made
            case 2:
                self.timed.add(self.made)
                await desk.later(place, choose.choice((SHORT, LONG)), self.made, *more)
                self.places[number, place] = "run", self.made
            case 3:
                await desk.sleep(place, choose.choice((0.0, SHORT, LONG)))
                self.places[number, place] = "sleep", self.made
            case 4 | 5:
                other, to = choose.randrange(DESKS), choose.choice(PLACES)
                await desk.copy(place, vat.root(f"desk {other}", Desk), to)
                self.places[other, to] = self.places.get((number, place))
            case 6 if choose.randrange(3) == 0:
                await desk.drop()
                self.places = {key: what for key, what in self.places.items() if key[0] != number}
            case _:
                await trio.sleep(choose.choice((0.0, SHORT)))
                await self.look(vat, number)

    async def look(self, vat: Any, number: int, *, is_last: bool = False) -> tuple[int, ...]:
        shown, ran = await E(vat.root(f"desk {number}", Desk)).shown()
        for place, (value,) in zip(PLACES, shown, strict=True):
            what = self.places.get((number, place))
            if what is None:
                assert value is None, place
            elif is_last or value.settled:
                self.compare(*what, await outcome_of(value))
        return tuple(ran)

    def compare(self, method: str, tag: int, found: str) -> None:
        fine = {"fail": f"Refused: no {tag}", "sleep": "None", "rest": "None"}.get(method, str(tag))
        # What came of a call may be lost, where it waited when its vat stopped.
        assert found == fine or (method == "rest" and found.startswith("Disconnected")), (method, tag)
        assert self.known.setdefault(tag, found) == found

    def whole(self, host: Host) -> None:
        store: Any = host.store
        store.open()
        assert survey(Sealed(store, host.key.seed())).problems == []
        store.close()


async def outcome_of(value: Any) -> str:
    try:
        with trio.fail_after(10):
            return str(await value)
    except captp.Broken as problem:
        return f"{type(problem).__name__}: {problem}"


def is_bare(store: MemoryStore) -> bool:
    # The tracebacks of what was awaited, and broke, hold promises in circles.
    gc.collect()
    return len(store.tables["object"]) <= DESKS + 1


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_any_program_keeps_its_promises(seed: int) -> None:
    print(f"seed {seed}")
    model = Model(seed)
    here, there, choose = model.here, model.there, model.chooser
    async with here.open() as vat, there.open() as away:
        model.bureaus = [one.mint(one.root("bureau", Bureau)) for one in (vat, away)]
    for _ in range(RUNS):
        limits = captp.Limits(objects_in_memory=choose.choice((1, 4, 100_000)))
        is_there, is_killed = choose.random() < 0.5, choose.random() < 0.5
        tables: Any
        left: Any = None
        async with here.open(limits=limits) as vat:
            for _ in range(choose.randrange(OPS // 2)):
                await model.step(vat)
            if is_there:
                async with there.open():
                    for _ in range(choose.randrange(OPS)):
                        await model.step(vat)
                    # All that the program knows is stored, and nothing that comes after this.
                    tables, left = here.store.tables, there.store.tables
            else:
                tables = here.store.tables
        if is_killed:
            here.store.tables, there.store.tables = tables, left or there.store.tables
        model.whole(here)
        model.whole(there)
    async with there.open() as away, here.open() as vat:
        for number in range(DESKS):
            await model.look(vat, number, is_last=True)
        await eventually(lambda: not here.store.tables["outbox"] and not here.store.tables["timer"])
        ran: Counter[int] = Counter()
        for number in range(DESKS):
            ran.update(await model.look(vat, number, is_last=True))
            await E(vat.root(f"desk {number}", Desk)).drop()
        assert ran == Counter(model.timed)
        for one in (vat, away):
            seen = await E(one.root("bureau", Bureau)).all()
            assert len(set(seen)) == len(seen)
        await eventually(lambda: not here.store.tables["inbox"] and not there.store.tables["inbox"])
        # The desks and the bureau, and nothing that stood for a promise.
        await eventually(lambda: is_bare(here.store))
    model.whole(here)
