"""One connection of a vat on trio: bytes in, bytes out, and the pauses between; it decides nothing.

Writing: idle --the kernel takes less than all--> writing, one task --all was taken--> idle. Beside it:
free --over half of send_buffer pending--> full --no more--> free; only then do results that wait go on.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from captp.errors import Disconnected
from captp.model.idents import ConnId
from captp.net.admission import HalfOpen
from captp.net.base import Conduit
from captp.peer import pressure

if TYPE_CHECKING:
    from captp.run.pump import Pump

#: Operations of one connection that are taken in before others have their go, and seconds after which
#: others have it before what came of them is run.
TAKEN: Final = 32
STEP_S: Final = 0.0005
#: Bytes that are sealed before others have their go.
PART: Final = 128 * 1024
#: Seconds without a byte read by a peer after which it is taken to wait for us to read.
STUCK_S: Final = 0.5
#: Seconds between two looks whether a peer may go on that waits for its collector's verdict.
VERDICT_S: Final = 0.1


class Connection:
    """Carries the bytes of one conduit between the kernel and the engine."""

    def __init__(self, pump: Pump, conn: ConnId, conduit: Conduit) -> None:
        self.conduit = conduit
        self._conn = conn
        self._pump = pump
        self._peer = pump.peer
        self._is_writing = False
        self._is_full = False
        #: What the conduit has not been given yet, in pieces of at most PART bytes, and its bytes.
        self._rest: deque[bytearray | memoryview] = deque()
        self._rest_bytes = 0
        self._has_room: trio.Event | None = None
        #: How much the peer had taken when it was found to wait for us to read.
        self._stuck_at = -1

    # Bytes out.

    def write(self, data: bytes) -> None:
        """Give the kernel what it takes; a task writes the rest."""
        conduit = self.conduit
        if self._rest or (len(data) > PART and self._pump.has_many):
            # To seal megabytes takes milliseconds, in which others would wait.
            self._keep(data)
        else:
            try:
                conduit.send_nowait(data)
            except Disconnected as problem:
                self._lose(str(problem))
                return
        if conduit.pending or self._rest:
            self._look_at_pending()
            if not self._is_writing:
                self._is_writing = True
                self._pump.nursery.start_soon(self._write_rest)

    def _keep(self, data: bytes) -> None:
        rest = self._rest
        self._rest_bytes += len(data)
        if len(data) <= PART:
            # Small writes go together: each piece costs the writing task a step.
            last = rest[-1] if rest else None
            if type(last) is bytearray and len(last) + len(data) <= PART:
                last += data
            else:
                rest.append(bytearray(data))
            return
        view = memoryview(data)
        rest += [view[at : at + PART] for at in range(0, len(data), PART)]

    def _send_piece(self) -> None:
        piece = self._rest.popleft()
        self._rest_bytes -= len(piece)
        self.conduit.send_nowait(bytes(piece))

    def _look_at_pending(self) -> None:
        pending, limits = self.conduit.pending + self._rest_bytes, self._peer.limits
        if pending > limits.send_buffer + limits.held_bytes:
            self._give_up("peer-too-slow: it does not read what it asked for")
        elif pending > limits.send_buffer // 2:
            self._is_full = True
            pressure.congested(self._peer, self._conn, pending)
        elif self._is_full:
            self._is_full = False
            pressure.drained(self._peer, self._conn)
            self._pump.ring()
            self._wake_reader()

    async def _write_rest(self) -> None:
        conduit, limits = self.conduit, self._peer.limits
        try:
            while conduit.pending or self._rest:
                if not conduit.pending:
                    self._send_piece()
                    await trio.lowlevel.checkpoint()
                taken = conduit.taken
                with trio.move_on_after(limits.write_stall_s) as scope:
                    await conduit.flush()
                # A slow reader may take its time; one that takes next to nothing may not.
                if scope.cancelled_caught and conduit.taken - taken < limits.min_rate * limits.write_stall_s:
                    self._give_up("peer-too-slow: it stopped reading")
                    return
                self._look_at_pending()
        except Disconnected as problem:
            self._lose(str(problem))
        finally:
            self._is_writing = self._is_full = False
            self._wake_reader()

    def _wake_reader(self) -> None:
        if self._has_room is not None:
            self._has_room.set()

    def _lose(self, why: str) -> None:
        self._peer.disconnected(self._conn, why, trio.current_time())
        self._pump.ring()

    def _give_up(self, why: str) -> None:
        self._rest.clear()
        self._rest_bytes = 0
        self._peer.given_up(self._conn, why, trio.current_time())
        self._pump.ring()

    async def aclose(self) -> None:
        """Close the conduit, which sends what it was not given yet as far as the other end reads it."""
        with suppress(Disconnected):
            while self._rest:
                self._send_piece()
        await self.conduit.aclose()

    # Bytes in.

    async def open(self, half_open: HalfOpen, transport: str) -> None:
        """Read until the session of somebody who came is open; few may be on the way there, for a while."""
        conn, conduit, peer = self._conn, self.conduit, self._peer
        # Where nobody proves anything, as in the OCapN suite, many silent ones may come from one address.
        remote = conduit.remote if transport == "tcp-testing-only" else conduit.remote.rpartition(":")[0]
        scope = half_open.enter(remote)
        if scope is None:
            peer.given_up(conn, "too-many-handshakes", trio.current_time())
            return
        try:
            with scope:
                while peer.is_opening(conn):
                    data = await conduit.receive()
                    if not data:
                        return
                    async with self._pump.turn:
                        peer.received(conn, data, trio.current_time(), TAKEN)
                        self._pump.flush()
        finally:
            half_open.leave(scope)
        if scope.cancelled_caught:
            peer.given_up(conn, "handshake-timeout", trio.current_time())

    async def read(self) -> None:
        """Read until the end, as fast as what was read is run."""
        conn, pump, peer = self._conn, self._pump, self._peer
        receive, received = self.conduit.receive, peer.received
        # What came behind the hello.
        await self._take_in_parts(b"")
        pump.flush()
        while True:
            data = await receive()
            if not data:
                return
            if pump.has_many:
                await self._take_in_parts(data)
            else:
                received(conn, data, trio.current_time())
            pump.flush()
            if pump.storage is not None and pump.storage.is_full:
                await pump.storage.room()
            while pressure.is_behind(peer, conn):
                if pressure.is_held_back(peer, conn):
                    # Time alone changes that, or another peer.
                    await trio.sleep(VERDICT_S)
                    continue
                # What we do not read yet waits at the peer, where it belongs.
                if self._is_full and await self._is_stuck():
                    break
                async with pump.turn:
                    pump.flush()

    async def _take_in_parts(self, data: bytes) -> None:
        """Take in what came, and let others have their go where that takes long."""
        conn, pump, peer = self._conn, self._pump, self._peer
        began = trio.current_time()
        while peer.received(conn, data, began, TAKEN):
            pump.flush()
            # In each round of the loop one connection goes on, however many have much to say.
            async with pump.turn:
                pass
            data, began = b"", trio.current_time()
        if trio.current_time() - began > STEP_S:
            # To decode megabytes takes milliseconds, and so does what comes of it.
            async with pump.turn:
                pass

    async def _is_stuck(self) -> bool:
        """Wait until there is room for more results; say whether the peer seems to wait for us to read."""
        taken, has_backlog = self.conduit.taken, pressure.has_backlog(self._peer, self._conn)
        if has_backlog or taken != self._stuck_at:
            self._has_room = trio.Event()
            with trio.move_on_after(STUCK_S):
                await self._has_room.wait()
            self._has_room = None
            if has_backlog or not self._is_full or self.conduit.taken != taken:
                return False
            self._stuck_at = taken
        return True
