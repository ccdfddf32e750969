"""Keys of a vat's collector: one for each session side, made for this and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from captp.errors import RemoteProtocolError
from captp.model.keys import PrivateKey, PublicKey
from captp.peer.cycles.words import SEED


class Signing:
    """Ed25519, from the driver's entropy; a session's own key would link what must not be linked."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._keys: dict[bytes, PrivateKey] = {}
        self._secret = b""

    def make(self) -> bytes:
        """Return the public half of a new key."""
        key = PrivateKey.from_seed(self._entropy(32))
        self._keys[key.public.raw] = key
        return key.public.raw

    def sign(self, public: bytes, body: bytes) -> bytes:
        """Sign with a key that ``make`` gave."""
        return self._keys[public].sign(body)

    def verify(self, public: bytes, body: bytes, signature: bytes) -> bool:
        """Tell whether a signature is that key's; no key of small order has any."""
        try:
            return PublicKey.parse(public).verify(signature, body)
        except RemoteProtocolError:
            return False

    def forget(self, public: bytes) -> None:
        """Forget a key."""
        del self._keys[public]

    def seed(self, *parts: Any) -> bytes:
        """Return what only this vat can tell of some numbers and bytes, until it tells."""
        if not self._secret:
            self._secret = self._entropy(32)
        text = b"|".join(part if type(part) is bytes else b"%d" % part for part in parts)
        return blake2b(text, key=self._secret, digest_size=SEED).digest()
