"""A key-value store that others may be given: what does not fit is refused, and nothing is forgotten.

``captp new captp.examples.store:Store --name kv`` makes one in a daemon; ``captp.examples.kv`` shares keys
out to several, and ``captp.examples.memcached`` puts a protocol in front of them.
"""

from __future__ import annotations

from typing import ClassVar, Final
from zlib import crc32

import captp

KEY_CHARS: Final = 250
VALUE_BYTES: Final = 65_536
#: What an entry takes besides its key and its data, about.
ENTRY_BYTES: Final = 200


class Store(captp.Object):
    """Entries by their keys: a number that is the caller's own affair, and bytes."""

    most_bytes: ClassVar[int] = 64 * 1024 * 1024

    entries: captp.Map[str, tuple[int, bytes]]
    held_bytes: int = 0

    @captp.method
    def get(self, key: str) -> tuple[int, bytes] | None:
        return self.entries.get(key)

    @captp.method
    def set(self, key: str, flags: int, data: bytes) -> None:
        if len(key) > KEY_CHARS or len(data) > VALUE_BYTES or not 0 <= flags < 2**32:
            raise captp.Refused(f"keys have {KEY_CHARS} characters, data {VALUE_BYTES} bytes, flags 32 bits")
        held = self.held_bytes - self._weight(key) + ENTRY_BYTES + len(key) + len(data)
        if held > self.most_bytes:
            raise captp.Refused(f"the store holds {self.most_bytes} bytes: delete something first")
        self.entries[key], self.held_bytes = (flags, data), held

    @captp.method
    def add(self, key: str, flags: int, data: bytes) -> bool:
        if key in self.entries:
            return False
        self.set(key, flags, data)
        return True

    @captp.method
    def delete(self, key: str) -> bool:
        self.held_bytes -= self._weight(key)
        return self.entries.pop(key, None) is not None

    @captp.method
    def incr(self, key: str, amount: int) -> int | None:
        """Add to a decimal number of 64 bits, which wraps; None when nothing has this key."""
        if key not in self.entries:
            return None
        flags, data = self.entries[key]
        if not data.isdigit() or len(data) > 20:
            raise captp.Refused("the data is no decimal number")
        total = (int(data) + amount) % 2**64
        self.held_bytes -= self._weight(key)
        self.entries[key] = (flags, b"%d" % total)
        self.held_bytes += self._weight(key)
        return total

    def _weight(self, key: str) -> int:
        return ENTRY_BYTES + len(key) + len(self.entries[key][1]) if key in self.entries else 0


def shard_of(key: str, shards: int) -> int:
    """Return which of so many stores has a key: the same everywhere and always, as Python's hash is not."""
    return crc32(key.encode()) % shards
