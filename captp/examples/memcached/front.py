"""Serves clients of a memcached from stores, and trusts neither.

What a client may send, leave unread and be told at once is bounded, and so is how many clients there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import trio

import captp
from captp.examples.memcached.answers import MANY, worded
from captp.examples.memcached.commands import KEYS, Command, Found, Parser
from captp.examples.store import Store, shard_of

CLIENTS: Final = 64
READ_BYTES: Final = 16_384
#: Seconds that a client has for its next command, and to read what it asked for.
PATIENCE_S: Final = 60.0
SHARDS: Final = 4

METHODS: Final[dict[str, Callable[..., Any]]] = {
    "get": Store.get,
    "set": Store.set,
    "add": Store.add,
    "delete": Store.delete,
    "incr": Store.incr,
}

#: Gives a handle on a store, anew when the connection was lost.
Reach: TypeAlias = Callable[[], captp.Trust[Store]]
Ends: TypeAlias = list[captp.Outcome[Any]]


class Front:
    """Answers clients from stores, of which each has its share of the keys."""

    def __init__(self, stores: Iterable[Reach]) -> None:
        self._reach = list(stores)
        self._stores = [reach() for reach in self._reach]
        self._clients = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Talk with one client until it goes, takes too long, or cannot be understood."""
        is_welcome = self._clients < CLIENTS
        self._clients += is_welcome
        try:
            with trio.move_on_after(PATIENCE_S) as patience:
                await (self._talk(stream, patience) if is_welcome else stream.send_all(MANY))
        except trio.BrokenResourceError:
            return  # it went without a word
        finally:
            self._clients -= is_welcome

    async def _talk(self, stream: trio.SocketStream, patience: trio.CancelScope) -> None:
        parser = Parser()
        while data := await stream.receive_some(READ_BYTES):
            for batch in batches(parser.feed(data)):
                patience.deadline = trio.current_time() + PATIENCE_S
                if answer := await self._answer(batch):
                    await stream.send_all(answer)
                if batch[-1].is_last:
                    return

    async def _answer(self, batch: list[Found]) -> bytes:
        """Do what a batch asks for, and return what all of it is answered with."""
        calls: dict[int, list[captp.Call[Any]]] = {}
        for one in [one for one in batch if isinstance(one, Command)]:
            for key in one.keys:
                call = captp.Call(METHODS[one.verb], key, *one.args)
                calls.setdefault(shard_of(key, len(self._stores)), []).append(call)
        ends: dict[int, Iterator[captp.Outcome[Any]]] = {}

        async def ask(shard: int, some: list[captp.Call[Any]]) -> None:
            ends[shard] = iter(await self._asked(shard, some))

        async with trio.open_nursery() as nursery:
            for shard, some in calls.items():
                nursery.start_soon(ask, shard, some)
        told = [(one, [next(ends[shard_of(key, len(self._stores))]) for key in one.keys]) for one in batch]
        return b"".join([worded(one, found) for one, found in told])

    async def _asked(self, shard: int, calls: list[captp.Call[Any]]) -> Ends:
        store = self._stores[shard]
        try:
            ends = await store.apply_many(calls)
            if store is self._stores[shard] and any(isinstance(e.error, captp.Disconnected) for e in ends):
                self._stores[shard] = self._reach[shard]()
        except captp.Error as problem:
            return [captp.Outcome(None, problem)] * len(calls)
        return ends


def batches(found: list[Found]) -> Iterator[list[Found]]:
    """Cut what a client asked for into batches, so that no answer is long."""
    batch: list[Found] = []
    keys = 0
    for one in found:
        if batch and keys + len(one.keys) > KEYS:
            yield batch
            batch, keys = [], 0
        batch.append(one)
        keys += len(one.keys)
    if batch:
        yield batch


async def serve(sources: list[Path], port: int) -> None:
    """Serve until somebody ends it."""
    async with captp.open_vat() as vat:

        def far(source: Path) -> captp.Trust[Store]:
            return captp.trust(vat.enliven(source), Store)

        near = [vat.entrust(Store()).clone for _ in range(0 if sources else SHARDS)]
        front = Front(near or [partial(far, source) for source in sources])
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        print(f"memcached at 127.0.0.1:{listeners[0].socket.getsockname()[1]}", flush=True)
        await trio.serve_listeners(front.serve, listeners)
