"""The watchdog, with turns that really take long: it tells once where each stands, and no value."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

import captp
from captp.run.watchdog import LOOK_S, watch_turns

LONG_S = 4 * LOOK_S
SECRET = "a private word"


class Slow(captp.Object):
    @captp.method
    def nap(self, what: str) -> int:
        return rest(what)

    @captp.method
    def wait_for_nothing(self) -> int:
        threading.Event().wait(LONG_S)
        return 0

    @captp.method
    async def nap_later(self, seconds: float) -> int:
        await captp.sleep(seconds)
        return rest("")

    @captp.method
    async def wait(self, seconds: float) -> None:
        await captp.sleep(seconds)

    @captp.method
    def be_quick(self) -> None:
        pass


def rest(_what: str) -> int:
    time.sleep(LONG_S)  # here
    return 0


def line_of(function: Any, text: str) -> str:
    lines, first = inspect.getsourcelines(function)
    return f"{__file__}:{next(first + n for n, line in enumerate(lines) if text in line)}"


async def watched(caplog: pytest.LogCaptureFixture, work: Callable[[captp.LiveVat], Any]) -> list[Any]:
    """Do some work in a vat under a watchdog; return the records of the warnings."""
    async with captp.open_vat() as vat:
        with watch_turns({"main": vat.peer.vat}):
            await work(vat)
        await trio.testing.wait_all_tasks_blocked()
    return [r for r in caplog.records if r.name == "captp" and r.levelno == logging.WARNING]


async def test_a_turn_that_takes_long_is_told_once_with_its_method_and_the_line_it_stands_at(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def nap(vat: captp.LiveVat) -> None:
        assert await captp.E(vat.export(Slow())).nap(SECRET) == 0

    (record,) = await watched(caplog, nap)

    at, called_at = line_of(rest, "# here"), line_of(Slow.nap, "return rest")
    stack = [f"{name}:{where.rpartition(':')[2]}" for name, where in (("Slow.nap", called_at), ("rest", at))]
    assert record.captp == {
        "vat": "main",
        "method": "Slow.nap",
        "at": at,
        "stack": stack,
        "longer_than_ms": 50,
    }
    assert SECRET not in record.getMessage() + str(record.captp)


async def test_each_of_two_long_turns_is_told_and_the_line_is_not_one_of_python_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def wait_twice(vat: captp.LiveVat) -> None:
        slow = captp.E(vat.export(Slow()))
        both = [slow.wait_for_nothing(), slow.wait_for_nothing()]
        assert [await promise for promise in both] == [0, 0]

    records = await watched(caplog, wait_twice)

    at = line_of(Slow.wait_for_nothing, ".wait(LONG_S)")
    assert [(r.captp["method"], r.captp["at"]) for r in records] == [("Slow.wait_for_nothing", at)] * 2


async def test_a_step_of_a_fiber_is_a_turn_and_what_it_awaits_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def wait_and_nap(vat: captp.LiveVat) -> None:
        slow = captp.E(vat.export(Slow()))
        await slow.wait(LONG_S)
        await slow.nap_later(LONG_S)

    (record,) = await watched(caplog, wait_and_nap)

    assert (record.captp["method"], record.captp["at"]) == ("Slow.nap_later", line_of(rest, "# here"))


async def test_many_short_turns_one_after_the_other_are_no_long_one(caplog: pytest.LogCaptureFixture) -> None:
    async def be_quick(vat: captp.LiveVat) -> None:
        slow = captp.E(vat.export(Slow()))
        until = time.monotonic() + LONG_S
        while time.monotonic() < until:
            await slow.be_quick()

    assert await watched(caplog, be_quick) == []


def doze(_slow: Slow) -> int:
    return rest(SECRET)


@pytest.mark.parametrize("verb", ["apply", "apply_now", "apply_then"])
async def test_a_call_of_a_handle_is_a_turn_whether_it_runs_at_once_or_waits_its_turn(
    verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def apply(vat: captp.LiveVat) -> None:
        trust = vat.entrust(Slow())
        called = getattr(trust, verb)(doze)
        if verb == "apply":
            await called
        await trust.apply(Slow.be_quick)

    (record,) = await watched(caplog, apply)

    assert (record.captp["method"], record.captp["at"]) == ("doze", line_of(rest, "# here"))


def watching() -> int:
    """Count the watchdogs: other threads, such as those that trio keeps for later, come and go."""
    return sum(thread.name == "captp watchdog" for thread in threading.enumerate())


async def test_the_watchdog_ends_with_its_block(caplog: pytest.LogCaptureFixture) -> None:
    before = watching()

    async def count(_vat: captp.LiveVat) -> None:
        during.append(watching())

    during: list[int] = []
    await watched(caplog, count)

    assert (during, watching()) == ([before + 1], before)


async def test_a_program_may_have_its_vats_watched_by_one_thread_and_by_default_has_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = watching()
    async with captp.open_vat() as unwatched, captp.open_vat(watchdog=True) as first:
        async with captp.open_vat(watchdog=True) as second:
            assert watching() == before + 1
            for vat in (unwatched, first, second):
                assert await captp.E(vat.export(Slow())).nap("") == 0
        assert watching() == before + 1
        assert await captp.E(first.export(Slow())).nap("") == 0
    assert watching() == before

    records: list[Any] = caplog.records
    told = [r.captp["vat"] for r in records if r.name == "captp"]
    assert told == [vat.designator[:12] for vat in (first, second, first)]
