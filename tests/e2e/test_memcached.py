"""The memcached of the examples: over real sockets, before its own stores and a daemon's."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MemorySendStream, memory_stream_pair

import captp
from captp.cli.share import write_cap
from captp.examples.memcached import front
from captp.examples.memcached.answers import AWAY, FULL, MANY, NO_NUMBER
from captp.examples.memcached.commands import KEYS, LINE_BYTES, LONG_LINE
from captp.examples.memcached.front import Front
from captp.examples.store import VALUE_BYTES, Store, shard_of
from tests.e2e.daemons import Daemon, captpd, environment, free_port, running


class Client:
    """A connection that reads what it is told to the byte."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._heard = b""

    async def say(self, text: bytes) -> None:
        await self._stream.send_all(text)

    async def hears(self, text: bytes) -> None:
        with trio.fail_after(10):
            while len(self._heard) < len(text):
                part = await self._stream.receive_some()
                assert part, f"it ended after {self._heard!r}"
                self._heard += part
        assert (self._heard[: len(text)], self._heard[len(text) :]) == (text, b"")
        self._heard = b""

    async def ask(self, text: bytes, answer: bytes) -> None:
        await self.say(text)
        await self.hears(answer)

    async def line_to(self, text: bytes) -> bytes:
        await self.say(text)
        with trio.fail_after(10):
            while not self._heard.endswith(b"\n"):
                self._heard += await self._stream.receive_some()
        line, self._heard = self._heard, b""
        return line

    async def is_hung_up_on(self) -> None:
        with trio.fail_after(10):
            assert await self._stream.receive_some() == b""


class Server:
    """A front on a port of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            yield Client(stream)


@asynccontextmanager
async def served(*stores: Callable[[], captp.Trust[Store]]) -> AsyncIterator[Server]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, Front(stores).serve, listeners)
        yield Server(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def four() -> AsyncIterator[Server]:
    async with captp.open_vat() as vat, served(*[vat.entrust(Store()).clone for _ in range(4)]) as server:
        yield server


async def test_a_client_sets_gets_adds_deletes_counts_and_leaves() -> None:
    async with four() as server, server.client() as client:
        await client.ask(b"get a\r\n", b"END\r\n")
        await client.ask(b"set a 7 0 8\r\nx\r\nEND\r\n\r\n", b"STORED\r\n")
        await client.ask(b"get b a c a\r\n", b"VALUE a 7 8\r\nx\r\nEND\r\n\r\n" * 2 + b"END\r\n")
        await client.ask(b"add a 0 0 1\r\ny\r\nadd n 0 0 2\r\n41\r\n", b"NOT_STORED\r\nSTORED\r\n")
        await client.ask(b"incr n 1\r\nincr a 1\r\nincr m 1\r\n", b"42\r\n" + NO_NUMBER + b"NOT_FOUND\r\n")
        await client.ask(b"delete n\r\ndelete n\r\n", b"DELETED\r\nNOT_FOUND\r\n")
        await client.ask(b"set a 0 0 1 noreply\r\nz\r\nget a\r\n", b"VALUE a 0 1\r\nz\r\nEND\r\n")
        await client.ask(b"version\r\n", f"VERSION captp-{captp.__version__}\r\n".encode())
        await client.say(b"quit\r\nget a\r\n")
        await client.is_hung_up_on()


async def test_what_cannot_be_understood_is_told_and_ends_the_connection_alone() -> None:
    async with four() as server, server.client() as other:
        async with server.client() as client:
            await client.ask(b"bogus\r\nset a 0 0 3\r\nxyz\r\n", b"ERROR\r\nSTORED\r\n")
            await client.ask(b"x" * LINE_BYTES + b"x", LONG_LINE)
            await client.is_hung_up_on()
        async with server.client() as client:
            await client.say(b"set a 0 0 9\r\nxy")  # and goes
        await other.ask(b"get a\r\n", b"VALUE a 0 3\r\nxyz\r\nEND\r\n")


async def test_clients_that_count_at_once_lose_nothing() -> None:
    async with four() as server:
        async with server.client() as client:
            await client.ask(b"set n 0 0 1\r\n0\r\n", b"STORED\r\n")

        async def count() -> None:
            async with server.client() as client:
                await client.say(b"incr n 3 noreply\r\n" * 100 + b"incr n 3\r\n" * 50)
                await client.say(b"quit\r\n")
                await client_end(client)

        async def client_end(client: Client) -> None:
            while await client._stream.receive_some():
                pass

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(count)
        async with server.client() as client:
            await client.ask(b"get n\r\n", b"VALUE n 0 4\r\n3600\r\nEND\r\n")


async def test_commands_that_come_together_are_answered_together_and_no_answer_is_long() -> None:
    async with captp.open_vat() as vat:
        ours, theirs = memory_stream_pair()
        writes: list[bytes] = []
        sending = theirs.send_stream
        assert isinstance(sending, MemorySendStream)
        sent = theirs.send_all

        async def send_all(data: bytes) -> None:
            writes.append(bytes(data))
            await sent(data)

        theirs.send_all = send_all  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:
            serve: Any = Front([vat.entrust(Store()).clone for _ in range(4)]).serve
            nursery.start_soon(serve, theirs)
            await ours.send_all(b"".join(b"set k%d 0 0 1\r\nx\r\n" % i for i in range(KEYS)))
            await trio.testing.wait_all_tasks_blocked()
            assert writes == [b"STORED\r\n" * KEYS]
            writes.clear()
            await ours.send_all(b"version\r\n" + b"get k0\r\n" * (KEYS + 1))
            await trio.testing.wait_all_tasks_blocked()
            one = b"VALUE k0 0 1\r\nx\r\nEND\r\n"
            assert writes == [f"VERSION captp-{captp.__version__}\r\n".encode() + one * KEYS, one]
            await ours.send_eof()


async def test_so_many_clients_are_served_and_one_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "CLIENTS", 2)
    async with four() as server, server.client() as first:
        await first.ask(b"get a\r\n", b"END\r\n")
        async with server.client() as second:
            await second.ask(b"get a\r\n", b"END\r\n")
            async with server.client() as third:
                await third.hears(MANY)
                await third.is_hung_up_on()
            await second.say(b"quit\r\n")
            await second.is_hung_up_on()
        async with server.client() as again:
            await again.ask(b"get a\r\n", b"END\r\n")


async def test_who_says_nothing_drips_or_does_not_read_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with captp.open_vat() as vat:
        serve: Any = Front([vat.entrust(Store()).clone]).serve

        async def drip(stream: trio.abc.Stream) -> None:
            with suppress(trio.BrokenResourceError):
                while True:
                    await stream.send_all(b"x")
                    await trio.sleep(1)

        async def be_silent(stream: trio.abc.Stream) -> None:
            await trio.sleep_forever()

        for talk in (drip, be_silent):
            ours, theirs = memory_stream_pair()
            begun = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk, ours)
                await serve(theirs)
                await theirs.aclose()
                assert trio.current_time() - begun == front.PATIENCE_S
                if talk is be_silent:
                    nursery.cancel_scope.cancel()


async def test_who_asks_for_much_and_reads_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "PATIENCE_S", 0.3)
    ask, times = b"get" + b" k" * KEYS + b"\r\n", 200
    async with four() as server, server.client() as client:
        await client.ask(b"set k 0 0 %d\r\n%s\r\n" % (VALUE_BYTES, b"v" * VALUE_BYTES), b"STORED\r\n")
        await client.say(ask * times)
        await trio.sleep(0.6)
        read = 0
        with suppress(trio.BrokenResourceError), trio.fail_after(10):
            while part := await client._stream.receive_some():
                read += len(part)
        # What the system's own buffers took, and not all of it.
        assert read < times * KEYS * VALUE_BYTES / 4


async def test_a_full_store_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "most_bytes", 100)
    async with four() as server, server.client() as client:
        await client.ask(b"set a 0 0 1\r\nx\r\n", FULL)


class Liar(captp.Object):
    """Has the methods of a store, and gives what it likes."""

    @captp.method
    def get(self, key: str) -> Any:
        return {
            "flags": ("0 5\r\nhello\r\nEND", b"x"),
            "wide": (2**32, b"x"),
            "text": (0, "x"),
            "short": (0,),
            "good": (0, b"x"),
        }.get(key)

    @captp.method
    def set(self, key: str, flags: int, data: bytes) -> Any:
        return "STORED\r\nSTORED"

    @captp.method
    def delete(self, key: str) -> Any:
        raise captp.Refused("NOT_FOUND\r\nDELETED")

    @captp.method
    def incr(self, key: str, amount: int) -> Any:
        return "1\r\n2" if key == "text" else -1


async def test_what_a_store_gives_is_never_told_as_text() -> None:
    async with captp.open_vat() as vat:
        liar: Any = captp.trust(vat.export(Liar()), Store)
        async with served(lambda: liar) as server, server.client() as client:
            for key in (b"flags", b"wide", b"text", b"short"):
                await client.ask(b"get good %s\r\n" % key, AWAY)
            await client.ask(b"get none good\r\n", b"VALUE good 0 1\r\nx\r\nEND\r\n")
            await client.ask(b"set a 0 0 1\r\nx\r\n", AWAY)
            await client.ask(b"delete a\r\n", AWAY)
            await client.ask(b"incr text 1\r\nincr other 1\r\n", AWAY * 2)


async def test_a_command_line_without_daemons_serves_its_own_stores() -> None:
    async with started() as (port, process):
        async with Server(port).client() as client:
            await client.ask(b"set a 0 0 1\r\nx\r\nget a\r\n", b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
        process.send_signal(signal.SIGINT)
        with trio.fail_after(10):
            assert await process.wait() == 0


@asynccontextmanager
async def started(*words: str, home: Path = Path("/nowhere")) -> AsyncIterator[tuple[int, trio.Process]]:
    """Run the example as users do, until it has said where it is."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-W", "error", "-m", "captp.examples.memcached", "--port", "0", *words],
        env=environment(home),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        with trio.fail_after(20):
            line = b""
            while not line.endswith(b"\n"):
                part = await process.stdout.receive_some()
                assert part
                line += part
        found = re.fullmatch(rb"memcached at 127\.0\.0\.1:(\d+)\n", line)
        assert found is not None
        yield int(found[1]), process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()


@pytest.mark.slow
async def test_what_a_daemon_has_acknowledged_is_there_again_after_a_kill(tmp_path: Path) -> None:
    home = tmp_path / "state"
    made = captpd(home, "init", "--durable", "--listen", f"127.0.0.1:{free_port()}")
    assert made.returncode == 0, made.stderr
    caps = [tmp_path / "left.cap", tmp_path / "right.cap"]
    most, keys = b"v" * VALUE_BYTES, [b"k%d" % number for number in range(KEYS)]
    async with running(home) as daemon:
        async with daemon.control() as control:
            for cap in caps:
                await control.new("captp.examples.store:Store", cap.stem)
                write_cap(cap, await control.share(cap.stem))
        async with started(*map(str, caps), home=home) as (port, _):
            server = Server(port)
            async with server.client() as client:
                for key in keys:
                    await client.ask(b"set %s 0 0 %d\r\n%s\r\n" % (key, VALUE_BYTES, most), b"STORED\r\n")
                shown = b"".join(b"VALUE %s 0 %d\r\n%s\r\n" % (key, VALUE_BYTES, most) for key in keys)
                await client.ask(b"get " + b" ".join(keys) + b"\r\n", shown + b"END\r\n")
                await client.ask(b"set n 0 0 1\r\n0\r\n", b"STORED\r\n")
            last = await killed_while_they_count(server, daemon)
            async with server.client() as client:
                await client.ask(b"get n\r\n", AWAY)
                async with running(home):
                    found = await counted_again(client)
                    assert last <= found <= last + 8, "each of 8 clients had one that it did not hear of"
                    while await client.line_to(b"delete %s\r\n" % other_than(b"n")) == AWAY:
                        await trio.sleep(0.05)  # nobody has asked the other store since
                    await client.ask(b"get " + b" ".join(keys) + b"\r\n", shown + b"END\r\n")


async def killed_while_they_count(server: Server, daemon: Daemon) -> int:
    """Have 8 clients count until the daemon is killed among them; return the greatest number heard."""
    heard: list[int] = []

    async def count() -> None:
        async with server.client() as client:
            while (answer := await client.line_to(b"incr n 1\r\n")) != AWAY:
                heard.append(int(answer))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(count)
        while len(heard) < 200:
            await trio.sleep(0.01)
        await daemon.end(signal.SIGKILL)
    assert len(set(heard)) == len(heard)
    return max(heard)


def other_than(key: bytes) -> bytes:
    """Return a key, which nobody has set, of the other of two stores."""
    return next(b"x%d" % i for i in range(9) if shard_of(f"x{i}", 2) != shard_of(key.decode(), 2))


async def counted_again(client: Client) -> int:
    """Ask until the store has been reached again."""
    with trio.fail_after(20):
        while True:
            answer = await client.line_to(b"incr n 0\r\n")
            if answer != AWAY:
                return int(answer)
            await trio.sleep(0.05)
