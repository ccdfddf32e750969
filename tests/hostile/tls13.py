"""A TLS 1.3 client by hand (RFC 8446), for what no TLS library sends: keys and proofs that do not match.

One suite, TLS_AES_128_GCM_SHA256 with X25519; it checks nothing of what the server says.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime

import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

ALERT, HANDSHAKE, DATA = 21, 22, 23
SERVER_HELLO, CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, FINISHED = 2, 11, 13, 15, 20

Sign = Callable[[bytes], bytes]


def certificate_of(raw: bytes) -> bytes:
    """Make a certificate of any 32 bytes for a key, signed by somebody else: nobody checks that."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "captp")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(Ed25519PublicKey.from_public_bytes(raw))
        .serial_number(1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9999, 12, 31, tzinfo=UTC))
        .sign(Ed25519PrivateKey.generate(), None)
    )
    return built.public_bytes(Encoding.DER)


def _expand(secret: bytes, label: str, context: bytes = b"", size: int = 32) -> bytes:
    """HKDF-Expand-Label for at most 32 bytes."""
    name = b"tls13 " + label.encode()
    info = struct.pack(">HB", size, len(name)) + name + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", "sha256")[:size]


def _vector(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "big") + data


def _message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _vector(body, 3)


class _Half:
    """One direction's keys."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._aead = AESGCM(_expand(secret, "key", size=16))
        self._iv = int.from_bytes(_expand(secret, "iv", size=12), "big")
        self._count = 0

    def _nonce(self) -> bytes:
        nonce = self._iv ^ self._count
        self._count += 1
        return nonce.to_bytes(12, "big")

    def seal(self, kind: int, data: bytes) -> bytes:
        inner = data + bytes([kind])
        header = bytes([DATA, 3, 3]) + struct.pack(">H", len(inner) + 16)
        return header + self._aead.encrypt(self._nonce(), inner, header)

    def open(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        inner = self._aead.decrypt(self._nonce(), body, header).rstrip(b"\0")
        return inner[-1], inner[:-1]

    def finished(self, transcript: bytes) -> bytes:
        digest = hashlib.sha256(transcript).digest()
        return _message(FINISHED, hmac.digest(_expand(self.secret, "finished"), digest, "sha256"))


class Client:
    """One connection; ``kinds`` says afterwards which kinds of records the server sent in the end."""

    def __init__(self, sock: trio.socket.SocketType, server_name: str) -> None:
        self._sock = sock
        self._name = server_name
        self._unread = b""
        self._transcript = b""
        self._theirs: _Half
        self._mine: _Half
        self.kinds: list[int] = []

    async def shake_hands(self, chain: list[bytes], sign: Sign | None) -> None:
        """Present certificates and a proof, both as they are; no proof without ``sign``."""
        share = X25519PrivateKey.generate()
        hello = self._client_hello(share.public_key().public_bytes_raw())
        self._transcript = hello
        await self._sock.send(bytes([HANDSHAKE, 3, 1]) + _vector(hello, 2))
        _, server_hello = await self._record()
        self._transcript += server_hello
        shared = share.exchange(X25519PublicKey.from_public_bytes(self._key_share(server_hello)))
        empty = hashlib.sha256(b"").digest()
        early = hmac.digest(bytes(32), bytes(32), "sha256")
        handshake = hmac.digest(_expand(early, "derived", empty), shared, "sha256")
        client, self._theirs = self._halves(handshake, "hs")
        await self._flight()
        master = hmac.digest(_expand(handshake, "derived", empty), bytes(32), "sha256")
        self._mine, self._theirs = self._halves(master, "ap")
        entries = b"".join(_vector(der, 3) + b"\0\0" for der in chain)
        self._transcript += (answer := _message(CERTIFICATE, b"\0" + _vector(entries, 3)))
        if sign is not None:
            proved = b" " * 64 + b"TLS 1.3, client CertificateVerify\0"
            proved += hashlib.sha256(self._transcript).digest()
            proof = _message(CERTIFICATE_VERIFY, b"\x08\x07" + _vector(sign(proved), 2))
            self._transcript += proof
            answer += proof
        answer += client.finished(self._transcript)
        for start in range(0, len(answer), 16384):
            await self._sock.send(client.seal(HANDSHAKE, answer[start : start + 16384]))

    def _client_hello(self, share: bytes) -> bytes:
        def extension(kind: int, body: bytes) -> bytes:
            return struct.pack(">H", kind) + _vector(body, 2)

        name = b"\0" + _vector(self._name.encode(), 2)
        extensions = b"".join((
            extension(0, _vector(name, 2)),
            extension(43, b"\x02\x03\x04"),
            extension(10, b"\0\x02\0\x1d"),
            extension(13, b"\0\x02\x08\x07"),
            extension(51, _vector(b"\0\x1d" + _vector(share, 2), 2)),
        ))  # fmt: skip
        body = b"\x03\x03" + os.urandom(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + _vector(extensions, 2)
        return _message(1, body)

    def _key_share(self, server_hello: bytes) -> bytes:
        at = 4 + 2 + 32
        at += 1 + server_hello[at] + 3 + 2
        while at < len(server_hello):
            kind, size = struct.unpack_from(">HH", server_hello, at)
            if kind == 51:
                return server_hello[at + 8 : at + 4 + size]
            at += 4 + size
        raise AssertionError("the server shares no key")

    def _halves(self, secret: bytes, stage: str) -> tuple[_Half, _Half]:
        digest = hashlib.sha256(self._transcript).digest()
        mine, theirs = (_expand(secret, f"{who} {stage} traffic", digest) for who in "cs")
        return _Half(mine), _Half(theirs)

    async def _flight(self) -> None:
        """Read the server's messages up to its Finished."""
        messages = b""
        while True:
            kind, data = await self._sealed()
            assert kind == HANDSHAKE, f"a record of type {kind} in the handshake"
            messages += data
            while len(messages) >= 4 and len(messages) >= (end := 4 + int.from_bytes(messages[1:4], "big")):
                self._transcript += messages[:end]
                if messages[0] == FINISHED:
                    return
                messages = messages[end:]

    async def _sealed(self) -> tuple[int, bytes]:
        kind, body = await self._record()
        if kind == 20:
            return await self._sealed()
        return self._theirs.open(bytes([kind, 3, 3]) + struct.pack(">H", len(body)), body)

    async def _record(self) -> tuple[int, bytes]:
        while len(self._unread) < 5 or len(self._unread) < 5 + int.from_bytes(self._unread[3:5], "big"):
            data = await self._sock.recv(65536)
            if not data:
                raise EOFError
            self._unread += data
        end = 5 + int.from_bytes(self._unread[3:5], "big")
        record, self._unread = self._unread[:end], self._unread[end:]
        return record[0], record[5:]

    async def send(self, data: bytes, kind: int = DATA) -> None:
        """Send a record under the keys of the session."""
        await self._sock.send(self._mine.seal(kind, data))

    async def listen(self) -> None:
        """Note the kinds of records until the server closes."""
        try:
            while True:
                self.kinds.append((await self._sealed())[0])
        except (EOFError, OSError):
            return
