"""How a WebSocket opens: HTTP upgrade, then proof of keys; knows neither addresses nor sessions."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import final

from attrs import define, field
from wsproto import ConnectionType
from wsproto.events import AcceptConnection, RejectConnection, Request
from wsproto.handshake import H11Handshake
from wsproto.utilities import RemoteProtocolError as BadHandshake

from captp.errors import Disconnected, RemoteProtocolError
from captp.limits import Limits
from captp.model.keys import PrivateKey, PublicKey
from captp.net import _websocket_proof as proof
from captp.net._websocket_frames import CloseReason, Frames, Goodbye, ParseFailed, Piece, Ping
from captp.net._websocket_stream import Raw, WebsocketConduit

__all__ = ["accept_websocket", "dial_websocket"]

_HEAD_END = b"\r\n\r\n"
# h11 takes a bare line feed for a line's end; then it might see the head end before we do.
_BARE_LF = re.compile(rb"(?<!\r)\n")


@final
@define(eq=False)
class _Opening:
    """A connection that is not proved yet; ``most`` is how many bytes it may still send."""

    raw: Raw
    is_dialler: bool
    most: int
    frames: Frames = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.frames = Frames(is_dialler=self.is_dialler, most=proof.PROOF_BYTES)

    async def head(self) -> bytes:
        """Read an HTTP head; what comes after it are frames."""
        read = b""
        while _HEAD_END not in read:
            read += await self._more()
        end = read.index(_HEAD_END) + len(_HEAD_END)
        self.frames.feed(read[end:])
        if _BARE_LF.search(read, 0, end):
            raise self._refused("an HTTP head with a bare line feed")
        return read[:end]

    async def hear(self) -> bytes:
        """Read one message."""
        message = b""
        while True:
            match self.frames.next():
                case Piece(data, _, _, is_last):
                    message += data
                    if is_last:
                        return message
                case Ping(payload):
                    self.raw.send_nowait(self.frames.pong(payload))
                case Goodbye(reason):
                    raise Disconnected(f"connection with {self.raw.remote} lost: it closed it ({reason})")
                case None:
                    self.frames.feed(await self._more())

    def say(self, message: bytes) -> None:
        self.raw.send_nowait(bytes(self.frames.message(message)))

    async def _more(self) -> bytes:
        if not self.most:
            raise self._refused("too much before the end of the handshake")
        data = await self.raw.receive(self.most)
        if not data:
            text = "it closed in the middle of the handshake"
            raise Disconnected(f"connection with {self.raw.remote} lost: {text}")
        self.most -= len(data)
        return data

    def _refused(self, what: str) -> Disconnected:
        return Disconnected(f"connection with {self.raw.remote} refused: it sent {what}")

    def refuse(self, code: CloseReason, reason: str) -> Disconnected:
        """Tell the other end why, and give what to raise."""
        with suppress(Disconnected):  # the other end was faster
            self.raw.send_nowait(self.frames.close(code, reason))
        return self._refused(reason)


async def dial_websocket(
    raw: Raw, host: str, target: str, *, key: PrivateKey, wanted: PublicKey, limits: Limits
) -> WebsocketConduit:
    """Open a WebSocket at ``target`` of ``host`` and demand the proof of ``wanted``.

    Raises Disconnected when it fails and RemoteProtocolError when somebody else is
    there. ``raw`` stays the caller's until this returns.
    """
    opening = _Opening(raw, True, limits.handshake_bytes)
    is_mutual = await _ask(opening, host, target)
    try:
        sent = proof.challenge(os.urandom(proof.NONCE_BYTES))
        opening.say(sent)
        answer = await opening.hear()
        proof.check_envelope(answer, sent, wanted)
        binding = b""
        if is_mutual:
            counter = await opening.hear()
            proof.check_counter(counter)
            own = proof.prove(key, wanted, sent, counter)
            opening.say(own)
            binding = proof.binding_of(sent, answer, counter, own)
    except ParseFailed as error:
        raise opening.refuse(error.code, str(error)) from error
    except RemoteProtocolError as error:
        opening.refuse(CloseReason.POLICY_VIOLATION, error.detail)
        raise
    return WebsocketConduit(raw, opening.frames, limits, wanted.raw, binding)


async def accept_websocket(raw: Raw, *, key: PrivateKey, limits: Limits) -> WebsocketConduit:
    """Answer a dialler: prove ``key`` to it, and hear its own proof if it has one to give.

    Raises Disconnected or RemoteProtocolError when it is turned away, and has told it then. ``raw``
    stays the caller's until this returns.
    """
    opening = _Opening(raw, False, limits.handshake_bytes)
    is_mutual = await _answer(opening)
    try:
        received = await opening.hear()
        proof.check_challenge(received)
        answer = proof.envelope(key, received)
        opening.say(answer)
        proved, binding = None, b""
        if is_mutual:
            counter = proof.counter_challenge(os.urandom(proof.NONCE_BYTES))
            opening.say(counter)
            theirs = await opening.hear()
            proved = proof.accept_proof(theirs, key.public, received, counter).raw
            binding = proof.binding_of(received, answer, counter, theirs)
    except ParseFailed as error:
        raise opening.refuse(error.code, str(error)) from error
    except RemoteProtocolError as error:
        opening.refuse(CloseReason.POLICY_VIOLATION, error.detail)
        raise
    return WebsocketConduit(raw, opening.frames, limits, proved, binding)


async def _ask(opening: _Opening, host: str, target: str) -> bool:
    """Do the upgrade as dialler; say whether the acceptor wants our proof as well."""
    http = H11Handshake(ConnectionType.CLIENT)
    try:
        request = http.send(Request(host=host, target=target, subprotocols=[proof.MUTUAL]))
        opening.raw.send_nowait(request)
        http.receive_data(await opening.head())
        events = list(http.events())
    except Disconnected:
        raise
    except Exception as error:
        # Whatever the parsers raise about hostile bytes, the peer is refused, no more.
        raise Disconnected(f"what {opening.raw.remote} answered is no WebSocket: {error}") from error
    match events:
        case [AcceptConnection(subprotocol=subprotocol)]:
            return subprotocol == proof.MUTUAL
        case [RejectConnection(status_code=status), *_]:
            raise Disconnected(f"{opening.raw.remote} answered with HTTP status {status}")
        case _:
            raise Disconnected(f"what {opening.raw.remote} answered is no WebSocket")


async def _answer(opening: _Opening) -> bool:
    """Do the upgrade as acceptor; say whether the dialler offers its proof."""
    head = await opening.head()
    http = H11Handshake(ConnectionType.SERVER)
    try:
        http.receive_data(head)
        (request,) = http.events()
        assert isinstance(request, Request)
    except Exception as error:
        # As above; a browser that strayed here is owed a status, though.
        hint = error.event_hint if isinstance(error, BadHandshake) else None
        opening.raw.send_nowait(http.send(hint or RejectConnection()))
        raise Disconnected(f"{opening.raw.remote} asked for no WebSocket: {error}") from error
    is_mutual = proof.MUTUAL in request.subprotocols
    # No extensions: a peer could make megabytes of zeros out of a few compressed bytes.
    accepted = AcceptConnection(subprotocol=proof.MUTUAL if is_mutual else None)
    opening.raw.send_nowait(http.send(accepted))
    return is_mutual
