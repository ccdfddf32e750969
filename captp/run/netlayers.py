"""The netlayers that a vat dials with where its program named none."""

from __future__ import annotations

from captp.errors import Unreachable, UsageError
from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.net.base import Netlayer

__all__ = ["default_netlayer"]


def default_netlayer(transport: str, key: PrivateKey, limits: Limits) -> Netlayer:
    """Return a netlayer that can dial ``transport``; raises Unreachable for one we do not have."""
    match transport:
        case "tls":
            from captp.net.tls import TlsNetlayer  # noqa: PLC0415 - OpenSSL is slow to import

            return TlsNetlayer(key, limits=limits)
        case "unix":
            from captp.net.unix import UnixNetlayer  # noqa: PLC0415

            return UnixNetlayer("")
        case "tcp-testing-only":
            from captp.net.tcp import TcpNetlayer  # noqa: PLC0415

            return TcpNetlayer(limits=limits)
        case "websocket":
            try:
                from captp.net.websocket import WebsocketNetlayer  # noqa: PLC0415
            except UsageError as problem:
                # A peer's locator asked for it, not our program.
                raise Unreachable(str(problem)) from problem
            return WebsocketNetlayer(key, limits=limits)
    raise Unreachable(f"no netlayer for {transport!r}; captp dials tls, unix, websocket and tcp-testing-only")
