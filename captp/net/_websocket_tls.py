"""The client's end of TLS below ``wss``; who is at the other end of CapTP is not decided here.

The certificate is checked as for any web site. That keeps others from listening in; the peer's identity
is what it proves inside.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import final

import trio
from attrs import define, field

from captp.errors import Disconnected, Unreachable
from captp.net._stream import SocketConduit
from captp.net.base import RECEIVE_BYTES

__all__ = ["TlsClient", "start_tls"]

# A record's longest plaintext, as RFC 8446 5.1 has it.
RECORD = 2**14
# What a server may send before the handshake is over: chains of usual sizes have 10 KiB at most.
HANDSHAKE_BYTES = 64 * 1024
# What TLS itself may answer while no data comes: a flood of key updates asks for more.
CHATTER = 4 * 1024


@final
@define(eq=False)
class TlsClient:
    """A byte stream over ``_raw`` sealed by ``_tls``; owns both."""

    _raw: SocketConduit
    _tls: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    _chatter: int = field(default=0, init=False)
    _is_closed: bool = field(default=False, init=False)

    @property
    def remote(self) -> str:
        return self._raw.remote

    @property
    def pending(self) -> int:
        return self._raw.pending

    @property
    def taken(self) -> int:
        return self._raw.taken

    async def shake_hands(self) -> None:
        """Finish the handshake. Raises Unreachable for a bad certificate, else Disconnected."""
        most = HANDSHAKE_BYTES
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send()
            except ssl.SSLCertVerificationError as error:
                self._send()
                raise Unreachable(
                    f"{self.remote} has no certificate that this machine trusts: {error.verify_message}"
                ) from error
            except ssl.SSLError as error:
                self._send()
                raise self._lost(error) from error
            else:
                self._send()
                return
            if not most:
                raise Disconnected(f"connection with {self.remote} refused: its TLS handshake is too long")
            data = await self._raw.receive(most)
            if not data:
                raise Disconnected(f"connection with {self.remote} lost: it closed in the TLS handshake")
            most -= len(data)
            self._incoming.write(data)

    async def receive(self, most: int = RECEIVE_BYTES) -> bytes:
        if self._incoming.pending or self._tls.pending():
            await trio.lowlevel.checkpoint()
        while (data := self._open(most)) is None:
            sealed = await self._raw.receive()
            if not sealed:
                raise Disconnected(f"connection with {self.remote} lost: it was cut off")
            self._incoming.write(sealed)
        return data

    def send_nowait(self, data: bytes) -> None:
        if self._is_closed:
            raise Disconnected(f"connection with {self.remote} was closed at this end")
        if not data:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise self._lost(error) from error
        self._send()

    async def flush(self) -> None:
        await self._raw.flush()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(ssl.SSLError):  # it wants the answer, for which nobody waits
            self._tls.unwrap()
        try:
            self._send()
        except Disconnected:
            pass  # the other end was faster
        finally:
            await self._raw.aclose()

    def abort(self) -> None:
        """Close at once, with no farewell."""
        self._is_closed = True
        self._raw.abort()

    def _send(self) -> None:
        self._raw.send_nowait(self._outgoing.read())

    def _open(self, most: int) -> bytes | None:
        """Decrypt at most so many bytes of what came; b"" at the end, None when there are none."""
        opened: list[bytes] = []
        try:
            while most:
                data = self._tls.read(min(most, RECORD))
                if not data:
                    break
                opened.append(data)
                most -= len(data)
            return b"".join(opened)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            return b"".join(opened)
        except ssl.SSLError as error:
            raise self._lost(error) from error
        self._chatter = 0 if opened else self._chatter + self._outgoing.pending
        if self._chatter > CHATTER:
            raise Disconnected(f"connection with {self.remote} refused: it sent TLS records without data")
        self._send()
        return b"".join(opened) if opened else None

    def _lost(self, error: ssl.SSLError) -> Disconnected:
        return Disconnected(f"connection with {self.remote} lost: TLS: {error.reason or error}")


async def start_tls(raw: SocketConduit, host: str) -> TlsClient:
    """Open TLS to the server of ``host``; ``raw`` stays the caller's until this returns."""
    # The system's own authorities, as every program of this machine trusts them.
    context = ssl.create_default_context()
    context.options |= ssl.OP_NO_RENEGOTIATION
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = TlsClient(raw, context.wrap_bio(incoming, outgoing, server_hostname=host), incoming, outgoing)
    await client.shake_hands()
    return client
