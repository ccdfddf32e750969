"""Objects of a process trustee that leave their loop with ``captp.outside``, and see what became of it."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import trio

import captp

#: Seconds after which a wait has failed.
LONG_S = 10.0
#: What a function has reached, by its name, in this process.
REACHED: dict[str, threading.Event] = {
    name: threading.Event() for name in ("began", "ended", "left", "opened")
}
BARRIER = threading.Barrier(2)
MET: list[trio.Event] = []


async def stay(path: str = "") -> None:
    """Wait to be cancelled; leave a file then, if one is named."""
    REACHED["began"].set()
    try:
        await trio.sleep_forever()
    finally:
        _leave_a_file(path)
        REACHED["left"].set()


def _leave_a_file(path: str) -> None:
    if path:
        Path(path).touch()


async def stay_for_good() -> None:
    """Heed no cancellation."""
    REACHED["began"].set()
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def run() -> None:
    """Go by many places at which it could be cancelled."""
    for _ in range(100):
        await trio.lowlevel.checkpoint()
    REACHED["ended"].set()


async def nothing() -> None: ...


async def meet() -> int:
    """Wait until another one does this, too."""
    MET.append(trio.Event())
    if len(MET) == 2:
        MET[0].set()
    with trio.fail_after(LONG_S):
        await MET[0].wait()
    return len(MET)


def meet_in_threads() -> int:
    BARRIER.wait(LONG_S)
    return BARRIER.parties


async def fail() -> None:
    await trio.lowlevel.checkpoint()
    raise ValueError("a mistake outside")


def fail_in_thread() -> None:
    raise ValueError("a mistake outside")


def leave() -> None:
    sys.exit(5)


async def misfit() -> Any:
    await trio.lowlevel.checkpoint()
    return object()


async def where() -> list[Any]:
    await trio.lowlevel.checkpoint()
    return [os.getpid(), threading.current_thread() is threading.main_thread()]


def wait_long() -> None:
    REACHED["began"].set()
    time.sleep(3600)


def wait_for_opening() -> bool:
    REACHED["began"].set()
    return REACHED["opened"].wait(LONG_S)


async def ask_for_the_vat() -> None:
    captp.sleep(0)


def recur() -> str:
    """Use as much stack as the recursion limit allows, through C and back."""

    class Nested:
        def __getattr__(self, name: str) -> Any:
            return getattr(Nested(), name)

    try:
        return str(Nested().anything)
    except RecursionError:
        return "deep enough"


class Errands(captp.Object):
    """Each method waits for a function outside."""

    @captp.method
    async def do(self, name: str, args: list[Any]) -> Any:
        return await captp.outside(globals()[name], *args)

    @captp.method
    async def sleep(self, seconds: float) -> None:
        await captp.outside(trio.sleep, seconds)

    @captp.method
    async def sleep_in_thread(self, seconds: float) -> None:
        await captp.outside(time.sleep, seconds)

    @captp.method
    async def again_and_again(self, times: int) -> int:
        for _ in range(times):
            await captp.outside(os.getpid)
        return times

    @captp.method
    async def without_end(self) -> None:
        while True:
            await captp.outside(nothing)

    @captp.method
    def send_off(self) -> str:
        captp.outside(run)
        return "sent"

    @captp.method
    async def give_up(self, seconds: float) -> str:
        try:
            await captp.within(seconds, captp.outside(stay))
        except captp.Timeout:
            return "gave up"
        return "it came"

    @captp.method
    async def nap(self, seconds: float) -> str:
        await captp.sleep(seconds)
        return "slept"


class Watch(captp.Object):
    """Tells what functions outside have reached, and lets them go on; its turns end at once."""

    @captp.method
    def open(self) -> None:
        REACHED["opened"].set()

    @captp.method
    def seen(self, name: str) -> bool:
        return REACHED[name].is_set()

    @captp.method
    def forget(self, name: str) -> None:
        REACHED[name].clear()

    @captp.method
    async def until(self, name: str) -> bool:
        reached: bool = await captp.outside(REACHED[name].wait, LONG_S)
        return reached

    @captp.method
    def hang(self) -> None:
        """Be a turn that does not end."""
        time.sleep(3600)
