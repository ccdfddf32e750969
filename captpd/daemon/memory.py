"""What the daemon does when memory runs short: lets nobody in, then ends the session that holds most."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import trio

from captp import LiveVat
from captp.peer.care import account_of, shed
from captpd.config.schema import Process
from captpd.daemon.doors import Door

__all__ = ["resident_mb", "watch_memory"]

LOOK_S: Final = 1.0
MIB: Final = 2**20

log: Final = logging.getLogger("captpd")

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_STATM: Final = Path("/proc/self/statm")


def resident_mb() -> float:
    """Return the memory that this process has, in MiB; 0.0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE / MIB
    except (OSError, ValueError, IndexError):
        return 0.0


async def watch_memory(
    process: Process, door: Door, vats: Iterable[LiveVat], resident: Callable[[], float] = resident_mb
) -> None:
    """Look every second; over the soft limit the door has no room, over the hard one a session ends."""
    vats = list(vats)
    while True:
        await trio.sleep(LOOK_S)
        used = resident()
        had_room, door.has_room = door.has_room, used <= process.rss_soft_mb
        if had_room != door.has_room:
            text = "memory is enough again" if door.has_room else "memory is short: nobody is let in"
            log.warning(text, extra=_fields(used_mb=round(used), soft_mb=process.rss_soft_mb))
        if used > process.rss_hard_mb:
            heaviest = max(vats, key=lambda vat: account_of(vat.peer))
            log.warning("memory is over", extra=_fields(used_mb=round(used), hard_mb=process.rss_hard_mb))
            shed(heaviest.peer)


def _fields(**fields: Any) -> dict[str, Any]:
    return {"captp": fields}
