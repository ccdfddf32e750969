"""The netlayer ``memory``: conduits within one process, with faults to order; knows no sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from math import inf
from typing import Any, ClassVar, final

import trio
from attrs import define, field

from captp.errors import Disconnected, RemoteProtocolError, Unreachable, UsageError
from captp.model.keys import parse_designator
from captp.model.locator import PeerLocator
from captp.net import _sockets
from captp.net.base import RECEIVE_BYTES, Accept

__all__ = ["Link", "MemoryConduit", "MemoryNetlayer", "MemoryNetwork"]

# Bytes under way or unread, one way of one conduit: what a kernel would buffer.
WINDOW = 256 * 1024


@final
@define(eq=False)
class Link:
    """All that lies between two designators: its faults hold for every conduit between them.

    ``latency`` is in seconds, one way; ``max_chunk`` is the most bytes that one receive gives.
    Either may be changed at any time.
    """

    latency: float = 0.0
    max_chunk: int = RECEIVE_BYTES
    is_stalled: bool = field(default=False, init=False)
    _conduits: list[MemoryConduit] = field(factory=list, init=False)
    _resumed: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot, init=False)

    def cut(self) -> None:
        """Break every conduit of now, with all that is under way; new ones can be dialled."""
        conduits, self._conduits = self._conduits, []
        for conduit in conduits:
            conduit.lose("the link was cut")

    def stall(self) -> None:
        """Let nothing arrive any more, and say so to nobody, until ``resume`` or ``cut``."""
        self.is_stalled = True

    def resume(self) -> None:
        """Let arrive what was held back."""
        self.is_stalled = False
        self._resumed.unpark_all()
        for conduit in self._conduits:
            conduit.wake()

    async def cross(self) -> None:
        """Wait for one round trip, as whoever dials does."""
        await trio.lowlevel.checkpoint()
        if self.latency:
            await trio.sleep(2 * self.latency)
        while self.is_stalled:
            await self._resumed.park()

    def join(self, conduit: MemoryConduit) -> None:
        self._conduits.append(conduit)

    def part(self, conduit: MemoryConduit) -> None:
        if conduit in self._conduits:
            self._conduits.remove(conduit)


@final
@define(eq=False)
class _Pipe:
    """One way of a connection: a backlog at the writer, then a window of bytes under way.

    An empty chunk is the writer's end; it needs no room and stays for whoever reads again.
    """

    link: Link
    waiting: int = 0
    taken: int = 0
    is_drained: bool = False
    is_dropped: bool = False
    changed: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    _backlog: deque[memoryview] = field(factory=deque)
    _flying: deque[tuple[float, memoryview]] = field(factory=deque)
    _room: int = WINDOW

    def put(self, data: bytes) -> None:
        self._backlog.append(memoryview(data))
        self.waiting += len(data)
        self._move()

    def delay(self) -> float:
        """Seconds until ``take`` may be called: 0 for now, infinity for not yet known."""
        if self.link.is_stalled or not self._flying:
            return inf
        arrival = self._flying[0][0]
        return max(0.0, arrival - trio.current_time()) if arrival else 0.0

    def take(self) -> bytes:
        arrival, chunk = self._flying[0]
        if not chunk:
            self.is_drained = True
            return b""
        data = bytes(chunk[: self.link.max_chunk])
        if len(data) == len(chunk):
            self._flying.popleft()
        else:
            self._flying[0] = (arrival, chunk[len(data) :])
        self._room += len(data)
        self._move()
        return data

    def drop(self) -> None:
        """Forget all: nobody will read it."""
        self.is_dropped = True
        self._backlog.clear()
        self._flying.clear()
        self.waiting = 0
        self.changed.unpark_all()

    def _move(self) -> None:
        while self._backlog and (self._room or not self._backlog[0]):
            first = self._backlog.popleft()
            chunk = first[: self._room]
            if len(chunk) < len(first):
                self._backlog.appendleft(first[len(chunk) :])
            self._room -= len(chunk)
            self.waiting -= len(chunk)
            self.taken += len(chunk)
            self._flying.append((self._arrival(), chunk))
        self.changed.unpark_all()

    def _arrival(self) -> float:
        # Nobody asks the clock where nothing takes time.
        return trio.current_time() + self.link.latency if self.link.latency else 0.0


@final
@define(eq=False)
class MemoryConduit:
    """One end of a connection within the process; made by dialling."""

    remote: str
    proved: bytes | None
    binding: bytes
    local: str | None
    _link: Link
    _incoming: _Pipe
    _outgoing: _Pipe
    framed: bool | None = field(default=None, init=False)
    _end: str = field(default="", init=False)

    @property
    def pending(self) -> int:
        return self._outgoing.waiting

    @property
    def taken(self) -> int:
        return self._outgoing.taken

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            self._check()
            delay = self._incoming.delay()
            if not delay:
                return self._incoming.take()
            with trio.move_on_after(delay):
                await self._incoming.changed.park()

    def send_nowait(self, data: bytes) -> None:
        self._check()
        if self._outgoing.is_dropped:
            # As with a kernel: bytes that cross the other end's farewell vanish, later ones fail.
            if self._incoming.is_drained:
                raise self._lost("the other end closed the connection")
        elif data:
            self._outgoing.put(data)

    async def flush(self) -> None:
        self._check()
        while self._outgoing.waiting:
            await self._outgoing.changed.park()
            self._check()

    async def aclose(self) -> None:
        if not self._end:
            self._end = "it was closed at this end"
            self._link.part(self)
            if not self._outgoing.is_dropped:
                self._outgoing.put(b"")
            self._incoming.drop()
            self.wake()
        await trio.lowlevel.checkpoint()

    def lose(self, reason: str) -> None:
        """Break this end, for the link's use."""
        self._end = reason
        self._outgoing.drop()
        self._incoming.drop()

    def wake(self) -> None:
        """Let the tasks that wait here look again, for the link's use."""
        self._incoming.changed.unpark_all()
        self._outgoing.changed.unpark_all()

    def _check(self) -> None:
        if self._end:
            raise self._lost(self._end)

    def _lost(self, reason: str) -> Disconnected:
        return Disconnected(f"connection with {self.remote} lost: {reason}")


@final
@define(eq=False)
class MemoryNetwork:
    """A network of its own within the process, for tests; two networks never meet."""

    _listeners: dict[str, Callable[[MemoryConduit], None]] = field(factory=dict, init=False)
    _links: dict[tuple[str, str], Link] = field(factory=dict, init=False)
    _numbers: count[int] = field(factory=count, init=False)

    def netlayer(self, designator: str) -> MemoryNetlayer:
        """Give a netlayer that dials, and can be dialled, as ``designator``."""
        return MemoryNetlayer(self, designator)

    def link(self, one: str, other: str) -> Link:
        """Give the link of two designators, in either order, to put faults on it."""
        return self._links.setdefault((min(one, other), max(one, other)), Link())

    def listen(self, designator: str, accept: Callable[[MemoryConduit], None]) -> None:
        if designator in self._listeners:
            raise UsageError(f"{_name(designator)} already listens on this memory network")
        self._listeners[designator] = accept

    def unlisten(self, designator: str) -> None:
        del self._listeners[designator]

    async def dial(self, caller: str, wanted: str) -> MemoryConduit:
        link = self.link(caller, wanted)
        await link.cross()
        listener = self._listeners.get(wanted)
        if listener is None:
            raise Unreachable(f"{_name(wanted)} does not listen on this memory network; serve it first")
        binding = sha256(b"captp memory connection %d" % next(self._numbers)).digest()
        there, back = _Pipe(link), _Pipe(link)
        dialler = MemoryConduit(_name(wanted), _key(wanted), binding, None, link, back, there)
        acceptor = MemoryConduit(_name(caller), _key(caller), binding, wanted, link, there, back)
        link.join(dialler)
        link.join(acceptor)
        listener(acceptor)
        return dialler


@final
@define(eq=False)
class MemoryNetlayer:
    """One designator's place in a memory network; a designator that is a key counts as proved."""

    transport: ClassVar[str] = "memory"

    network: MemoryNetwork
    designator: str

    async def dial(self, locator: PeerLocator) -> MemoryConduit:
        return await self.network.dial(self.designator, locator.designator)

    async def serve(
        self, accept: Accept, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
    ) -> None:
        def welcome(conduit: MemoryConduit) -> None:
            nursery.start_soon(_sockets.run_accept, accept, conduit)

        # Before the nursery opens, so that a refusal comes out alone and not as a group.
        self.network.listen(self.designator, welcome)
        async with trio.open_nursery() as nursery:
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                # At once: whoever dials while those that came are closed must not be let in.
                self.network.unlisten(self.designator)

    def hints(self) -> dict[str, str]:
        return {}


def _key(designator: str) -> bytes | None:
    try:
        return parse_designator(designator).raw
    except RemoteProtocolError:
        return None


def _name(designator: str) -> str:
    return f"memory:{designator[:8]}…" if len(designator) > 8 else f"memory:{designator}"
