"""Certificates that say nothing but a key, and the TLS settings around them; knows no sockets."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from captp.errors import RemoteProtocolError
from captp.model.keys import PrivateKey, PublicKey

__all__ = ["certificate_of", "context_of", "key_of", "listening_context", "proved_key"]

# OpenSSL frees its record buffers while a connection is idle: 32 KiB less for each.
# pyOpenSSL has no name for it (SSL_MODE_RELEASE_BUFFERS in openssl/ssl.h).
_RELEASE_BUFFERS = 0x10


def certificate_of(key: PrivateKey) -> x509.Certificate:
    """Make the one certificate of a key: the same name, dates and number for everybody.

    Whoever reads it looks at the key alone, so neither clocks nor authorities matter.
    """
    private = Ed25519PrivateKey.from_private_bytes(key.seed())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "captp")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        .sign(private, None)
    )


def key_of(certificate: x509.Certificate) -> PublicKey:
    """Read the key of a certificate, to be called once TLS proved that the peer holds it.

    Raises RemoteProtocolError ``bad-key`` unless it is Ed25519, canonical and not of small order.
    """
    key = certificate.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise RemoteProtocolError("bad-key", "the certificate's key is not Ed25519")
    return PublicKey.parse(key.public_bytes_raw())


def proved_key(connection: SSL.Connection, *, is_dialler: bool) -> PublicKey:
    """Say which key the other end of a finished handshake holds. Raises RemoteProtocolError."""
    try:
        leaf = connection.get_peer_certificate(as_cryptography=True)
        chain = connection.get_peer_cert_chain(as_cryptography=True) or []
        if leaf is None:
            raise RemoteProtocolError("bad-key", "there is no certificate")
        # OpenSSL counts the peer's own certificate in the chain for who dialled, but not for who
        # was dialled.
        if len(chain) != (1 if is_dialler else 0):
            raise RemoteProtocolError("bad-key", "the certificate has others with it; send it alone")
        return key_of(leaf)
    except RemoteProtocolError:
        raise
    except Exception as error:
        # Whatever a parser raises about a hostile certificate, the peer is refused, no more.
        raise RemoteProtocolError("bad-key", "the certificate cannot be read") from error


def context_of(key: PrivateKey) -> SSL.Context:
    """Make the settings of whoever speaks as ``key``, dialling or dialled; the key stays inside."""
    context = _context()
    context.use_certificate(certificate_of(key))
    context.use_privatekey(Ed25519PrivateKey.from_private_bytes(key.seed()))
    return context


def listening_context(contexts: dict[str, SSL.Context]) -> SSL.Context:
    """Make the settings of a port where the server name chooses among ``contexts``, also later ones.

    They have no certificate of their own: without a name that is known there, OpenSSL has nothing
    to answer with and ends the handshake.
    """
    context = _context()

    def choose(connection: SSL.Connection) -> None:
        name = connection.get_servername() or b""
        chosen = contexts.get(name.decode("ascii", "replace"))
        if chosen is not None:
            connection.set_context(chosen)

    context.set_tlsext_servername_callback(choose)
    return context


def _context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    # No resumption and no early data: each connection proves both keys anew. OpenSSL still sends
    # two tickets, which name sessions that it does not keep; pyOpenSSL cannot set their number.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_mode(_RELEASE_BUFFERS)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _is_leaf)
    return context


def _is_leaf(_connection: SSL.Connection, _certificate: object, _error: int, depth: int, _ok: int) -> bool:
    # Who signed the certificate means nothing here. OpenSSL still checks that the peer holds its
    # key, and key_of reads which key that is.
    return depth == 0
