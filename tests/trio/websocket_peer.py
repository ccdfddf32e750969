"""Hand-made WebSocket peers, on wsproto or on bytes alone, and a vat's port for them to knock at."""

from __future__ import annotations

import datetime as dt
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
)

from captp.errors import Disconnected
from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.net.base import RECEIVE_BYTES, Conduit
from captp.net.websocket import WebsocketNetlayer
from captp.wire.canonical import sig_envelope
from captp.wire.syrup import Deframer

LOOPBACK = "127.0.0.1"
ANN, BOB, EVE = (PrivateKey.from_seed(letter * 32) for letter in (b"a", b"b", b"e"))
NONCE = b"n" * 32
CHALLENGE = b"<14'init:peer-auth32:" + NONCE + b">"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


async def read(conduit: Conduit, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await conduit.receive()
        assert more, data
        assert len(more) <= RECEIVE_BYTES
        data += more
    return data


def signed_by(key: PrivateKey, signed: bytes) -> bytes:
    return sig_envelope(signed, key.sign(signed))


def frame(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bool = True,
    length: int | None = None,
) -> bytes:
    """A frame to the byte; ``length`` is what it claims in eight bytes or fewer, true or not."""
    size = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    first = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        first += bytes([bit | size])
    elif size < 2**16:
        first += struct.pack("!BH", bit | 126, size)
    else:
        first += struct.pack("!BQ", bit | 127, size)
    if not mask:
        return first + payload
    key = b"\x01\x02\x03\x04"
    return first + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def head(port: int, size: int = 0) -> bytes:
    """The head of a request for a WebSocket; padded to ``size`` bytes if given."""
    text = (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    ).encode()
    padding = size - len(text) - len(b"X: \r\n\r\n")
    return text + (b"X: %b\r\n" % (b"x" * padding) if size else b"") + b"\r\n"


def locator_of(key: PrivateKey, port: int) -> PeerLocator:
    return PeerLocator.make("websocket", key.public.designator, {"url": f"ws://{LOOPBACK}:{port}/"})


class Stock:
    """A peer that knows WebSockets by wsproto, and sends raw bytes when asked to."""

    def __init__(self, stream: trio.abc.Stream, kind: ConnectionType) -> None:
        self.stream = stream
        self.ws = WSConnection(kind)
        self.events: list[Event] = []
        self.subprotocol: str | None = None
        self.offered: list[str] = []
        self.target = ""

    @classmethod
    async def answer(cls, stream: trio.abc.Stream) -> Stock:
        """Read a dialler's request."""
        self = cls(stream, ConnectionType.SERVER)
        request = await self.next(Request)
        self.offered, self.target = list(request.subprotocols), request.target
        return self

    async def accept(
        self, *, mutual: bool = False, change: Callable[[bytes], bytes] = lambda answer: answer
    ) -> None:
        accepted = self.ws.send(AcceptConnection(subprotocol="captp.mutual" if mutual else None))
        await self.stream.send_all(change(accepted))

    async def next(self, *kinds: type[Event]) -> Any:
        """Wait for an event of these kinds and drop others before it; EOFError at the end."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if isinstance(event, kinds):
                    return event
            data = await self.stream.receive_some()
            if not data:
                raise EOFError
            self.ws.receive_data(bytes(data))
            self.events += self.ws.events()

    async def raw(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def send(self, message: bytes) -> None:
        await self.raw(self.ws.send(BytesMessage(message)))

    async def hear(self) -> bytes:
        """Wait for a whole message."""
        message = b""
        while True:
            event = await self.next(BytesMessage, CloseConnection)
            if isinstance(event, CloseConnection):
                raise EOFError(event.reason)
            message += event.data
            if event.message_finished:
                return message

    async def control(self) -> tuple[int, bytes]:
        """Wait for a ping or a pong."""
        event = await self.next(Ping, Pong)
        return PING if isinstance(event, Ping) else PONG, bytes(event.payload)

    async def close_code(self) -> int:
        """Wait for a close frame."""
        return int((await self.next(CloseConnection)).code)


@asynccontextmanager
async def open_stock(port: int, *, mutual: bool = False) -> AsyncIterator[Stock]:
    """A dialler with the upgrade done."""
    async with await trio.open_tcp_stream(LOOPBACK, port) as stream:
        peer = Stock(stream, ConnectionType.CLIENT)
        subprotocols = ["soap", "captp.mutual"] if mutual else []
        request = Request(host=f"{LOOPBACK}:{port}", target="/", subprotocols=subprotocols)
        await stream.send_all(peer.ws.send(request))
        accepted = await peer.next(AcceptConnection)
        peer.subprotocol = accepted.subprotocol
        yield peer


@asynccontextmanager
async def acceptor(
    serve: Callable[[Stock], Awaitable[None]], *, is_asked: bool = False
) -> AsyncIterator[int]:
    """A listener whose peers run ``serve``, the upgrade done unless it ``is_asked`` to do that."""

    async def handle(stream: trio.SocketStream) -> None:
        peer = await Stock.answer(stream)
        if not is_asked:
            await peer.accept()
        with suppress(EOFError):
            await serve(peer)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host=LOOPBACK))
            yield listeners[0].socket.getsockname()[1]
            nursery.cancel_scope.cancel()


class Served:
    """A vat's port, and what it accepted."""

    def __init__(self, netlayer: WebsocketNetlayer, *, echoes: bool) -> None:
        self._netlayer = netlayer
        self._echoes = echoes
        self.accepted: list[Conduit] = []

    @property
    def port(self) -> int:
        return int(self._netlayer.hints()["url"].rpartition(":")[2].strip("/"))

    async def accept(self, conduit: Conduit) -> None:
        self.accepted.append(conduit)
        if not self._echoes:
            await trio.sleep_forever()
        # One send_nowait has whole messages only.
        messages = Deframer(Limits(), Limits().message_bytes)
        try:
            while data := await conduit.receive():
                for message in messages.feed(data):
                    conduit.send_nowait(b"%d:%b" % (len(message), message))
                await conduit.flush()
        except Disconnected:
            pass


@asynccontextmanager
async def serving(
    key: PrivateKey, *, limits: Limits | None = None, echoes: bool = True
) -> AsyncIterator[Served]:
    netlayer = WebsocketNetlayer(key, limits=limits or Limits())
    served = Served(netlayer, echoes=echoes)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: netlayer.serve(served.accept, task_status=task_status))
            yield served
            nursery.cancel_scope.cancel()


def self_signed(folder: Path) -> ssl.SSLContext:
    """A web server's settings for ``localhost``; its certificate is ``cert.pem`` in the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
