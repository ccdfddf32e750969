"""Session keys, ids, signatures and descriptors as OCapN spells them; nothing of connections."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.interop.syrup import Rec, Sym, rec, write


def public_list(raw: bytes) -> list[Any]:
    curve, flags = [Sym("curve"), Sym("Ed25519")], [Sym("flags"), Sym("eddsa")]
    return [Sym("public-key"), [Sym("ecc"), curve, flags, [Sym("q"), raw]]]


def signature_list(raw: bytes) -> list[Any]:
    return [Sym("sig-val"), [Sym("eddsa"), [Sym("r"), raw[:32]], [Sym("s"), raw[32:]]]]


def signature_of(value: Any) -> bytes:
    _, (_, (_, r), (_, s)) = value
    assert value == signature_list(r + s)
    return bytes(r + s)


def twice(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def is_signed(signature: bytes, key: bytes, data: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except InvalidSignature:
        return False
    return True


class Key:
    """A session key."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.raw = self._private.public_key().public_bytes_raw()
        self.side = twice(write(public_list(self.raw)))

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)


def keys_in_order() -> tuple[Key, Key]:
    """Two keys, the one with the lower side id first."""
    low, high = sorted((Key(), Key()), key=lambda key: key.side)
    return low, high


def envelope(signed: Rec, key: Key) -> Rec:
    return rec("desc:sig-envelope", signed, signature_list(key.sign(write(signed))))


def export(position: int) -> Rec:
    return rec("desc:export", position)


def answer(position: int) -> Rec:
    return rec("desc:answer", position)


def an_object(position: int) -> Rec:
    return rec("desc:import-object", position)


def a_promise(position: int) -> Rec:
    return rec("desc:import-promise", position)


def is_call(message: Rec, to: Rec) -> bool:
    return message.label in ("op:deliver", "op:deliver-only") and message.fields[0] == to


def held(value: Any) -> Rec:
    """Turn what somebody exported to us into how we name it to them."""
    assert type(value) is Rec, value
    assert value.label in ("desc:import-object", "desc:import-promise"), value
    return export(value.fields[0])
