"""What one input may cost: 50 ms and 1 µs a byte, 1 MiB and 16 times its size; knows no decoder.

A small struct takes 50 times its bytes in any Python, so the limit on values bounds what a large message
unfolds to, and not its size: 12 MiB, and its bytes four times over.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import cache
from time import perf_counter, thread_time
from typing import Any

SECONDS = 0.050
SECONDS_PER_BYTE = 1e-6
MEMORY = 1024 * 1024
MEMORY_PER_BYTE = 16
UNFOLDED = 12 * 1024 * 1024
UNFOLDED_PER_BYTE = 4


class OverTheBar(AssertionError):
    """An input that is read or refused as it should be, but at too high a price."""


def timed(target: Callable[[bytes], Any], data: bytes) -> float:
    """Run a target and return the seconds it took. Raises OverTheBar when it is slow twice."""
    allowed = SECONDS + SECONDS_PER_BYTE * len(data)
    begin = perf_counter()
    target(data)
    seconds = perf_counter() - begin
    if seconds > allowed:
        # That may be the machine's fault; the second time only what this thread did itself counts.
        begin = thread_time()
        target(data)
        seconds = min(seconds, thread_time() - begin)
        if seconds > allowed:
            spent = f"{seconds * 1000:.0f} ms for {len(data)} bytes"
            raise OverTheBar(f"{spent}; {allowed * 1000:.0f} are allowed")
    return seconds


def weighed(decode: Callable[[bytes], Any], data: bytes) -> int:
    """Run a decoder and return the bytes that an input takes at its peak. Raises OverTheBar for too many."""
    return _weighed(decode, data, MEMORY + MEMORY_PER_BYTE * len(data))


def unfolded(decode: Callable[[bytes], Any], data: bytes) -> int:
    """Do the same for a large message of small values."""
    return _weighed(decode, data, UNFOLDED + UNFOLDED_PER_BYTE * len(data))


def _weighed(decode: Callable[[bytes], Any], data: bytes, allowed: int) -> int:
    peak = _peak(decode, data) - _idle(decode)
    if peak > allowed:
        raise OverTheBar(f"{peak:,} bytes at peak for an input of {len(data):,}; {allowed:,} are allowed")
    return peak


@cache
def _idle(decode: Callable[[bytes], Any]) -> int:
    """Return what a decoder takes before it has read a byte, which is not the input's."""
    _peak(decode, b"")  # what is made once and kept is nobody's
    return _peak(decode, b"")


def _peak(decode: Callable[[bytes], Any], data: bytes) -> int:
    tracemalloc.start()
    try:
        decode(data)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak
