"""The netlayer ``tcp-testing-only`` of OCapN: plain TCP; proves no key and hides nothing."""

from __future__ import annotations

import socket
from typing import Any, ClassVar, final

import trio
from attrs import define, field

from captp.errors import Unreachable, UsageError
from captp.limits import Limits
from captp.model.locator import PeerLocator
from captp.net import _sockets
from captp.net._stream import SocketConduit
from captp.net.admission import is_loopback
from captp.net.base import Accept

__all__ = ["TcpNetlayer"]


@final
@define(eq=False)
class TcpNetlayer:
    """Plain TCP for tests and the OCapN suite; loopback only unless ``insecure``.

    ``port`` 0 takes any free port, which ``hints`` then tells. ``designator`` is whatever name the
    peers know this end by: nothing here proves it. ``framed`` says whether to put a length in front of
    OCapN messages when speaking first; None does as peers on this netlayer have done.
    """

    transport: ClassVar[str] = "tcp-testing-only"

    host: str = "127.0.0.1"
    port: int = 0
    designator: str = field(default="", kw_only=True)
    insecure: bool = field(default=False, kw_only=True)
    framed: bool | None = field(default=None, kw_only=True)
    limits: Limits = field(factory=Limits, kw_only=True)
    _bound_port: int = field(default=0, init=False)

    async def dial(self, locator: PeerLocator) -> SocketConduit:
        host, port = _sockets.endpoint_of(locator)
        if not self.insecure and not await is_loopback(host):
            raise Unreachable(_refusal(host))
        sock = await _sockets.connect_tcp(host, port, within=self.limits.handshake_timeout_s)
        return SocketConduit(sock, _sockets.endpoint(host, port), framed=self.framed)

    async def serve(
        self, accept: Accept, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
    ) -> None:
        if not self.insecure and not await is_loopback(self.host):
            raise UsageError(_refusal(self.host))

        async def welcome(sock: socket.socket) -> None:
            _sockets.tune_tcp(sock)
            await _sockets.run_accept(accept, SocketConduit(sock, _sockets.peer_of(sock)))

        with await _sockets.listen_tcp(self.host, self.port) as listener:
            self._bound_port = listener.getsockname()[1]
            try:
                task_status.started()
                await _sockets.accept_forever(listener, welcome)
            finally:
                self._bound_port = 0

    def hints(self) -> dict[str, str]:
        if not self._bound_port:
            return {}
        return {"host": _sockets.reachable_host(self.host), "port": str(self._bound_port)}


def _refusal(host: str) -> str:
    return (
        f"tcp-testing-only has no encryption and proves no key, and {host!r} is not loopback; use"
        " the netlayer tls, or TcpNetlayer(..., insecure=True) on a network where all may listen"
    )
