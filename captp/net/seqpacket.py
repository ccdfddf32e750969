"""The netlayer ``child``: sessions with child processes over inherited sockets; it knows no process.

Who starts a process offers its own end of a socket pair, and a dial to that child's designator takes it,
once. The other end was proved by being inherited: nobody else can hold it.
"""

from __future__ import annotations

import select
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, final

import trio
from attrs import define, field

from captp.errors import Disconnected, Unreachable, UsageError
from captp.model.locator import PeerLocator
from captp.net.base import Accept
from captp.net.seqpacket_socket import PacketSocket

__all__ = ["ChildNetlayer", "SeqpacketConduit"]

#: Seconds that a closing conduit waits for the other end.
CLOSE_GRACE_S: Final = 1.0


@final
@define(eq=False)
class SeqpacketConduit:
    """A conduit over one end of a socket pair; ``why`` is asked for the reason when the other end is gone."""

    _packets: PacketSocket
    remote: str
    proved: bytes | None
    binding: bytes
    _why: Callable[[], Awaitable[str]]
    local: str | None = field(default=None, init=False)
    framed: bool | None = field(default=None, init=False)
    #: Set when this end begins to close, and when it has closed.
    closing: trio.Event = field(factory=trio.Event, init=False)
    closed: trio.Event = field(factory=trio.Event, init=False)
    _poll: select.poll = field(factory=select.poll, init=False)

    def __attrs_post_init__(self) -> None:
        self._poll.register(self._packets.sock, select.POLLIN)

    @property
    def pending(self) -> int:
        return self._packets.pending

    @property
    def taken(self) -> int:
        return self._packets.taken

    async def receive(self) -> bytes:
        packets = self._packets
        while True:
            self._check()
            try:
                await trio.lowlevel.wait_readable(packets.sock)
            except trio.ClosedResourceError:
                raise self._closed() from None
            data = packets.receive()
            if data:
                return data
            if data is not None:
                raise Disconnected(f"{self.remote} {await self._why()}")

    def receive_now(self, milliseconds: int = 0) -> bytes | None:
        """Return what has come, or comes while this blocks the thread so long, None if nothing does.

        The end and what breaks show where one waits.
        """
        # To be told that there is nothing costs a third of being refused it.
        if not self._poll.poll(milliseconds) or self.closing.is_set():
            return None
        try:
            return self._packets.receive() or None
        except Disconnected:
            self._packets.stop_reading()
            return None

    def send_nowait(self, data: bytes) -> None:
        # Where the other end is gone, this says nothing: reading comes to the end, and learns why.
        self._check()
        self._packets.send(data)

    async def flush(self) -> None:
        self._check()
        packets = self._packets
        while packets.pending:
            try:
                await trio.lowlevel.wait_writable(packets.sock)
            except trio.ClosedResourceError:
                raise self._closed() from None
            packets.push()

    async def aclose(self) -> None:
        if self.closing.is_set():
            return
        self.closing.set()
        packets = self._packets
        try:
            # Wakes whoever waits here; the socket itself stays usable for the farewell.
            trio.lowlevel.notify_closing(packets.sock)
            await trio.lowlevel.checkpoint_if_cancelled()
            with trio.move_on_after(CLOSE_GRACE_S, shield=True):
                await self._part()
        except Disconnected:
            pass  # what it still says is read by nobody
        finally:
            trio.lowlevel.notify_closing(packets.sock)
            packets.close()
            self.closed.set()

    async def _part(self) -> None:
        packets = self._packets
        while packets.pending:
            await trio.lowlevel.wait_writable(packets.sock)
            packets.push()
        packets.shutdown()
        while packets.receive() != b"":
            await trio.lowlevel.wait_readable(packets.sock)

    def _check(self) -> None:
        if self.closing.is_set():
            raise self._closed()

    def _closed(self) -> Disconnected:
        return Disconnected(f"connection with {self.remote} was closed at this end")


@final
@define(eq=False)
class ChildNetlayer:
    """Gives each offered conduit to whoever dials its designator first."""

    transport: ClassVar[str] = "child"

    _offered: dict[str, SeqpacketConduit] = field(factory=dict, init=False)

    def offer(self, designator: str, conduit: SeqpacketConduit) -> None:
        """Have the next dial to ``designator`` take ``conduit``."""
        self._offered[designator] = conduit

    def withdraw(self, designator: str) -> bool:
        """Have dials to ``designator`` fail; say whether its conduit was still there."""
        return self._offered.pop(designator, None) is not None

    async def dial(self, locator: PeerLocator) -> SeqpacketConduit:
        await trio.lowlevel.checkpoint()
        conduit = self._offered.pop(locator.designator, None)
        if conduit is None:
            raise Unreachable(
                f"no process of this vat is {locator.designator[:8]}…: it has ended, or is a child of"
                " another vat; only who started a process trustee can reach it"
            )
        return conduit

    async def serve(self, accept: Accept, *, task_status: trio.TaskStatus[Any]) -> None:  # noqa: ARG002
        raise UsageError("nobody can listen for child processes; open a process trustee instead")

    def hints(self) -> dict[str, str]:
        return {}
