"""The same at more points: killed in a turn, under load, with the program, and with other classes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import E
from captp.errors import BrokenTrustee, UsageError
from captp.model.object import KINDS
from captp.run.process import ProcessTrustee
from captp.run.process_roots import MOST_SENDS
from captpd.store.sqlite import SqliteStore
from tests.e2e.held_store import HeldStore
from tests.e2e.ledgers import kill, opened
from tests.e2e.process_ledger import Intruder, Ledger
from tests.e2e.process_ledger_parent import KEY

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "ledger.store")


async def test_what_a_root_leads_to_is_kept_and_what_nothing_leads_to_is_not(store: SqliteStore) -> None:
    async with opened(store) as trustee:
        ledger = await trustee.root("tills", Ledger)
        following: Any = await ledger.apply(Ledger.open_next)
        assert await E(following).pay(7) == 7
        lost = await trustee.entrust_new(Ledger)
        assert await lost.apply(Ledger.pay, 1) == 1
    async with opened(store) as trustee:
        ledger = await trustee.root("tills", Ledger)
        following = await ledger.apply(Ledger.next)
        assert await E(following).read() == (7, 1)


async def test_arguments_make_a_root_once(store: SqliteStore) -> None:
    for total in (5, 6):
        async with opened(store) as trustee:
            ledger = await trustee.root("tills", Ledger, total=total)
            assert await ledger.apply(Ledger.read) == (5, 0)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_state_is_all_that_was_answered_and_no_more_than_was_asked(
    seed: int, store: SqliteStore
) -> None:
    """Callers pay in while the process is killed again and again, each time after so many answers."""
    chance = random.Random(seed)
    answered = asked = kills = 0
    kill_at = chance.randrange(20, 60)

    async def pay(trustee: ProcessTrustee) -> None:
        nonlocal answered, asked, kills, kill_at
        ledger = await trustee.root("tills", Ledger)
        while kills < 3:
            asked += 1
            try:
                await ledger.apply(Ledger.pay, 1)
            except BrokenTrustee:
                ledger = await trustee.root("tills", Ledger)
                continue
            answered += 1
            if answered >= kill_at and kills < 3:
                kills += 1
                kill_at = answered + chance.randrange(20, 60)
                kill(trustee)

    async with opened(store) as trustee:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(pay, trustee)
        total, runs = await (await trustee.root("tills", Ledger)).apply(Ledger.read)
    async with opened(store) as trustee:
        assert await (await trustee.root("tills", Ledger)).apply(Ledger.read) == (total, runs)

    assert total == runs
    assert answered <= total <= asked
    assert answered >= 60


async def test_a_turn_that_did_not_end_has_not_been(store: SqliteStore) -> None:
    async with opened(store) as trustee:
        ledger = await trustee.root("tills", Ledger)
        await ledger.apply(Ledger.pay, 1)
        with pytest.raises(BrokenTrustee):
            await ledger.apply(Ledger.pay_and_die, 5)
        assert await (await trustee.root("tills", Ledger)).apply(Ledger.read) == (1, 1)


async def test_a_process_that_ends_between_being_told_and_answering_has_stored_its_turn() -> None:
    store = HeldStore()
    async with opened(store) as trustee, trio.open_nursery() as nursery:
        ledger = await trustee.root("tills", Ledger)
        told: list[Any] = []

        async def pay() -> None:
            with pytest.raises(BrokenTrustee):
                told.append(await ledger.apply(Ledger.pay, 2))

        store.hold()
        nursery.start_soon(pay)
        await store.entered()
        # It sleeps while it is told, and never wakes.
        kill(trustee, signal.SIGSTOP)
        count = len(store.commits)
        store.go.set()
        while len(store.commits) == count:
            await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked(0.01)
        kill(trustee)
        assert await (await trustee.root("tills", Ledger)).apply(Ledger.read) == (2, 1)

    assert told == []


async def test_of_a_batch_only_idempotent_calls_are_made_again() -> None:
    store = HeldStore()
    async with opened(store) as trustee, trio.open_nursery() as nursery:
        ledger = await trustee.root("tills", Ledger)
        outcomes: list[Any] = []

        async def many() -> None:
            calls: list[Any] = [captp.Call(Ledger.set_to, 5), captp.Call(Ledger.pay, 1)]
            outcomes.extend(await ledger.apply_many(calls))

        store.hold()
        nursery.start_soon(many)
        await store.entered()
        first = kill(trustee)
        store.go.set()
        while not outcomes:
            await trio.sleep(0.01)
        pid, paid = outcomes
        again = await trustee.root("tills", Ledger)
        # What both did, then the one again.
        assert await again.apply(Ledger.read) == (5, 3)

    assert pid.unwrap() != first
    assert isinstance(paid.error, BrokenTrustee)


async def test_a_call_that_ends_each_process_is_not_sent_for_ever(store: SqliteStore) -> None:
    async with opened(store) as trustee:
        ledger = await trustee.root("tills", Ledger)
        await ledger.apply(Ledger.pay, 3)
        with pytest.raises(BrokenTrustee):
            await ledger.apply(Ledger.always_die)
        assert await (await trustee.root("tills", Ledger)).apply(Ledger.read) == (3, 1)
        assert trustee.stats().restarts == MOST_SENDS


async def test_an_idempotent_method_of_any_other_object_is_called_once(store: SqliteStore) -> None:
    async with opened(store) as trustee:
        made = await trustee.entrust_new(Ledger)
        with pytest.raises(BrokenTrustee):
            await made.apply(Ledger.always_die)
        await trustee.root("tills", Ledger)
        assert trustee.stats().restarts == 1


async def test_a_timed_call_is_made_by_the_next_process(store: SqliteStore) -> None:
    async with opened(store) as trustee:
        ledger = await trustee.root("tills", Ledger)
        await ledger.apply(Ledger.pay_later, 0.2, 4)
        kill(trustee)
        again = await trustee.root("tills", Ledger)
        with trio.fail_after(5):
            while await again.apply(Ledger.read) != (4, 1):
                await trio.sleep(0.02)
    async with opened(store) as trustee:
        assert await (await trustee.root("tills", Ledger)).apply(Ledger.read) == (4, 1)


async def test_what_is_not_in_memory_is_read_from_the_parents_disk(store: SqliteStore) -> None:
    count = 100
    limits = captp.Limits(objects_in_memory=10)
    async with (
        captp.open_vat(key=KEY, limits=limits) as vat,
        vat.trustee("process", [Ledger], store=store) as trustee,
    ):
        for number in range(count):
            ledger = await trustee.root(f"till {number}", Ledger)
            await ledger.apply(Ledger.write, number, 3000)
        kill(trustee)
        ledgers = [await trustee.root(f"till {number}", Ledger) for number in range(count)]
        sizes: list[int] = []

        async def read(at: int) -> None:
            sizes.append(await ledgers[at].apply(Ledger.page, at))

        async with trio.open_nursery() as nursery:
            for at in range(count):
                nursery.start_soon(read, at)

    assert sizes == [3000] * count


def said_by_a_killed_program(path: Path) -> int:
    """Have a program call until it was answered often enough, kill it, and return its last answer."""
    program = [sys.executable, "-m", "tests.e2e.process_ledger_parent", str(path)]
    answered = 0
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            # What it had said before it was killed counts as well.
            answered = int(line) if line.endswith("\n") else answered
            if answered == 50:
                process.kill()
    return answered


async def test_a_killed_program_has_stored_what_it_was_answered(store: SqliteStore, tmp_path: Path) -> None:
    answered = await trio.to_thread.run_sync(said_by_a_killed_program, tmp_path / "ledger.store")
    async with opened(store) as trustee:
        total, runs = await (await trustee.root("tills", Ledger)).apply(Ledger.read)

    assert total == runs
    assert 50 <= answered <= total <= answered + 1


async def test_a_name_has_one_class(store: SqliteStore) -> None:
    async with (
        captp.open_vat(key=KEY) as vat,
        vat.trustee("process", [Ledger, Intruder], store=store) as trustee,
    ):
        await trustee.root("tills", Ledger)
        with pytest.raises(captp.Refused, match="root 'tills' is a Ledger"):
            await trustee.root("tills", Intruder)


async def test_two_trustees_of_one_vat_have_a_store_each(tmp_path: Path) -> None:
    async with (
        captp.open_vat(key=KEY) as vat,
        vat.trustee("process", [Ledger], store=SqliteStore(tmp_path / "one")) as one,
        vat.trustee("process", [Ledger], store=SqliteStore(tmp_path / "two")) as two,
    ):
        first, second = await one.root("tills", Ledger), await two.root("tills", Ledger)
        assert await first.apply(Ledger.pay, 1) == 1
        assert await second.apply(Ledger.pay, 5) == 5
        with pytest.raises(captp.StoreBusy):
            async with vat.trustee("process", [Ledger], store=SqliteStore(tmp_path / "one")):
                pass


BEFORE = """
import captp

class Till(captp.Object, kind="till"):
    pounds: int = 0

    @captp.method
    def pay(self, pounds: int) -> int:
        self.pounds += pounds
        return self.pounds
"""
AFTER = """
import captp

class Till(captp.Object, kind="till", version=2):
    pence: int

    @captp.migrate(from_version=1)
    def to_pence(state):
        return {"pence": 100 * state["pounds"]}

    @captp.method
    def pay(self, pence: int) -> int:
        self.pence += pence
        return self.pence
"""


async def test_a_class_of_a_later_version_finds_its_objects_migrated(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    names = [f"tills_{when}_{os.getpid()}" for when in ("before", "after")]
    for name, text in zip(names, (BEFORE, AFTER), strict=True):
        (tmp_path / f"{name}.py").write_text(text)
    totals = []
    for name, amounts in zip(names, ((1, 2), (0, 5)), strict=True):
        till = import_module(name).Till
        async with (
            captp.open_vat(key=KEY) as vat,
            vat.trustee("process", [till], store=store) as trustee,
        ):
            handle = await trustee.root("till", till)
            totals += [await handle.apply(till.pay, amount) for amount in amounts]

    assert totals == [1, 3, 300, 305]


async def test_a_store_of_other_classes_is_refused_before_there_is_a_process(store: SqliteStore) -> None:
    async with opened(store) as trustee:
        await trustee.root("tills", Ledger)
    kinds = KINDS.pop("tests.e2e.process_ledger:Ledger")
    try:
        with pytest.raises(UsageError, match=r"the store has objects of tests\.e2e\.process_ledger:Ledger"):
            async with captp.open_vat(key=KEY) as vat, vat.trustee("process", [Intruder], store=store):
                pass
    finally:
        KINDS["tests.e2e.process_ledger:Ledger"] = kinds


async def test_a_process_that_waits_for_the_disk_runs_no_further_than_it_may() -> None:
    store, size, count = HeldStore(), 256 * 1024, 400
    async with opened(store) as trustee, trio.open_nursery() as nursery:
        ledger = await trustee.root("tills", Ledger)
        before = trustee.stats()
        store.hold()
        for page in range(count):
            nursery.start_soon(ledger.apply, Ledger.write, page, size)
        await store.entered()
        stats, last = trustee.stats(), before
        while stats.cpu_s != last.cpu_s:
            await trio.sleep(0.3)
            stats, last = trustee.stats(), stats
        nursery.cancel_scope.cancel()
        store.go.set()

    # Pages, changes and records: three times all of it would be 300 MiB.
    assert stats.memory_bytes - before.memory_bytes < 100 << 20


async def test_a_durable_call_from_there_breaks_at_once(store: SqliteStore) -> None:
    async with opened(store) as trustee:
        ledger = await trustee.root("tills", Ledger)
        with pytest.raises(captp.NotDurable, match="it reaches nobody but the vat that started it"):
            await ledger.apply(Ledger.call_durably, KEY.public.designator)
