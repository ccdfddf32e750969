"""A file that one process holds at a time: the kernel lets go of it when its holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import final

from captp.errors import UsageError

__all__ = ["HeldError", "let_go", "take"]


@final
class HeldError(UsageError):
    """Another process holds the file; ``pid`` is its number, or ``unknown``."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(f"{path} is held by another process (pid {pid})")
        self.pid = pid


def take(path: Path) -> int:
    """Hold the file, made where there is none, and write who does; return its descriptor.

    Raises HeldError, and OSError where it cannot be made or is a link.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # A umask may have taken from the owner what the next holder needs.
        os.fchmod(descriptor, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Empty for the moment between locking and writing.
            pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise HeldError(path, pid) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def let_go(descriptor: int) -> None:
    """Hold the file no more."""
    # The file stays: removing it would let two processes lock two files of one name.
    with suppress(OSError):  # what it says counts only while it is locked
        os.truncate(descriptor, 0)
    # A child that was forked meanwhile has the descriptor too, and would keep the lock.
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
