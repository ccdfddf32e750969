"""One daemon per state folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from captp.errors import UsageError
from captpd.config.lock import HeldError, let_go, take
from captpd.config.places import StateFolder

__all__ = ["AlreadyRunningError", "hold_lock"]


@final
class AlreadyRunningError(UsageError):
    """Another daemon works in this state folder."""


@contextmanager
def hold_lock(state: StateFolder) -> Iterator[None]:
    """Hold the state folder for the block; the lock file says who does. Raises AlreadyRunningError."""
    try:
        descriptor = take(state.lock)
    except HeldError as held:
        raise AlreadyRunningError(
            f"another captpd runs on {state.path} (pid {held.pid}); stop it: captpd stop --state"
            f" {state.path}, or use another state folder: --state DIR"
        ) from None
    try:
        yield
    finally:
        let_go(descriptor)
