"""The places where an entrusted object may be, one opener for all, and the table of what is not the same."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Literal

import trio
import trio.testing
from attrs import define, evolve, frozen

import captp
from captp.limits import Limits
from captp.net.tcp import TcpNetlayer
from tests.trust import away
from tests.trust.things import Counter, Gate, Plain, passes


@frozen(kw_only=True)
class Ways:
    """What a place does in its own way; the suite asserts each, so that none changes unnoticed."""

    #: The class of its objects. A thread takes no Objects: they belong to a vat's loop.
    cls: type[Any]
    #: Whether functions run on the object itself; elsewhere they are recorded here, as no code travels.
    runs_functions: bool
    #: Whether ``apply_now`` may run at once: nowhere but in the caller's own loop.
    has_now: bool
    #: What ``launch`` takes. A thread runs no fibers, and functions of one's own do not travel.
    launches: Literal["any", "marked", "nothing"]
    #: Whether a turn that raises is undone, as it is for every Object and for nothing else.
    undoes: bool
    #: Whether ``on_error="poison"`` exists: where an object is handed over, and is not made there.
    poisons: bool
    #: What a KeyError of a turn is to the caller; across a border its class is not known.
    key_error: type[Exception]
    #: What is raised for a turn that gives out the object; None where it becomes a reference.
    leak: type[Exception] | None
    #: What is raised for a result that cannot cross; None where results do not cross anything.
    odd: type[Exception] | None
    #: Whether a call in a scope that is cancelled already runs all the same, as it is no checkpoint here;
    #: None where it has left by then, and may have begun.
    runs_when_cancelled: bool | None
    #: What is raised for a captured reference, promise, resolver or handle of a loop; None where it may be.
    loop_capture: type[Exception] | None
    #: What a turn raises that uses its own trustee; None where it may: it queues, or was recorded before.
    reentrant: type[Exception] | None
    #: What awaits a call when the trustee has ended.
    closed: type[Exception]
    #: Tasks, and calls of each, that add up in the default run.
    size: tuple[int, int]


_LOOP: Final = Ways(
    cls=Counter,
    runs_functions=True,
    has_now=True,
    launches="any",
    undoes=True,
    poisons=True,
    key_error=KeyError,
    leak=None,
    odd=captp.Unpassable,
    runs_when_cancelled=True,
    loop_capture=None,
    reentrant=None,
    closed=captp.Closed,
    size=(256, 1000),
)
_PLAIN: Final = evolve(_LOOP, cls=Plain, undoes=False, leak=captp.LeakedObject, odd=None)

_THREAD: Final = Ways(
    cls=Plain,
    runs_functions=True,
    has_now=False,
    launches="nothing",
    undoes=False,
    poisons=True,
    key_error=KeyError,
    leak=captp.LeakedObject,
    odd=None,
    runs_when_cancelled=False,
    loop_capture=captp.UsageError,
    reentrant=captp.Reentrant,
    closed=captp.Closed,
    size=(64, 100),
)

_PROCESS: Final = Ways(
    cls=Counter,
    runs_functions=False,
    has_now=False,
    launches="marked",
    undoes=True,
    poisons=False,
    key_error=captp.RemoteFault,
    leak=None,
    odd=captp.RemoteFault,
    runs_when_cancelled=None,
    loop_capture=None,
    reentrant=None,
    closed=captp.BrokenTrustee,
    size=(64, 40),
)
_FAR: Final = evolve(_PROCESS, closed=captp.Disconnected)

WAYS: Final[dict[str, Ways]] = {
    "loop": _LOOP,
    "plain": _PLAIN,
    "thread": _THREAD,
    "process": _PROCESS,
    "far": _FAR,
    # Another process is no other place: it does all that a vat beside this one does.
    "away": _FAR,
}


@define(eq=False)
class Place:
    """One place that is open, and a handle on a fresh object there."""

    name: str
    ways: Ways
    vat: captp.LiveVat
    trust: captp.Trust[Any]
    #: Makes another object with the same trustee.
    new: Callable[[], Awaitable[captp.Trust[Any]]]
    #: Tells how many objects are there.
    live: Callable[[], Awaitable[int]]
    #: Ends the trustee.
    close: Callable[[], Awaitable[None]]

    @property
    def cls(self) -> Any:
        """The class of its objects."""
        return self.ways.cls

    async def noted(self) -> list[Any]:
        """Return the notes of the object."""
        return list(await self.trust.apply(self.cls.noted))

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[Callable[[], None]]:
        """Keep the object busy in the block, or until what this gives is called; then it counts one."""
        if self.name == "thread":
            gate = Gate()
            self.trust.apply_then(passes, gate)
            self.trust.apply_then(self.cls.add, 1)
            assert await trio.to_thread.run_sync(gate.entered.wait, 10)
            try:
                yield gate.open.set
            finally:
                gate.open.set()
            return
        promise, resolver = self.vat.promise()
        is_released = False

        def release() -> None:
            nonlocal is_released
            if not is_released:
                is_released = True
                resolver.fulfill(None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.trust.launch, self.cls.hold, promise)
            await trio.testing.wait_all_tasks_blocked()
            try:
                yield release
            finally:
                release()


@asynccontextmanager
async def opened(
    name: str, shop: str, *, most: int = 4096, on_error: Literal["keep", "poison"] = "keep"
) -> AsyncIterator[Place]:
    """Open a place where ``most`` calls may wait; ``shop`` is the URI of one in another process."""
    made: weakref.WeakSet[Any] = weakref.WeakSet()
    ways = WAYS[name]

    def make() -> Any:
        obj = ways.cls()
        made.add(obj)
        return obj

    async def live() -> int:
        return len(made)

    limits = None if name == "thread" else Limits(backlog=most)
    async with captp.open_vat(limits=limits) as vat, AsyncExitStack() as inner:
        close: Callable[[], Awaitable[None]] = inner.aclose
        if name in ("loop", "plain"):

            async def new() -> captp.Trust[Any]:
                return vat.entrust(make(), on_error=on_error)

        elif name == "thread":
            thread = await inner.enter_async_context(vat.trustee("thread", window=most, max_inflight=most))

            async def new() -> captp.Trust[Any]:
                return thread.entrust(make(), on_error=on_error)

        elif name == "process":
            process = await inner.enter_async_context(vat.trustee("process", [Counter]))

            async def new() -> captp.Trust[Any]:
                return await process.entrust_new(Counter)

            async def live() -> int:
                return process.stats().live

        elif name == "far":
            host = await inner.enter_async_context(captp.open_vat(listen=[TcpNetlayer()]))

            async def new() -> captp.Trust[Any]:
                # A sturdyref that can be used again would keep the object.
                promise = vat.enliven(host.mint(make(), uses=1))
                trust = captp.trust(promise, Counter)
                await trust.apply(Counter.get)
                return trust

        else:
            stall = await captp.E(vat.enliven(shop)).stall()

            async def new() -> captp.Trust[Any]:
                return captp.trust(await captp.E(stall).make(), Counter)

            async def live() -> int:
                return int(await captp.E(stall).live())

        yield Place(name, ways, vat, await new(), new, live, close)


@asynccontextmanager
async def opened_alone(name: str, shop: str) -> AsyncIterator[Place]:
    """Open a place whose trustee can end, with its vat or its process."""
    async with AsyncExitStack() as outer:
        inner = await outer.enter_async_context(AsyncExitStack())
        if name == "away":
            shop = inner.enter_context(away.host())
        where = outer if name == "away" else inner
        place = await where.enter_async_context(opened(name, shop))
        if name in ("loop", "plain", "away"):
            place.close = inner.aclose
        yield place
