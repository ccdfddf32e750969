"""WebSocket frames in and out, within limits; knows no socket and not what messages say.

RFC 6455 section 5, as wsproto reads and writes it. What is not asked for here is refused: text,
extensions (hence compression), and messages whose announced length is over the limit.
"""

from __future__ import annotations

from typing import TypeAlias, cast, final

from attrs import frozen
from wsproto.frame_protocol import (
    CloseReason,
    Frame,
    FrameDecoder,
    FrameProtocol,
    MessageDecoder,
    Opcode,
    ParseFailed,
)

__all__ = ["FRAGMENTS", "CloseReason", "Frames", "Goodbye", "ParseFailed", "Piece", "Ping"]

# A fragment may be empty, so that no count of bytes bounds their number. At the default limit of
# message bytes these may still be as small as one KiB.
FRAGMENTS = 4096
# RFC 6455 5.2: the short length that says how wide the real one is.
_WIDTHS = {126: 2, 127: 8}


@frozen
class Piece:
    """What came of a message: ``size`` is that of the whole message, where its frame tells it."""

    data: bytes
    size: int | None
    is_first: bool
    is_last: bool


@frozen
class Ping:
    """The other end wants this back."""

    payload: bytes


@frozen
class Goodbye:
    """The other end will send no more; ``reason`` is its own words."""

    reason: str


Event: TypeAlias = Piece | Ping | Goodbye


@final
class _Decoder(FrameDecoder):
    """Reads frames, and refuses by the header what would be refused later anyway."""

    def __init__(self, *, is_dialler: bool, most: int) -> None:
        super().__init__(client=is_dialler)
        self.most = most
        # Bytes of the same message in earlier frames.
        self.before = 0

    def parse_extended_payload_length(self, opcode: Opcode, payload_len: int) -> int | None:
        if opcode is Opcode.TEXT:
            raise ParseFailed("a text message; CapTP speaks in binary ones", CloseReason.UNSUPPORTED_DATA)
        if not opcode.iscontrol():
            width = _WIDTHS.get(payload_len, 0)
            start = self.buffer.bytes_used
            digits = self.buffer.buffer[start : start + width]
            if len(digits) < width:
                return None
            announced = int.from_bytes(digits) if width else payload_len
            if self.before + announced > self.most:
                text = f"a message over the limit of {self.most} bytes"
                raise ParseFailed(text, CloseReason.MESSAGE_TOO_BIG)
        return super().parse_extended_payload_length(opcode, payload_len)


@final
class Frames:
    """One connection's frames; each ``next`` reads one of those that were fed."""

    def __init__(self, *, is_dialler: bool, most: int) -> None:
        self._decoder = _Decoder(is_dialler=is_dialler, most=most)
        self._messages = MessageDecoder()
        self._writer = FrameProtocol(is_dialler, [])
        self._is_first = True
        self._fragments = 0

    def limit(self, most: int) -> None:
        """Allow messages of ``most`` bytes from the next header on."""
        self._decoder.most = most

    @property
    def is_within(self) -> bool:
        """Whether a frame or a message has begun and not ended."""
        decoder = self._decoder
        return decoder.header is not None or len(decoder.buffer) > 0 or self._messages.opcode is not None

    def feed(self, data: bytes) -> None:
        """Take what came; call ``next`` until it gives None before more is fed."""
        self._decoder.receive_bytes(data)

    def next(self) -> Event | None:
        """Give what the next frame, or what came of it, says; None when more bytes are needed.

        Raises ParseFailed, with the code to close with; nothing can be read from then on.
        """
        while (frame := self._decoder.process_buffer()) is not None:
            if not frame.opcode.iscontrol():
                return self._piece(frame)
            assert isinstance(frame.payload, bytes)
            if frame.opcode is Opcode.PING:
                return Ping(frame.payload)
            if frame.opcode is Opcode.CLOSE:
                return Goodbye(_reason(frame.payload))
        return None

    def _piece(self, frame: Frame) -> Piece:
        ends_message = frame.message_finished
        frame = self._messages.process_frame(frame)  # checks that continuations have a beginning
        payload, is_last = frame.payload, frame.message_finished
        assert isinstance(payload, bytes)
        header = self._decoder.header  # none any more once the frame is whole
        size = (header.payload_len if header else len(payload)) if ends_message else None
        piece = Piece(payload, size if self._is_first else None, self._is_first, is_last)
        self._is_first = is_last
        if is_last:
            self._decoder.before = self._fragments = 0
        elif frame.frame_finished:
            self._fragments += 1
            if self._fragments == FRAGMENTS:
                raise ParseFailed(f"a message of over {FRAGMENTS} fragments", CloseReason.MESSAGE_TOO_BIG)
        if not ends_message:
            self._decoder.before += len(payload)
        return piece

    def message(self, payload: bytes | memoryview) -> bytearray:
        """Write a binary message, as one frame."""
        # wsproto declares fewer buffers than it takes.
        return self._writer.send_data(cast("bytes", payload))

    def pong(self, payload: bytes) -> bytes:
        return bytes(self._writer.pong(payload))

    def close(self, code: CloseReason, reason: str = "") -> bytes:
        return bytes(self._writer.close(code, reason))


def _reason(payload: bytes) -> str:
    if not payload:
        return "without a reason"
    if len(payload) == 1:
        raise ParseFailed("a close frame with half a code")
    reason = payload[2:].decode("utf-8", "replace")
    return f"{int.from_bytes(payload[:2])} {reason!r}"
