"""A conduit over WebSocket messages; knows how a session frames its bytes, but none of its messages.

OCapN peers send one Syrup message in each binary message. To the session above those are a stream of
``<decimal length>:<payload>``, both ways. A native session brings its own frames: its bytes go as they
are, cut anywhere.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Protocol, final

import trio
from attrs import define, field

from captp.errors import Disconnected, LocalProtocolError
from captp.limits import Limits
from captp.net._websocket_frames import CloseReason, Frames, Goodbye, ParseFailed, Piece, Ping
from captp.net.base import RECEIVE_BYTES
from captp.wire.native import PREAMBLE

__all__ = ["PLAIN_MESSAGE", "Raw", "WebsocketConduit"]

# What a native session sends in one message at most, so that a peer's limit on message bytes may be
# as low as this; native frames have usually no more.
PLAIN_MESSAGE = 64 * 1024
# Framed before the kernel is asked to take it.
WRITE = 4 * PLAIN_MESSAGE
# A peer that has so much of ours to read gets no pong on top; the last one it is owed comes later.
PONG_ROOM = 16 * 1024

_NATIVE = PREAMBLE[0]
_LENGTH = re.compile(rb"([1-9][0-9]{0,9}):")


class Raw(Protocol):
    """The byte stream underneath, as SocketConduit is one."""

    @property
    def remote(self) -> str: ...
    @property
    def pending(self) -> int: ...
    @property
    def taken(self) -> int: ...
    async def receive(self, most: int = ...) -> bytes: ...
    def send_nowait(self, data: bytes) -> None: ...
    async def flush(self) -> None: ...
    async def aclose(self) -> None: ...
    def abort(self) -> None:
        """Close at once, with no farewell."""
        ...


@final
@define(eq=False)
class WebsocketConduit:
    """A conduit over ``_raw``, whose handshake and proofs are done; owns it.

    ``framed`` tells sessions that speak Syrup to put each message behind its length.
    """

    _raw: Raw
    _frames: Frames
    _limits: Limits
    proved: bytes | None
    binding: bytes
    local: None = field(default=None, init=False)
    # Whether the bytes are a native session's: None until the first one says so.
    _sends_plain: bool | None = field(default=None, init=False)
    _reads_plain: bool | None = field(default=None, init=False)
    _ready: memoryview = field(default=memoryview(b""), init=False)
    # A message in fragments, whose length must come before it, and how long more may be waited for it.
    _held: bytearray | None = field(default=None, init=False)
    _patience: float = field(default=0.0, init=False)
    _owed: bytes | None = field(default=None, init=False)
    _is_over: bool = field(default=False, init=False)
    _is_closed: bool = field(default=False, init=False)
    # Why nothing can be read, or sent, any more.
    _broken: str = field(default="", init=False)
    _mute: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._frames.limit(max(self._limits.message_bytes, PLAIN_MESSAGE))

    @property
    def framed(self) -> bool:
        return True

    @property
    def remote(self) -> str:
        return self._raw.remote

    @property
    def pending(self) -> int:
        return self._raw.pending

    @property
    def taken(self) -> int:
        return self._raw.taken

    async def receive(self) -> bytes:
        if not self._ready:
            self._read()  # the first frames may have come together with the proof
        if self._ready or self._is_over or self._broken or self._is_closed:
            await trio.lowlevel.checkpoint()
        while not self._ready:
            self._check_open()
            if self._broken:
                raise Disconnected(self._broken)
            if self._is_over:
                return b""
            await self._feed()
            self._read()
        self._check_open()
        data, self._ready = self._ready[:RECEIVE_BYTES], self._ready[RECEIVE_BYTES:]
        return bytes(data)

    def send_nowait(self, data: bytes) -> None:
        self._check_open()
        if self._mute:
            raise Disconnected(self._mute)
        if not data:
            return
        if self._sends_plain is None:
            self._sends_plain = data[0] == _NATIVE
            if self._sends_plain and self._reads_plain is None:
                self._reads_plain = True
        batch: list[bytearray] = []
        size = 0
        for payload in _slices(data) if self._sends_plain else _cut(data):
            batch.append(self._frames.message(payload))
            size += len(payload)
            if size >= WRITE:
                self._raw.send_nowait(b"".join(batch))
                batch, size = [], 0
        if batch:
            self._raw.send_nowait(b"".join(batch))
        self._pay()

    async def flush(self) -> None:
        await self._raw.flush()
        if self._owed is not None:
            self._pay()
            await self._raw.flush()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._part(CloseReason.NORMAL_CLOSURE, "")
        finally:
            await self._raw.aclose()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Disconnected(f"connection with {self.remote} was closed at this end")

    def _part(self, code: CloseReason, reason: str) -> None:
        """Say that nothing more will be sent, once."""
        if self._mute:
            return
        self._mute = self._broken or f"connection with {self.remote} lost: the other end closed it"
        with suppress(Disconnected):  # the other end was faster
            self._raw.send_nowait(self._frames.close(code, reason))

    def _break(self, code: CloseReason, why: str) -> None:
        self._broken = f"connection with {self.remote} refused: it sent {why}"
        self._held = None
        self._part(code, why)

    async def _feed(self) -> None:
        """Wait for bytes, and for the rest of what came in fragments only so long."""
        if self._held is None:
            data: bytes | None = await self._raw.receive(RECEIVE_BYTES)
        else:
            data, before = None, trio.current_time()
            with trio.move_on_after(max(self._patience, 0)):
                data = await self._raw.receive(RECEIVE_BYTES)
            self._patience -= trio.current_time() - before
        if data is None:
            limit = self._limits.partial_message_s
            self._break(CloseReason.POLICY_VIOLATION, f"fragments of one message for over {limit:g} s")
        elif data:
            self._frames.feed(data)
        elif self._frames.is_within:
            self._broken = f"connection with {self.remote} lost: it was cut off inside a message"
        else:
            self._is_over = True

    def _read(self) -> None:
        """Act on all whole frames, and on what came of the last one."""
        found: list[bytes | bytearray] = []
        try:
            while not (self._broken or self._is_over) and (event := self._frames.next()) is not None:
                match event:
                    case Piece():
                        self._take(event, found)
                    case Ping(payload):
                        # RFC 6455 5.5.3: of several pings the last one is answer enough.
                        self._owed = payload
                    case Goodbye():
                        self._is_over = True
                        self._part(CloseReason.NORMAL_CLOSURE, "")
        except ParseFailed as error:
            self._break(error.code, str(error))
        if found:
            self._ready = memoryview(found[0] if len(found) == 1 else b"".join(found))
        if self._owed is not None:
            try:
                self._pay()
            except Disconnected as error:
                self._broken = self._broken or str(error)

    def _take(self, piece: Piece, found: list[bytes | bytearray]) -> None:
        if self._reads_plain is None:
            self._reads_plain = piece.data[:1] == PREAMBLE[:1]
            if not self._reads_plain:
                self._frames.limit(self._limits.message_bytes)
            elif self._sends_plain is None:
                self._sends_plain = True
        if self._reads_plain:
            found.append(piece.data)
            return
        most = self._limits.message_bytes
        if piece.is_first:
            if piece.size is None:
                self._held = bytearray()
                self._patience = self._limits.partial_message_s
            else:
                # The very first header was read before it was known which limit goes for it.
                _check_size(piece.size, most)
                found.append(b"%d:" % piece.size)
        if self._held is None:
            found.append(piece.data)
            return
        self._held += piece.data
        _check_size(len(self._held), most)
        if piece.is_last:
            found += (b"%d:" % len(self._held), self._held)
            self._held = None

    def _pay(self) -> None:
        """Send the pong that is owed, if there is room."""
        if self._owed is not None and not self._mute and self._raw.pending <= PONG_ROOM:
            payload, self._owed = self._owed, None
            self._raw.send_nowait(self._frames.pong(payload))


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ParseFailed(f"a message over the limit of {most} bytes", CloseReason.MESSAGE_TOO_BIG)


def _slices(data: bytes) -> list[memoryview]:
    view = memoryview(data)
    return [view[at : at + PLAIN_MESSAGE] for at in range(0, len(data), PLAIN_MESSAGE)]


def _cut(data: bytes) -> list[memoryview]:
    """Give the payloads of one or more whole messages, each behind its length."""
    view = memoryview(data)
    payloads = []
    at = 0
    while at < len(data):
        header = _LENGTH.match(data, at)
        stop = header.end() + int(header[1]) if header else 0
        if header is None or stop > len(data):
            raise LocalProtocolError(
                f"byte {at} of what a session sends begins no whole message; expected <decimal"
                " length>:<payload>, as conduit.framed asks for"
            )
        payloads.append(view[header.end() : stop])
        at = stop
    return payloads
