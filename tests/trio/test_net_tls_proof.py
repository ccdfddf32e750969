"""Which keys the netlayer tls proves, and which certificates and names it takes for no proof."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from captp.errors import RemoteProtocolError, Unreachable, WrongPeer
from captp.model.keys import PrivateKey, PublicKey
from captp.model.locator import PeerLocator
from captp.net._tls_identity import certificate_of, key_of
from captp.net.tls import TlsNetlayer
from tests.trio.tls_peers import (
    ANN,
    BOB,
    EVE,
    LOOPBACK,
    PEM,
    attempt,
    certificate,
    client_context,
    impostor,
    load,
    locator_of,
    serving,
)


async def test_a_client_of_the_standard_library_with_an_ed25519_key_gets_in(tmp_path: Path) -> None:
    async with serving(ANN) as served:
        assert await attempt(served, client_context(tmp_path, EVE)) == "answered"

        assert [conduit.proved for conduit in served.accepted] == [EVE.public.raw]


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

    async with impostor(context) as port:
        with pytest.raises(WrongPeer) as caught:
            await TlsNetlayer(BOB).dial(locator_of(ANN, port))

    ann, eve = (key.public.designator[:8] for key in (ANN, EVE))
    assert str(caught.value) == (
        f"somebody else answered at 127.0.0.1:{port}: expected {ann}…, got {eve}…;"
        " check the sturdyref or ask its owner for a new one"
    )


async def test_a_dialler_that_meets_another_kind_of_key_calls_it_the_wrong_peer(
    tmp_path: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secret = ec.generate_private_key(ec.SECP256R1())
    load(context, tmp_path, certificate(secret.public_key(), secret), secret)

    async with impostor(context) as port:
        with pytest.raises(WrongPeer, match="not Ed25519"):
            await TlsNetlayer(BOB).dial(locator_of(ANN, port))


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


async def test_a_designator_that_is_no_key_is_unreachable() -> None:
    locator = PeerLocator.make("tls", "nobody", {"host": LOOPBACK, "port": "1"})

    with pytest.raises(Unreachable, match="designator is no key"):
        await TlsNetlayer(EVE).dial(locator)
