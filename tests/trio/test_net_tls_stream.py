"""What ends a stream of the netlayer tls: a goodbye, a byte that was changed, a flood of key updates."""

from __future__ import annotations

import os
import shutil
import socket
from functools import partial
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
import trio

from captp.errors import Disconnected
from captp.net.tls import TlsNetlayer
from tests.trio.tls_peers import ANN, EVE, LOOPBACK, client_context, locator_of, says, serving


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
        conduit = await TlsNetlayer(EVE).dial(locator_of(ANN, port))
        assert await says(conduit, b"fine") == b"fine"

        conduit.send_nowait(b"x" * 5_000)
        with pytest.raises(Disconnected, match=r"TLS: .*alert bad record mac"):
            await conduit.receive()

        assert "decryption failed or bad record mac" in served.ends[0]
        await conduit.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(
    shutil.which("openssl") is None and "CI" not in os.environ, reason="needs the openssl command; CI has it"
)
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
