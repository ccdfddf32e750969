"""The store of a child's vat, as the child has it: a socket to the parent, which has the disk.

A batch waits here, in order, until the parent says that what it changed is stored; so does all that follows.
The vat goes on meanwhile, until so much waits that it is full.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, final

from attrs import evolve

from captp.net.seqpacket_socket import PacketSocket
from captp.peer.durable.records import Loaded, Records, Room, StoredUpTo, Swept, Told, encoded, told
from captp.peer.durable.stored import Image
from captp.peer.outputs import Batch, Load, Sweep
from captp.peer.peer import Peer
from captp.vat.written import DurableTrustee

__all__ = ["ChildStore"]

NOBODY: Final = (
    "a process trustee makes no durable calls, since it reaches nobody but the vat that started it: let that"
    " vat make them"
)
#: Bytes of records on their way to the disk above which the vat waits.
MOST_BYTES: Final = 4 * 1024 * 1024


@final
class ChildStore:
    """One end of the storage socket; ``image`` comes first, then ``begin``, and from then on the rest."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._packets = PacketSocket(sock)
        self._records = Records()
        #: Batches that wait, oldest first, and the bytes of their records.
        self._held: deque[tuple[Batch, int]] = deque()
        self._bytes = 0
        self._peer: Any = None
        self._act: Callable[[Batch], None] = _nothing
        #: Whether the parent has closed its end.
        self.is_over = False

    def image(self) -> Image:
        """Wait for what was stored when this process was started, and return it."""
        image = None
        while image is None:
            select.select([self.sock], [], [])
            data = self._packets.receive()
            if data == b"":
                # The parent is gone, and this process with it.
                raise SystemExit(1)
            image = next(self._records.feed(data or b""), None)
        made = told(image)
        assert isinstance(made, Image)
        return evolve(made, wall_ahead=time.time() - time.monotonic())

    def begin(self, peer: Peer, act: Callable[[Batch], None]) -> None:
        """Go on with what was left from before; ``act`` is called with each batch that may leave."""
        self._peer, self._act = peer, act
        assert peer.stored is not None
        peer.stored.outbox.refusal = NOBODY
        peer.stored.begin(time.monotonic())
        self._feed(b"")

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that nothing more is to run."""
        return self._bytes > MOST_BYTES

    @property
    def events(self) -> int:
        """What the socket is to be polled for."""
        return select.POLLIN | (select.POLLOUT if self._packets.pending else 0)

    def push(self, batch: Batch) -> None:
        """Let a batch leave when what it changed is stored, and all before it."""
        wanted = [output for output in batch.outputs if type(output) in (Load, Sweep)]
        if wanted:
            batch.outputs = [output for output in batch.outputs if type(output) not in (Load, Sweep)]
        if batch.commit is not None:
            record = encoded(batch.commit)
            self._bytes += len(record)
            self._held.append((batch, len(record)))
            self._packets.send(record)
        elif self._held:
            self._held.append((batch, 0))
        else:
            self._release(batch)
        # That tells nobody anything; it comes behind what was pushed.
        for output in wanted:
            self._packets.send(encoded(output))

    def look(self) -> None:
        """Send what waits, and take what the parent says."""
        if self._packets.pending:
            self._packets.push()
        while data := self._packets.receive():
            self._feed(data)
        self.is_over = self.is_over or data == b""

    def _feed(self, data: bytes) -> None:
        for record in self._records.feed(data):
            self._take(told(record))

    def _take(self, news: Told) -> None:
        stored = self._peer.stored
        match news:
            case StoredUpTo():
                held = self._held
                while held and (held[0][0].commit is None or held[0][0].number <= news.number):
                    batch, size = held.popleft()
                    self._bytes -= size
                    self._release(batch)
            case Loaded():
                stored.loaded(news.oid, news.bundle)
            case Swept():
                self._peer.now = time.monotonic()
                stored.swept(news.deleted, news.floating, news.freed, news.damage)
            case Room():
                trustee = self._peer.vat.trustee
                assert isinstance(trustee, DurableTrustee)
                trustee.has_room = news.has_room

    def _release(self, batch: Batch) -> None:
        self._peer.stored.released(batch.number)
        self._act(batch)


def _nothing(_batch: Batch) -> None:
    """Stand in until a vat begins."""
