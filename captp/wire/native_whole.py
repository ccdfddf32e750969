"""Whether the messages in a native frame are whole and small, before anything makes room for what they claim.

msgpack makes room for as many values as a header claims: a cut message of a few KB of nested ones takes
80 MB. So the headers are gone through first; where they are few, as around large bytes, without a copy.
"""

from __future__ import annotations

from typing import Final

import msgpack

from captp.errors import DecodeError, LimitExceeded

__all__ = ["check_sizes", "check_whole"]

#: Headers that are looked at one by one; beyond them msgpack's own skipping is faster than this.
FEW: Final = 64

#: By first byte: bytes of the header that tell a length, bytes behind it, values per entry (0: bytes).
_LENGTHS: Final = {
    0xC4: (1, 0, 0),
    0xC5: (2, 0, 0),
    0xC6: (4, 0, 0),
    0xC7: (1, 1, 0),
    0xC8: (2, 1, 0),
    0xC9: (4, 1, 0),
    0xD9: (1, 0, 0),
    0xDA: (2, 0, 0),
    0xDB: (4, 0, 0),
    0xDC: (2, 0, 1),
    0xDD: (4, 0, 1),
    0xDE: (2, 0, 2),
    0xDF: (4, 0, 2),
}

#: By first byte: bytes behind it.
_FIXED: Final = {
    0xCA: 4,
    0xCB: 8,
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
    0xD4: 2,
    0xD5: 3,
    0xD6: 5,
    0xD7: 9,
    0xD8: 17,
}


def check_whole(frame: bytes | bytearray | memoryview) -> None:
    """Raise DecodeError unless every message in a frame is complete."""
    if not _is_whole(frame):
        check_sizes(frame, len(frame))


def check_sizes(frame: bytes | bytearray | memoryview, most: int) -> None:
    """Raise DecodeError for a message that is not complete, LimitExceeded for one of over ``most`` bytes."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(frame))
    unpacker.feed(frame)
    skip, tell = unpacker.skip, unpacker.tell
    done = 0
    try:
        while True:
            skip()
            begun, done = done, tell()
            if done - begun > most:
                raise LimitExceeded("too-large", f"a message of {done - begun} bytes, the limit is {most}")
    except msgpack.OutOfData:
        if done < len(frame):
            raise DecodeError("bad-frame", f"a message was cut off near byte {done} of a frame") from None


def _is_whole(frame: bytes | bytearray | memoryview) -> bool:
    """Say whether a frame is one message of few headers that ends where the frame does."""
    at, left, end = 0, 1, len(frame)
    for _ in range(FEW):
        if not left or at >= end:
            break
        first = frame[at]
        at += 1
        left -= 1
        if first in _LENGTHS:
            width, behind, values = _LENGTHS[first]
            size = int.from_bytes(frame[at : at + width], "big")
            at += width + behind
            if values:
                left += size * values
            else:
                at += size
        elif 0x90 <= first <= 0x9F:
            left += first & 0x0F
        elif 0x80 <= first <= 0x8F:
            left += 2 * (first & 0x0F)
        elif 0xA0 <= first <= 0xBF:
            at += first & 0x1F
        else:
            at += _FIXED.get(first, 0)
    return not left and at == end
