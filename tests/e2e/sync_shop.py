"""The shop that the tests of captp.sync call, and the thread in which its vat runs."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import trio

import captp
import captp.sync
from captp.net.unix import UnixNetlayer

LONGEST_S = 20.0

#: What the shop was lent, in its own thread.
BORROWED: list[Any] = []


class Counter(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...

    @captp.method
    def seen(self) -> list[int]: ...


class Shop(captp.Interface):
    @captp.method
    def counter(self, name: str) -> Counter: ...

    @captp.method
    def counters(self) -> list[Counter]: ...

    @captp.method
    def total(self, counter: Counter) -> int: ...

    @captp.method
    async def borrow(self, counter: captp.Borrowed[Counter]) -> int: ...

    @captp.method
    def echo(self, value: Any) -> Any: ...

    @captp.method
    def fail(self) -> int: ...

    @captp.method
    def refuse(self) -> int: ...

    @captp.method
    def slow(self, seconds: float) -> str: ...

    @captp.method
    def cancelled(self) -> int: ...

    @captp.method
    def result(self) -> str: ...


class Tally(captp.Object, Counter):
    numbers: captp.List[int]

    @captp.method
    def add(self, amount: int) -> int:
        self.numbers.append(amount)
        return sum(self.numbers)

    @captp.method
    def seen(self) -> list[int]:
        return self.numbers


class Store(captp.Object, Shop):
    tallies: captp.Map[str, Tally]
    gone: int = 0

    @captp.method
    def counter(self, name: str) -> Counter:
        if name not in self.tallies:
            self.tallies[name] = Tally()
        return self.tallies[name]

    @captp.method
    def counters(self) -> list[Counter]:
        return cast("list[Counter]", list(self.tallies.values()))

    @captp.method
    async def total(self, counter: Counter) -> int:
        return sum(await counter.seen())

    @captp.method
    async def borrow(self, counter: captp.Borrowed[Counter]) -> int:
        BORROWED.append(counter)
        return sum(await counter.seen())

    @captp.method
    def echo(self, value: Any) -> Any:
        return value

    @captp.method
    def fail(self) -> int:
        raise ValueError("a bug")

    @captp.method
    def refuse(self) -> int:
        raise captp.Refused("not today")

    @captp.method(latch=False)
    async def slow(self, seconds: float) -> str:
        try:
            await captp.sleep(seconds)
        except captp.Cancelled:
            self.gone += 1  # an error that leaves would undo this
            return "stopped"
        return "done"

    @captp.method
    def cancelled(self) -> int:
        return self.gone

    @captp.method
    def result(self) -> str:
        return "a method with the name of ours"


class Host:
    """A vat that runs in a thread of its own, and what it knows of its sessions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,))

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as self._scope:
            async with captp.open_vat(listen=[UnixNetlayer(str(self.path))]) as self._vat:
                self.source = self._vat.mint(Store()).reveal()
                self._ready.set()
                await trio.sleep_forever()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(LONGEST_S)

    def stop(self) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(LONGEST_S)

    def exports(self) -> int:
        sessions = trio.from_thread.run_sync(self._vat.view, trio_token=self._token).sessions
        return sum(session.exports + len(session.answers) for session in sessions)


@contextmanager
def hosting(folder: Path) -> Iterator[Host]:
    folder.chmod(0o700)
    host = Host(folder / "sock")
    host.start()
    try:
        yield host
    finally:
        host.stop()


def until(holds: Callable[[], bool]) -> None:
    """Wait, bounded, for what other threads bring about."""
    deadline = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
