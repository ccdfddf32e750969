"""A raw connection to the node: a TCP socket, or TLS over one; it can be cut, reset and dripped into."""

from __future__ import annotations

import socket
import struct

import trio
from OpenSSL import SSL

from captp.model.keys import PrivateKey
from captp.net._tls_identity import context_of
from captp.net._tls_stream import BINDING_BYTES, BINDING_LABEL

LOOPBACK = "127.0.0.1"


async def connect(port: int, source: str = LOOPBACK) -> trio.socket.SocketType:
    """Open a TCP connection to the node, from an address of this machine."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await sock.bind((source, 0))
    await sock.connect((LOOPBACK, port))
    return sock


class Wire:
    """Bytes to and from the node; what comes after its end reads as nothing."""

    def __init__(self, sock: trio.socket.SocketType, tls: SSL.Connection | None = None) -> None:
        self.sock = sock
        self.tls = tls
        self.binding = b""

    async def shake_hands(self) -> None:
        """Run the TLS handshake; raises SSL.Error when the node refuses it before this side is done."""
        assert self.tls is not None
        while True:
            try:
                self.tls.do_handshake()
                break
            except SSL.WantReadError:
                await self._push()
                data = await self.sock.recv(65536)
                if not data:
                    raise SSL.Error([("", "", "closed in the handshake")]) from None
                self.tls.bio_write(data)
        await self._push()
        self.binding = self.tls.export_keying_material(BINDING_LABEL, BINDING_BYTES)

    async def _push(self) -> None:
        assert self.tls is not None
        while True:
            try:
                sealed = self.tls.bio_read(65536)
            except SSL.WantReadError:
                return
            await self._send(sealed)

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[await self.sock.send(view) :]

    async def send(self, data: bytes) -> bool:
        """Send everything; False when the node has closed meanwhile."""
        try:
            if self.tls is None:
                await self._send(data)
            else:
                for start in range(0, len(data), 16384):
                    self.tls.sendall(data[start : start + 16384])
                    await self._push()
        except OSError:
            return False
        return True

    async def drip(self, data: bytes, pause: float) -> None:
        """Send byte by byte until the node closes."""
        for byte in data:
            if not await self.send(bytes([byte])):
                return
            await trio.sleep(pause)

    async def receive(self, most: int = 65536) -> bytes:
        """Return what came, b"" at the end, however the end was made."""
        while True:
            if self.tls is not None:
                try:
                    return bytes(self.tls.recv(most))
                except SSL.WantReadError:
                    pass
                except SSL.Error:
                    return b""
            try:
                data = await self.sock.recv(most)
            except OSError:
                return b""
            if self.tls is None or not data:
                return data
            self.tls.bio_write(data)

    def half_close(self) -> None:
        """Send FIN, and no TLS goodbye."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


async def greet(sock: trio.socket.SocketType, netlayer: str, designator: str, key: PrivateKey) -> Wire:
    """Do what a netlayer does once it is connected; ``key`` proves who dials where that is proved."""
    if netlayer != "tls":
        return Wire(sock)
    tls = SSL.Connection(context_of(key))
    tls.set_tlsext_host_name(designator.encode())
    tls.set_connect_state()
    wire = Wire(sock, tls)
    await wire.shake_hands()
    return wire
