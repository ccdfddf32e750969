"""What proves the keys over a WebSocket: the records, to the byte; knows no connection.

OCapN's WebSocket netlayer, as Endo and Goblins have it: the dialler sends a challenge and the acceptor
signs the very bytes that came. Between peers of captp the acceptor then challenges the dialler, whose
answer names both sides and both challenges, so that it is worth nothing anywhere else.
"""

from __future__ import annotations

from hashlib import sha256

from captp.errors import RemoteProtocolError
from captp.limits import Limits
from captp.model.keys import PrivateKey, PublicKey, parse_designator
from captp.wire.canonical import read_signature, sig_envelope
from captp.wire.syrup import Record, decode_one, encode

__all__ = [
    "MUTUAL",
    "PROOF_BYTES",
    "accept_proof",
    "binding_of",
    "challenge",
    "check_challenge",
    "check_counter",
    "check_envelope",
    "counter_challenge",
    "envelope",
    "prove",
]

#: The WebSocket subprotocol that asks for, and grants, the proof of the dialler.
MUTUAL = "captp.mutual"
#: The longest of these messages has 386 bytes.
PROOF_BYTES = 512
NONCE_BYTES = 32

_AUTH = "init:peer-auth"
_COUNTER = "captp:peer-challenge"
_PROOF = "captp:peer-proof"
_ENVELOPE = "desc:sig-envelope"
_BINDING_LABEL = b"captp websocket binding 1"
_LIMITS = Limits(depth=8, nodes=32)


def challenge(nonce: bytes) -> bytes:
    """Give the dialler's challenge: ``<init:peer-auth NONCE>``."""
    return encode(Record(_AUTH, (nonce,)))


def check_challenge(data: bytes) -> None:
    """Refuse what is no challenge: nothing else may ever be signed. Raises RemoteProtocolError."""
    _check_nonce(data, _AUTH)


def envelope(key: PrivateKey, received: bytes) -> bytes:
    """Answer a challenge that was checked: sign its bytes as they came."""
    return sig_envelope(received, key.sign(received))


def check_envelope(data: bytes, sent: bytes, wanted: PublicKey) -> None:
    """Demand that ``wanted`` signed the challenge ``sent``. Raises RemoteProtocolError."""
    _, signature = _open(data)
    # Written anew from its parts: other bytes, or another challenge, are another proof.
    if sig_envelope(sent, signature) != data:
        raise _bad("it answers another challenge")
    if not wanted.verify(signature, sent):
        raise _bad("it is not signed by the key that the locator names")


def counter_challenge(nonce: bytes) -> bytes:
    """Give the acceptor's challenge: ``<captp:peer-challenge NONCE>``."""
    return encode(Record(_COUNTER, (nonce,)))


def check_counter(data: bytes) -> None:
    """Refuse what is no challenge of an acceptor. Raises RemoteProtocolError."""
    _check_nonce(data, _COUNTER)


def prove(key: PrivateKey, acceptor: PublicKey, sent: bytes, counter: bytes) -> bytes:
    """Answer an acceptor's challenge.

    Signed is ``<captp:peer-proof DIALLERS-NONCE ACCEPTORS-NONCE dialler acceptor>``. The designators
    keep whoever was dialled from passing the proof on to somebody else.
    """
    signed = _proof(sent, counter, key.public, acceptor)
    return sig_envelope(signed, key.sign(signed))


def accept_proof(data: bytes, own: PublicKey, received: bytes, counter: bytes) -> PublicKey:
    """Give the dialler's key, proved for this very connection. Raises RemoteProtocolError."""
    inner, signature = _open(data)
    match inner:
        case Record(_, (_, _, str(designator), _)):
            dialler = parse_designator(designator)
        case _:
            raise _bad(f"expected <{_PROOF} ..> in the envelope")
    signed = _proof(received, counter, dialler, own)
    if sig_envelope(signed, signature) != data:
        raise _bad("it is meant for another connection or another peer")
    if not dialler.verify(signature, signed):
        raise _bad("it is not signed by the key that it names")
    return dialler


def binding_of(*messages: bytes) -> bytes:
    """Give 32 bytes that stand for a whole proof: its four messages, in the order sent."""
    # Each is one Syrup record, which says itself where it ends.
    return sha256(_BINDING_LABEL + b"".join(messages)).digest()


def _proof(sent: bytes, counter: bytes, dialler: PublicKey, acceptor: PublicKey) -> bytes:
    nonces = _nonce(sent), _nonce(counter)
    return encode(Record(_PROOF, (*nonces, dialler.designator, acceptor.designator)))


def _nonce(checked: bytes) -> bytes:
    return checked[-1 - NONCE_BYTES : -1]


def _check_nonce(data: bytes, label: str) -> None:
    # Also a nonce of another length: written anew it would be shorter or longer.
    if encode(Record(label, (_nonce(data),))) != data:
        raise _bad(f"expected <{label} ..> around {NONCE_BYTES} bytes")


def _open(data: bytes) -> tuple[object, bytes]:
    try:
        match decode_one(data, _LIMITS, strict=True):
            case Record(label, (inner, signature)) if label == _ENVELOPE:
                return inner, read_signature(signature)
    except RemoteProtocolError as error:
        raise _bad(error.detail) from error
    raise _bad(f"expected <{_ENVELOPE} ..>")


def _bad(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError("bad-signature", detail)
