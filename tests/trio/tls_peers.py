"""A vat's TLS port, and peers made with the standard library to knock at it or to answer in its place."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from captp.errors import Disconnected
from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.net._tls_identity import certificate_of
from captp.net.base import Conduit
from captp.net.tls import TlsPort

ANN, BOB, EVE = (PrivateKey.from_seed(letter * 32) for letter in (b"a", b"b", b"e"))
PEM = serialization.Encoding.PEM
LOOPBACK = "127.0.0.1"


def locator_of(key: PrivateKey, port: int) -> PeerLocator:
    return PeerLocator.make("tls", key.public.designator, {"host": LOOPBACK, "port": str(port)})


class Served:
    """A port that is served, and what it accepted."""

    def __init__(self, port: TlsPort) -> None:
        self.port = port
        self.accepted: list[Conduit] = []
        self.ends: list[str] = []

    def locator(self, key: PrivateKey) -> PeerLocator:
        return PeerLocator.make("tls", key.public.designator, self.port.hints())

    @property
    def number(self) -> int:
        return int(self.port.hints()["port"])

    async def echo(self, conduit: Conduit) -> None:
        self.accepted.append(conduit)
        try:
            while data := await conduit.receive():
                conduit.send_nowait(data)
            self.ends.append("end")
        except Disconnected as error:
            self.ends.append(str(error))


@asynccontextmanager
async def serving(*keys: PrivateKey, limits: Limits | None = None) -> AsyncIterator[Served]:
    port = TlsPort(LOOPBACK, limits=limits or Limits())
    for key in keys:
        port.add(key)
    served = Served(port)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: port.serve(served.echo, task_status=task_status))
            yield served
            nursery.cancel_scope.cancel()


async def says(conduit: Conduit, text: bytes) -> bytes:
    conduit.send_nowait(text)
    return await conduit.receive()


def client_context(folder: Path, key: PrivateKey | None) -> ssl.SSLContext:
    """The settings of a client made with the standard library."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if key is not None:
        load(context, folder, certificate_of(key), Ed25519PrivateKey.from_private_bytes(key.seed()))
    return context


def load(
    context: ssl.SSLContext,
    folder: Path,
    certificate: x509.Certificate,
    key: Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    rest: bytes = b"",
) -> None:
    path = folder / "client.pem"
    secret = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(PEM) + rest)
    context.load_cert_chain(path)


def certificate(
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey,
    signer: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey,
    padding: int = 0,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "captp")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(1)
        .not_valid_before(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(9999, 1, 1, tzinfo=dt.UTC))
    )
    if padding:
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, bytes(padding)), False)
    digest = None if isinstance(signer, Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, digest)


async def attempt(
    served: Served, context: ssl.SSLContext, key: PrivateKey | None = ANN, source: str = LOOPBACK
) -> str:
    """Connect with the standard library and say hello: ``answered``, or ``closed``."""
    return await trio.to_thread.run_sync(partial(_attempt, served.number, context, key, source))


def _attempt(port: int, context: ssl.SSLContext, key: PrivateKey | None, source: str) -> str:
    name = key.public.designator if key else None
    try:
        with (
            socket.create_connection((LOOPBACK, port), 5, (source, 0)) as plain,
            context.wrap_socket(plain, server_hostname=name) as sock,
        ):
            sock.sendall(b"hello")
            answer = sock.recv(100)
            with suppress(OSError):
                sock.unwrap()
            return "answered" if answer == b"hello" else "closed"
    except TimeoutError:
        return "timed out"
    except OSError:  # TLS alerts and resets alike
        return "closed"


@asynccontextmanager
async def impostor(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Give the port of a server made with the standard library, which listens until it is cut off."""

    async def handle(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_ssl_over_tcp, handle, 0, context, host=LOOPBACK)
            )
            yield listeners[0].transport_listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()
