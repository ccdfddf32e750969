"""What is read is never older than what memory had: what was changed stays there until it is stored."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from typing import Any

import pytest
import trio

import captp
from captp.run.storage import Storage
from captp.run.store import Change
from tests.durability.memory_store import MemoryStore

KEY = captp.PrivateKey.from_seed(b"r" * 32)


class Inner(captp.Object):
    total: int = 0

    @captp.method
    def add(self, number: int) -> int:
        self.total += number
        return self.total

    @captp.method
    def get(self) -> int:
        return self.total


class Outer(captp.Object):
    inner: Inner

    @captp.method
    def touch(self) -> bool:
        return True


class SteppedStore(MemoryStore):
    """Its commits wait until ``steps`` has one for each."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = threading.Semaphore(1000)

    def commit(self, changes: Sequence[Change]) -> None:
        assert self.steps.acquire(timeout=10)
        super().commit(changes)


async def settle() -> None:
    for _ in range(20):
        await trio.sleep(0.001)


async def fill(store: MemoryStore) -> None:
    """Have an object stored that two roots lead to: it is a root, and a part of another."""
    inner = Inner()
    outer = Outer(inner=inner)
    async with captp.open_vat(key=KEY, store=store) as vat:
        vat.root("inner", lambda: inner)
        vat.root("outer", lambda: outer)
        await vat.root("warm", Inner).add(1)


async def test_what_was_asked_for_and_came_as_a_part_stays_when_it_was_changed() -> None:
    store = SteppedStore()
    await fill(store)
    async with captp.open_vat(key=KEY, store=store) as vat:
        warm = vat.root("warm", Inner)
        await warm.add(1)
        store.steps = threading.Semaphore(0)
        promises = [warm.add(1)]
        await settle()
        # Behind that commit: the outer one is read, then there is another commit, and the inner one.
        promises.append(vat.root("outer", Outer).touch())
        await settle()
        promises.append(warm.add(1))
        await settle()
        promises.append(vat.root("inner", Inner).add(5))
        await settle()
        store.steps.release()
        await settle()
        # The inner one came with the outer, was changed, and no program has it any more.
        gc.collect()
        in_memory = len(list(vat.peer.vat.heap.objects()))
        again = vat.root("inner", Inner).get()
        await settle()
        store.steps.release(100)

        assert [await promise for promise in promises] == [3, True, 4, 5]
        assert await again == 5
        vat.peer.check()

    assert in_memory == 2


async def test_what_is_read_as_a_part_is_not_taken_for_what_was_changed_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = SteppedStore()
    await fill(store)
    of_old, late = Storage.loaded, []

    def loaded(self: Storage, oid: Any, bundle: Any) -> None:
        if len(bundle) > 1:
            late.append(lambda: of_old(self, oid, bundle))
        else:
            of_old(self, oid, bundle)

    monkeypatch.setattr(Storage, "loaded", loaded)
    async with captp.open_vat(key=KEY, store=store) as vat:
        touched = vat.root("outer", Outer).touch()
        with trio.fail_after(10):
            while not late:
                await trio.sleep(0.001)
        # The outer one was read with the inner, which is changed before that is heard of.
        store.steps = threading.Semaphore(0)
        added = vat.root("inner", Inner).add(5)
        await settle()
        gc.collect()
        late.pop()()
        got = vat.root("inner", Inner).get()
        await settle()
        store.steps.release(100)
        assert (await touched, await added, await got) == (True, 5, 5)
