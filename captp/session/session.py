"""One connection with one peer: operations in, messages and settlements out, bytes collected.

It decides and returns; the peer applies. It knows its four tables and its codec, no vat, no socket and
no other session. Feed bytes in order of arrival.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen

from captp.errors import (
    Broken,
    Cancelled,
    DecodeError,
    LimitExceeded,
    Overloaded,
    RemoteProtocolError,
    Unpassable,
)
from captp.limits import Limits
from captp.model.faults import portable, to_wire
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.model.passable import KWARGS_TAG
from captp.model.promise import BROKEN, FULFILLED, Message, Promise, Select, Settlement
from captp.model.ref import Far
from captp.model.values import FrozenMap, Tagged
from captp.session.entries import (
    FINISHED,
    NOT_YET,
    QUEUED,
    SENT,
    SETTLED,
    WAITING,
    Answer,
    Control,
    Question,
)
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
from captp.session.inbound import HANDLERS, Ended
from captp.session.results import NativeResults, OcapnResults, Results
from captp.session.tables import Tables
from captp.wire.codec import Codec
from captp.wire.dialect import SyrupCodec
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import ABORT, BREAK, CALL, DELIVER, GC_ANSWERS, GC_EXPORTS, RESOLVE, START, Kind, Op

OPEN: Final = State.OPEN

#: Releases that are worth a write of their own.
RELEASES: Final = 512

#: The extensions that this vat announces; a peer's are in its hello.
EXTENSIONS: Final = ("mp1",)


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
    ) -> None:
        """``native`` is None for the side that was dialled: the first byte will tell."""
        self.key = key
        self.location = location
        self.channel = channel
        self.limits = limits
        self.state = State.NEW
        self.tables = Tables(self, home, limits)
        self.hello: Hello | None = None
        self.codec: Codec | None = None
        self.native = False
        self.out: list[bytes] = []
        self.finished: list[Question] = []
        self.kept: dict[int, Promise[Any]] = {}
        self.received = 0
        #: Set on a beat: what there is to release need not wait for company.
        self.release_alone = False
        self._first = b""
        self._prefix = b""
        self._results: Results = NativeResults()
        self.effects: list[Any] = []
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
        return tuple(e for e in EXTENSIONS if e in theirs)

    @property
    def passes_answers(self) -> bool:
        """Whether answers may stand in arguments."""
        return self._results.passes_answers

    # Opening and ending.

    def _speak(self, native: bool) -> None:
        if native:
            self.codec = NativeCodec(self.tables, self.limits)
            self._prefix = PREAMBLE
            self.native = True
        else:
            self.codec = SyrupCodec(self.tables, self.limits, None)
            self._results = OcapnResults(self.tables, self.codec)
        self.tables.codec = self.codec

    def start(self) -> None:
        """Say hello; the dialled side says nothing until it knows the codec."""
        if self.codec is None:
            return
        self.move(Event.CONNECTED)
        hello = make_hello(self.key, self.location, EXTENSIONS if self.native else None, self.channel)
        self._encode(hello)

    def _sniff(self, data: bytes) -> bytes:
        """Choose the codec from the first bytes; return what is left for it."""
        data = self._first + data
        if data[:1] != PREAMBLE[:1]:
            self._speak(native=False)
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
        self.start()
        return data

    def move(self, event: Event) -> Step:
        """Take one transition of the session's life; return what it asks for."""
        self.state, step = TRANSITIONS[self.state, event]
        return step

    def abort(self, code: str, detail: str = "") -> None:
        """End the session from our side and tell the peer why."""
        if self.state is State.ENDED:
            return
        if self.codec is not None and self.state is not State.NEW:
            self._encode((ABORT, f"{code}: {detail}" if detail else code))
        self.move(Event.FAILED)
        self.effects.append(Ended(code, detail, remote=False))

    def end(self, reason: Broken) -> list[Settlement]:
        """Empty the tables; return how everything breaks that waited for the peer."""
        self.state = State.ENDED
        tables = self.tables
        broken = []
        for question in list(tables.questions.values()):
            promise = question()
            if promise is not None and question.state is WAITING:
                broken.append(Settlement(promise, BROKEN, reason))
        for entry in list(tables.imports.values()):
            target = entry()
            if isinstance(target, Promise):
                broken.append(Settlement(target, BROKEN, reason))
            elif target is not None:
                target.broken = reason
                broken += [Settlement(w, FULFILLED, to_wire(reason)) for w in target.watchers or ()]
                target.watchers = None
        tables.questions.clear()
        tables.imports.clear()
        tables.answers.clear()
        tables.exports.clear()
        tables.by_anchor.clear()
        tables.dropped_imports.clear()
        tables.dropped_questions.clear()
        self.kept.clear()
        self.finished.clear()
        return broken

    # Bytes in.

    def receive(self, data: bytes) -> list[Any]:
        """Take bytes; return messages, settlements, control calls and endings, in order."""
        self.tables.account.clock += 1
        self.received += len(data)
        try:
            if self.codec is None:
                data = self._sniff(data)
                if not data:
                    return self._take_effects()
            assert self.codec is not None
            for op in self.codec.feed(data):
                if self.state is OPEN:
                    handler = HANDLERS.get(op[0])
                    if handler is None:
                        raise DecodeError("unknown-op", f"operation {op[0]!r}")
                    handler(self, op)
                elif not self._opening(op):
                    break
            if self.state is State.GREETING and self.received > self.limits.handshake_bytes:
                raise LimitExceeded("too-large", "more than a hello before the session is up")
        except RemoteProtocolError as problem:
            self.abort(problem.code, problem.detail)
        except ValueError:
            # Only a handler's unpacking raises it: an operation with too few or too many fields.
            self.abort("bad-op", "wrong number of fields")
        return self._take_effects()

    def _take_effects(self) -> list[Any]:
        effects, self.effects = self.effects, []
        return effects

    def _opening(self, op: Op) -> bool:
        """Handle an operation while the session is not open; return whether to go on."""
        event = {START: Event.START, ABORT: Event.ABORT}.get(op[0], Event.OTHER)
        step = self.move(event)
        if step is Step.VERIFY:
            try:
                as_sent = self.codec.hello_location if isinstance(self.codec, SyrupCodec) else b""
                self.hello = verify_hello(op, self.key, self.channel, native=self.native, as_sent=as_sent)
            except RemoteProtocolError:
                self.state = State.GREETING
                raise
            self.effects.append(Established(self.hello))
            return True
        if step is Step.STOP:
            self.effects.append(Ended("aborted", str(op[1])[:200] if len(op) > 1 else "", remote=True))
        elif step is Step.REJECT_ORDER:
            self.state = State.GREETING
            raise RemoteProtocolError("expected-start", "the first operation is op:start-session")
        return False

    # Calls out.

    def deliver_far(self, message: Message, far: Far) -> Broken | None:
        """Send a message to an import; return what breaks its promise when it cannot leave."""
        entry = far.entry
        return self._deliver(message, far.desc, None if entry is None else entry.position, None)

    def deliver_through(self, message: Message, promise: Promise[Any]) -> Broken | None:
        """Send a message to what a promise of the peer's will be, before anybody knows what."""
        route = promise._route
        if route.desc is None:
            assert self.codec is not None
            route.desc = self.codec.target(Kind.ANSWER, route.position)
        to = -1 - route.position if type(route) is Question else route.position
        if message.promise is None:
            # Its arrival must be known before the promise may take a shorter way.
            message.promise = Promise(self.tables.home)
            problem = self._deliver(message, route.desc, to, promise)
            if problem is None:
                self.kept[message.promise._route.position] = message.promise
            return problem
        return self._deliver(message, route.desc, to, promise)

    def _deliver(
        self, message: Message, desc: Any, to: int | None, via: Promise[Any] | None
    ) -> Broken | None:
        """Send a message to ``desc``, which native peers also know as the number ``to``."""
        promise, selector = message.promise, message.selector
        compact = self.native and to is not None and type(selector) is str and message.kwargs is None
        if promise is None:
            if compact:
                return self._try_send((CALL, to, selector, message.args))
            args, resolve = self._arguments(message), self._results.unasked(answered=False)
            return self._try_send((DELIVER, desc, args, False, resolve) if resolve else (DELIVER, desc, args))
        tables = self.tables
        wanted = not promise._lazy or promise._waiters is not None
        try:
            question = tables.ask(promise, wanted)
        except Overloaded as full:
            return full
        if compact:
            problem = self._try_send((CALL, to, selector, message.args, question.position, wanted))
        elif type(selector) is Select:
            problem = self._select(selector, desc, question)
        else:
            resolve = self._results.resolver(question) if wanted else self._results.unasked(answered=True)
            problem = self._try_send((DELIVER, desc, self._arguments(message), question.position, resolve))
        if problem is not None:
            del tables.questions[question.position]
            question.state = FINISHED
            tables.question_positions.free.append(question.position)
            return problem
        promise._route = question
        if via is not None:
            question.via = via
            via._route.unanswered += 1
        return None

    def _arguments(self, message: Message) -> tuple[Any, ...]:
        """Return the arguments as OCapN has them: the method in front, keywords behind."""
        assert self.codec is not None
        args = message.args
        if type(message.selector) is str:
            args = (self.codec.symbol(message.selector), *args)
        if message.kwargs is not None:
            args = (*args, Tagged(KWARGS_TAG, FrozenMap(message.kwargs)))
        return args

    def _select(self, step: Select, desc: Any, question: Question) -> Broken | None:
        assert self.codec is not None
        question.desc = self.codec.target(Kind.ANSWER, question.position)
        for op in self._results.select(step, desc, question):
            problem = self._try_send(op)
            if problem is not None:
                return problem
        return None

    def _try_send(self, op: Op) -> Broken | None:
        """Encode a message and count what it gives away; nothing of it happens if it fails."""
        tables = self.tables
        try:
            self.out.append(self.codec.encode(op))  # type: ignore[union-attr]
        except (Unpassable, Overloaded) as problem:
            tables.roll_back()
            return portable(problem)
        if tables.pending:
            tables.commit()
        return None

    def _encode(self, op: Op) -> None:
        assert self.codec is not None
        self.out.append(self.codec.encode(op))

    def listen(self, promise: Promise[Any]) -> None:
        """Ask for the result of a promise of the peer's that was not asked for yet."""
        route = promise._route
        if route.wanted or self.state is not OPEN:
            return
        route.wanted = True
        assert self.codec is not None
        if type(route) is Question:
            desc = route.desc or self.codec.target(Kind.ANSWER, route.position)
            self._send(self._results.listen(desc, route, own=True))
            return
        question = self.tables.ask(promise, wanted=True)
        question.released = self._results.listener_release
        self.kept[question.position] = promise
        self._send(self._results.listen(route.desc, question, own=False))

    def _send(self, op: Op) -> None:
        problem = self._try_send(op)
        assert problem is None, problem

    def report(self, answer: Answer) -> None:
        """Tell the peer how its call ended, if it asked; once."""
        if not answer.reply or self.state is not OPEN:
            return
        if self.native and answer._state == FULFILLED:
            problem = self._try_send((RESOLVE, answer.position, answer._value))
        else:
            problem = self._try_send(self._results.report(answer))
        if problem is not None:
            answer._state, answer._value = BROKEN, problem
            self._send(self._results.report(answer))
        answer.reply = None

    def acknowledge(self, answer: Answer) -> None:
        """Answer a call whose position the peer has released, so that it may use it again."""
        if self.native and answer.reply:
            answer.reply = None
            self._encode((BREAK, answer.position, to_wire(Cancelled("the caller dropped this call"))))

    # Ends of entries.

    def finish(self, question: Question) -> None:
        """Take a question out of its table and release its answer at the peer, once."""
        position = question.position
        del self.tables.questions[position]
        if self.kept:
            self.kept.pop(position, None)
        question.state = FINISHED
        released = question.released
        if released is NOT_YET:
            question.released = QUEUED
            self.finished.append(question)
        elif released is SENT:
            self.tables.question_positions.free.append(position)
        if question.via is not None:
            self.answered_through(question)

    def answered_through(self, question: Question) -> None:
        """Note that a call through a promise has arrived there; the promise may be done with its route."""
        via, question.via = question.via, None
        assert via is not None
        route = via._route
        route.unanswered -= 1
        if route.unanswered == 0 and type(route) is Question and route.state is SETTLED:
            self.finish(route)

    def collect(self) -> None:
        """Write the releases of everything that ended since the last batch.

        They go with other messages; alone they wait for the next beat, or until there are many.
        """
        tables = self.tables
        if not (self.finished or tables.dropped_questions or tables.dropped_imports):
            return
        if self.state is not OPEN or not self._results.may_release:
            return
        if not self.out and not self.release_alone and len(self.finished) < RELEASES:
            return
        self.release_alone = False
        while tables.dropped_questions:
            question = tables.dropped_questions.popleft()
            if tables.questions.get(question.position) is not question:
                continue
            if question.promise_dropped(by_position=self.native):
                self.finish(question)
            elif question.released is NOT_YET:
                question.released = QUEUED
                self.finished.append(question)
        size = self.limits.gc_entries
        gone = tables.take_dropped_imports()
        for start in range(0, len(gone), size):
            positions, counts = zip(*gone[start : start + size], strict=True)
            self._encode((GC_EXPORTS, positions, counts))
        for start in range(0, len(self.finished), size):
            some = self.finished[start : start + size]
            self._encode((GC_ANSWERS, tuple([q.position for q in some])))
            for question in some:
                question.released = SENT
                if question.state is FINISHED:
                    tables.question_positions.free.append(question.position)
        self.finished.clear()

    def take_output(self) -> bytes:
        """Return what is to be written now, framed."""
        if not self.out:
            return b""
        assert self.codec is not None
        messages, self.out = self.out, []
        prefix, self._prefix = self._prefix, b""
        return prefix + self.codec.frame(messages)

    def assume_dialect(self) -> None:
        """Take the current OCapN dialect for granted when the peer has shown none (protocol 2.4)."""
        if isinstance(self.codec, SyrupCodec) and self.codec.vocabulary == "unknown":
            self.codec.vocabulary = "d2"

    @property
    def has_garbage(self) -> bool:
        """Whether a batch would release something."""
        tables = self.tables
        return bool(self.finished or tables.dropped_imports or tables.dropped_questions)

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant of the tables does not hold."""
        self.tables.check()

    def dump(self) -> dict[str, list[str]]:
        """Return one line per table entry, and the state."""
        return {"state": [self.state.value], **self.tables.dump()}
