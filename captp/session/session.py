"""One connection with one peer: operations in, messages and settlements out, bytes collected.

It decides and returns; the peer applies. It knows its four tables and its codec, no vat, no socket and
no other session. Feed bytes in order of arrival.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from attrs import frozen

from captp.errors import Broken, DecodeError, LimitExceeded, RemoteProtocolError
from captp.limits import Limits
from captp.model.faults import to_wire
from captp.model.keys import PrivateKey, side_id
from captp.model.locator import PeerLocator
from captp.model.promise import BROKEN, FULFILLED, Promise, Reference, Settlement
from captp.model.ref import Far
from captp.session.entries import WAITING, Certificate, Control, Introduction
from captp.session.frozen import FRZ, room_announced
from captp.session.handshake import (
    TRANSITIONS,
    Channel,
    Event,
    Hello,
    State,
    Step,
    make_hello,
    verify_hello,
)
from captp.session.inbound import HANDLERS, Ended, Introduced
from captp.session.loans import OWN
from captp.session.outbound import Outbound
from captp.session.releases import collect
from captp.session.results import NativeResults, OcapnResults, Results
from captp.session.revived import Revived
from captp.session.tables import Tables
from captp.wire.canonical import is_give
from captp.wire.codec import Codec
from captp.wire.dialect import SyrupCodec
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import ABORT, START, Kind, Op

OPEN: Final = State.OPEN

#: As many operations as there are.
ALL: Final = sys.maxsize

#: What an OCapN connection begins with: a record, or its length.
FIRST_OF_SYRUP: Final = frozenset(bytes([byte]) for byte in b"<0123456789")

#: How much of what a peer sent may come back to it in words.
DETAIL: Final = 200

#: The extension of peers whose collectors can be asked what they hold.
DGC: Final = "dgc1"

#: The extension of peers that take each durable message once.
DUR: Final = "dur1"

#: The extensions that every vat announces; a peer's are in its hello.
EXTENSIONS: Final = ("mp1", OWN, FRZ)


@frozen
class Established:
    """The peer's hello is verified."""

    hello: Hello


class Session:
    """The protocol machine of one connection; see handshake.TRANSITIONS for its life."""

    def __init__(
        self,
        *,
        home: Any,
        key: PrivateKey,
        location: PeerLocator,
        channel: Channel,
        limits: Limits,
        native: bool | None,
        introduce: Callable[[Session, Reference], Introduction | None],
        also: tuple[str, ...] = (DGC,),
    ) -> None:
        """``native`` is None for the side that was dialled: the first byte will tell.

        ``introduce`` says how a reference to another vat is passed on, None for as one of this vat's;
        ``also`` which extensions this vat announces besides those of every vat.
        """
        self.key = key
        self.location = location
        self.channel = channel
        self.limits = limits
        self.introduce = introduce
        self.announced = (*EXTENSIONS, *also, *room_announced(limits))
        self.state = State.NEW
        self.tables = Tables(self, home, limits)
        self.revived = Revived(self)
        self.hello: Hello | None = None
        self.codec: Codec | None = None
        self.native = False
        self.outbound: Outbound
        #: The peer's position 0, which is nobody's to count.
        self.bootstrap: Far
        self.received = 0
        #: Grows whenever a message comes to its end.
        self.completed = 0
        self._first = b""
        self._prefix = b""
        #: Operations that came and were not taken yet: they stand behind a hello, or are too many at once.
        self.rest: Iterator[Op] | None = None
        #: Of how many bytes operations were taken last.
        self.took = 0
        self.effects: list[Any] = []
        #: By promise: the listeners among the effects, which it does not have yet.
        self.listens: dict[int, int] = {}
        self.tables.export_control(Control("bootstrap"), 0)
        if native is not None:
            self._speak(native)

    @property
    def is_open(self) -> bool:
        return self.state is OPEN

    @property
    def extensions(self) -> tuple[str, ...]:
        """What both sides announced."""
        theirs = self.hello.extensions if self.hello is not None else ()
        return tuple(e for e in self.announced if e in theirs)

    @property
    def side_id(self) -> bytes:
        """The public id of our side."""
        return side_id(self.key.public.raw)

    @property
    def passes_answers(self) -> bool:
        """Whether answers may stand in arguments."""
        return self.outbound.results.passes_answers

    # Opening and ending.

    def _speak(self, native: bool) -> None:
        results: Results
        if native:
            codec: NativeCodec | SyrupCodec = NativeCodec(self.tables, self.limits)
            results = NativeResults()
            self._prefix = PREAMBLE
            self.native = True
        else:
            codec = SyrupCodec(self.tables, self.limits, self.channel.framed)
            results = OcapnResults(self.tables, codec)
        self.codec = self.tables.codec = codec
        self.bootstrap = Far(self, codec.target(Kind.EXPORT, 0))
        self.outbound = Outbound(self.tables, codec, results, self.limits, native=native)

    def start(self) -> None:
        """Say hello, as the side that has dialled."""
        if self.codec is not None:
            self._step(Event.CONNECTED)

    def admit(self) -> None:
        """Let the verified peer in; the dialled side says hello now."""
        self._step(Event.ADMITTED)

    def _step(self, event: Event) -> None:
        if self.move(event) is Step.SEND_HELLO:
            extensions = self.announced if self.native else None
            self.outbound.encode(make_hello(self.key, self.location, extensions, self.channel))

    def _sniff(self, data: bytes) -> bytes:
        """Choose the codec from the first bytes; return what is left for it."""
        data = self._first + data
        if data[:1] in FIRST_OF_SYRUP:
            self._speak(native=False)
        elif data[:1] != PREAMBLE[:1]:
            # No codec is chosen, so nothing is said: whoever this is speaks another protocol.
            raise DecodeError("bad-frame", "neither a Syrup record, nor a length, nor the native preamble")
        elif len(data) < len(PREAMBLE) and PREAMBLE.startswith(data):
            self._first = data
            return b""
        elif data.startswith(PREAMBLE):
            self._speak(native=True)
            self._prefix = b""
            data = data[len(PREAMBLE) :]
        else:
            raise DecodeError("bad-frame", "an unknown version of the native preamble")
        self._first = b""
        self.move(Event.DIALLED)
        return data

    def move(self, event: Event) -> Step:
        """Take one transition of the session's life; return what it asks for."""
        self.state, step = TRANSITIONS[self.state, event]
        return step

    def abort(self, code: str, detail: str = "") -> None:
        """End the session from our side and tell the peer why."""
        detail = detail[:DETAIL]
        if self.state is State.ENDED:
            return
        if self.codec is not None and self.state is not State.NEW:
            self.outbound.close((ABORT, f"{code}: {detail}" if detail else code))
        self.move(Event.FAILED)
        self.effects.append(Ended(code, detail, remote=False))

    def end(self, reason: Broken, unknown: Broken) -> list[Settlement]:
        """Empty the tables; return how everything breaks that waited for the peer.

        Results of calls that had left break with ``unknown``.
        """
        self.state = State.ENDED
        tables = self.tables
        broken = []
        if self.codec is not None:
            self.bootstrap.broken = reason
            self.outbound.forget()
        for question in list(tables.questions.values()):
            promise = question()
            if promise is not None and question.state is WAITING:
                broken.append(Settlement(promise, BROKEN, unknown))
        for entry in list(tables.imports.values()):
            target = entry()
            if isinstance(target, Promise):
                broken.append(Settlement(target, BROKEN, reason))
            elif target is not None:
                target.broken = reason
                broken += [Settlement(w, FULFILLED, to_wire(reason)) for w in target.watchers or ()]
                target.watchers = None
        self.rest = None
        self.revived.end(reason)
        tables.loans.end(reason)
        tables.frozen.end()
        tables.questions.clear()
        tables.imports.clear()
        tables.promises = 0
        tables.answers.clear()
        tables.kept.clear()
        tables.listeners.clear()
        tables.released.clear()
        tables.end_exports()
        tables.deposits.clear()
        tables.dropped_imports.clear()
        tables.dropped_questions.clear()
        return broken

    def take_output(self) -> bytes:
        """Return what is to be written now, releases included."""
        if self.codec is None:
            return b""
        if self.state is OPEN:
            collect(self.outbound)
        data = self.outbound.take()
        if data and self._prefix:
            data, self._prefix = self._prefix + data, b""
        return data

    # Bytes in.

    def certified(self, envelope: bytes) -> Promise[Any]:
        """Return a promise for what a certificate introduces; any other certificate is a broken one."""
        if not is_give(envelope):
            return Certificate(self.tables.home, envelope)
        promise: Promise[Any] = Promise(self.tables.home)
        self.effects.append(Introduced(promise, envelope))
        return promise

    def receive(self, data: bytes, most: int = ALL) -> list[Any]:
        """Take bytes; return messages, settlements, control calls and endings, in order.

        After ``most`` operations, and after a hello, those behind them wait as ``rest`` for the next call,
        which brings no bytes: with some, all that is in front of these is taken at once.
        """
        self.tables.account.clock += 1
        size = len(data)
        self.received += size
        self.took = size if self.rest is None else size + self._unread
        try:
            if self.codec is None:
                data = self._sniff(data)
                if not data:
                    return self.take_effects()
            assert self.codec is not None
            if (rest := self.rest) is not None:
                self.rest = None
                self._handle(rest, ALL if data else most)
            if rest is None or data:
                self._handle(self.codec.feed(data), most)
            if self.rest is not None:
                self.took -= self._unread
            if self.hello is None and self.received > self.limits.handshake_bytes:
                raise LimitExceeded("too-large", "more than a hello before the session is up")
        except RemoteProtocolError as problem:
            self.abort(problem.code, problem.detail)
        except ValueError:
            # Only a handler's unpacking raises it: an operation with too few or too many fields.
            self.abort("bad-op", "wrong number of fields")
        return self.take_effects()

    @property
    def _unread(self) -> int:
        return 0 if self.codec is None else self.codec.unread

    def _handle(self, ops: Iterator[Op], most: int) -> None:
        op, loans = None, self.tables.loans
        for op in ops if most == ALL else islice(ops, most):
            if self.state is OPEN:
                handler = HANDLERS.get(op[0])
                if handler is None:
                    raise DecodeError("unknown-op", f"operation {op[0]!r}")
                handler(self, op)
                if loans.taking:
                    loans.came_elsewhere()
            elif not self._opening(op):
                break
            elif self.state is State.VERIFIED:
                self.rest = ops
                break
        else:
            if most != ALL:
                if self.codec is not None and self.codec.unread:
                    # None of them is read here: what they name may be another thing when they are taken.
                    self.rest = ops
                else:
                    # All are taken that there are, and the end is looked at.
                    next(ops, None)
        if op is not None:
            self.completed += 1

    def take_effects(self) -> list[Any]:
        """Return what is to be done, in order, once."""
        effects, self.effects = self.effects, []
        if self.listens:
            self.listens.clear()
        return effects

    def _opening(self, op: Op) -> bool:
        """Handle an operation while the session is not open; return whether to go on."""
        event = {START: Event.START, ABORT: Event.ABORT}.get(op[0], Event.OTHER)
        step = self.move(event)
        if step is Step.VERIFY:
            as_sent = self.codec.hello_location if isinstance(self.codec, SyrupCodec) else b""
            self.hello = verify_hello(
                op, self.key, self.location, self.channel, native=self.native, as_sent=as_sent
            )
            self.move(Event.PROVED)
            self.effects.append(Established(self.hello))
            return True
        if step is Step.STOP:
            self.effects.append(Ended("aborted", str(op[1])[:200] if len(op) > 1 else "", remote=True))
        elif step is Step.REJECT_ORDER:
            raise RemoteProtocolError("expected-start", "the first operation is op:start-session")
        elif step is Step.REJECT_SECOND:
            raise RemoteProtocolError("already-started", "a second op:start-session on one connection")
        return False

    def assume_dialect(self) -> None:
        """Take the current OCapN dialect for granted when the peer has shown none (protocol 2.4)."""
        if isinstance(self.codec, SyrupCodec) and self.codec.vocabulary == "unknown":
            self.codec.vocabulary = "d2"

    def found(self, far: Far) -> None:
        """Keep an import that Python's collector has found until it is known whether it lives on."""
        self.revived.found(far)

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant does not hold."""
        self.tables.check()
        if self.codec is not None:
            self.outbound.check()

    def dump(self) -> dict[str, list[str]]:
        """Return one line per table entry and per result that waits, and the state."""
        waiting = [] if self.codec is None else self.outbound.dump()
        return {"state": [self.state.value], **self.tables.dump(), "waiting": waiting}
