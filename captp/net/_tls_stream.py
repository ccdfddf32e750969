"""A conduit that seals its bytes with TLS 1.3; knows keys and records, neither names nor ports."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from types import TracebackType
from typing import final

import trio
from attrs import define, field, frozen
from OpenSSL import SSL

from captp.errors import Disconnected
from captp.net._stream import SocketConduit
from captp.net._tls_identity import proved_key
from captp.net.base import RECEIVE_BYTES

__all__ = ["TlsConduit", "shake_hands"]

BINDING_LABEL = b"EXPORTER-captp-1"
BINDING_BYTES = 32
# RFC 8446 5.1 and 5.2: a record's header, its longest plaintext, its longest ciphertext.
HEADER = 5
PLAINTEXT = 2**14
CIPHERTEXT = 2**14 + 256
RECORD_TYPES = range(20, 24)
# OpenSSL's buffers grow to what is sealed or opened in one go and never shrink again: with four
# records at a time bulk is 4% faster, but each connection that ever sent any keeps 43 KiB more.
SLICE = PLAINTEXT
SLICE_OVERHEAD = 256
# Sealed before the kernel is asked to take it, so that a batch of any usual size is one write.
WRITE = 16 * SLICE
# Records without data in a row.
CHATTER = 32
# What was left of a record may be added to a read, and the sum must fit RECEIVE_BYTES.
READ = RECEIVE_BYTES - HEADER - CIPHERTEXT


@final
@frozen(eq=False)
class _Translated:
    """Turns what OpenSSL raises into Disconnected."""

    remote: str

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, SSL.Error):
            text = f"connection with {self.remote} lost: TLS: {_reason(error)}"
            raise Disconnected(text) from error


def _reason(error: SSL.Error) -> str:
    """Give OpenSSL's own words, such as ``tlsv1 alert internal error``."""
    entries = error.args[0] if error.args else ()
    texts = [str(entry[-1]) for entry in entries] if isinstance(entries, list) else []
    return ", ".join(text for text in texts if text) or type(error).__name__


@final
@define(eq=False)
class TlsConduit:
    """A conduit over ``_raw`` sealed by ``_tls``, whose handshake is done; owns both."""

    _raw: SocketConduit
    _tls: SSL.Connection
    _unread: bytes
    proved: bytes
    binding: bytes
    local: str | None
    framed: bool | None = field(default=None, init=False)
    _chatter: int = field(default=0, init=False)
    _is_over: bool = field(default=False, init=False)
    _is_closed: bool = field(default=False, init=False)
    _translated: _Translated = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._translated = _Translated(self._raw.remote)

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
        if self._is_closed or self._is_over or _record_size(self._unread, 0):
            # The first records may have come together with the end of the handshake.
            await trio.lowlevel.checkpoint()
            data = self._open(b"")
            if data or self._is_over:
                return data
        while True:
            sealed = await self._raw.receive(READ)
            if not sealed:
                # TLS says goodbye before TCP does; otherwise anybody on the way could end a
                # connection in the middle and have it look complete.
                raise Disconnected(f"connection with {self.remote} lost: it was cut off")
            data = self._open(sealed)
            if data or self._is_over:
                return data

    def send_nowait(self, data: bytes) -> None:
        if self._is_closed:
            raise self._closed()
        with self._translated:
            if len(data) <= SLICE:
                if data:
                    self._raw.send_nowait(self._seal(data))
                return
            view = memoryview(data)
            for start in range(0, len(data), WRITE):
                stop = min(start + WRITE, len(data))
                slices = [self._seal(view[at : at + SLICE]) for at in range(start, stop, SLICE)]
                self._raw.send_nowait(b"".join(slices))

    async def flush(self) -> None:
        await self._raw.flush()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with self._translated:
                self._tls.shutdown()
                self._raw.send_nowait(_answer(self._tls))
        except Disconnected:
            pass  # the other end was faster
        finally:
            await self._raw.aclose()

    def _closed(self) -> Disconnected:
        return Disconnected(f"connection with {self.remote} was closed at this end")

    def _seal(self, data: bytes | memoryview) -> bytes:
        self._tls.sendall(data)
        return self._tls.bio_read(len(data) + SLICE_OVERHEAD)

    def _chat(self) -> None:
        """Answer a record that was for TLS itself, such as a KeyUpdate."""
        # Each asks for an answer and none comes out of receive, so nobody else can bound them.
        self._chatter += 1
        if self._chatter > CHATTER:
            text = f"it sent {self._chatter} TLS records in a row without data"
            raise Disconnected(f"connection with {self.remote} refused: {text}")
        self._raw.send_nowait(_answer(self._tls))

    def _open(self, sealed: bytes) -> bytes:
        """Decrypt the whole records of what came so far and keep the rest."""
        if self._is_closed:
            raise self._closed()
        if self._is_over:
            return b""
        sealed = self._unread + sealed if self._unread else sealed
        view = memoryview(sealed)
        opened: list[bytes] = []
        at = 0
        with self._translated:
            while size := _record_size(sealed, at):
                self._tls.bio_write(view[at : at + size])
                at += size
                try:
                    opened.append(self._tls.recv(PLAINTEXT))
                    self._chatter = 0
                except SSL.WantReadError:
                    self._chat()
                except SSL.ZeroReturnError:
                    self._is_over = True
                    break
                except SSL.Error:
                    self._raw.send_nowait(_answer(self._tls))  # the alert that says why
                    raise
        self._unread = sealed[at:]
        return opened[0] if len(opened) == 1 else b"".join(opened)


async def shake_hands(
    raw: SocketConduit, tls: SSL.Connection, *, most: int, turn: trio.Lock | None
) -> TlsConduit:
    """Run the handshake; reads at most ``most`` bytes before it is done.

    The dialled side takes its costly steps in ``turn``; the dialling one has None.

    Raises Disconnected when it fails and RemoteProtocolError when the key proved is unfit. ``raw``
    stays the caller's until this returns.
    """
    unread = b""
    while not await _step(raw, tls, turn or nullcontext()):
        while not (size := _record_size(unread, 0)):
            if not most:
                text = "it sent too much before the end of the handshake"
                raise Disconnected(f"connection with {raw.remote} refused: {text}")
            data = await raw.receive(most)
            if not data:
                text = "it closed in the middle of the handshake"
                raise Disconnected(f"connection with {raw.remote} lost: {text}")
            most -= len(data)
            unread += data
        with _Translated(raw.remote):
            tls.bio_write(unread[:size])
        unread = unread[size:]
    key = proved_key(tls, is_dialler=turn is None)
    binding = tls.export_keying_material(BINDING_LABEL, BINDING_BYTES)
    name = None if turn is None else tls.get_servername()
    local = name.decode("ascii", "replace") if name else None
    return TlsConduit(raw, tls, unread, key.raw, binding, local)


async def _step(raw: SocketConduit, tls: SSL.Connection, turn: AbstractAsyncContextManager[None]) -> bool:
    """Let TLS act on what it has and send what it says, be it an alert; True when it is done."""
    try:
        async with turn:
            with _Translated(raw.remote):
                try:
                    tls.do_handshake()
                except SSL.WantReadError:
                    return False
                return True
    finally:
        raw.send_nowait(_answer(tls))
        await raw.flush()


def _answer(tls: SSL.Connection) -> bytes:
    """Take what TLS itself has to say."""
    try:
        return tls.bio_read(SLICE)
    except SSL.WantReadError:
        return b""


def _record_size(data: bytes, at: int) -> int:
    """Give the length of the record at ``at``, header included; 0 when it is not all there.

    Raises Disconnected for what is no TLS record, such as plaintext.
    """
    if at == len(data):
        return 0
    if data[at] not in RECORD_TYPES:
        raise Disconnected(f"what came is not TLS: expected a record of type 20 to 23, got {data[at]:#04x}")
    if len(data) < at + HEADER:
        return 0
    size = data[at + 3] << 8 | data[at + 4]
    if size > CIPHERTEXT:
        raise Disconnected(f"what came is not TLS: a record of {size} bytes, above {CIPHERTEXT}")
    return HEADER + size if len(data) >= at + HEADER + size else 0
