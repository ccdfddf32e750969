"""What ``captp bench`` compares with RPyC and Pyro5: a counter in another process, which is run from here.

``python -m captp.cli.bench_far KIND TRANSPORT FOLDER`` is that process; it says how to reach it, and serves
until it is ended.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import trio

import captp
from captp.cli.bench_sides import Plain, Side, Sides, Total, apart, by_step, by_task
from captp.cli.stage import Child, start
from captp.net.tls import TlsNetlayer, TlsPort
from captp.net.unix import UnixNetlayer

__all__ = ["far"]


@asynccontextmanager
async def far(peer: str, transport: str, size: int) -> AsyncIterator[Sides]:
    """Compare a far object with a peer's, if that is installed: one by one, or so many calls at once."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="captp-bench-")))
        server = await _started(stack, "captp", transport, folder)
        vat = await stack.enter_async_context(captp.open_vat())
        trust = captp.trust(await vat.enliven(await server.line()), Total)
        calls = [captp.Call(Total.add, 1)] * size

        async def one() -> int:
            return bool(await trust.apply(Total.add, 1))

        async def many() -> int:
            return len(await trust.apply_many(calls))

        servers, sides = [server], [by_task(one if size == 1 else many)]
        if find_spec(peer) is not None:
            servers.append(await _started(stack, peer, transport, folder))
            sides.append(_PEERS[peer](stack, await servers[1].line(), size))
        with apart([child.process.pid for child in servers]):
            yield tuple(sides)


async def _started(stack: AsyncExitStack, kind: str, transport: str, folder: Path) -> Child:
    words = ["captp.cli.bench_far", kind, transport, str(folder)]
    child = await start(f"the server of {kind}", words, folder / f"{kind}.log")
    stack.push_async_callback(child.end)
    return child


def _call_rpyc(stack: AsyncExitStack, where: str, size: int) -> Side:
    rpyc: Any = import_module("rpyc")
    if where.isdigit():
        connection = rpyc.connect("127.0.0.1", int(where))
    else:
        connection = import_module("rpyc.utils.factory").unix_connect(where)
    stack.callback(connection.close)
    add = connection.root.add
    later = rpyc.async_(add)

    def many() -> int:
        return len([result.value for result in [later(1) for _ in range(size)]])

    return by_step(many if size > 1 else lambda: bool(add(1)))


def _call_pyro5(stack: AsyncExitStack, where: str, size: int) -> Side:
    api: Any = import_module("Pyro5.api")
    proxy = stack.enter_context(api.Proxy(where))

    def many() -> int:
        batch = api.BatchProxy(proxy)
        for _ in range(size):
            batch.add(1)
        return len(list(batch()))

    return by_step(many if size > 1 else lambda: bool(proxy.add(1)))


_PEERS: Final[dict[str, Callable[[AsyncExitStack, str, int], Side]]] = {
    "rpyc": _call_rpyc,
    "Pyro5": _call_pyro5,
}


async def _serve(transport: str, folder: str) -> None:
    key = captp.PrivateKey.from_seed(secrets.token_bytes(32))
    layer = TlsNetlayer(key, TlsPort()) if transport == "tls" else UnixNetlayer(f"{folder}/captp")
    async with captp.open_vat(key=key, listen=[layer]) as vat:
        # It is read by the process that started this one, over a pipe.
        print(vat.mint(Total()).reveal(), flush=True)
        await trio.sleep_forever()


def _serve_rpyc(transport: str, folder: str) -> None:
    rpyc: Any = import_module("rpyc")
    counter = Plain()
    service = type("Counter", (rpyc.Service,), {"exposed_add": lambda _, amount: counter.add(amount)})
    place = {"hostname": "127.0.0.1"} if transport == "tls" else {"socket_path": f"{folder}/rpyc"}
    server = import_module("rpyc.utils.server").ThreadedServer(service, **place)
    threading.Thread(target=server.start).start()
    while not server.active:  # it has a port before it listens
        time.sleep(0.01)
    print(server.port or f"{folder}/rpyc", flush=True)


def _serve_pyro5(transport: str, folder: str) -> None:
    api: Any = import_module("Pyro5.api")
    place = {"host": "127.0.0.1"} if transport == "tls" else {"unixsocket": f"{folder}/pyro5"}
    daemon = api.Daemon(**place)
    print(daemon.register(api.expose(Plain)()), flush=True)
    daemon.requestLoop()


def main(kind: str, transport: str, folder: str) -> None:
    """Serve a counter: by captp, over TLS or a socket file, or by a peer, over TCP or a socket file."""
    if kind == "captp":
        trio.run(_serve, transport, folder)
    else:
        {"rpyc": _serve_rpyc, "Pyro5": _serve_pyro5}[kind](transport, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
