"""Opening, accepting and naming stream sockets; knows nothing of what is said over them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import trio

from captp.errors import Disconnected, Unreachable, UsageError
from captp.model.locator import PeerLocator
from captp.net.base import Accept, Conduit

__all__ = [
    "accept_forever",
    "address_of",
    "connect_tcp",
    "endpoint",
    "endpoint_of",
    "listen_tcp",
    "peer_of",
    "port_holder",
    "reachable_host",
    "run_accept",
    "tune_tcp",
]

BACKLOG = 512
# Out of file descriptors: wait for connections to end; the kernel's backlog holds the newcomers.
ACCEPT_PAUSE_S = 0.1
# The kernel gives up on a peer that acknowledges nothing for this long.
USER_TIMEOUT_S = 30
WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 recognised here, not bound
_LISTEN = "0A"  # the state's number in /proc/net/tcp


def endpoint(host: str, port: int) -> str:
    """Write host and port for people to read: ``127.0.0.1:4711``, ``[::1]:4711``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def endpoint_of(locator: PeerLocator) -> tuple[str, int]:
    """Read the hints ``host`` and ``port`` of a locator. Raises Unreachable without them."""
    host, port = locator.hint("host"), locator.hint("port")
    if not host or not port:
        raise Unreachable(
            f"the locator of {locator.designator[:8]}… does not say where it is; expected hints, as"
            " in ?host=example.org&port=7711"
        )
    # isascii: int() reads digits of every script and isdigit() even superscripts.
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise Unreachable(f"hint port: expected a number from 1 to 65535, got {port[:20]!r}")
    return host, int(port)


async def connect_tcp(host: str, port: int, *, within: float) -> socket.socket:
    """Connect in at most ``within`` seconds. Raises Unreachable that says what to check."""
    where = endpoint(host, port)
    try:
        with trio.fail_after(within):
            stream = await trio.open_tcp_stream(host, port)
        sock = socket.socket(fileno=stream.socket.detach())
        sock.setblocking(False)
        try:
            # TCP lets a socket connect to itself, when the port dialled is by chance the one it got.
            is_own_echo = sock.getsockname() == sock.getpeername()
        except OSError:
            sock.close()
            raise
    except trio.TooSlowError:
        raise Unreachable(
            f"no answer from {where} within {within:g} s;"
            " check host and port, and whether a firewall drops the packets"
        ) from None
    except (OSError, UnicodeError) as error:  # UnicodeError: a host that IDNA cannot spell
        _explain(error, host, where)
    if is_own_echo:
        sock.close()
        raise Unreachable(_nobody(where))
    tune_tcp(sock)
    return sock


def _nobody(where: str) -> str:
    return f"nobody listens at {where}; is the daemon running there? (captpd status)"


def _explain(error: Exception, host: str, where: str) -> NoReturn:
    if isinstance(error, (socket.gaierror, UnicodeError)):
        raise Unreachable(f"host {host!r} is not known; check the spelling, or DNS") from error
    codes = {leaf.errno for leaf in _leaves(error) if isinstance(leaf, OSError)}
    if errno.ECONNREFUSED in codes:
        raise Unreachable(_nobody(where)) from error
    known = sorted(os.strerror(code) for code in codes if code)
    text = ", ".join(known) or "the connection failed"
    raise Unreachable(f"cannot reach {where}: {text}; check the host and the network") from error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif error.__cause__ is not None:
        yield from _leaves(error.__cause__)


def address_of(sock: socket.socket) -> str:
    """Give the host at the other end of a TCP socket, without the port."""
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""


def peer_of(sock: socket.socket) -> str:
    """Write the other end of a TCP socket for people to read."""
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return "a peer that is gone"
    return endpoint(host, port)


def reachable_host(host: str) -> str:
    """Give a host to put in locators for a listener at ``host``.

    A wildcard is no place to dial: the address of the interface to the outside stands in for it.
    """
    if host not in WILDCARDS:
        return host
    family = socket.AF_INET6 if host == "::" else socket.AF_INET
    outside = "2001:db8::1" if host == "::" else "192.0.2.1"  # RFC 3849, RFC 5737: nobody's
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outside, 9))  # of a datagram socket: picks a route, sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def tune_tcp(sock: socket.socket) -> None:
    """Send at once, and notice a peer that is gone."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_S * 1000)
    except OSError:
        pass  # some systems refuse options of a connection that is gone already; reading says so


async def listen_tcp(host: str, port: int) -> socket.socket:
    """Listen at one address. Raises UsageError when the name, the address or the port is bad."""
    where = endpoint(host, port)
    if not 0 <= port < 65536:  # getaddrinfo would take it modulo 65536
        raise UsageError(f"cannot listen at {where}: expected a port from 0 to 65535")
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen at {where}: there is no such host") from error
    family, kind, proto, _, address = found[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} is in use{port_holder(port)}; stop that, or choose another port"
        elif error.errno == errno.EADDRNOTAVAIL:
            text = "this machine does not have that address; use one of its own, or 0.0.0.0 for all"
        elif error.errno == errno.EACCES:
            text = f"port {port} needs a privilege; choose one above 1023"
        else:
            text = os.strerror(error.errno or errno.EIO)
        raise UsageError(f"cannot listen at {where}: {text}") from error
    return sock


def port_holder(port: int) -> str:
    """Say who listens on a TCP port, as `` by captpd (pid 4711)``, or ``""`` if that is hidden.

    For error texts: best effort, Linux only, sees other users' processes only as root.
    """
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *rest = line.split()
            if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{rest[5]}]")
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        try:
            if os.readlink(link) in inodes:
                process = link.parent.parent
                command = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f" by {command} (pid {process.name})"
        except OSError:
            continue  # not ours to see, or gone by now
    return ""


async def accept_forever(
    listener: socket.socket, welcome: Callable[[socket.socket], Awaitable[None]]
) -> NoReturn:
    """Run ``welcome`` in a task of its own for each connection; it owns the socket it is given."""
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue
            except OSError:
                await trio.sleep(ACCEPT_PAUSE_S)
                continue
            sock.setblocking(False)
            nursery.start_soon(welcome, sock)
    raise AssertionError("the loop above ends by exceptions only")


async def run_accept(accept: Accept, conduit: Conduit) -> None:
    """Run ``accept``, then close the conduit; a lost connection is nobody's fault here."""
    try:
        await accept(conduit)
    except Disconnected:
        pass
    finally:
        await conduit.aclose()
