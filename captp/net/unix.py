"""The netlayer ``unix``: socket files for processes of one user; it knows users, not keys."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Any, ClassVar, final

import trio
from attrs import define, field

from captp.errors import Unreachable, UsageError
from captp.model.locator import PeerLocator
from captp.net import _sockets
from captp.net._stream import SocketConduit
from captp.net.base import Accept

__all__ = ["UnixNetlayer", "is_trusted_user"]

_UCRED = struct.Struct("3i")  # pid, uid, gid
_NO_PATH = "the locator does not say where the socket is; expected a hint, as in ?path=/run/x/sock"


@final
@define(eq=False)
class UnixNetlayer:
    """Talks to processes of the same user, or of root, over a socket file; Linux only.

    ``path`` is where ``serve`` puts its socket; its folder must be for the owner alone. A netlayer
    without a path only dials.
    """

    transport: ClassVar[str] = "unix"

    path: str = ""
    _is_listening: bool = field(default=False, init=False)

    async def dial(self, locator: PeerLocator) -> SocketConduit:
        path = locator.hint("path")
        if not path:
            raise Unreachable(_NO_PATH)
        await trio.lowlevel.checkpoint()
        sock = _connect(path)
        _, uid = _credentials(sock)
        if not is_trusted_user(uid):
            sock.close()
            raise Unreachable(f"the socket {path} belongs to user {uid}, not to you or root")
        return SocketConduit(sock, path)

    async def serve(
        self, accept: Accept, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async def welcome(sock: socket.socket) -> None:
            pid, uid = _credentials(sock)
            if is_trusted_user(uid):
                await _sockets.run_accept(accept, SocketConduit(sock, f"pid {pid} of user {uid}"))
            else:
                sock.close()

        with _listen(self.path) as listener:
            made = os.lstat(self.path)
            try:
                self._is_listening = True
                task_status.started()
                await _sockets.accept_forever(listener, welcome)
            finally:
                self._is_listening = False
                _remove(self.path, made)

    def hints(self) -> dict[str, str]:
        return {"path": self.path} if self._is_listening else {}


def is_trusted_user(uid: int) -> bool:
    """Say whether a peer's user may talk to us: our own, or root, who could read our memory."""
    return uid in (os.geteuid(), 0)


def _credentials(sock: socket.socket) -> tuple[int, int]:
    """Ask the kernel who connected (or listened): pid and uid as of then."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(raw)
    return pid, uid


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(_without_nul(path))
    except (OSError, ValueError) as error:
        sock.close()
        raise Unreachable(_why_not(path, error)) from error
    return sock


def _why_not(path: str, error: Exception) -> str:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return f"there is no socket {path}; is the daemon running? (captpd status)"
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens at {path}; is the daemon running? (captpd status)"
    if isinstance(error, PermissionError):
        return f"you may not use the socket {path}; it belongs to another user"
    if isinstance(error, BlockingIOError):
        return f"the listener at {path} has too many connections waiting; try again"
    return f"cannot connect to {path}: {_reason(error)}"


def _without_nul(path: str) -> str:
    # The kernel would end the path there or, where it comes first, leave the file system.
    if "\0" in path:
        raise ValueError("the path has a NUL character in it")
    return path


def _reason(error: Exception) -> str:
    # A path that is too long comes as an OSError without a number.
    code = error.errno if isinstance(error, OSError) else None
    return os.strerror(code) if code else str(error)


def _listen(path: str) -> socket.socket:
    if not hasattr(socket, "SO_PEERCRED"):
        raise UsageError("the netlayer unix needs SO_PEERCRED, which this system lacks; use tls")
    _check_folder(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(path)
            sock.bind(path)
        # Nobody can connect before listen, so nobody slips in before the mode is right.
        os.chmod(path, 0o600)
        sock.listen(_sockets.BACKLOG)
    except OSError as error:
        sock.close()
        raise UsageError(f"cannot listen at {path}: {_reason(error)}") from error
    except UsageError:
        sock.close()
        raise
    return sock


def _check_folder(path: str) -> None:
    if not path:
        raise UsageError("UnixNetlayer has no path to serve at; give it one")
    folder = Path(path).absolute().parent
    try:
        _without_nul(path)
        info = os.stat(folder)
    except ValueError as error:
        raise UsageError(f"cannot listen at {path!r}: {error}") from error
    except OSError as error:
        raise UsageError(
            f"cannot listen at {path}: {_reason(error)}; make its folder: mkdir -m 700 {folder}"
        ) from error
    if info.st_uid != os.geteuid():
        raise UsageError(f"the folder {folder} belongs to user {info.st_uid}; use one of your own")
    if info.st_mode & 0o077:
        raise UsageError(
            f"the folder {folder} is open to others (mode {stat.S_IMODE(info.st_mode):o}); close"
            f" it: chmod 700 {folder}"
        )


def _remove_stale(path: str) -> None:
    """Remove what a dead listener left behind. Raises UsageError if it is anything else."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise UsageError(f"cannot listen at {path}: it is a file that is no socket; move it")
    try:
        _connect(path).close()
    except Unreachable as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            os.unlink(path)
            return
        if isinstance(error.__cause__, FileNotFoundError):
            return
        if not isinstance(error.__cause__, BlockingIOError):
            raise UsageError(f"cannot listen at {path}: {error}") from error
    raise UsageError(f"cannot listen at {path}: a live daemon listens there; stop it first")


def _remove(path: str, made: os.stat_result) -> None:
    """Remove our socket file, but not one that somebody else has put in its place."""
    try:
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino):
            os.unlink(path)
    except OSError:
        pass  # gone already
