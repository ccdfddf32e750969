"""Swiss numbers, the secret names of objects: how one is made and how it is looked up unseen."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import final

from attrs import field, frozen

from captp.errors import UsageError
from captp.model.idents import SwissNum

__all__ = ["SwissIndex", "mint"]

SWISS_BYTES = 32
INDEX_KEY_BYTES = 32


def mint(entropy: Callable[[int], bytes]) -> SwissNum:
    """Make a new swiss number of 32 bytes; ``entropy(n)`` gives n unguessable bytes."""
    drawn = entropy(SWISS_BYTES)
    if len(drawn) != SWISS_BYTES:
        raise UsageError(f"entropy({SWISS_BYTES}) gave {len(drawn)} bytes; pass os.urandom's like")
    return SwissNum(drawn)


def _index_key(key: bytes) -> bytes:
    if len(key) != INDEX_KEY_BYTES:
        raise UsageError(f"key has {len(key)} bytes; expected {INDEX_KEY_BYTES}, such as derive() gives")
    return key


@final
@frozen(eq=False, repr=False)
class SwissIndex:
    """Turns swiss numbers into what tables are keyed by.

    Tables, in memory and on disk, hold only the mac. A lookup then compares values that a guesser
    can neither choose nor predict, so its time tells nothing of how close a guess came; and who
    reads the table learns no swiss number.
    """

    _key: bytes = field(converter=_index_key, repr=False)  # rich prints fields itself

    def mac(self, swiss: bytes) -> bytes:
        """Give the HMAC-SHA256 of a swiss number of any length: 32 bytes."""
        return hmac.digest(self._key, swiss, "sha256")
