"""How a session opens: one literal table of states and events, and the checks on a hello.

OCapN CapTP draft, op:start-session. This file does not know who dialled.
The native hello is signed over the location, the announced extensions and the channel binding, so that
neither can be stripped or moved to another connection; the OCapN one over ``<my-location ...>``.
"""

from __future__ import annotations

import hmac
import re
from enum import Enum
from typing import Any, Final

from attrs import frozen

from captp.errors import BadLocator, RemoteProtocolError
from captp.model.keys import PrivateKey, PublicKey, session_id, side_id
from captp.model.locator import PeerLocator
from captp.wire.canonical import captp_hello, location_record, my_location
from captp.wire.ops import START, Op
from captp.wire.syrup import encode

VERSION: Final = "1.0"

#: The name of an extension that announces nothing but a number: which run of its store a vat is.
RUN: Final = "run="
_DIGITS: Final = re.compile(r"[0-9]{1,20}")

#: Netlayers that prove the dialled side always, and the dialler only where it offers it.
ONE_SIDED: Final = frozenset({"websocket"})


class State(Enum):
    """Where a session is in its life."""

    NEW = "new"
    #: Our hello is out, theirs is not in.
    GREETING = "greeting"
    #: We were dialled: theirs comes first.
    LISTENING = "listening"
    #: Theirs is in and right; ours tells the dialler that this session is the one that counts.
    VERIFIED = "verified"
    OPEN = "open"
    ENDED = "ended"


class Event(Enum):
    """What can happen to a session that is opening."""

    CONNECTED = "connected"
    DIALLED = "dialled"
    START = "start"
    PROVED = "proved"
    ADMITTED = "admitted"
    OTHER = "other"
    ABORT = "abort"
    FAILED = "failed"


class Step(Enum):
    """What the session does on a transition."""

    SEND_HELLO = "send hello"
    VERIFY = "verify"
    REJECT_ORDER = "reject order"
    REJECT_SECOND = "reject second start"
    HANDLE = "handle"
    STOP = "stop"
    NOTHING = "nothing"


#: (state, event) -> (next state, what to do); a pair that is missing cannot happen.
#: What comes right behind a verified hello is read when the peer has been let in.
#: The dialled side says hello only when its peer has let the session in. Two vats that dial each other
#: at once then agree on one connection, whatever the order in which their bytes arrive.
TRANSITIONS: Final[dict[tuple[State, Event], tuple[State, Step]]] = {
    (State.NEW, Event.CONNECTED): (State.GREETING, Step.SEND_HELLO),
    (State.NEW, Event.DIALLED): (State.LISTENING, Step.NOTHING),
    (State.NEW, Event.FAILED): (State.ENDED, Step.STOP),
    (State.GREETING, Event.START): (State.GREETING, Step.VERIFY),
    (State.GREETING, Event.PROVED): (State.OPEN, Step.NOTHING),
    (State.GREETING, Event.OTHER): (State.GREETING, Step.REJECT_ORDER),
    (State.GREETING, Event.ABORT): (State.ENDED, Step.STOP),
    (State.GREETING, Event.FAILED): (State.ENDED, Step.STOP),
    (State.LISTENING, Event.START): (State.LISTENING, Step.VERIFY),
    (State.LISTENING, Event.PROVED): (State.VERIFIED, Step.NOTHING),
    (State.LISTENING, Event.OTHER): (State.LISTENING, Step.REJECT_ORDER),
    (State.LISTENING, Event.ABORT): (State.ENDED, Step.STOP),
    (State.LISTENING, Event.FAILED): (State.ENDED, Step.STOP),
    (State.VERIFIED, Event.ADMITTED): (State.OPEN, Step.SEND_HELLO),
    (State.VERIFIED, Event.FAILED): (State.ENDED, Step.STOP),
    (State.OPEN, Event.ADMITTED): (State.OPEN, Step.NOTHING),
    (State.OPEN, Event.START): (State.OPEN, Step.REJECT_SECOND),
    (State.OPEN, Event.OTHER): (State.OPEN, Step.HANDLE),
    (State.OPEN, Event.ABORT): (State.ENDED, Step.STOP),
    (State.OPEN, Event.FAILED): (State.ENDED, Step.STOP),
    (State.ENDED, Event.START): (State.ENDED, Step.NOTHING),
    (State.ENDED, Event.ADMITTED): (State.ENDED, Step.NOTHING),
    (State.ENDED, Event.OTHER): (State.ENDED, Step.NOTHING),
    (State.ENDED, Event.ABORT): (State.ENDED, Step.NOTHING),
    (State.ENDED, Event.FAILED): (State.ENDED, Step.NOTHING),
}


@frozen
class Hello:
    """What the peer said of itself, verified."""

    key: PublicKey
    location: PeerLocator
    #: The location as the peer spelled it, for certificates that name it.
    place: bytes
    extensions: tuple[str, ...]
    side_id: bytes
    session_id: bytes

    @property
    def incarnation(self) -> int:
        """Which run of the peer's store this is, as it says; 0 where it has none."""
        said = (name[len(RUN) :] for name in self.extensions if name.startswith(RUN))
        return next((int(number) for number in said if _DIGITS.fullmatch(number)), 0)


@frozen
class Channel:
    """What the netlayer knows of a connection: the proved key, if any, and the channel binding."""

    proved: bytes | None = None
    binding: bytes = b""
    transport: str = ""
    #: Whether OCapN messages have a length in front; None: as the peer does, and none while it is silent.
    framed: bool | None = None

    @property
    def is_one_sided(self) -> bool:
        """Whether nobody has proved anything to us on a netlayer that proves whom one dials."""
        return self.proved is None and self.transport in ONE_SIDED


def make_hello(
    key: PrivateKey, location: PeerLocator, extensions: tuple[str, ...] | None, channel: Channel
) -> Op:
    """Return our op:start-session; ``extensions`` is None in the OCapN dialects."""
    place = (location.transport, location.designator, dict(location.hints))
    if extensions is None:
        return (START, VERSION, key.public.raw, place, key.sign(my_location(place)))
    signed = captp_hello(place, ",".join(extensions), channel.binding)
    return (START, VERSION, key.public.raw, place, key.sign(signed), extensions)


def verify_hello(
    op: Op,
    own: PrivateKey,
    own_location: PeerLocator,
    channel: Channel,
    *,
    native: bool,
    as_sent: bytes = b"",
) -> Hello:
    """Check a peer's op:start-session; raises RemoteProtocolError with the code to abort with.

    ``as_sent`` is the location as the peer spelled it, which is what an OCapN peer has signed.
    """
    if len(op) < 2 or op[1] != VERSION or type(op[1]) is not str:
        raise RemoteProtocolError("version", f"this vat speaks {VERSION!r}")
    if len(op) != (6 if native else 5):
        raise RemoteProtocolError("bad-op", "op:start-session has the wrong number of fields")
    _, _, raw, place, signature, *rest = op
    if type(raw) is not bytes:
        raise RemoteProtocolError("bad-key", "the session key is 32 bytes")
    key = PublicKey.parse(raw)
    location = _location(place)
    extensions: tuple[str, ...] = ()
    place = (location.transport, location.designator, dict(location.hints))
    if native:
        extensions = rest[0]
        if type(extensions) is not tuple or not all(_is_extension(e) for e in extensions):
            raise RemoteProtocolError("bad-op", "extensions are a list of short names")
        signed = captp_hello(place, ",".join(extensions), channel.binding)
    else:
        signed = my_location(as_sent or place)
    if type(signature) is not bytes or not key.verify(signature, signed):
        raise RemoteProtocolError("bad-signature", "the location is not signed by the session key")
    if location.transport != channel.transport:
        raise RemoteProtocolError("identity", "the location is on another netlayer than this connection")
    if channel.proved is not None:
        proved = PublicKey.parse(channel.proved).designator
        claimed = location.designator
        if not hmac.compare_digest(proved.encode(), claimed.encode()):
            raise RemoteProtocolError("identity", "the location is not that of the proved key")
    if location.designator == own_location.designator:
        raise RemoteProtocolError("identity", "this vat was connected to itself, or to who says it is it")
    mine, theirs = side_id(own.public.raw), side_id(raw)
    if mine == theirs:
        raise RemoteProtocolError("identity", "this vat was connected to itself")
    spelled = as_sent or encode(location_record(*place))
    return Hello(key, location, spelled, extensions, theirs, session_id(mine, theirs))


def _is_extension(name: Any) -> bool:
    return type(name) is str and 0 < len(name) <= 32 and name.isascii() and "," not in name


def _location(place: Any) -> PeerLocator:
    match place:
        case (str(transport), str(designator), dict(hints)):
            if all(type(v) is str for v in hints.values()):
                try:
                    return PeerLocator.make(transport, designator, hints)
                except BadLocator:
                    pass
    raise RemoteProtocolError("bad-op", "a location is transport, designator and hints")
