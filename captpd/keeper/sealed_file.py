"""A sealed file: what is in it can be read by the holder of the key alone, and neither changed nor cut.

After the magic, a byte of the format, eight that tell the key, and a salt, come chunks, each sealed by
ChaCha20-Poly1305 under its number; the last one says that it is the last.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from captp.errors import StoreDamaged, StoreTooNew, UsageError
from captp.model.keys import derive

__all__ = ["Reader", "Writer"]

MAGIC: Final = b"captpd backup\n"
FORMAT: Final = 1
CHUNK: Final = 256 * 1024
_SALT: Final = 32
_KEY_ID: Final = 8
_TAG: Final = 16
_HEAD: Final = len(MAGIC) + 1 + _KEY_ID + _SALT


def _key_id(seed: bytes) -> bytes:
    return derive(seed, b"captpd backup: which key")[:_KEY_ID]


def _cipher(seed: bytes, salt: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(derive(seed, b"captpd backup: seal " + salt))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


@final
class Writer:
    """Seals what is written, until ``finish``."""

    def __init__(self, file: BinaryIO, seed: bytes) -> None:
        salt = os.urandom(_SALT)
        self._file = file
        self._cipher = _cipher(seed, salt)
        self._number = 0
        self._kept = bytearray()
        file.write(MAGIC + bytes([FORMAT]) + _key_id(seed) + salt)

    def write(self, data: bytes) -> None:
        self._kept += data
        while len(self._kept) > CHUNK:
            self._seal(bytes(self._kept[:CHUNK]), is_last=False)
            del self._kept[:CHUNK]

    def finish(self) -> None:
        """Write what is left; without it the file cannot be read."""
        self._seal(bytes(self._kept), is_last=True)

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, is_last=is_last), chunk, None))
        self._number += 1


@final
class Reader:
    """Reads what a ``Writer`` sealed; ``path`` is for its errors."""

    def __init__(self, file: BinaryIO, path: Path, seed: bytes) -> None:
        head = file.read(_HEAD)
        if len(head) < _HEAD or not head.startswith(MAGIC):
            raise UsageError(f"{path} is no backup of captpd; name a file that captpd backup wrote")
        version, key_id = head[len(MAGIC)], head[len(MAGIC) + 1 : -_SALT]
        if version > FORMAT:
            raise StoreTooNew(
                f"{path} has format {version}, and this captpd reads up to {FORMAT}: use the captpd that"
                " wrote it"
            )
        if key_id != _key_id(seed):
            raise UsageError(
                f"{path} is of another identity: put the identity.key of the daemon that it is of into the"
                " state folder"
            )
        self._file, self._path = file, path
        self._cipher = _cipher(seed, head[-_SALT:])
        self._number = 0
        self._kept = bytearray()
        self._following = file.read(CHUNK + _TAG)
        self._is_last = False

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes. Raises StoreDamaged."""
        while len(self._kept) < size:
            self._unseal()
        data = bytes(self._kept[:size])
        del self._kept[:size]
        return data

    def finish(self) -> None:
        """Raise StoreDamaged unless all has been read, and the file is whole."""
        while not self._is_last:
            self._unseal()
        if self._kept:
            raise self._damaged()

    def _unseal(self) -> None:
        chunk, self._following = self._following, self._file.read(CHUNK + _TAG)
        if self._is_last:
            raise self._damaged()
        self._is_last = not self._following
        try:
            self._kept += self._cipher.decrypt(_nonce(self._number, is_last=self._is_last), chunk, None)
        except (InvalidTag, ValueError):
            raise self._damaged() from None
        self._number += 1

    def _damaged(self) -> StoreDamaged:
        return StoreDamaged(
            f"{self._path} is not what was written there, or not all of it: use another backup"
        )
