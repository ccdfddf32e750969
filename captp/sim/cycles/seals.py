"""Signatures that nobody can forge because somebody keeps a list of what was signed; no entropy needed."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from captp.peer.cycles.words import KEY, SEED, SIGNATURE


class Registry:
    """All signatures of one world: which key signed which body."""

    def __init__(self) -> None:
        self.signed: dict[bytes, tuple[bytes, bytes]] = {}


class Seals:
    """The keys of one vat; a vat that lies has keys of its own too, and no others."""

    def __init__(self, registry: Registry, owner: str) -> None:
        self._registry = registry
        self._owner = owner
        self._made = 0
        self._keys: set[bytes] = set()
        self.signs = 0
        self.checks = 0

    def make(self) -> bytes:
        """Return a new key."""
        self._made += 1
        key = blake2b(f"{self._owner} {self._made}".encode(), digest_size=KEY).digest()
        self._keys.add(key)
        return key

    def sign(self, public: bytes, body: bytes) -> bytes:
        """Sign by a key of this vat's."""
        assert public in self._keys, "a key of somebody else's"
        self.signs += 1
        seal = blake2b(public + body, digest_size=SIGNATURE).digest()
        self._registry.signed[seal] = (public, body)
        return seal

    def verify(self, public: bytes, body: bytes, signature: bytes) -> bool:
        """Tell whether that was signed by that key."""
        self.checks += 1
        return self._registry.signed.get(signature) == (public, body)

    def forget(self, public: bytes) -> None:
        """Forget a key of this vat's."""
        self._keys.discard(public)

    def seed(self, *parts: Any) -> bytes:
        """Return what only this vat can tell from these parts."""
        return blake2b(repr((self._owner, parts)).encode(), digest_size=SEED).digest()
