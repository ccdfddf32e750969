"""Ed25519 keys, their names and the ids made from them; knows nothing of who holds which key."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import TYPE_CHECKING, final

from attrs import field, frozen

from captp.errors import RemoteProtocolError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["PrivateKey", "PublicKey", "derive", "parse_designator", "session_id", "side_id"]

KEY_BYTES = 32
ID_BYTES = 32
DESIGNATOR_CHARS = 52

_P = 2**255 - 19
_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
# The eight points of small order, by y alone: the sign bit only chooses between x and -x. One key
# of them makes OpenSSL verify signatures that nobody made, so whoever presents it is everybody.
# Order 1: y = 1; order 2: y = -1; order 4: y = 0; order 8: y = +-Y8. Leaving the sign bit out also
# catches the two encodings of x = 0 with the sign bit set, which RFC 8032 5.1.3 forbids.
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})

# The Syrup form of a public key is this, the 32 bytes and the three closing brackets: 96 bytes
# whatever the key, so that ids need no codec.
_KEY_PREFIX = b"[10'public-key[3'ecc[5'curve7'Ed25519][5'flags5'eddsa][1'q32:"
_KEY_SUFFIX = b"]]]"

_DESIGNATOR = re.compile(rf"[a-z2-7]{{{DESIGNATOR_CHARS}}}")


def _checked(raw: object) -> bytes:
    if not isinstance(raw, bytes):
        raise _bad_key(f"expected {KEY_BYTES} bytes, got {type(raw).__name__}")
    if len(raw) != KEY_BYTES:
        raise _bad_key(f"expected {KEY_BYTES} bytes, got {len(raw)}")
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    # A y of p or more names the same point as y - p. Two encodings of one key would be two
    # designators, hence two peers; it would also let a small-order point past the list above.
    if y >= _P:
        raise _bad_key("the encoding of the point is not canonical")
    if y in _SMALL_ORDER_Y:
        raise _bad_key("the point has small order")
    return raw


def _bad_key(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError("bad-key", f"not an Ed25519 public key: {detail}")


@final
@frozen(repr=False)
class PublicKey:
    """A key that a signature can be checked with; equal when the 32 bytes are."""

    raw: bytes = field(converter=_checked)

    @classmethod
    def parse(cls, raw: object) -> PublicKey:
        """Take a key as a peer sent it.

        Raises RemoteProtocolError ``bad-key`` for anything but 32 bytes, for a point of small
        order and for an encoding that is not canonical. Bytes that are no point at all pass: such
        a key verifies nothing.
        """
        return cls(raw)

    @property
    def designator(self) -> str:
        """The peer's name in locators: unpadded lowercase base32, 52 characters."""
        return base64.b32encode(self.raw).decode("ascii").rstrip("=").lower()

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Say whether this key's owner signed exactly ``data``; a malformed signature is False."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PublicKey,
        )

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):  # a backend may refuse bytes that are no point
            return False
        return True

    def __repr__(self) -> str:
        return f"PublicKey({self.designator[:8]}…)"


@final
@frozen(eq=False, repr=False)
class PrivateKey:
    """A key that signs; equal only to itself and shown only by its public half."""

    public: PublicKey
    _key: Ed25519PrivateKey

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """Make the key of a 32-byte seed (RFC 8032 5.1.5); the caller brings the entropy."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PrivateKey,
        )

        key = Ed25519PrivateKey.from_private_bytes(_seed(seed))
        return cls(PublicKey(key.public_key().public_bytes_raw()), key)

    def seed(self) -> bytes:
        """Give the secret itself, for whoever stores it sealed."""
        return self._key.private_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """Sign ``data``: 64 bytes, first r and then s."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"PrivateKey(of {self.public!r})"


def parse_designator(text: str) -> PublicKey:
    """Give the key that a self-certifying designator names; the inverse of ``designator``.

    Raises RemoteProtocolError ``bad-key`` for any other spelling, so that a key has one name.
    """
    if not _DESIGNATOR.fullmatch(text):
        raise _bad_key(f"a designator is {DESIGNATOR_CHARS} characters of a-z and 2-7")
    key = PublicKey(base64.b32decode(text.upper() + "===="))
    # 52 characters hold 260 bits: the last four must be zero or 16 names would mean one key.
    if key.designator != text:
        raise _bad_key("the last character of the designator carries bits beyond the key")
    return key


def side_id(raw_public: bytes) -> bytes:
    """Give the public id of a session's side from its key's 32 bytes (OCapN CapTP, Public ID)."""
    _check_length("raw_public", raw_public, KEY_BYTES)
    return _double_sha256(_KEY_PREFIX + raw_public + _KEY_SUFFIX)


def session_id(a: bytes, b: bytes) -> bytes:
    """Give the id of the session of two side ids, in either order (OCapN CapTP, Session ID)."""
    _check_length("a", a, ID_BYTES)
    _check_length("b", b, ID_BYTES)
    return _double_sha256(b"prot0" + min(a, b) + max(a, b))


def derive(seed: bytes, label: bytes) -> bytes:
    """Give the 32-byte key that ``seed`` has for the purpose ``label`` (HKDF-SHA256, no salt).

    One key, one purpose: each use has its own label and none ever uses the seed itself.
    """
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    if not label:
        raise UsageError("derive: label is empty; name what the key is for, such as b'index'")
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=label).derive(_seed(seed))


def _seed(seed: bytes) -> bytes:
    _check_length("seed", seed, KEY_BYTES)
    return seed


def _check_length(name: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise UsageError(f"{name} has {len(value)} bytes; expected exactly {length}")


def _double_sha256(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()
