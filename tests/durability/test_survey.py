"""A survey finds nothing in a whole store, and names what any change to one row has damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import captp
from captp import E
from captp.net.memory import MemoryNetwork
from captp.peer.durable.kept import object_key
from captp.peer.rows import TABLES, Change, Verb
from captp.run.sealed import HEAD, Sealed
from captpd.keeper.survey import Survey, survey
from tests.durability.memory_store import MemoryStore

KEY = captp.PrivateKey.from_seed(b"s" * 32)
AWAY = captp.PrivateKey.from_seed(b"a" * 32)


class Part(captp.Object):
    number: int = 0


class Folder(captp.Object):
    part: Part
    rows: captp.Map[str, Any]
    friends: captp.List[Any]
    answer: captp.Promise[Any] | None = None

    @captp.method
    def fill(self, me: Any, away: captp.SturdyRef) -> None:
        for number in range(3):
            self.rows[f"r{number}"] = Folder(part=Part(number=number))
        self.rows["plain"] = 1
        self.friends.append(me)
        captp.send_durable(away, "note", me)
        self.answer = captp.later(3600, self.let_go)

    @captp.method
    def let_go(self) -> None:
        del self.rows["r1"]


async def filled() -> MemoryStore:
    """Return a store with objects of every shape, a durable call and a timer that wait, and two orphans."""
    store, net = MemoryStore(), MemoryNetwork()
    away = captp.SturdyRef(captp.PeerLocator.make("memory", AWAY.public.designator, {}), b"s" * 32)
    layer = net.netlayer(KEY.public.designator)
    async with captp.open_vat(key=KEY, store=store, listen=[layer]) as vat:
        folder = vat.root("folder", lambda: Folder(part=Part()))
        vat.mint(folder)
        await E(folder).fill(folder, away)
        await E(folder).let_go()
    return store


def surveyed(store: MemoryStore, key: captp.PrivateKey = KEY) -> Survey:
    store.open()
    found = survey(Sealed(store, key.seed()))
    store.close()
    return found


async def test_a_whole_store_is_counted_and_orphans_are_no_damage() -> None:
    found = surveyed(await filled())

    assert found.problems == []
    assert str(found) == "9 objects, 3 entries, 1 roots, 1 sturdyrefs, 1 durable calls, 1 timers, 2 orphans"


async def test_another_key_is_told_for_every_row() -> None:
    store = await filled()

    found = surveyed(store, AWAY)

    assert len(found.problems) >= sum(map(len, store.tables.values()))
    assert found.problems[0].startswith("meta 'head': it is not what was written there, or the store belongs")


@pytest.mark.parametrize("table", [table for table in TABLES if table not in ("inbox", "dead")])
async def test_a_bit_of_any_row_and_the_loss_of_any_row_is_noticed(table: str) -> None:
    whole = await filled()
    assert whole.tables[table]

    for key, value in whole.tables[table].items():
        for changed in (value[:-1] + bytes([value[-1] ^ 1]), value[:9] + value[10:], b"", None):
            store = MemoryStore()
            store.tables = {name: dict(rows) for name, rows in whole.tables.items()}
            if changed is None:
                del store.tables[table][key]
            else:
                store.tables[table][key] = changed
            problems = surveyed(store).problems
            assert any(line.startswith(table) for line in problems), (table, key, changed, problems)


def edge(*ends: tuple[int, bool]) -> bytes:
    return b"".join((oid << 1 | is_part).to_bytes(8, "big") for oid, is_part in ends)


#: What is changed under the right key, and so could come of a mistake of ours alone; and what is said of it.
MISTAKES: dict[str, tuple[Callable[[Sealed], Change], str]] = {
    "a reference to nothing": (
        lambda sealed: Change(Verb.REPLACE, "edge", object_key(1), edge((99, False))),
        "edge o1 (tests.durability.test_survey:Folder): it is not what its row leads to",
    ),
    "an object that is gone": (
        lambda sealed: Change(Verb.DELETE, "object", object_key(2)),
        "edge o1 (tests.durability.test_survey:Folder): it leads to o2, which is not there",
    ),
    "an entry that is gone": (
        lambda sealed: Change(Verb.DELETE, "entry", next(key for key, _ in sealed.rows("entry"))),
        "object o1 (tests.durability.test_survey:Folder): a Map has 2 entries and should have 3",
    ),
    "a body of another form": (
        lambda sealed: Change(Verb.REPLACE, "object", object_key(2), b"\x91\x01"),
        "object o2",
    ),
    "a body that is none": (
        lambda sealed: Change(Verb.REPLACE, "object", object_key(2), b"\xc1"),
        "object o2: its value cannot be read",
    ),
    "a root to nothing": (
        lambda sealed: Change(Verb.REPLACE, "root", b"folder", b"\x92\x63\x01"),
        "root 'folder': it leads to o99, which is not there",
    ),
    "edges that are missing": (
        lambda sealed: Change(Verb.DELETE, "edge", object_key(1)),
        "edge o1 (tests.durability.test_survey:Folder): it is missing",
    ),
    "an object beyond the last": (
        lambda sealed: Change(Verb.INSERT, "object", object_key(999), b"\x92\x02\x05"),
        "object o999: its id was not given out yet",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_under_the_right_key_is_named(mistake: str) -> None:
    make, line = MISTAKES[mistake]
    store = await filled()
    sealed = Sealed(store, KEY.seed())
    sealed.open(0.0)
    sealed.commit([make(sealed)], 0)
    sealed.close()

    problems = surveyed(store).problems

    assert any(problem.startswith(line) for problem in problems), problems


async def test_a_head_that_is_gone_is_damage(tmp_path: Path) -> None:
    store = await filled()
    del store.tables["meta"][HEAD]

    assert surveyed(store).problems[0] == "meta 'head': it is missing"
