"""The netlayer ``websocket`` of OCapN: the dialled key is proved always, the dialler's to its like."""

from __future__ import annotations

import re
import socket
from typing import Any, ClassVar, final
from urllib.parse import urlsplit

import trio
from attrs import define, field, frozen

from captp.errors import Disconnected, RemoteProtocolError, Unreachable, UsageError, WrongPeer
from captp.limits import Limits
from captp.model.keys import PrivateKey, parse_designator
from captp.model.locator import PeerLocator
from captp.net import _sockets
from captp.net._stream import SocketConduit
from captp.net.admission import HalfOpen, is_loopback
from captp.net.base import Accept

try:
    from captp.net._websocket_opening import accept_websocket, dial_websocket
    from captp.net._websocket_stream import Raw, WebsocketConduit
    from captp.net._websocket_tls import start_tls
except ModuleNotFoundError as error:
    raise UsageError(
        f"the netlayer websocket needs the package {error.name}; pip install 'captp[websocket]'"
    ) from error

__all__ = ["WebsocketNetlayer"]

_PORTS = {"ws": 80, "wss": 443}
# urlsplit drops blanks and control characters in silence.
_ODD = re.compile(r"[^!-~]")


@final
@define(eq=False)
class WebsocketNetlayer:
    """Dials and serves one vat over WebSockets, with ``key`` as its identity.

    Encryption is a web server's affair: put one that speaks ``wss`` in front and give its address as
    ``public_url``. ``ws`` goes to loopback only, and listens on loopback only, unless ``insecure``.
    ``port`` 0 takes any free port, which ``hints`` then tells.
    """

    transport: ClassVar[str] = "websocket"

    key: PrivateKey
    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = field(default="", kw_only=True)
    insecure: bool = field(default=False, kw_only=True)
    limits: Limits = field(factory=Limits, kw_only=True)
    _bound_port: int = field(default=0, init=False)

    async def dial(self, locator: PeerLocator) -> WebsocketConduit:
        url = _Url.of(locator)
        try:
            wanted = parse_designator(locator.designator)
        except RemoteProtocolError as error:
            raise Unreachable(f"the locator's designator is no key: {error.detail}") from error
        if not url.is_sealed and not self.insecure and not await is_loopback(url.host):
            raise Unreachable(_refusal(url.host))
        within = self.limits.handshake_timeout_s
        where = _sockets.endpoint(url.host, url.port)
        raw = SocketConduit(await _sockets.connect_tcp(url.host, url.port, within=within), where)
        conduit = None
        try:
            with trio.move_on_after(within):
                stream: Raw = await start_tls(raw, url.host) if url.is_sealed else raw
                conduit = await dial_websocket(
                    stream, url.authority, url.target, key=self.key, wanted=wanted, limits=self.limits
                )
        except Unreachable:
            raise
        except Disconnected as error:
            raise Unreachable(
                f"{where} refused the WebSocket handshake for {locator.designator[:8]}…; it may not host"
                f" that vat any more, or be no OCapN peer ({error})"
            ) from error
        except RemoteProtocolError as error:
            raise WrongPeer(
                f"somebody else answered at {where}: expected the proof of {locator.designator[:8]}…,"
                f" but {error.detail}; check the sturdyref or ask its owner for a new one"
            ) from error
        finally:
            if conduit is None:
                raw.abort()
        if conduit is None:
            raise Unreachable(
                f"{where} did not finish the WebSocket handshake within {within:g} s;"
                " is it an OCapN peer, and is it well?"
            )
        return conduit

    async def serve(
        self, accept: Accept, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
    ) -> None:
        if not self.insecure and not await is_loopback(self.host):
            raise UsageError(_refusal(self.host))
        half_open = HalfOpen(self.limits)

        async def welcome(sock: socket.socket) -> None:
            conduit = await self._admit(sock, half_open)
            if conduit is not None:
                await _sockets.run_accept(accept, conduit)

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
        where = _sockets.endpoint(_sockets.reachable_host(self.host), self._bound_port)
        return {"url": self.public_url or f"ws://{where}/"}

    async def _admit(self, sock: socket.socket, half_open: HalfOpen) -> WebsocketConduit | None:
        """Let a connection through the handshake; None when it did not get there."""
        _sockets.tune_tcp(sock)
        raw = SocketConduit(sock, _sockets.peer_of(sock))
        conduit = None
        scope = half_open.enter(_sockets.address_of(sock))
        try:
            if scope is not None:
                with scope:
                    try:
                        conduit = await accept_websocket(raw, key=self.key, limits=self.limits)
                    except (Disconnected, RemoteProtocolError):
                        await raw.aclose()  # so that it reads why
        finally:
            if scope is not None:
                half_open.leave(scope)
            if conduit is None:
                raw.abort()
        return conduit


@frozen
class _Url:
    """What a WebSocket's URL says (RFC 6455 3)."""

    is_sealed: bool
    host: str
    port: int
    #: As the header Host wants it.
    authority: str
    target: str

    @classmethod
    def of(cls, locator: PeerLocator) -> _Url:
        """Read the hint ``url`` of a locator. Raises Unreachable for what is none."""
        text = locator.hint("url")
        if not text:
            raise Unreachable(
                f"the locator of {locator.designator[:8]}… does not say where it is; expected a hint,"
                " as in ?url=wss%3A%2F%2Fexample.org%2F"
            )
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _bad_url(str(error)) from error
        if odd := _ODD.search(text):
            raise _bad_url(f"a blank, control or non-ASCII character at {odd.start()}")
        if parts.scheme not in _PORTS or not host:
            raise _bad_url(f"got {text[:40]!r}")
        if "@" in parts.netloc or "#" in text:
            raise _bad_url("there is a user name or a fragment in it")
        if port == 0:
            raise _bad_url("the port is 0")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme == "wss", host, port or _PORTS[parts.scheme], parts.netloc, target)


def _bad_url(why: str) -> Unreachable:
    return Unreachable(f"hint url: expected a URL as in wss://example.org/path; {why}")


def _refusal(host: str) -> str:
    return (
        f"ws:// hides nothing, and {host!r} is not loopback; put a web server that speaks wss:// in front,"
        " use the netlayer tls, or WebsocketNetlayer(..., insecure=True) on a network where all may listen"
    )
