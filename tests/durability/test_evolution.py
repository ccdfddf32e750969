"""A stored object of an earlier version is what its class says now, or the store is as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import captp
from captp import E
from captp.errors import UsageError
from captp.model.object import KINDS
from captp.peer.rows import Change, Verb
from captp.run.sealed import Sealed
from tests.durability.right_store import Memory, RightStore, Tables

KEY = captp.PrivateKey.from_seed(b"e" * 32)
KIND = "shop:Purse"


class Account(captp.Interface):
    @captp.method
    def shown(self) -> Any: ...

    @captp.method
    def add(self, name: str, other: Any) -> None: ...


class Entry(captp.Object):
    name: str


def first() -> type[captp.Object]:
    """Make the class as the program had it first."""

    class Purse(captp.Object, Account, kind=KIND):
        balance: int = 0
        others: captp.Map[str, Account]
        history: captp.List[Any]
        friend: Account | None = None

        @captp.method
        def shown(self) -> Any:
            return self.balance, tuple(self.others), tuple(self.history)

        @captp.method
        def add(self, name: str, other: Any) -> None:
            self.balance += 1
            self.others[name] = other
            self.friend = other
            self.history.append(name)

    return Purse


def third() -> type[captp.Object]:
    """Make the class two versions later: pence, a sorted history in a Map, the friends in a List."""

    class Purse(captp.Object, Account, version=3, kind=KIND):
        pence: int
        friends: captp.List[Account]
        history: captp.Map[str, int]
        newest: Entry | None = None
        note: str = "none"

        @captp.migrate(from_version=1)
        def to_pence(state: dict[str, Any]) -> dict[str, Any]:
            state["pence"] = state.pop("balance") * 100
            return state

        @captp.migrate(from_version=2)
        @staticmethod
        def to_friends(state: dict[str, Any]) -> dict[str, Any]:
            names = state.pop("history")
            assert type(names) is list
            others = state.pop("others")
            assert type(others) is dict
            del state["friend"]
            newest = Entry(name=names[-1]) if names else None
            return state | {
                "friends": list(others.values()),
                "history": {n: i for i, n in enumerate(names)},
                "newest": newest,
            }

        @captp.method
        def shown(self) -> Any:
            newest = None if self.newest is None else self.newest.name
            return self.pence, tuple(self.history.items()), newest, self.note

        @captp.method
        def add(self, name: str, other: Any) -> None:
            self.history[name] = len(self.history)

        @captp.method
        def friend(self, number: int) -> Account:
            return self.friends[number]

    return Purse


async def filled(store: RightStore) -> None:
    """Store two purses that lead to each other, of the first version."""
    purse = first()
    async with captp.open_vat(key=KEY, store=store) as vat:
        a, b = vat.root("a", purse), vat.root("b", purse)
        await E(a).add("b", b)
        await E(a).add("a", a)
        await E(b).add("a", a)


async def test_a_chain_of_migrations_gives_what_the_class_has_now(tmp_path: Path) -> None:
    store = RightStore(Memory(tmp_path))
    await filled(store)
    purse = third()

    async with captp.open_vat(key=KEY, store=store) as vat:
        a, b = vat.root("a", purse), vat.root("b", purse)
        assert await E(a).shown() == (200, (("b", 0), ("a", 1)), "a", "none")
        assert await E(b).shown() == (100, (("a", 0),), "a", "none")
        assert captp.same(await E(a).friend(0), b)
        assert captp.same(await E(a).friend(1), a)
        await E(a).add("c", None)
    async with captp.open_vat(key=KEY, store=store) as vat:
        assert await E(vat.root("a", purse)).shown() == (200, (("b", 0), ("a", 1), ("c", 2)), "a", "none")

    (copy,) = copies(store)
    assert copy.name.startswith("before-upgrade-")


async def test_a_migrated_store_is_not_migrated_again(tmp_path: Path) -> None:
    store = RightStore(Memory(tmp_path))
    await filled(store)
    purse = third()
    async with captp.open_vat(key=KEY, store=store):
        pass
    (copy,) = copies(store)
    copy.unlink()
    purse._captp_migrations.clear()

    async with captp.open_vat(key=KEY, store=store) as vat:
        assert (await E(vat.root("b", purse)).shown())[0] == 100

    assert not copies(store)


async def test_a_class_goes_on_under_another_name(tmp_path: Path) -> None:
    store = RightStore(Memory(tmp_path))
    first_class = first()
    async with captp.open_vat(key=KEY, store=store) as vat:
        a = vat.root("a", first_class)
        await E(a).add("a", a)

    class Wallet(captp.Object, Account, kind=KIND, version=2):
        total: int

        @captp.migrate(from_version=1)
        def from_purse(state: dict[str, Any]) -> dict[str, Any]:
            return {"total": state["balance"]}

        @captp.method
        def shown(self) -> Any:
            return self.total

        @captp.method
        def add(self, name: str, other: Any) -> None: ...

    async with captp.open_vat(key=KEY, store=store) as vat:
        assert await E(vat.root("a", Wallet)).shown() == 1


def copies(store: RightStore) -> list[Path]:
    """Return what lies beside a store."""
    return list(store.memory.folder.iterdir())


def later(version: int = 2, **steps: Callable[..., Any]) -> type[captp.Object]:
    """Make a class with one field and the migrations given, ``from_1`` and so on."""
    body: dict[str, Any] = {"__annotations__": {"balance": "int"}, "__module__": __name__}
    for name, step in steps.items():
        body[name] = captp.migrate(from_version=int(name[5:]))(step)
    return type(captp.Object)("Purse", (captp.Object,), body, kind=KIND, version=version)


def failing(state: Any) -> Any:
    return state["no such\nfield"]


def sending(state: Any) -> Any:
    E(state["friend"]).shown()
    return {"balance": 1}


def forget() -> None:
    """Have no class of the kind, as a program that does not define it."""
    KINDS.pop(KIND, None)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "missing step": (
        lambda: later(3, from_1=lambda s: s),
        "in version 1, and the class is in version 3: there is no step from version 2 to 3: add a function",
    ),
    "raises": (
        lambda: later(from_1=failing),
        "from version 1 raised KeyError: 'no such\\nfield'; correct it",
    ),
    "no dict": (lambda: later(from_1=lambda s: None), "from version 1 returned a NoneType, and no dict"),
    "sends": (lambda: later(from_1=sending), "from version 1 sends a message"),
    "wrong type": (
        lambda: later(from_1=lambda s: {"balance": "1"}),
        "does not fit the class: Purse.balance takes int, not str",
    ),
    "too much": (lambda: later(from_1=lambda s: s), "has 'others', which is no field"),
    "too little": (lambda: later(from_1=lambda s: {}), "lacks balance, which has no default"),
    "other fields, same version": (lambda: later(1), "others is stored, and no field any more"),
    "no class": (forget, "there is no such class: import its module"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_migrated_is_refused_and_nothing_changes(case: str, tmp_path: Path) -> None:
    store = RightStore(Memory(tmp_path))
    await filled(store)
    make, problem = REFUSED[case]
    kept = make()
    before = copied(store.memory.tables)

    with pytest.raises(UsageError) as refused:
        async with captp.open_vat(key=KEY, store=store):
            pass

    line = str(refused.value)
    assert KIND in line
    assert problem in line
    assert "\n" not in line
    assert store.memory.tables == before
    assert store.memory.holder is None
    assert not copies(store)
    del kept


async def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    store = RightStore(Memory(tmp_path))
    await filled(store)
    purse = third()
    async with captp.open_vat(key=KEY, store=store):
        pass
    older = first()
    before = copied(store.memory.tables)

    with pytest.raises(UsageError, match="in version 3, and the class is in version 1: use the program that"):
        async with captp.open_vat(key=KEY, store=store):
            pass

    assert store.memory.tables == before
    del purse, older


class FullStore(RightStore):
    """A store that takes no commit when there is a copy beside it."""

    def commit(self, changes: Any) -> None:
        if copies(self):
            raise captp.StoreFull("no room")
        super().commit(changes)


async def test_a_copy_goes_again_when_nothing_was_migrated(tmp_path: Path) -> None:
    store = FullStore(Memory(tmp_path))
    await filled(store)
    purse = third()
    before = copied(store.memory.tables)

    with pytest.raises(captp.StoreFull):
        async with captp.open_vat(key=KEY, store=store):
            pass

    assert store.memory.tables == before
    assert not copies(store)
    del purse


class Other(captp.Object, Account):
    number: int = 0

    @captp.method
    def shown(self) -> Any:
        return self.number

    @captp.method
    def add(self, name: str, other: Any) -> None: ...


async def test_kinds_that_no_object_has_are_forgotten_without_a_copy(tmp_path: Path) -> None:
    store = RightStore(Memory(tmp_path))
    purse = first()
    async with captp.open_vat(key=KEY, store=store) as vat:
        vat.root("kept", Other)
        vat.root("a", purse)
    sealed = Sealed(store, KEY.seed())
    sealed.open(0.0)
    _, last = (key for key, _ in sealed.rows("object"))
    # As a sweep leaves it: the object is gone, and its kind is still there.
    sealed.commit([Change(Verb.DELETE, "object", last), Change(Verb.DELETE, "root", b"a")], 0)
    sealed.close()
    kinds = len(store.memory.tables["meta"])
    forget()

    async with captp.open_vat(key=KEY, store=store) as vat:
        assert await E(vat.root("kept", Other)).shown() == 0

    assert len(store.memory.tables["meta"]) == kinds - 1
    assert not copies(store)


def copied(tables: Tables) -> Tables:
    return {name: dict(rows) for name, rows in tables.items()}


async def test_an_object_that_the_state_holds_itself_can_be_put_elsewhere_and_is_migrated_too(
    tmp_path: Path,
) -> None:
    store = RightStore(Memory(tmp_path))

    def holder() -> captp.Object:
        part: Any = type(captp.Object)(
            "Part", (captp.Object,), {"__annotations__": {"n": "int"}}, kind="shop:Part"
        )
        body = {"__annotations__": {"part": "Any"}, "__module__": __name__}
        made: Any = type(captp.Object)("Holder", (captp.Object,), body, kind="shop:Holder")
        held: captp.Object = made(part=part(n=7))
        return held

    async with captp.open_vat(key=KEY, store=store) as vat:
        vat.root("holder", holder)

    class Part(captp.Object, kind="shop:Part", version=2):
        text: str

        @captp.migrate(from_version=1)
        def as_text(state: dict[str, Any]) -> dict[str, Any]:
            return {"text": str(state["n"])}

    class Holder(captp.Object, Account, kind="shop:Holder", version=2):
        parts: captp.List[Any]

        @captp.migrate(from_version=1)
        def as_list(state: dict[str, Any]) -> dict[str, Any]:
            assert type(state["part"]) is Part
            return {"parts": [state["part"]]}

        @captp.method
        def shown(self) -> Any:
            return self.parts[0].text

        @captp.method
        def add(self, name: str, other: Any) -> None: ...

    async with captp.open_vat(key=KEY, store=store) as vat:
        assert await E(vat.root("holder", Holder)).shown() == "7"


async def waiting(state: Any) -> Any: ...


@pytest.mark.parametrize(
    ("version", "start", "step", "problem"),
    [
        (2, 2, dict, "migrates from version 2, and the class is in version 2: give the class version=3"),
        (2, 0, dict, "migrates from version 0"),
        (2, "1", dict, "migrates from version '1'"),
        (0, 1, dict, "version=0 is no version; count from 1"),
        (True, 1, dict, "version=True is no version"),
        (2, 1, waiting, "is no plain function"),
    ],
)
def test_a_migration_that_cannot_be_is_refused_with_its_class(
    version: Any, start: Any, step: Any, problem: str
) -> None:
    with pytest.raises(captp.BadClass, match=problem):
        type(captp.Object)(
            "Bad", (captp.Object,), {"step": captp.migrate(from_version=start)(step)}, version=version
        )


def test_two_migrations_from_one_version_are_refused() -> None:
    steps = {"a": captp.migrate(from_version=1)(dict), "b": captp.migrate(from_version=1)(dict)}

    with pytest.raises(captp.BadClass, match=r"Bad\.b: there is a migration from version 1 already"):
        type(captp.Object)("Bad", (captp.Object,), steps, version=2)
