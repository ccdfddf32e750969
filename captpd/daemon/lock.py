"""One daemon per state folder: a lock that the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from captp.errors import UsageError
from captpd.config.places import StateFolder

__all__ = ["AlreadyRunningError", "hold_lock"]


@final
class AlreadyRunningError(UsageError):
    """Another daemon works in this state folder."""


@contextmanager
def hold_lock(state: StateFolder) -> Iterator[None]:
    """Hold the state folder for the block; the lock file says who does. Raises AlreadyRunningError."""
    descriptor = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Empty for the moment between locking and writing.
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise AlreadyRunningError(
                f"another captpd runs on {state.path} (pid {holder}); stop it: captpd stop --state"
                f" {state.path}, or use another state folder: --state DIR"
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        try:
            yield
        finally:
            # The file stays: removing it would let two daemons lock two files of one name.
            os.truncate(descriptor, 0)
    finally:
        os.close(descriptor)
