"""Connections that never come to a hello: silent, slow, of another protocol, or with a proof that is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from captp.limits import Limits
from captp.model.keys import PrivateKey, parse_designator
from tests.hostile.node import Hostile
from tests.hostile.rows import Row, cases, check, does
from tests.hostile.tls13 import ALERT, DATA, HANDSHAKE, Client, Sign, certificate_of
from tests.hostile.wire import Wire, connect

IDENTITY = bytes([1]) + bytes(31)
IDENTITY_AGAIN = bytes([0xEE]) + bytes([0xFF]) * 30 + bytes([0x7F])
SHORT = Limits(handshake_timeout_s=0.4)
FEW = Limits(sessions=24)
NATIVE, TLS, TCP = ("native",), ("tls",), ("tcp-testing-only",)
HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def is_refused(wire: Wire) -> None:
    """Read to the end: nothing came but TLS's own alert, if that."""
    said = b""
    with trio.fail_after(5):
        while data := await wire.receive():
            said += data
    while said:
        assert said[0] in (ALERT, HANDSHAKE, 20, DATA), f"the node said {said[:60]!r}"
        said = said[5 + int.from_bytes(said[3:5], "big") :]


def sends(identity: str, first: bytes, **more: Any) -> Row:
    """Make a row of bytes on a bare connection."""

    async def script(hostile: Hostile) -> None:
        await hostile.wire.send(first)
        if hostile.node.netlayer == "tls":
            await is_refused(hostile.wire)

    return does(identity, "C", bare=True, opens=False, codecs=NATIVE, **more)(script)


def client(identity: str, make: Callable[[SSL.Context], None]) -> Row:
    """Make a row of an OpenSSL client that is not as it should be."""

    @does(identity, "C", bare=True, alone=True, codecs=NATIVE, netlayers=TLS)
    async def script(hostile: Hostile) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        make(context)
        tls = SSL.Connection(context)
        tls.set_tlsext_host_name(hostile.node.vat.designator.encode())
        tls.set_connect_state()
        wire = Wire(hostile.wire.sock, tls)
        try:
            await wire.shake_hands()
            await wire.send(hostile.hello())
        except (SSL.Error, OSError):
            return
        with trio.fail_after(5):
            assert not await wire.receive(), "the node said something"

    return script


def by_hand(identity: str, prove: Callable[[Hostile], tuple[list[bytes], Sign | None]]) -> Row:
    """Make a row of a handshake with certificates and a proof that no TLS library would send."""

    @does(identity, "C", bare=True, alone=True, codecs=NATIVE, netlayers=TLS)
    async def script(hostile: Hostile) -> None:
        chain, sign = prove(hostile)
        its = Client(hostile.wire.sock, hostile.node.vat.designator)
        try:
            await its.shake_hands(chain, sign)
            await its.send(hostile.hello())
        except OSError:
            return
        with trio.fail_after(5):
            await its.listen()
        # Tickets may come before the key is looked at; no word of a session may.
        assert DATA not in its.kinds

    return script


def certified(key: Any, extra: int = 0, padding: int = 0) -> Callable[[SSL.Context], None]:
    """Use a certificate of a key of any kind, with others behind it, or one that is large."""

    def make(context: SSL.Context) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "captp")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(9999, 12, 31, tzinfo=UTC))
        )
        if padding:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.0.1"), bytes(padding))
            builder = builder.add_extension(unknown, critical=False)
        is_edwards = isinstance(key, ed25519.Ed25519PrivateKey)
        certificate = builder.sign(key, None if is_edwards else hashes.SHA256())
        context.use_certificate(certificate)
        context.use_privatekey(key)
        for _ in range(extra):
            context.add_extra_chain_cert(certificate)

    return make


def tls_1_2(context: SSL.Context) -> None:
    context.set_max_proto_version(SSL.TLS1_2_VERSION)


def fresh() -> PrivateKey:
    return PrivateKey.from_seed(os.urandom(32))


def somebody_elses(hostile: Hostile) -> tuple[list[bytes], Sign]:
    """Present a caller's certificate, and prove one's own key."""
    (session, *_) = hostile.node.vat.view().sessions
    return [certificate_of(parse_designator(session.peer).raw)], fresh().sign


def weak(raw: bytes) -> Callable[[Hostile], tuple[list[bytes], Sign]]:
    # This one signature holds for every message under such a key.
    return lambda _hostile: ([certificate_of(raw)], lambda _data: IDENTITY + bytes(32))


def honest_but(count: int) -> Callable[[Hostile], tuple[list[bytes], Sign]]:
    def prove(_hostile: Hostile) -> tuple[list[bytes], Sign]:
        key = fresh()
        return [certificate_of(key.public.raw)] * count, key.sign

    return prove


ROWS = [
    sends("M3-http", HTTP),
    sends("ssh", b"SSH-2.0-OpenSSH_9.6\r\n"),
    sends("zeros", bytes(64)),
    sends("M4-preamble-in-plain", b"\xc1captp\x01\x00", netlayers=TLS),
    sends("M4-syrup-in-plain", b"<16'op:start-session", netlayers=TLS),
    sends("tls-to-the-plain-port", bytes.fromhex("16030100c8010000c40303") + bytes(193),
          netlayers=TCP),
    sends("a-tls-record-of-64-KiB", b"\x16\x03\x01\xff\xff" + bytes(100), netlayers=TLS),
    sends("another-preamble", b"\xc1captp\x02\x00" + bytes(40), netlayers=TCP),
    sends("a-preamble-that-turns", b"\xc1captain\x00", netlayers=TCP),
    client("M4-tls-1.2", tls_1_2),
    client("M5-rsa", certified(rsa.generate_private_key(65537, 2048))),
    client("M5-p-256", certified(ec.generate_private_key(ec.SECP256R1()))),
    by_hand("M6-small-order", weak(IDENTITY)),
    by_hand("M6-not-canonical", weak(IDENTITY_AGAIN)),
    by_hand("M6-zeros", weak(bytes(32))),
    by_hand("M7-somebody-elses", somebody_elses),
    by_hand("M8-none", lambda _: ([], None)),
    client("M8-none-by-openssl", lambda _: None),
    by_hand("no-proof", lambda h: (honest_but(1)(h)[0], None)),
    by_hand("M9-two", honest_but(2)),
    by_hand("M9-fifty", honest_but(50)),
    client("M9-fifty-by-openssl", certified(ed25519.Ed25519PrivateKey.generate(), extra=49)),
    client("M9-64-KiB", certified(ed25519.Ed25519PrivateKey.generate(), padding=60_000)),
]  # fmt: skip


@does("honest-by-hand", "C", bare=True, alone=True, codecs=NATIVE, netlayers=TLS, limits=SHORT)
async def honest(hostile: Hostile) -> None:
    """The client by hand is a good one: with a right proof it gets as far as a session's refusal."""
    key = fresh()
    its = Client(hostile.wire.sock, hostile.node.vat.designator)
    await its.shake_hands([certificate_of(key.public.raw)], key.sign)
    # It has no binding to sign.
    await its.send(hostile.hello(designator=key.public.designator))
    with trio.fail_after(5):
        await its.listen()
    assert DATA in its.kinds


@does("M1-silence", "C", opens=False, limits=SHORT, log="handshake-timeout", codecs=NATIVE)
async def silence(_hostile: Hostile) -> None:
    pass


@does("M1-silence-before-tls", "C", bare=True, limits=SHORT, codecs=NATIVE, netlayers=TLS)
async def bare_silence(_hostile: Hostile) -> None:
    pass


@does("M2-a-hello-that-drips", "C", opens=False, limits=SHORT, log="handshake-timeout")
async def drips(hostile: Hostile) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hostile.wire.drip, hostile.hello(), 0.02)
        await hostile.end()
        nursery.cancel_scope.cancel()


@does("M2-a-handshake-that-drips", "C", bare=True, alone=True, limits=SHORT, codecs=NATIVE, netlayers=TLS)
async def tls_drips(hostile: Hostile) -> None:
    await hostile.wire.drip(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400), 0.02)
    await is_refused(hostile.wire)


@does("a-preamble-and-an-end", "C", opens=False, codecs=NATIVE)
async def preamble_only(hostile: Hostile) -> None:
    await hostile.wire.send(hostile.says.preface)
    hostile.wire.half_close()


@does("half-a-hello-and-an-end", "C", opens=False)
async def half_a_hello(hostile: Hostile) -> None:
    await hostile.wire.send(hostile.hello()[:-20])
    hostile.wire.half_close()


@does("M10-many-of-one-address", "W", bare=True, alone=True, codecs=NATIVE, netlayers=("tls",))
async def half_open(hostile: Hostile) -> None:
    """Of 128 connections that say nothing 16 stay, and who comes from elsewhere gets in."""
    wires = [hostile.wire] + [Wire(await connect(hostile.node.port)) for _ in range(127)]
    closed = 0

    async def watch(wire: Wire) -> None:
        nonlocal closed
        if not await wire.receive():
            closed += 1

    async with trio.open_nursery() as nursery:
        for wire in wires:
            nursery.start_soon(watch, wire)
        try:
            with trio.move_on_after(hostile.patience):
                while closed < 112:
                    await trio.sleep(0.001)
            async with hostile.node.hostile("native", source="127.0.0.2") as newcomer:
                await newcomer.open()
                await newcomer.goodbye()
            assert closed == 112, f"{128 - closed} are half open"
        finally:
            nursery.cancel_scope.cancel()
            for wire in wires:
                wire.close()


@does("silent-peers-take-no-places", "W", alone=True, limits=FEW, codecs=NATIVE)
async def places(hostile: Hostile) -> None:
    """Peers with keys that were made for it, but no hello, do not keep others out."""
    async with AsyncExitStack() as stack:
        for _ in range(FEW.sessions):
            await stack.enter_async_context(hostile.node.hostile("native"))
        newcomer = await stack.enter_async_context(hostile.node.hostile("native", source="127.0.0.2"))
        await newcomer.open()
        await newcomer.goodbye()
    await hostile.goodbye()


ROWS += [
    honest, silence, bare_silence, drips, tls_drips, preamble_only, half_a_hello, half_open, places,
]  # fmt: skip


@cases(ROWS)
def test_a_stranger_is_closed_and_hears_nothing(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
