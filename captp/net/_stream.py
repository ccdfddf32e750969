"""A conduit over one non-blocking stream socket; knows neither addresses nor encryption."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from itertools import islice
from types import TracebackType
from typing import final

import trio
from attrs import define, field, frozen

from captp.errors import Disconnected
from captp.net.base import RECEIVE_BYTES

__all__ = ["SocketConduit"]

# How long a closing conduit waits for a slow or silent peer.
CLOSE_GRACE_S = 1.0
# A recv that asks for more than malloc's mmap threshold costs ten times one that does not, so ask
# for little until a read comes back full.
SMALL_READ = 64 * 1024
# Buffers per sendmsg: enough to merge a backlog of small batches, well below any IOV_MAX.
GATHER = 64

_TEXTS = {
    errno.ECONNRESET: "the other end dropped the connection",
    errno.EPIPE: "the other end closed the connection",
    errno.ETIMEDOUT: "the other end stopped answering",
}


@final
@frozen(eq=False)
class _Translated:
    """Turns what sockets and trio raise into Disconnected."""

    remote: str

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            text = _TEXTS.get(error.errno or 0) or os.strerror(error.errno or errno.EIO)
            raise Disconnected(f"connection with {self.remote} lost: {text}") from error
        if isinstance(error, trio.ClosedResourceError):
            raise _closed(self.remote) from None


def _closed(remote: str) -> Disconnected:
    return Disconnected(f"connection with {remote} was closed at this end")


@final
@define(eq=False)
class SocketConduit:
    """A conduit whose bytes go over a socket as they are; owns ``sock``, which must not block."""

    _sock: socket.socket
    remote: str
    proved: bytes | None = None
    binding: bytes = b""
    local: str | None = None
    framed: bool | None = None
    pending: int = field(default=0, init=False)
    taken: int = field(default=0, init=False)
    _unsent: deque[memoryview] = field(factory=deque, init=False)
    _read_size: int = field(default=SMALL_READ, init=False)
    _is_closed: bool = field(default=False, init=False)
    _translated: _Translated = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._translated = _Translated(self.remote)

    async def receive(self, most: int = RECEIVE_BYTES) -> bytes:
        if self._is_closed:
            raise _closed(self.remote)
        with self._translated:
            while True:
                await trio.lowlevel.wait_readable(self._sock)
                size = min(self._read_size, most)
                try:
                    data = self._sock.recv(size)
                except (BlockingIOError, InterruptedError):
                    continue
                self._read_size = RECEIVE_BYTES if len(data) == size else SMALL_READ
                return data

    def send_nowait(self, data: bytes) -> None:
        if self._is_closed:
            raise _closed(self.remote)
        if not data:
            return
        with self._translated:
            if self._unsent:
                self._unsent.append(memoryview(data))
                self.pending += len(data)
                self._push()
                return
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            if sent < len(data):
                self._unsent.append(memoryview(data)[sent:])
                self.pending = len(data) - sent

    async def flush(self) -> None:
        if self._is_closed:
            raise _closed(self.remote)
        with self._translated:
            while self._unsent:
                await trio.lowlevel.wait_writable(self._sock)
                self._push()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            # Wakes whoever waits here; the socket itself stays usable for the farewell.
            trio.lowlevel.notify_closing(self._sock)
            await trio.lowlevel.checkpoint_if_cancelled()
            with trio.move_on_after(CLOSE_GRACE_S, shield=True):
                await self._part()
        except OSError:
            pass  # the other end was faster
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once, with no farewell."""
        self._is_closed = True
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
        self._unsent.clear()
        self.pending = 0

    async def _part(self) -> None:
        while self._unsent:
            await trio.lowlevel.wait_writable(self._sock)
            self._push()
        self._sock.shutdown(socket.SHUT_WR)
        # Closing with bytes unread would make the kernel send a reset, which may overtake what the
        # other end has not read yet: the reason of an abort, for one.
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                if not self._sock.recv(SMALL_READ):
                    return
            except (BlockingIOError, InterruptedError):
                continue

    def _push(self) -> None:
        """Give the kernel one gathered write of what is unsent."""
        try:
            sent = self._sock.sendmsg(islice(self._unsent, GATHER))
        except (BlockingIOError, InterruptedError):
            return
        self.pending -= sent
        self.taken += sent
        while sent:
            first = self._unsent[0]
            if len(first) > sent:
                self._unsent[0] = first[sent:]
                return
            sent -= len(first)
            self._unsent.popleft()
