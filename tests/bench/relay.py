"""A wire that takes its time: hands bytes on after a delay, in order, and understands none of them."""

from __future__ import annotations

import math
import sys

import trio


async def carry(source: trio.SocketStream, sink: trio.SocketStream, delay_s: float) -> None:
    """Hand on what ``source`` says, ``delay_s`` later, until its end and with its end."""
    send, receive = trio.open_memory_channel[tuple[float, bytes]](math.inf)

    async def read() -> None:
        async with send:
            async for data in source:
                send.send_nowait((trio.current_time() + delay_s, bytes(data)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        async for due, data in receive:
            await trio.sleep_until(due)
            await sink.send_all(data)
        await sink.send_eof()


async def relay(target: int, delay_s: float, task_status: trio.TaskStatus[int]) -> None:
    """Relay to a port of this machine until cancelled; start with the port to dial instead."""

    async def join(near: trio.SocketStream) -> None:
        try:
            far = await trio.open_tcp_stream("127.0.0.1", target)
            async with near, far, trio.open_nursery() as nursery:
                nursery.start_soon(carry, near, far, delay_s)
                nursery.start_soon(carry, far, near, delay_s)
        except* (OSError, trio.BrokenResourceError):
            pass  # one end is gone, and both must go

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(listener.socket.getsockname()[1])
    await trio.serve_listeners(join, [listener])


async def main(target: int, delay_s: float) -> None:
    """Relay until killed; say the port on the first line."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(relay, target, delay_s)
        print(port, flush=True)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), float(sys.argv[2]))
