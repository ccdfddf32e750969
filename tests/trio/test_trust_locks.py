"""How many locks a call takes: none where it is quick, one for each OS thread that waits for its answer."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp.model.trust import Call
from captp.net.unix import UnixNetlayer
from captp.run import blocking
from captp.run.threads import open_thread_trustee
from tests.trio.turns_in_threads import Gate, Log


class Taken:
    """Who took a lock that was made while this was looking, by the file that did."""

    def __init__(self) -> None:
        self.by: list[str] = []

    def note(self) -> None:
        frame: Any = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename in (__file__, threading.__file__):
            frame = frame.f_back
        self.by.append("" if frame is None else frame.f_code.co_filename)

    def since(self) -> list[str]:
        """Return who took some since this was asked last."""
        by, self.by = self.by, []
        return by


class Noted:
    """A lock of Python's that tells when it is taken."""

    def __init__(self, taken: Taken, lock: Any) -> None:
        self._taken = taken
        self._lock = lock

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        self._taken.note()
        return bool(self._lock.acquire(*args, **kwargs))

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    """Note each lock of ``_thread``, ``threading`` and trio that is made and taken from now on."""
    noted = Taken()
    makers = (
        (_thread, "allocate_lock"),
        (threading, "Lock"),
        (threading, "RLock"),
        (blocking, "allocate_lock"),
    )
    for place, name in makers:
        made = getattr(place, name)
        monkeypatch.setattr(place, name, lambda made=made: Noted(noted, made()))
    for kind in (trio.Lock, trio.StrictFIFOLock, trio.Semaphore, trio.CapacityLimiter):
        taker = "acquire_on_behalf_of_nowait" if kind is trio.CapacityLimiter else "acquire_nowait"
        take = getattr(kind, taker)

        def took(self: Any, *args: Any, take: Callable[..., Any] = take) -> Any:
            noted.note()
            return take(self, *args)

        monkeypatch.setattr(kind, taker, took)
    return noted


async def test_the_locks_that_are_taken_here_are_noted(taken: Taken) -> None:
    for lock in (threading.Lock(), threading.RLock(), _thread.allocate_lock()):
        with lock:
            assert len(taken.since()) == 1
    threading.Event().set()
    assert taken.since()
    async with trio.Lock(), trio.Semaphore(1), trio.CapacityLimiter(1):
        assert len(taken.since()) == 3


async def test_a_call_in_the_loop_takes_no_lock(taken: Taken) -> None:
    async with captp.open_vat() as vat:
        trust, told = vat.entrust(Log()), list[int]()
        await trust.apply(Log.add, 0)
        taken.since()

        for number in range(200):  # more than run at once between two checkpoints
            await trust.apply(Log.add, number)
        trust.apply_now(Log.add, "now")
        trust.apply_then(Log.add, "then", then=lambda outcome: told.append(outcome.unwrap()))
        await trust.apply_many([Call(Log.add, "many")] * 3)
        clone = trust.clone()
        clone.drop()

        assert (told, taken.since()) == ([203], [])


class Echo(captp.Object):
    @captp.method
    def back(self, value: int) -> int:
        return value


async def test_a_call_to_another_vat_takes_no_lock(taken: Taken, tmp_path: Path) -> None:
    layer = UnixNetlayer(str(tmp_path / "s"))
    async with captp.open_vat(listen=[layer]) as there, captp.open_vat() as here:
        echo = captp.E(await here.enliven(there.mint(Echo())))
        await echo.back(0)
        taken.since()

        assert [await echo.back(number) for number in range(50)] == list(range(50))
        calls = [echo.back(number) for number in range(50)]
        assert [await call for call in calls] == list(range(50))

        assert taken.since() == []


async def test_a_call_of_the_loop_to_a_thread_takes_no_lock(taken: Taken) -> None:
    async with open_thread_trustee() as trustee:
        trust, told = trustee.entrust(Log()), trio.Event()
        await trust.apply(Log.add, 0)
        taken.since()

        for number in range(50):
            await trust.apply(Log.add, number)
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(trust.apply, Log.add, number)
        await trust.apply_many([Call(Log.add, "many")] * 64)
        for _ in range(50):
            trust.apply_then(Log.add, "unheard")
        trust.apply_then(Log.add, "then", then=lambda _: told.set())
        await told.wait()

        assert taken.since() == []


async def test_an_os_thread_takes_the_lock_that_it_waits_on_and_no_other(taken: Taken) -> None:
    by: list[list[str]] = []

    def work() -> None:
        handle.apply(Log.add, 0)
        taken.since()
        for _ in range(10):
            handle.apply(Log.add, 1)
        by.append(taken.since())
        handle.apply_many([Call(Log.add, 2)] * 64)
        by.append(taken.since())
        for _ in range(20):
            handle.apply_then(Log.add, 3)
        by.append(taken.since())
        assert len(handle.apply(Log.copy)) == 95

    async with open_thread_trustee() as trustee:
        handle = trustee.entrust(Log()).blocking
        await trio.to_thread.run_sync(work)

    # It takes its lock when it makes it, and waits for it when it has handed over.
    assert by == [[blocking.__file__] * 20, [blocking.__file__] * 2, []]


async def test_a_lock_is_taken_while_calls_wait_for_the_window(taken: Taken) -> None:
    gate = Gate()
    async with open_thread_trustee(window=2) as trustee:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        async with trio.open_nursery() as nursery:
            taken.since()
            for number in range(2):
                nursery.start_soon(trust.apply, Log.add, number)
                await trio.testing.wait_all_tasks_blocked()
            assert len(taken.since()) == 1
            gate.open.set()
