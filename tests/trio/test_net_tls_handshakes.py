"""How much the netlayer tls bears before a key is proved: bytes, time, and connections half open."""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from captp.errors import Unreachable
from captp.limits import Limits
from captp.net.tls import TlsNetlayer
from tests.trio.tls_peers import (
    ANN,
    EVE,
    LOOPBACK,
    attempt,
    certificate,
    client_context,
    load,
    locator_of,
    says,
    serving,
)


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
        locator = locator_of(ANN, listener.getsockname()[1])

        with pytest.raises(Unreachable, match=r"did not finish the TLS handshake within 0\.2 s"):
            await TlsNetlayer(EVE, limits=Limits(handshake_timeout_s=0.2)).dial(locator)
