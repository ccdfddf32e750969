"""Calls and results on their way to the peer, and the ends of the entries behind them.

Each message is encoded at once and counted only if that worked; the bytes collect until the batch is
drained. This file knows both vocabularies through ``Results`` and nothing of how a session opens.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from captp.errors import Broken, Cancelled, InvariantBroken, NoSuchMethod, Overloaded, Unpassable
from captp.limits import Limits
from captp.model.faults import portable, to_wire
from captp.model.own import MAKE_UNIQUE
from captp.model.passable import KWARGS_TAG
from captp.model.plan import MANY, PLAN
from captp.model.promise import BROKEN, FULFILLED, PENDING, Message, Promise, Select
from captp.model.ref import Far
from captp.model.values import FrozenMap, Tagged
from captp.model.weight import LARGE, weight_of
from captp.session.entries import (
    FINISHED,
    NOT_YET,
    QUEUED,
    SENT,
    SETTLED,
    Answer,
    Question,
)
from captp.session.results import Results
from captp.session.tables import Tables
from captp.wire.codec import Codec
from captp.wire.ops import BREAK, CALL, DELIVER, RESOLVE, Kind, Op

#: A call that no object answers: peers that speak natively break it where it arrives.
PROBE: Final = "captp:probe"

#: Tells a peer's bootstrap that a call need not run; who does not know it, and is asked nothing, ignores it.
CALL_OFF: Final = "captp:call-off"

#: Methods that only peers that speak natively know; another's object could take them for its own.
_OURS: Final = frozenset({PLAN, MANY, MAKE_UNIQUE})


class Outbound:
    """What one session sends once its codec is chosen."""

    def __init__(
        self, tables: Tables, codec: Codec, results: Results, limits: Limits, *, native: bool
    ) -> None:
        self.tables = tables
        self.codec = codec
        self.results = results
        self.limits = limits
        self.native = native
        self.messages: list[bytes] = []
        #: Nothing may follow an abort, whatever the vat still has to report.
        self.closed = False
        #: Set on a beat: what there is to release need not wait for company.
        self.release_alone = False
        #: Results that wait, and what each weighs, in order, until the peer has read what it was sent.
        self.waiting: deque[tuple[Answer, int]] = deque()
        self._waiting_weight = 0
        #: Bytes that the driver could not write, as far as they are so many that results wait.
        self._pending = 0
        #: Questions that ended and are to be released.
        self.finished: list[Question] = []
        self._kept: dict[int, Promise[Any]] = {}

    def deliver_far(self, message: Message, far: Far) -> Broken | Unpassable | None:
        """Send a message to an import; return what breaks its promise when it cannot leave."""
        entry = far.entry
        if entry is None:
            return self._deliver(message, far.desc, None, None)
        entry.touched = self.tables.account.clock
        return self._deliver(message, far.desc, entry.position, None)

    def deliver_through(self, message: Message, promise: Promise[Any]) -> Broken | Unpassable | None:
        """Send a message to what a promise of the peer's will be, before anybody knows what."""
        route = promise._route
        if route.desc is None:
            route.desc = self.codec.target(Kind.ANSWER, route.position)
        to = -1 - route.position if type(route) is Question else route.position
        # A promise that followed another borrows its route; the owner must live as long as the calls.
        owner = route()
        if type(route) is Question and route.state is FINISHED:
            self._reopen(route)
        if message.promise is None:
            # Its arrival must be known before the promise may take a shorter way.
            message.promise = Promise(self.tables.home)
            problem = self._deliver(message, route.desc, to, owner)
            if problem is None:
                self._kept[message.promise._route.position] = message.promise
            return problem
        return self._deliver(message, route.desc, to, owner)

    def _reopen(self, question: Question) -> None:
        """Take back the end of a question whose result is decoded but has not settled its promise yet.

        Another effect of the same bytes sends through it: it ends when that has arrived.
        """
        ended = self.tables.question_positions.ended
        (ended if question in ended else self.finished).remove(question)
        question.released = NOT_YET
        question.state = SETTLED
        self.tables.questions[question.position] = question

    def _deliver(
        self, message: Message, desc: Any, to: int | None, via: Promise[Any] | None
    ) -> Broken | Unpassable | None:
        """Send a message to ``desc``, which native peers also know as the number ``to``."""
        if self._pending and self._pending > self.limits.held_bytes:
            most = self.limits.held_bytes
            return Overloaded(f"{most} bytes wait for this peer to read them already; await some results")
        promise, selector = message.promise, message.selector
        # On what terms an object is held is not changed by who asks for another vat.
        if selector in _OURS and (not self.native or (message.sender and selector == MAKE_UNIQUE)):
            return NoSuchMethod("this is between an object's host and its caller, both vats of captp")
        compact = self.native and to is not None and type(selector) is str and message.kwargs is None
        if promise is None:
            if compact:
                return self._try_send((CALL, to, selector, message.args))
            args, resolve = self._arguments(message), self.results.unasked(answered=False)
            return self._try_send((DELIVER, desc, args, False, resolve) if resolve else (DELIVER, desc, args))
        tables = self.tables
        wanted = not promise._lazy or promise._waiters is not None
        if via is not None and via._state != PENDING:
            # The detour ends when this is answered.
            wanted = True
        try:
            question = tables.ask(promise, wanted)
        except Overloaded as full:
            return full
        if compact:
            problem = self._try_send((CALL, to, selector, message.args, question.position, wanted))
        elif type(selector) is Select:
            problem = self._select(selector, desc, question)
        else:
            resolve = self.results.resolver(question) if wanted else self.results.unasked(answered=True)
            problem = self._try_send((DELIVER, desc, self._arguments(message), question.position, resolve))
        if problem is not None:
            del tables.questions[question.position]
            question.state = FINISHED
            tables.question_positions.free.append(question.position)
            return problem
        promise._route = question
        if tables.loans.lending:
            tables.loans.sent(question.position)
        if via is not None:
            question.via = via
            via._route.unanswered += 1
        return None

    def _arguments(self, message: Message) -> tuple[Any, ...]:
        """Return the arguments as OCapN has them: the method in front, keywords behind."""
        args, selector = message.args, message.selector
        if type(selector) is str:
            args = (self.codec.symbol(selector), *args)
        if message.kwargs is not None:
            args = (*args, Tagged(KWARGS_TAG, FrozenMap(message.kwargs)))
        return args

    def _select(self, step: Select, desc: Any, question: Question) -> Broken | Unpassable | None:
        question.desc = self.codec.target(Kind.ANSWER, question.position)
        for op in self.results.select(step, desc, question):
            problem = self._try_send(op)
            if problem is not None:
                return problem
        return None

    def _try_send(self, op: Op) -> Broken | Unpassable | None:
        """Encode a message and count what it gives away; nothing of it happens if it fails."""
        tables = self.tables
        try:
            encoded = self.codec.encode(op)
        except (Unpassable, Overloaded) as problem:
            tables.roll_back()
            return problem.with_traceback(None)
        if tables.frozen.named:
            self.messages += tables.frozen.commit()
        self.messages.append(encoded)
        if tables.pending or tables.deposits:
            tables.commit()
        return None

    def encode(self, op: Op) -> None:
        """Write a message that carries no reference."""
        self.messages.append(self.codec.encode(op))

    def call_off(self, question: Question) -> None:
        """Say that a call which is not answered need not run, if it has not begun."""
        if self.native and not self.closed:
            self.send((CALL, 0, CALL_OFF, (question(),)))

    def close(self, op: Op) -> None:
        """Write the last message."""
        self.encode(op)
        self.closed = True

    def listen(self, promise: Promise[Any]) -> Broken | Unpassable | None:
        """Ask for the result of a promise of the peer's; return what breaks it when that cannot be asked."""
        route = promise._route
        if route.wanted or self.closed:
            return None
        route.wanted = True
        if route.unsure:
            # Its answer is the news that everything sent through the promise before has arrived.
            self.deliver_through(Message(promise, PROBE, (), None, None), promise)
        if type(route) is Question:
            desc = route.desc or self.codec.target(Kind.ANSWER, route.position)
            self.send(self.results.listen(desc, route, own=True))
            return None
        try:
            question = self.tables.ask(promise, wanted=True)
        except Overloaded as full:
            return full
        question.released = self.results.listener_release
        if not self.native:
            # A listener cannot be called off there: it ends with the promise it listens to.
            self._kept[question.position] = promise
        self.send(self.results.listen(route.desc, question, own=False))
        return None

    def send(self, op: Op) -> None:
        """Write a message that can be written, whatever it names."""
        problem = self._try_send(op)
        assert problem is None, problem

    def report(self, answer: Answer) -> bool:
        """Tell the peer how its call ended, if it asked; once. Return whether that waits for it to read."""
        if not answer.reply or self.closed:
            return False
        if self._pending:
            self._let_wait(answer)
            return True
        if self.native and answer._state == FULFILLED:
            problem = self._try_send((RESOLVE, answer.position, answer._value))
        else:
            problem = self._try_send(self.results.report(answer))
        if problem is not None:
            answer._state, answer._value = BROKEN, portable(problem)
            self.send(self.results.report(answer))
        answer.reply = None
        if self.tables.loans.taken:
            self.tables.loans.over(answer.position)
        if answer.position < 0:
            self.tables.listeners.discard(answer)
        elif self.tables.released:
            self.tables.released.discard(answer)
        return False

    def weigh(self, answer: Answer) -> None:
        """Account for the result that was just written, if it is large: it stays until it is released."""
        if self.messages and answer.position >= 0 and len(self.messages[-1]) > LARGE:
            self.tables.keep(answer, len(self.messages[-1]))

    def _let_wait(self, answer: Answer) -> None:
        weight = weight_of(answer._value)
        if self._waiting_weight + weight > self.limits.held_bytes:
            most = self.limits.held_bytes
            full = Overloaded(f"results of {most} bytes wait for you to read them; ask for fewer at a time")
            answer._state, answer._value, weight = BROKEN, full, 0
        self._waiting_weight += weight
        self.waiting.append((answer, weight))

    def write_waiting(self) -> None:
        """Encode a part of the results that wait, unless the peer has still to read what it was sent."""
        room = 0 if self._pending else self.limits.send_buffer // 2
        while self.waiting and room > 0:
            answer, weight = self.waiting.popleft()
            self._waiting_weight -= weight
            room -= weight
            self.report(answer)
            self.weigh(answer)

    def congested(self, pending: int) -> None:
        """Take note of how many bytes the peer has not read; 0 for so few that it does not matter."""
        self._pending = pending

    @property
    def held(self) -> int:
        """Roughly how many bytes wait here for the peer to read, written or not."""
        return self._pending + self._waiting_weight

    def acknowledge(self, answer: Answer) -> None:
        """Answer a call whose position the peer has released, so that it may use it again."""
        if self.native and answer.reply and not self.closed:
            answer.reply = None
            self.encode((BREAK, answer.position, to_wire(Cancelled("the caller dropped this call"))))

    # Ends of entries.

    def finish(self, question: Question, *, is_plain: bool = False) -> None:
        """Take a question out of its table and release its answer at the peer, once.

        Natively an answer of plain data need not be released before its position is used again.
        """
        position = question.position
        del self.tables.questions[position]
        if self._kept:
            self._kept.pop(position, None)
        if self.tables.loans.given:
            self.tables.loans.answered(position)
        question.state = FINISHED
        released = question.released
        if released is NOT_YET:
            question.released = QUEUED
            if is_plain:
                self.tables.question_positions.ended.append(question)
            else:
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

    def take(self) -> bytes:
        """Return what was encoded since the last batch, framed."""
        if not self.messages:
            return b""
        messages, self.messages = self.messages, []
        return self.codec.frame(messages)

    @property
    def has_garbage(self) -> bool:
        """Whether a batch would release something."""
        tables = self.tables
        ended = self.finished or tables.question_positions.ended
        return bool(ended or tables.dropped_imports or tables.dropped_questions)

    def forget(self) -> None:
        """Forget what was to be released: the session is over."""
        self.closed = True
        self.waiting.clear()
        self._waiting_weight = self._pending = 0
        self._kept.clear()
        self.finished.clear()
        self.tables.question_positions.ended.clear()

    def check(self) -> None:
        """Raise InvariantBroken when what waits is not what is counted."""
        weight = sum(weight for _, weight in self.waiting)
        if weight != self._waiting_weight:
            raise InvariantBroken(f"results of {weight} bytes wait, {self._waiting_weight} are counted")

    def dump(self) -> list[str]:
        """Return one line per result that waits; shows no values."""
        return [f"{answer!r} {weight} bytes" for answer, weight in self.waiting]
