"""Who may knock: which hosts are this machine, how many connections may be unproved; knows no netlayer."""

from __future__ import annotations

import ipaddress
import socket
from typing import final

import trio
from attrs import define, field

from captp.limits import Limits

__all__ = ["HalfOpen", "is_loopback"]


async def is_loopback(host: str) -> bool:
    """Say whether all addresses of a name are this machine's own; an unknown name's are."""
    try:
        found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True  # connecting or listening says better what is wrong with the name
    return all(ipaddress.ip_address(str(entry[4][0])).is_loopback for entry in found)


@final
@define(eq=False)
class HalfOpen:
    """The connections that have not proved a key yet: few, few of each address, none for long."""

    _limits: Limits
    _waiting: dict[trio.CancelScope, str] = field(factory=dict, init=False)
    #: Held for one step of a handshake: in each round of the loop one makes its step, whoever else knocks.
    turn: trio.Lock = field(factory=trio.Lock, init=False)

    def enter(self, address: str) -> trio.CancelScope | None:
        """Give the scope to shake hands in, or None if this address has too many already.

        When there are too many in all, the oldest goes.
        """
        group = _group(address)
        if list(self._waiting.values()).count(group) >= self._limits.handshake_pending_per_addr:
            return None
        if len(self._waiting) >= self._limits.handshake_pending:
            oldest = next(iter(self._waiting))
            oldest.cancel()
            self.leave(oldest)
        deadline = trio.current_time() + self._limits.handshake_timeout_s
        scope = trio.CancelScope(deadline=deadline)
        self._waiting[scope] = group
        return scope

    def leave(self, scope: trio.CancelScope) -> None:
        self._waiting.pop(scope, None)


def _group(address: str) -> str:
    """Name what one host can have for itself: an IPv4 address, or a /64 of IPv6 addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)
