"""The netlayer ``tls``: TLS 1.3 between Ed25519 keys; it proves who is there, never what for."""

from __future__ import annotations

import socket
from typing import Any, ClassVar, final

import trio
from attrs import define, field
from OpenSSL import SSL

from captp.errors import Disconnected, RemoteProtocolError, Unreachable, UsageError, WrongPeer
from captp.limits import Limits
from captp.model.keys import PrivateKey, PublicKey, parse_designator
from captp.model.locator import PeerLocator
from captp.net import _sockets
from captp.net._stream import SocketConduit
from captp.net._tls_identity import context_of, listening_context
from captp.net._tls_stream import TlsConduit, shake_hands
from captp.net.admission import HalfOpen
from captp.net.base import Accept

__all__ = ["TlsNetlayer", "TlsPort"]


@final
@define(eq=False)
class TlsPort:
    """One listening port for any number of vats; ``conduit.local`` says which one was meant.

    A dialler names the key it wants as TLS server name; names not added here are closed. ``port``
    0 takes any free port. ``public_host`` goes into locators in place of ``host``, for a listener
    that others know by another name: behind a DNS name, a NAT, or in a container.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_host: str = field(default="", kw_only=True)
    limits: Limits = field(factory=Limits, kw_only=True)
    _contexts: dict[str, SSL.Context] = field(factory=dict, init=False)
    _bound_port: int = field(default=0, init=False)

    def add(self, key: PrivateKey) -> None:
        """Answer for the vat of ``key`` from now on; also while the port is served."""
        self._contexts[key.public.designator] = context_of(key)

    def remove(self, designator: str) -> None:
        """Answer for it no more; connections that are up stay."""
        self._contexts.pop(designator, None)

    async def serve(
        self, accept: Accept, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen until cancelled, as a Netlayer does, for all vats added."""
        if self._bound_port:
            raise UsageError(
                "this TlsPort is served already; serve it once and tell vats apart by conduit.local"
            )
        context = listening_context(self._contexts)
        half_open = HalfOpen(self.limits)

        async def welcome(sock: socket.socket) -> None:
            conduit = await self._admit(sock, context, half_open)
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
        host = self.public_host or _sockets.reachable_host(self.host)
        return {"host": host, "port": str(self._bound_port)}

    async def _admit(
        self, sock: socket.socket, context: SSL.Context, half_open: HalfOpen
    ) -> TlsConduit | None:
        """Let a connection prove its key; None when it did not, and nothing is said about it."""
        _sockets.tune_tcp(sock)
        raw = SocketConduit(sock, _sockets.peer_of(sock))
        conduit = None
        scope = half_open.enter(_sockets.address_of(sock))
        try:
            if scope is not None:
                with scope:
                    async with half_open.turn:
                        tls = SSL.Connection(context)
                        tls.set_accept_state()
                    most = self.limits.handshake_bytes
                    conduit = await shake_hands(raw, tls, most=most, turn=half_open.turn)
        except (Disconnected, RemoteProtocolError):
            pass  # a stranger, and none of the kind that is owed a word
        finally:
            if scope is not None:
                half_open.leave(scope)
            if conduit is None:
                raw.abort()
        return conduit


@final
@define(eq=False)
class TlsNetlayer:
    """Dials with one vat's key and, given a port, serves that vat.

    With a port of its own, ``serve`` is all it takes. When vats share a port, add their keys to
    the TlsPort and serve that.
    """

    transport: ClassVar[str] = "tls"

    key: PrivateKey
    port: TlsPort | None = None
    limits: Limits = field(factory=Limits, kw_only=True)
    _context: SSL.Context | None = field(default=None, init=False)

    async def dial(self, locator: PeerLocator) -> TlsConduit:
        host, port = _sockets.endpoint_of(locator)
        try:
            wanted = parse_designator(locator.designator)
        except RemoteProtocolError as error:
            raise Unreachable(f"the locator's designator is no key: {error.detail}") from error
        within = self.limits.handshake_timeout_s
        where = _sockets.endpoint(host, port)
        raw = SocketConduit(await _sockets.connect_tcp(host, port, within=within), where)
        conduit = None
        try:
            with trio.move_on_after(within):
                tls = self._connection(locator.designator)
                most = self.limits.handshake_bytes
                conduit = await shake_hands(raw, tls, most=most, turn=None)
        except Disconnected as error:
            raise Unreachable(
                f"{where} refused the TLS handshake for {locator.designator[:8]}…; it may not host"
                f" that vat any more, or be no captp daemon ({error})"
            ) from error
        except RemoteProtocolError as error:
            raise WrongPeer(_somebody_else(where, wanted, error.detail)) from error
        finally:
            if conduit is None:
                raw.abort()
        if conduit is None:
            raise Unreachable(
                f"{where} did not finish the TLS handshake within {within:g} s;"
                " is it a captp daemon, and is it well? (captpd status)"
            )
        if conduit.proved != wanted.raw:
            raw.abort()
            got = PublicKey(conduit.proved).designator[:8] + "…"
            raise WrongPeer(_somebody_else(where, wanted, got))
        return conduit

    async def serve(
        self, accept: Accept, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
    ) -> None:
        if self.port is None:
            raise UsageError("this TlsNetlayer has no port to serve at; give it a TlsPort")
        self.port.add(self.key)
        await self.port.serve(accept, task_status=task_status)

    def hints(self) -> dict[str, str]:
        return self.port.hints() if self.port is not None else {}

    def _connection(self, designator: str) -> SSL.Connection:
        if self._context is None:
            self._context = context_of(self.key)
        tls = SSL.Connection(self._context)
        tls.set_tlsext_host_name(designator.encode("ascii"))
        tls.set_connect_state()
        return tls


def _somebody_else(where: str, wanted: PublicKey, got: str) -> str:
    return (
        f"somebody else answered at {where}: expected {wanted.designator[:8]}…, got {got};"
        " check the sturdyref or ask its owner for a new one"
    )
