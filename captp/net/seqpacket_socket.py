"""Bytes over one SOCK_SEQPACKET socket, without waiting; it knows no loop, no session and no process.

A packet is written whole or not at all, and its borders mean nothing: both ends read a stream. Only the
socket's very first packet, which the process at the other end reads by itself, is one message.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from typing import Final, final

from attrs import define, field

from captp.errors import Disconnected

__all__ = ["PACKET", "PacketSocket", "packet_pair"]

#: Bytes of a packet: the kernel refuses those of more than its send buffer, about 208 KiB.
PACKET: Final = 128 * 1024
#: Backlogged writes that become one packet: enough to merge small batches, well below any IOV_MAX.
GATHER: Final = 64
#: Bytes that the kernel holds for a reader; it doubles this, and grants no more than its own limit.
BUFFER: Final = 208 * 1024
#: How to read: as flags they would be joined anew for every packet.
NOW: Final = int(socket.MSG_DONTWAIT | socket.MSG_TRUNC)


def packet_pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a new connection."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return pair


@final
@define(eq=False)
class PacketSocket:
    """One end: what the kernel does not take now waits here, in order; owns ``sock``."""

    sock: socket.socket
    pending: int = field(default=0, init=False)
    #: Bytes the kernel has taken that it did not take at once.
    taken: int = field(default=0, init=False)
    #: Whether the other end is gone, so that what is sent vanishes.
    is_cut: bool = field(default=False, init=False)
    _unsent: deque[memoryview] = field(factory=deque, init=False)
    _buffer: bytearray = field(factory=lambda: bytearray(PACKET), init=False)

    def send(self, data: bytes) -> None:
        """Give the kernel what it takes and keep the rest; what is cut off is lost and said by reading."""
        if not self._unsent and len(data) <= PACKET:
            # A packet without bytes would read as the end.
            if not data or self.is_cut or self._try([data]):
                return
            self._keep(data)
            return
        self._keep(data)
        self.push()

    def _keep(self, data: bytes) -> None:
        if not self.is_cut:
            view = memoryview(data)
            self._unsent.extend(view[at : at + PACKET] for at in range(0, len(data), PACKET))
            self.pending += len(data)

    def push(self) -> None:
        """Give the kernel of what waits as much as it takes."""
        unsent = self._unsent
        while unsent:
            parts = [unsent.popleft()]
            size = len(parts[0])
            while unsent and len(parts) < GATHER and size + len(unsent[0]) <= PACKET:
                size += len(unsent[0])
                parts.append(unsent.popleft())
            if not self._try(parts):
                unsent.extendleft(reversed(parts))
                return
            self.pending = max(self.pending - size, 0)
            self.taken += size

    def _try(self, parts: list[bytes] | list[memoryview]) -> bool:
        try:
            if len(parts) == 1:
                self.sock.send(parts[0], socket.MSG_DONTWAIT)
            else:
                self.sock.sendmsg(parts, (), socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self.is_cut = True
            self._unsent.clear()
            self.pending = 0
        return True

    def receive(self) -> bytes | None:
        """Return the bytes of one packet, ``b""`` at the end, None while there is none.

        Raises Disconnected for a packet that is longer than any that this class sends.
        """
        try:
            # With MSG_TRUNC the kernel says how long the packet was, not how much of it fitted.
            size = self.sock.recv_into(self._buffer, 0, NOW)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""
        if size > PACKET:
            raise Disconnected(f"the other end sent a packet of {size} bytes; expected at most {PACKET}")
        return bytes(memoryview(self._buffer)[:size])

    def stop_reading(self) -> None:
        """Have whoever reads come to the end."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RD)

    def shutdown(self) -> None:
        """Tell the other end that no more comes."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.is_cut = True

    def close(self) -> None:
        """Close for good, and forget what waits."""
        self.is_cut = True
        self._unsent.clear()
        self.pending = 0
        self.sock.close()
