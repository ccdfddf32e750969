"""Over every netlayer bytes arrive whole and in order, and both ends know what was proved."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from random import Random

import trio

from captp.net.base import Conduit
from tests.trio.netlayers import CLIENT, MIB, NAME, SERVER, every_netlayer, pair, read_exactly

PROVED = {
    "memory": (SERVER.public.raw, CLIENT.public.raw, NAME),
    "tls": (SERVER.public.raw, CLIENT.public.raw, NAME),
    "tcp-testing-only": (None, None, None),
    "unix": (None, None, None),
    "websocket": (SERVER.public.raw, CLIENT.public.raw, None),
}


async def push(conduit: Conduit, chunks: list[bytes]) -> None:
    for chunk in chunks:
        conduit.send_nowait(chunk)
        if conduit.pending > MIB:
            await conduit.flush()
    await conduit.flush()


async def both_ways(
    check: Callable[[Conduit, Conduit], Awaitable[None]], here: Conduit, there: Conduit
) -> None:
    await check(here, there)
    await check(there, here)


def sliced(random: Random, total: int) -> list[bytes]:
    body = random.randbytes(total)
    chunks, at = [], 0
    while at < total:
        size = random.choice((0, 1, 2, 100, 16383, 16384, 16385, 65536, 65537, 300_000))
        chunks.append(body[at : at + size])
        at += size
    return chunks


@every_netlayer
async def test_bytes_arrive_whole_and_in_order_both_ways_at_once(kind: str) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    random = Random(seed)
    up, down = sliced(random, 3 * MIB), sliced(random, 3 * MIB)
    got: dict[str, bytes] = {}

    async def read(name: str, conduit: Conduit) -> None:
        got[name] = await read_exactly(conduit, 3 * MIB)

    async with pair(kind) as (here, there), trio.open_nursery() as nursery:
        nursery.start_soon(push, here, up)
        nursery.start_soon(push, there, down)
        nursery.start_soon(read, "up", there)
        nursery.start_soon(read, "down", here)

    assert got["up"] == b"".join(up)
    assert got["down"] == b"".join(down)


@every_netlayer
async def test_each_end_knows_what_was_proved_and_what_was_asked_for(kind: str) -> None:
    servers, clients, local = PROVED[kind]

    async with pair(kind) as (here, there):
        assert (here.proved, there.proved) == (servers, clients)
        assert (here.local, there.local) == (None, local)
        assert here.binding == there.binding
        assert len(here.binding) == (32 if servers else 0)
        assert here.remote
        assert there.remote


@every_netlayer
async def test_a_slow_reader_gets_8_mib_whole_and_pending_says_what_waits(kind: str) -> None:
    data = Random(1).randbytes(8 * MIB)
    marks: list[int] = []

    async def flush(conduit: Conduit) -> None:
        await conduit.flush()
        marks.append(conduit.pending)

    async def check(here: Conduit, there: Conduit) -> None:
        marks.clear()
        assert here.pending == 0
        here.send_nowait(data)
        first = here.pending
        assert 0 < first < 8 * MIB + 64 * 1024
        here.send_nowait(b"tail")
        assert 0 < here.pending <= first + 4 + 64
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flush, here)
            await trio.testing.wait_all_tasks_blocked()
            assert marks == []
            assert await read_exactly(there, len(data) + 4) == data + b"tail"
        assert marks == [0]
        await here.flush()

    async with pair(kind) as (here, there):
        await both_ways(check, here, there)


@every_netlayer
async def test_cancelling_a_receive_loses_nothing(kind: str) -> None:
    async def check(here: Conduit, there: Conduit) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await there.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.receive)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

        here.send_nowait(b"hello")
        with trio.CancelScope() as scope:
            scope.cancel()
            await there.receive()

        assert await read_exactly(there, 5) == b"hello"

    async with pair(kind) as (here, there):
        await both_ways(check, here, there)


@every_netlayer
async def test_sending_works_while_another_task_receives(kind: str) -> None:
    got: list[bytes] = []

    async def receive(conduit: Conduit) -> None:
        got.append(await conduit.receive())

    async with pair(kind) as (here, there):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive, here)
            await trio.testing.wait_all_tasks_blocked()
            here.send_nowait(b"question")
            assert await read_exactly(there, 8) == b"question"
            there.send_nowait(b"answer")

        assert got == [b"answer"]
