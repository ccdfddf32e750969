"""What the netlayer tls proves, and whom it turns away."""

from __future__ import annotations

import datetime as dt
import os
import select
import shutil
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from subprocess import PIPE, STDOUT

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from captp.errors import Disconnected, RemoteProtocolError, Unreachable, UsageError, WrongPeer
from captp.limits import Limits
from captp.model.keys import PrivateKey, PublicKey
from captp.model.locator import PeerLocator
from captp.net._tls_identity import certificate_of, key_of
from captp.net.base import Conduit
from captp.net.tls import TlsNetlayer, TlsPort

ANN, BOB, EVE = (PrivateKey.from_seed(letter * 32) for letter in (b"a", b"b", b"e"))
PEM = serialization.Encoding.PEM
LOOPBACK = "127.0.0.1"


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


async def test_a_client_of_the_standard_library_with_an_ed25519_key_gets_in(tmp_path: Path) -> None:
    async with serving(ANN) as served:
        assert await attempt(served, client_context(tmp_path, EVE)) == "answered"

        assert [conduit.proved for conduit in served.accepted] == [EVE.public.raw]


async def test_each_of_several_vats_behind_one_port_is_reached_by_its_name() -> None:
    async with serving(ANN, BOB) as served:
        for key in (ANN, BOB):
            conduit = await TlsNetlayer(EVE).dial(served.locator(key))
            assert await says(conduit, b"hi") == b"hi"
            assert conduit.proved == key.public.raw
            await conduit.aclose()

        locals_ = [conduit.local for conduit in served.accepted]
        assert locals_ == [ANN.public.designator, BOB.public.designator]


async def test_a_vat_may_join_and_leave_a_port_that_is_served() -> None:
    async with serving(ANN) as served:
        with pytest.raises(Unreachable, match="may not host that vat"):
            await TlsNetlayer(EVE).dial(served.locator(BOB))

        served.port.add(BOB)
        conduit = await TlsNetlayer(EVE).dial(served.locator(BOB))
        served.port.remove(BOB.public.designator)

        assert await says(conduit, b"still up") == b"still up"
        with pytest.raises(Unreachable, match="may not host that vat"):
            await TlsNetlayer(EVE).dial(served.locator(BOB))
        await conduit.aclose()


async def test_two_connections_have_different_bindings() -> None:
    async with serving(ANN) as served:
        one = await TlsNetlayer(EVE).dial(served.locator(ANN))
        two = await TlsNetlayer(EVE).dial(served.locator(ANN))

        assert one.binding != two.binding
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.aclose)
            nursery.start_soon(two.aclose)


async def test_a_dialler_that_meets_another_key_says_who_was_there(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secret = Ed25519PrivateKey.from_private_bytes(EVE.seed())
    load(context, tmp_path, certificate_of(EVE), secret)

    async def impostor(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_ssl_over_tcp, impostor, 0, context, host=LOOPBACK)
            )
            port = listeners[0].transport_listener.socket.getsockname()[1]
            hints = {"host": LOOPBACK, "port": str(port)}
            locator = PeerLocator.make("tls", ANN.public.designator, hints)

            with pytest.raises(WrongPeer) as caught:
                await TlsNetlayer(BOB).dial(locator)

            ann, eve = (key.public.designator[:8] for key in (ANN, EVE))
            assert str(caught.value) == (
                f"somebody else answered at 127.0.0.1:{port}: expected {ann}…, got {eve}…;"
                " check the sturdyref or ask its owner for a new one"
            )
            nursery.cancel_scope.cancel()


async def test_a_dialler_that_meets_another_kind_of_key_calls_it_the_wrong_peer(
    tmp_path: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secret = ec.generate_private_key(ec.SECP256R1())
    load(context, tmp_path, certificate(secret.public_key(), secret), secret)

    async def impostor(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_ssl_over_tcp, impostor, 0, context, host=LOOPBACK)
            )
            port = listeners[0].transport_listener.socket.getsockname()[1]
            hints = {"host": LOOPBACK, "port": str(port)}

            with pytest.raises(WrongPeer, match="not Ed25519"):
                await TlsNetlayer(BOB).dial(PeerLocator.make("tls", ANN.public.designator, hints))
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", [None, EVE], ids=["missing", "unknown"])
async def test_a_server_name_that_is_missing_or_unknown_closes(
    tmp_path: Path, name: PrivateKey | None
) -> None:
    async with serving(ANN, BOB) as served:
        assert await attempt(served, client_context(tmp_path, EVE), name) == "closed"

        assert served.accepted == []


async def test_a_client_without_a_certificate_is_closed(tmp_path: Path) -> None:
    async with serving(ANN) as served:
        assert await attempt(served, client_context(tmp_path, None)) == "closed"

        assert served.accepted == []


async def test_a_client_that_speaks_only_tls_1_2_is_closed(tmp_path: Path) -> None:
    context = client_context(tmp_path, EVE)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    async with serving(ANN) as served:
        assert await attempt(served, context) == "closed"

        assert served.accepted == []


@pytest.mark.parametrize("kind", ["rsa", "p-256"])
async def test_a_certificate_of_another_kind_of_key_is_closed(tmp_path: Path, kind: str) -> None:
    context = client_context(tmp_path, None)
    secret: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if kind == "rsa":
        secret = rsa.generate_private_key(65537, 2048)
    else:
        secret = ec.generate_private_key(ec.SECP256R1())
    load(context, tmp_path, certificate(secret.public_key(), secret), secret)

    async with serving(ANN) as served:
        assert await attempt(served, context) == "closed"

        assert served.accepted == []


@pytest.mark.parametrize("extra", [1, 49])
async def test_a_chain_of_more_than_one_certificate_is_closed(tmp_path: Path, extra: int) -> None:
    context = client_context(tmp_path, None)
    secret = Ed25519PrivateKey.from_private_bytes(EVE.seed())
    rest = certificate_of(EVE).public_bytes(PEM) * extra
    load(context, tmp_path, certificate_of(EVE), secret, rest)

    async with serving(ANN) as served:
        assert await attempt(served, context) == "closed"

        assert served.accepted == []


@pytest.mark.parametrize(
    ("padding", "outcome"), [(2_000, "answered"), (12_000, "closed"), (64_000, "closed")]
)
async def test_a_handshake_of_more_bytes_than_the_limit_is_closed(
    tmp_path: Path, padding: int, outcome: str
) -> None:
    context = client_context(tmp_path, None)
    secret = Ed25519PrivateKey.from_private_bytes(EVE.seed())
    load(context, tmp_path, certificate(secret.public_key(), secret, padding), secret)

    async with serving(ANN) as served:
        assert await attempt(served, context) == outcome

        assert len(served.accepted) == (outcome == "answered")


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"<10'op:start-session",
        b"\x16\x03\x01\xff\xff" + bytes(100),
        b"\x16\x03\x01\x00\x04nope",
    ],
    ids=["http", "syrup", "long record", "no client hello"],
)
async def test_what_is_not_tls_is_closed(first: bytes) -> None:
    async with serving(ANN) as served:
        stream = await trio.open_tcp_stream(LOOPBACK, served.number)
        await stream.send_all(first)

        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass  # the alert

        await stream.aclose()
        assert served.accepted == []


async def test_a_port_outlives_mutilated_handshakes(capfd: pytest.CaptureFixture[str]) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    random = Random(seed)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=ANN.public.designator)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()

    async def send(data: bytes) -> None:
        stream = await trio.open_tcp_stream(LOOPBACK, served.number)
        with suppress(trio.BrokenResourceError):
            await stream.send_all(data)
            await stream.send_eof()
            while await stream.receive_some():
                pass  # what it answers before it sees the end
        await stream.aclose()

    async with serving(ANN) as served:
        for _ in range(30):
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    data = bytearray(hello)
                    for _ in range(random.randint(0, 3)):
                        data[random.randrange(len(data))] = random.randrange(256)
                    nursery.start_soon(send, bytes(data[: random.randint(1, 2 * len(data))]))

        conduit = await TlsNetlayer(EVE).dial(served.locator(ANN))
        assert await says(conduit, b"well") == b"well"
        await conduit.aclose()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (bytes([1]) + bytes(31), "small order"),
        (bytes(32), "small order"),
        (b"\xee" + b"\xff" * 30 + b"\x7f", "not canonical"),
    ],
    ids=["order 1", "order 4", "p + 1"],
)
def test_a_key_that_verifies_what_nobody_signed_is_no_key(raw: bytes, why: str) -> None:
    public = Ed25519PublicKey.from_public_bytes(raw)
    hostile = certificate(public, Ed25519PrivateKey.generate())

    with pytest.raises(RemoteProtocolError, match=why):
        key_of(hostile)


def test_a_key_has_one_certificate_for_ever() -> None:
    assert certificate_of(ANN) == certificate_of(ANN)
    assert key_of(certificate_of(ANN)) == PublicKey.parse(ANN.public.raw)


async def test_a_session_is_never_resumed(tmp_path: Path) -> None:
    context = client_context(tmp_path, EVE)
    name = ANN.public.designator

    def two_visits(port: int) -> list[bool | None]:
        reused, session = [], None
        for _ in range(2):
            with (
                socket.create_connection((LOOPBACK, port), 5) as plain,
                context.wrap_socket(plain, server_hostname=name, session=session) as sock,
            ):
                sock.sendall(b"hello")
                assert sock.recv(100) == b"hello"
                reused.append(sock.session_reused)
                session = sock.session
        return reused

    async with serving(ANN) as served:
        assert await trio.to_thread.run_sync(two_visits, served.number) == [False, False]


@pytest.mark.parametrize("is_polite", [True, False])
async def test_only_a_tls_goodbye_is_an_end(tmp_path: Path, is_polite: bool) -> None:
    context = client_context(tmp_path, EVE)

    def visit(port: int) -> None:
        with socket.create_connection((LOOPBACK, port), 5) as plain:
            sock = context.wrap_socket(plain, server_hostname=ANN.public.designator)
            sock.sendall(b"hello")
            assert sock.recv(100) == b"hello"
            if is_polite:
                sock.unwrap()
            sock.close()

    async with serving(ANN) as served:
        await trio.to_thread.run_sync(visit, served.number)
        while not served.ends:
            await trio.testing.wait_all_tasks_blocked()

        if is_polite:
            assert served.ends == ["end"]
        else:
            assert "it was cut off" in served.ends[0]


async def test_a_changed_byte_breaks_the_connection() -> None:
    async def meddle(source: trio.SocketStream, sink: trio.SocketStream, marker: int) -> None:
        seen = 0
        async for data in source:
            seen += len(data)
            await sink.send_all(data[:-1] + bytes([data[-1] ^ 1]) if seen > marker else data)

    async def relay(client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream(LOOPBACK, served.number)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(meddle, client, server, 4_000)
            nursery.start_soon(meddle, server, client, 1_000_000)

    async with serving(ANN) as served, trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, relay, 0, host=LOOPBACK))
        port = listeners[0].socket.getsockname()[1]
        hints = {"host": LOOPBACK, "port": str(port)}
        conduit = await TlsNetlayer(EVE).dial(PeerLocator.make("tls", ANN.public.designator, hints))
        assert await says(conduit, b"fine") == b"fine"

        conduit.send_nowait(b"x" * 5_000)
        with pytest.raises(Disconnected, match=r"TLS: .*alert bad record mac"):
            await conduit.receive()

        assert "decryption failed or bad record mac" in served.ends[0]
        await conduit.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
@pytest.mark.parametrize(("updates", "outcome"), [(32, "answered"), (33, "closed")])
async def test_a_flood_of_key_updates_is_closed(tmp_path: Path, updates: int, outcome: str) -> None:
    client_context(tmp_path, EVE)
    async with serving(ANN) as served:
        command = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{served.number}"]
        command += ["-servername", ANN.public.designator, "-cert", str(tmp_path / "client.pem")]
        process = await trio.lowlevel.open_process(command, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        async def wait_for(text: bytes) -> None:
            seen = b""
            while text not in seen:
                data = await stdout.receive_some()
                assert data, seen
                seen += data

        for _ in range(updates):
            await stdin.send_all(b"K\n")
            await wait_for(b"KEYUPDATE")
        if outcome == "answered":
            await stdin.send_all(b"hello\n")
            await wait_for(b"hello")
        else:
            while not served.ends:
                await trio.testing.wait_all_tasks_blocked()
            assert "33 TLS records in a row without data" in served.ends[0]

        process.terminate()
        await process.wait()
        await stdin.aclose()
        await stdout.aclose()


def silent(port: int, source: str = LOOPBACK) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), 5, (source, 0))


def are_open(socks: list[socket.socket]) -> bool:
    return not select.select(socks, [], [], 0)[0]


async def is_closed(sock: socket.socket) -> bool:
    await trio.lowlevel.wait_readable(sock)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


async def test_the_17th_half_open_connection_of_one_address_is_closed(tmp_path: Path) -> None:
    most = Limits().handshake_pending_per_addr
    assert most == 16
    context = client_context(tmp_path, EVE)

    async with serving(ANN) as served:
        waiting = [silent(served.number) for _ in range(most)]
        with silent(served.number) as one_more:
            assert await is_closed(one_more)
        assert are_open(waiting)
        assert await attempt(served, context, source="127.0.0.2") == "answered"

        waiting.pop().close()
        while await attempt(served, context) != "answered":
            pass
        for sock in waiting:
            sock.close()


async def test_connections_that_are_proved_do_not_count_as_half_open() -> None:
    async with serving(ANN, limits=Limits(handshake_pending_per_addr=1)) as served:
        conduits = [await TlsNetlayer(EVE).dial(served.locator(ANN)) for _ in range(1)]
        assert await says(conduits[0], b"up") == b"up"

        conduits.append(await TlsNetlayer(EVE).dial(served.locator(ANN)))

        assert await says(conduits[1], b"up") == b"up"
        async with trio.open_nursery() as nursery:
            for conduit in conduits:
                nursery.start_soon(conduit.aclose)


async def test_one_half_open_connection_too_many_costs_the_oldest_its_place() -> None:
    async with serving(ANN, limits=Limits(handshake_pending=3)) as served:
        first, *others = [silent(served.number) for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked()
        assert are_open([first, *others])

        others.append(silent(served.number))

        assert await is_closed(first)
        assert are_open(others)
        for sock in (first, *others):
            sock.close()


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "one byte at a time"])
async def test_a_handshake_that_takes_too_long_is_closed(drips: bool) -> None:
    limit = 0.4

    async def drip(sock: socket.socket) -> None:
        for byte in struct.pack("!BHH", 22, 0x0301, 500) + bytes(500):
            sock.send(bytes([byte]))
            await trio.sleep(limit / 20)

    async with serving(ANN, limits=Limits(handshake_timeout_s=limit)) as served:
        before = trio.current_time()
        with silent(served.number) as sock:
            async with trio.open_nursery() as nursery:
                if drips:
                    nursery.start_soon(drip, sock)
                assert await is_closed(sock)
                nursery.cancel_scope.cancel()

        assert trio.current_time() - before >= limit - 0.05


async def test_a_server_that_does_not_answer_is_unreachable() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener, trio.fail_after(10):
        hints = {"host": LOOPBACK, "port": str(listener.getsockname()[1])}
        locator = PeerLocator.make("tls", ANN.public.designator, hints)

        with pytest.raises(Unreachable, match=r"did not finish the TLS handshake within 0\.2 s"):
            await TlsNetlayer(EVE, limits=Limits(handshake_timeout_s=0.2)).dial(locator)


async def test_a_designator_that_is_no_key_is_unreachable() -> None:
    locator = PeerLocator.make("tls", "nobody", {"host": LOOPBACK, "port": "1"})

    with pytest.raises(Unreachable, match="designator is no key"):
        await TlsNetlayer(EVE).dial(locator)


async def test_a_port_is_served_once() -> None:
    async with serving(ANN) as served:
        with pytest.raises(UsageError, match=r"conduit\.local"):
            await TlsNetlayer(BOB, served.port).serve(served.echo)


async def test_a_netlayer_without_a_port_does_not_serve() -> None:
    async def accept(conduit: Conduit) -> None:
        await conduit.receive()

    assert TlsNetlayer(ANN).hints() == {}
    with pytest.raises(UsageError, match="give it a TlsPort"):
        await TlsNetlayer(ANN).serve(accept)


async def test_a_public_host_goes_into_the_hints() -> None:
    async def accept(conduit: Conduit) -> None:
        await conduit.receive()

    netlayer = TlsNetlayer(ANN, TlsPort(public_host="vats.example.org"))
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: netlayer.serve(accept, task_status=task_status))
            assert netlayer.hints()["host"] == "vats.example.org"
            nursery.cancel_scope.cancel()
