"""The netlayer tcp-testing-only, and what all TCP listeners share."""

from __future__ import annotations

import os
import resource
import socket

import pytest
import trio

from captp.errors import Disconnected, Unreachable, UsageError
from captp.limits import Limits
from captp.model.locator import PeerLocator
from captp.net import _sockets
from captp.net._sockets import port_holder
from captp.net.base import Conduit, Netlayer
from captp.net.tcp import TcpNetlayer
from tests.trio.netlayers import pair

LOOPBACK = "127.0.0.1"


def locator(**hints: str) -> PeerLocator:
    return PeerLocator.make("tcp-testing-only", "bob", hints)


async def echo(conduit: Conduit) -> None:
    while data := await conduit.receive():
        conduit.send_nowait(data)
        await conduit.flush()


async def start(nursery: trio.Nursery, server: Netlayer) -> PeerLocator:
    await nursery.start(lambda *, task_status: server.serve(echo, task_status=task_status))
    return locator(**server.hints())


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "::ffff:192.0.2.1"])
async def test_it_neither_serves_nor_dials_beyond_loopback(host: str) -> None:
    with pytest.raises(UsageError, match=r"is not loopback; use the netlayer tls.*insecure=True"):
        await TcpNetlayer(host).serve(echo)
    with pytest.raises(Unreachable, match=r"is not loopback; use the netlayer tls.*insecure=True"):
        await TcpNetlayer().dial(locator(host=host, port="4711"))


async def test_it_serves_all_addresses_when_told_that_it_is_insecure() -> None:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            server = TcpNetlayer("0.0.0.0", insecure=True)
            here = await start(nursery, server)
            assert here.hint("host") not in ("", "0.0.0.0", "::")

            conduit = await TcpNetlayer().dial(locator(host=LOOPBACK, port=server.hints()["port"]))
            conduit.send_nowait(b"hi")

            assert await conduit.receive() == b"hi"
            await conduit.aclose()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
async def test_other_names_of_loopback_will_do(host: str) -> None:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            conduit = await TcpNetlayer().dial(await start(nursery, TcpNetlayer(host)))
            conduit.send_nowait(b"hi")

            assert await conduit.receive() == b"hi"
            await conduit.aclose()
            nursery.cancel_scope.cancel()


async def test_a_port_in_use_names_its_holder() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(UsageError) as caught:
            await TcpNetlayer(LOOPBACK, port).serve(echo)

    text = str(caught.value)
    assert text.startswith(f"cannot listen at 127.0.0.1:{port}: port {port} is in use by ")
    assert f"(pid {os.getpid()})" in text
    assert text.endswith("; stop that, or choose another port")


def test_a_port_that_nobody_holds_has_no_holder() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]

    assert port_holder(port) == ""


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("no-such-host.invalid", 0, "no such host"),
        (LOOPBACK, 65536, "expected a port from 0 to 65535"),
        (LOOPBACK, -1, "expected a port from 0 to 65535"),
        ("192.0.2.1", 0, "this machine does not have that address"),
    ],
)
async def test_a_place_where_nobody_can_listen_is_refused(host: str, port: int, text: str) -> None:
    with trio.fail_after(10), pytest.raises(UsageError, match=text):
        await TcpNetlayer(host, port, insecure=True).serve(echo)


@pytest.mark.parametrize(
    ("hints", "text"),
    [
        ({}, r"does not say where it is; expected hints, as in \?host="),
        ({"host": LOOPBACK}, "does not say where it is"),
        ({"host": LOOPBACK, "port": "0"}, "hint port: expected a number from 1 to 65535, got '0'"),
        ({"host": LOOPBACK, "port": "65536"}, "hint port: expected a number"),
        ({"host": LOOPBACK, "port": "²"}, "hint port: expected a number"),
        ({"host": LOOPBACK, "port": "1" * 99}, "hint port: expected a number"),
        ({"host": "no-such-host.invalid", "port": "1"}, "host 'no-such-host.invalid' is not known"),
        ({"host": "a" * 300, "port": "1"}, "is not known; check the spelling"),
        ({"host": "a..b", "port": "1"}, "is not known; check the spelling"),
        ({"host": "nul\0", "port": "1"}, "is not known; check the spelling"),
    ],
)
async def test_a_locator_that_leads_nowhere_is_unreachable(hints: dict[str, str], text: str) -> None:
    with trio.fail_after(10), pytest.raises(Unreachable, match=text):
        await TcpNetlayer().dial(locator(**hints))


async def test_a_place_where_nobody_listens_names_the_next_step() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(Unreachable) as caught:
        await TcpNetlayer().dial(locator(host=LOOPBACK, port=str(port)))

    assert str(caught.value) == (
        f"nobody listens at 127.0.0.1:{port}; is the daemon running there? (captpd status)"
    )


async def test_a_host_that_swallows_packets_is_unreachable_in_time() -> None:
    # A listener whose backlog is full drops the next connection's packets, as a firewall would.
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        netlayer = TcpNetlayer(limits=Limits(handshake_timeout_s=0.3))

        with pytest.raises(Unreachable, match=r"no answer from 127\.0\.0\.1:\d+ within 0\.3 s"):
            await netlayer.dial(locator(host=LOOPBACK, port=str(listener.getsockname()[1])))

        for sock in waiting:
            sock.close()


@pytest.mark.parametrize("kind", ["tcp-testing-only", "tls", "websocket"])
async def test_the_kernel_gives_a_peer_that_acknowledges_nothing_30_seconds(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned: list[socket.socket] = []
    tune = _sockets.tune_tcp

    def note(sock: socket.socket) -> None:
        tune(sock)
        tuned.append(sock)

    monkeypatch.setattr(_sockets, "tune_tcp", note)
    async with pair(kind):
        found = [
            (
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            )
            for sock in tuned
        ]

    # The dialler's and the acceptor's.
    assert found == [(30_000, 1)] * 2


async def test_a_reset_is_a_disconnect() -> None:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            server = await trio.open_tcp_listeners(0, host=LOOPBACK)
            port = server[0].socket.getsockname()[1]
            conduit = await TcpNetlayer().dial(locator(host=LOOPBACK, port=str(port)))
            peer = await server[0].accept()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.socket.close()

            with pytest.raises(Disconnected, match="the other end dropped the connection"):
                await conduit.receive()

            await conduit.aclose()
            await server[0].aclose()
            nursery.cancel_scope.cancel()


async def test_a_reset_right_after_the_connect_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = trio.open_tcp_stream

    async def connect_and_reset(host: str, port: int) -> trio.SocketStream:
        stream = await connect(host, port)
        opened.append(stream.socket.fileno())
        peer = await server.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.socket.close()
        return stream

    opened: list[int] = []
    monkeypatch.setattr(trio, "open_tcp_stream", connect_and_reset)
    (server,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
    async with server:
        port = server.socket.getsockname()[1]
        wanted = f"cannot reach 127.0.0.1:{port}"
        with trio.fail_after(5), pytest.raises(Unreachable, match=wanted) as caught:
            await TcpNetlayer().dial(locator(host=LOOPBACK, port=str(port)))

        # The traceback keeps what was not closed.
        assert caught.tb is not None
        (descriptor,) = opened
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.usefixtures("unwatched")
async def test_no_file_descriptors_left_pauses_accepting_and_it_comes_back() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            where = await start(nursery, TcpNetlayer())
            before = await TcpNetlayer().dial(where)
            late = socket.socket()
            late.settimeout(5)
            spare = os.dup(0)
            highest = max(int(name) for name in os.listdir("/proc/self/fd"))
            fillers = [os.dup(0) for _ in range(highest + 1 - len(os.listdir("/proc/self/fd")))]
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
                while True:
                    try:
                        fillers.append(os.dup(0))
                    except OSError:
                        break

                late.connect((LOOPBACK, int(where.hint("port") or 0)))
                late.sendall(b"late")
                before.send_nowait(b"still served")
                assert await before.receive() == b"still served"
                late.setblocking(False)
                with pytest.raises(BlockingIOError):
                    late.recv(4)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for fd in (spare, *fillers):
                    os.close(fd)

            await trio.lowlevel.wait_readable(late)
            assert late.recv(4) == b"late"
            late.close()
            await before.aclose()
            nursery.cancel_scope.cancel()
