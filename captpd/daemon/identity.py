"""The daemon's one secret, and the keys that come of it: one per vat, each for that vat alone."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from captp.errors import UsageError
from captp.model.keys import KEY_BYTES, PrivateKey, derive
from captpd.config.places import write_file

__all__ = ["control_key", "make_identity", "read_identity", "vat_key"]

_COMMENT: Final = "# captpd identity: whoever holds this file can be this daemon"
_HEX: Final = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}")


def make_identity(path: Path) -> bytes:
    """Write a new secret to ``path``, mode 0600, and return it."""
    seed = os.urandom(KEY_BYTES)
    write_file(path, f"{_COMMENT}\n{seed.hex()}\n")
    return seed


def read_identity(path: Path) -> bytes:
    """Return the secret at ``path``; raises UsageError, which does not repeat the contents."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) != 1 or not _HEX.fullmatch(keys[0]):
        raise UsageError(
            f"{path} is damaged: expected one line of {2 * KEY_BYTES} hex digits; restore it from a"
            " backup (a new identity would make every sturdyref given out worthless)"
        )
    return bytes.fromhex(keys[0])


def vat_key(seed: bytes, name: str) -> PrivateKey:
    """Return the identity of the vat ``name``; renaming a vat gives it another."""
    return PrivateKey.from_seed(derive(seed, f"captpd vat {name}".encode()))


def control_key(seed: bytes) -> PrivateKey:
    """Return the identity of the vat that holds nothing but the control plane."""
    return PrivateKey.from_seed(derive(seed, b"captpd control"))
