"""The netlayer ``tls``: TLS 1.3 between two Ed25519 keys; it proves who is there, never what for."""

from __future__ import annotations

import ipaddress
import socket
from types import TracebackType
from typing import Any, ClassVar, final

import trio
from attrs import define, field, frozen
from OpenSSL import SSL

from captp.errors import (
    Disconnected,
    RemoteProtocolError,
    Unreachable,
    UsageError,
    WrongPeer,
)
from captp.limits import Limits
from captp.model.keys import PrivateKey, PublicKey, parse_designator
from captp.model.locator import PeerLocator
from captp.net import _sockets
from captp.net._stream import SocketConduit
from captp.net._tls_identity import context_of, key_of, listening_context
from captp.net.base import Accept

__all__ = ["TlsConduit", "TlsNetlayer", "TlsPort"]

BINDING_LABEL = b"EXPORTER-captp-1"
BINDING_BYTES = 32
# RFC 8446 5.1, 5.2: a record's header, its longest plaintext and its longest ciphertext.
HEADER = 5
PLAINTEXT = 2**14
CIPHERTEXT = 2**14 + 256
RECORD_TYPES = range(20, 24)
# Encrypted in one go, and so the size to which OpenSSL's buffers grow and stay; with its overhead.
SLICE = 4 * PLAINTEXT
SEALED_SLICE = 4 * CIPHERTEXT
# Encrypted before the kernel is asked to take it: one system call for a batch of any usual size.
WRITE = 4 * SLICE


@final
@frozen(eq=False)
class _Translated:
    """Turns what OpenSSL raises into Disconnected."""

    remote: str

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, SSL.Error):
            raise Disconnected(
                f"connection with {self.remote} lost: TLS: {_reason(error)}"
            ) from error


def _reason(error: SSL.Error) -> str:
    """Give OpenSSL's short reason, such as ``tlsv1 alert internal error``."""
    entries = error.args[0] if error.args else ()
    texts = [entry[-1] for entry in entries if entry] if isinstance(entries, list) else []
    return ", ".join(texts) or type(error).__name__
