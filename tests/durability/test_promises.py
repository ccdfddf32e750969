"""A promise in state that a durable call settles outlives its vat: it stays pending, and is settled later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.peer.durable import stored
from captp.run import pump
from captp.run.sealed import Sealed
from captpd.keeper.survey import survey
from tests.durability.right_store import Memory, RightStore
from tests.durability.test_messages import Host, Ledger, hosts

__all__ = ["hosts"]


class Clerk(captp.Object):
    answer: captp.Promise[int] | None = None
    answers: captp.List[captp.Promise[Any]]
    by_name: captp.Map[str, captp.Promise[Any]]

    @captp.method
    def ask(self, there: captp.SturdyRef, method: str, number: int) -> None:
        self.answer = captp.send_durable(there, method, number)
        self.answers.append(self.answer)
        self.by_name[method] = self.answer

    @captp.method
    def said(self) -> Any:
        return self.answer

    @captp.method
    def all(self) -> Any:
        return (*self.answers, *self.by_name.values())

    @captp.method
    def write(self) -> None:
        self.answer = self.answers[0]

    @captp.method
    def follow(self, other: Any) -> None:
        self.answer = captp.E(other).said()

    @captp.method
    def forget(self) -> None:
        self.answer = None
        self.answers.clear()
        self.by_name.clear()


class Answering(captp.Interface):
    @captp.method
    def said(self) -> Any: ...


class Typed(captp.Object):
    answer: Answering | None = None

    @captp.method
    def ask(self, there: captp.SturdyRef) -> None:
        self.answer = captp.send_durable(there, "note", 1)

    @captp.method
    def ping(self) -> None: ...


def whole(store: Any, key: captp.PrivateKey) -> str:
    """Return what a store has; it has no damage."""
    store.open()
    found = survey(Sealed(store, key.seed()))
    store.close()
    assert found.problems == []
    return str(found)


async def eventually(holds: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not holds():
            await trio.sleep(0.002)


async def asked(here: Host, there: Host, method: str = "note", *, more: int = 0) -> captp.SturdyRef:
    """Have a clerk ask a ledger that is away, in one run of its vat."""
    async with there.open() as vat:
        sturdyref = vat.mint(vat.root("ledger", Ledger))
    async with here.open() as vat:
        clerk = E(vat.root("clerk", Clerk))
        await clerk.ask(sturdyref, method, 7)
        for number in range(more):
            await clerk.ask(sturdyref, "note", number)
    return sturdyref


async def test_it_is_pending_after_a_restart_and_then_fulfilled(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    await asked(here, there)
    for _ in range(2):
        async with here.open() as vat:
            said = E(vat.root("clerk", Clerk)).said()
            with trio.move_on_after(0.02):
                await said
            assert not said.settled
        assert "2 objects" in whole(here.store, here.key)
    async with there.open(), here.open() as vat:
        with trio.fail_after(10):
            assert await E(vat.root("clerk", Clerk)).said() == 1
    async with here.open() as vat:
        assert await E(vat.root("clerk", Clerk)).said() == 1
        assert [await promise for promise in await E(vat.root("clerk", Clerk)).all()] == [1, 1]
    assert not here.store.tables["outbox"]


async def test_it_breaks_as_the_call_did(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    await asked(here, there, "fail")
    for _ in range(2):
        async with there.open(), here.open() as vat:
            with trio.fail_after(10), pytest.raises(captp.Refused, match="not 7"):
                await E(vat.root("clerk", Clerk)).said()


async def test_it_is_settled_while_nobody_has_its_object_in_memory(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    await asked(here, there)
    async with there.open(), here.open():
        await eventually(lambda: not here.store.tables["outbox"])
    async with here.open() as vat:
        clerk = E(vat.root("clerk", Clerk))
        assert await clerk.said() == 1
        assert [await promise for promise in await clerk.all()] == [1, 1]
        # What is read with a promise in it that is settled is written again as that.
        await clerk.write()
        assert await clerk.said() == 1
    async with here.open() as vat:
        assert await E(vat.root("clerk", Clerk)).said() == 1


async def test_state_that_leaves_memory_has_the_same_promise_when_it_comes_again(
    hosts: tuple[Host, Host],
) -> None:
    here, there = hosts
    await asked(here, there)
    async with here.open(limits=captp.Limits(objects_in_memory=1)) as vat:
        clerk = E(vat.root("clerk", Clerk))
        said = clerk.said()
        # Others come into memory, and the clerk leaves it.
        for number in range(20):
            assert await E(vat.root(f"other {number}", Ledger)).note(number) == 1
        again = clerk.said()
        async with there.open():
            with trio.fail_after(10):
                assert (await said, await again, await clerk.said()) == (1, 1, 1)


async def test_many_of_one_vat_are_told_apart(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    await asked(here, there, more=5)
    async with there.open(), here.open() as vat:
        answers = await E(vat.root("clerk", Clerk)).all()
        with trio.fail_after(10):
            assert [await answer for answer in answers[:6]] == [1, 2, 3, 4, 5, 6]


async def test_a_promise_that_follows_one_is_there_too(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    await asked(here, there)
    async with here.open() as vat:
        before = len(here.store.commits)
        await E(vat.root("other", Clerk)).follow(vat.root("clerk", Clerk))
        # What it follows may be known later, and is looked for now and then.
        await eventually(lambda: len(here.store.commits) >= before + 2)
    async with there.open(), here.open() as vat:
        with trio.fail_after(10):
            assert await E(vat.root("other", Clerk)).said() == 1


async def test_what_stood_for_it_is_swept_when_nobody_needs_it(
    hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "FIRST_SWEEP_S", 0.0)
    monkeypatch.setattr(stored, "SWEEP_S", 0.0)
    monkeypatch.setattr(stored, "SWEEP_SHARE", 1.0)
    monkeypatch.setattr(pump, "BEAT_S", 0.005)
    here, there = hosts
    await asked(here, there)
    assert "2 objects" in whole(here.store, here.key)
    async with there.open(), here.open() as vat:
        await eventually(lambda: not here.store.tables["outbox"])
        await E(vat.root("clerk", Clerk)).forget()
        await eventually(lambda: len(here.store.tables["object"]) == 1)
    assert "1 objects, 0 entries, 1 roots" in whole(here.store, here.key)


async def test_what_stands_for_it_is_not_swept_while_the_call_is_not_answered(
    hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = hosts
    await asked(here, there)
    monkeypatch.setattr(stored, "FIRST_SWEEP_S", 0.0)
    monkeypatch.setattr(stored, "SWEEP_S", 0.0)
    monkeypatch.setattr(pump, "BEAT_S", 0.005)
    swept: list[int] = []
    of_old = stored.Stored.swept

    def watched(self: Any, deleted: int, *args: Any) -> None:
        swept.append(deleted)
        of_old(self, deleted, *args)

    monkeypatch.setattr(stored.Stored, "swept", watched)
    async with here.open() as vat:
        await E(vat.root("clerk", Clerk)).forget()
        await eventually(lambda: bool(swept))
        assert len(here.store.tables["object"]) == 2
    async with there.open(), here.open():
        await eventually(lambda: not here.store.tables["outbox"])


@pytest.mark.parametrize("annotation", ["captp.Promise | None", "Answering | None"])
async def test_a_migration_keeps_it(hosts: tuple[Host, Host], tmp_path: Path, annotation: str) -> None:
    def made(version: int) -> type[captp.Object]:
        def ask(self: Any, there: captp.SturdyRef) -> None:
            setattr(self, f"answer{version}", captp.send_durable(there, "note", 7))

        def said(self: Any) -> Any:
            return getattr(self, f"answer{version}")

        def renamed(state: dict[str, Any]) -> dict[str, Any]:
            return {"answer2": state["answer1"]}

        body = {
            "__annotations__": {f"answer{version}": annotation},
            f"answer{version}": None,
            "ask": captp.method(ask),
            "said": captp.method(said),
            "__module__": __name__,
        }
        if version == 2:
            body["renamed"] = captp.migrate(from_version=1)(renamed)
        return type(captp.Object)("Asker", (captp.Object,), body, kind="promises:Asker", version=version)

    here, there = hosts
    async with there.open() as vat:
        sturdyref = vat.mint(vat.root("ledger", Ledger))
    store = RightStore(Memory(tmp_path))
    before = made(1)
    async with here.open(store) as vat:
        for name in ("one", "two"):
            await E(vat.root(name, before)).ask(sturdyref)
    after = made(2)
    async with here.open(store) as vat, there.open():
        with trio.fail_after(10):
            assert await E(vat.root("one", after)).said() == 1
            assert await E(vat.root("two", after)).said() == 2
    whole(store, here.key)


async def test_a_typed_field_that_is_read_again_and_again_follows_it_once(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    async with there.open() as vat:
        sturdyref = vat.mint(vat.root("ledger", Ledger))
    async with here.open() as vat:
        await E(vat.root("typed", Typed)).ask(sturdyref)
    async with here.open(limits=captp.Limits(objects_in_memory=1)) as vat:
        for number in range(20):
            await E(vat.root("typed", Typed)).ping()
            await E(vat.root(f"other {number % 3}", Ledger)).note(number)
        stored_now: Any = vat.peer.stored
        (channel,) = stored_now.outbox._channels.values()
        (letter,) = channel.letters.values()
        assert type(letter.promise._waiters) is not list or len(letter.promise._waiters) < 3


async def test_a_row_of_what_stands_for_it_that_is_damaged_harms_nothing_else(
    hosts: tuple[Host, Host],
) -> None:
    here, there = hosts
    await asked(here, there)
    async with there.open(), here.open():
        await eventually(lambda: not here.store.tables["outbox"])
    rows = here.store.tables["object"]
    last = max(rows)
    rows[last] = rows[last][:-1] + bytes([rows[last][-1] ^ 1])
    for _ in range(2):
        async with here.open() as vat:
            with trio.fail_after(10):
                with pytest.raises(captp.RemoteFault, match="damaged"):
                    await E(vat.root("clerk", Clerk)).said()
                assert await E(vat.root("other", Ledger)).note(1) >= 1
