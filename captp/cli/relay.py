"""A relay that makes a loopback connection as slow as a distant one; it carries bytes, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

__all__ = ["Address", "serve_relay"]

Address = tuple[str, int]

LOOPBACK: Final = "127.0.0.1"
#: Chunks under way in one direction; a reader that lags holds the writer back, as on any network.
UNDER_WAY: Final = 256


async def serve_relay(
    target: Callable[[], Address],
    delay_s: float,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Relay until cancelled, each way ``delay_s`` late; ``started`` gets the port.

    ``target`` is asked for each connection, so that what it leads to may move.
    """

    async def carry(near: trio.SocketStream) -> None:
        try:
            far = await trio.open_tcp_stream(*target())
        except OSError:
            return  # nobody there: closing tells the caller
        async with far, trio.open_nursery() as nursery:
            nursery.start_soon(_one_way, near, far, delay_s, nursery.cancel_scope)
            nursery.start_soon(_one_way, far, near, delay_s, nursery.cancel_scope)

    listeners = await trio.open_tcp_listeners(0, host=LOOPBACK)
    task_status.started(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(carry, listeners)


async def _one_way(
    source: trio.SocketStream, sink: trio.SocketStream, delay_s: float, both: trio.CancelScope
) -> None:
    send, receive = trio.open_memory_channel[tuple[float, bytes]](UNDER_WAY)

    async def read() -> None:
        # A connection that breaks ends like one that closes, after what was sent before.
        with suppress(trio.BrokenResourceError):
            async for data in source:
                await send.send((trio.current_time() + delay_s, bytes(data)))
        await send.send((trio.current_time() + delay_s, b""))

    async def write() -> None:
        async for due, data in receive:
            await trio.sleep_until(due)
            if data:
                await sink.send_all(data)
            else:
                await sink.send_eof()
                return

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(write)
    except* trio.BrokenResourceError:
        both.cancel()
