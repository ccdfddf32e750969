"""The four tables of one session and the two hooks by which a codec reaches them.

Exports and answers are what the peer may name, imports and questions what we may. Nothing is counted
for a message that did not leave: ``describe`` counts as pending, ``commit`` or ``roll_back`` follows.
"""

from __future__ import annotations

from collections import deque
from typing import Any, cast

from captp.errors import (
    BadLocator,
    Broken,
    DecodeError,
    LimitExceeded,
    Overloaded,
    RemoteProtocolError,
    Unpassable,
)
from captp.limits import Limits
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.promise import BROKEN, PENDING, Promise, Reference, broken
from captp.model.ref import HOLDS, Far, Ref, settled, view
from captp.session.audit import check, dump
from captp.session.entries import (
    WAITING,
    Account,
    Answer,
    Control,
    ControlName,
    Export,
    Import,
    Positions,
    Question,
    QuestionPositions,
)
from captp.session.frozen import Frozen
from captp.session.holders import enter, leave, record
from captp.session.loans import Loans
from captp.wire.codec import Codec
from captp.wire.fields import LAST_POSITION
from captp.wire.ops import Desc, Kind

_EXPORT = Kind.EXPORT.value
_ANSWER = Kind.ANSWER.value
_IMPORT_OBJECT = Kind.IMPORT_OBJECT.value
_IMPORT_PROMISE = Kind.IMPORT_PROMISE.value
_STURDYREF = Kind.STURDYREF.value
_UNKNOWN = Kind.UNKNOWN.value
_FROZEN = Kind.FROZEN.value
_OWNED = tuple(kind.value for kind in (Kind.LENT, Kind.IMPORT_SOLE, Kind.EXPORT_SOLE, Kind.CERTIFICATE_SOLE))


class Tables:
    """Exports, imports, questions and answers of one session."""

    def __init__(self, session: Any, home: Any, limits: Limits) -> None:
        self.session = session
        self.home = home
        self.limits = limits
        self.account = Account(session, home, limits)
        self.exports: dict[int, Export] = {}
        self.imports: dict[int, Import] = {}
        self.questions: dict[int, Question] = {}
        self.answers: dict[int, Answer] = {}
        #: Bytes of the large results that were sent and are not released, by position, and of all of them.
        self.kept: dict[int, int] = {}
        self.kept_bytes = 0
        #: Answers that stand at no position and go to a resolver; each goes when it is reported.
        self.listeners: set[Answer] = set()
        #: Answers that the peer released before their calls arrived; each goes when it is reported.
        self.released: set[Answer] = set()
        self.by_anchor: dict[int, Export] = {}
        self.pending: list[Export] = []
        #: What is to be deposited elsewhere once the message being encoded has left.
        self.deposits: list[Any] = []
        self.promises = 0
        self.dropped_imports: deque[Import] = deque()
        self.dropped_questions: deque[Question] = deque()
        #: Whether the peer has named anything since its last result.
        self.named = False
        self.export_positions = Positions()
        self.question_positions = QuestionPositions()
        self.loans = Loans(self)
        self.frozen = Frozen(self)
        self.unbox = self.frozen.unbox
        self.codec: Codec

    # What a codec calls.

    def resolve(self, kind: int, position: Any) -> Any:
        """Find or make what a descriptor of the peer names; counts one reference received."""
        self.named = True
        if kind == _EXPORT:
            found = self.target(position)
            return ControlName(self.home, self.exports[position], found) if type(found) is Control else found
        if kind == _ANSWER:
            return self.target(-1 - position)
        if kind == _IMPORT_OBJECT:
            return self.import_object(position)
        if kind == _IMPORT_PROMISE:
            return self._import_promise(position)
        if kind == _STURDYREF:
            transport, designator, hints, swiss = position
            try:
                return SturdyRef(PeerLocator.make(transport, designator, hints), swiss)
            except BadLocator:
                raise DecodeError("bad-value", "a malformed sturdyref") from None
        if kind == _UNKNOWN:
            # Other values of the message are none the worse for one that nobody knows.
            return broken(self.home, Broken("bad-value: a record of a kind that is not known here"))
        if kind in _OWNED:
            return self.loans.resolve(kind, position)
        if kind == _FROZEN:
            return self.frozen.resolve(position)
        return self.session.certified(position)

    def target(self, to: int) -> Any:
        """Return what the peer calls: our export at a position, or the answer at -1 - ``to``."""
        if to >= 0:
            entry = self.exports.get(to)
            if entry is None:
                raise RemoteProtocolError("bad-ref", f"export {to} was never given, or is gone")
            entry.touched = self.account.clock
            return entry.target
        answer = self.answers.get(-1 - to)
        if answer is None:
            raise RemoteProtocolError("bad-ref", f"answer {-1 - to} was never asked, or is gone")
        answer.touched = self.account.clock
        return answer

    def describe(self, value: object) -> Desc:
        """Name a reference for the peer; counts one reference pending. Raises Unpassable."""
        if isinstance(value, SturdyRef):
            peer = value.peer
            return Desc(Kind.STURDYREF, (peer.transport, peer.designator, dict(peer.hints), value.swiss))
        if not isinstance(value, Reference):
            raise Unpassable(f"a {type(value).__name__} cannot cross a border")
        if value._home is not self.home:
            if type(value._home) in HOLDS and value._home.vat is self.home:  # type: ignore[attr-defined]
                return self.loans.describe(cast("Ref", value))
            raise Unpassable("a reference of another vat")
        target = settled(value)
        if isinstance(target, Ref):
            if type(target._home) in HOLDS:
                raise Unpassable(f"a promise for a {target._home.kind} reference: await it, and pass that")  # type: ignore[attr-defined]
            anchor = target._anchor
            if type(anchor) is Far and anchor.session is self.session and anchor.broken is None:
                entry = anchor.entry
                entry.touched = entry.transferred = self.account.clock
                return Desc(Kind.EXPORT, entry.position)
            if type(anchor) is Far and (certificate := self.introduce(target)) is not None:
                return certificate
            return Desc(Kind.IMPORT_OBJECT, self._export(target, anchor))
        assert isinstance(target, Promise)
        route = target._route
        if target._state == PENDING and route is not None and route.session is self.session:
            if type(route) is Import:
                return Desc(Kind.EXPORT, route.position)
            if self.session.passes_answers and route.state is WAITING:
                return Desc(Kind.ANSWER, route.position)
        elif type(target) is ControlName and self.exports.get(target.entry.position) is target.entry:
            return self.give(target.entry)
        elif route is not None and (certificate := self.introduce(target)) is not None:
            return certificate
        return Desc(Kind.IMPORT_PROMISE, self._export(target, target))

    def introduce(self, target: Reference, kind: Kind = Kind.CERTIFICATE) -> Desc | None:
        """Name a third vat's reference by a certificate, if the peer can be introduced to that vat."""
        introduction = self.session.introduce(self.session, target)
        if introduction is None:
            return None
        self.deposits.append(introduction.deposit)
        return Desc(kind, introduction.certificate)

    def commit(self) -> None:
        """Count what the message just encoded has given away."""
        for entry in self.pending:
            entry.pending -= 1
            entry.wire += 1
        self.pending.clear()
        if self.deposits:
            for deposit in self.deposits:
                self.home.emit(deposit)
            self.deposits.clear()

    def roll_back(self) -> None:
        """Forget what a message that failed to encode would have given away."""
        self.deposits.clear()
        self.frozen.roll_back()
        if self.loans.lending:
            self.loans.roll_back()
        while self.pending:
            entry = self.pending.pop()
            entry.pending -= 1
            if entry.wire == 0 and entry.pending == 0:
                self._forget_export(entry)

    # Exports.

    def export_control(self, control: Control, position: int | None = None) -> Export:
        """Export a control target; ``position`` 0 is the bootstrap and never dies."""
        if position is None:
            position = self.export_positions.take()
        entry = self.exports[position] = self.account.export(position, control)
        return entry

    def give(self, entry: Export) -> Desc:
        """Name an export once more, as pending."""
        entry.pending += 1
        self.pending.append(entry)
        return Desc(Kind.IMPORT_OBJECT, entry.position)

    def _export(self, target: Reference, anchor: Any) -> int:
        entry = self.by_anchor.get(id(anchor))
        given: Any = target if anchor is target else record(anchor)
        if entry is None:
            if len(self.exports) > self.limits.exports:
                raise Overloaded(f"this session holds {self.limits.exports} references already")
            position = self.export_positions.take()
            entry = self.exports[position] = self.account.export(position, target)
            self.by_anchor[id(anchor)] = entry
            if given is not target:
                enter(given, self)
        entry.pending += 1
        entry.touched = entry.transferred = self.account.clock
        if given is not target:
            given.given += 1
        self.pending.append(entry)
        return entry.position

    def release_export(self, position: int, delta: int) -> None:
        """Take back ``delta`` references to an export; it leaves the table at zero."""
        entry = self.exports.get(position)
        if entry is None or delta < 1 or delta > entry.wire:
            held = 0 if entry is None else entry.wire
            raise RemoteProtocolError("bad-gc", f"{delta} of {held} references to e{position}")
        entry.wire -= delta
        if entry.wire == 0 and entry.pending == 0 and position != 0:
            self._forget_export(entry)

    def _forget_export(self, entry: Export) -> None:
        del self.exports[entry.position]
        if isinstance(entry.target, Reference) and not entry.lent:
            self.unname(entry)
        self.export_positions.free.append(entry.position)

    def unname(self, entry: Export) -> None:
        """Forget what an export stands for, which gets another when it is passed again."""
        target = entry.target
        if isinstance(target, Ref):
            del self.by_anchor[id(target._anchor)]
            leave(record(target._anchor), self)
        else:
            del self.by_anchor[id(target)]

    def end_exports(self) -> None:
        """Forget all exports: nobody can name them any more."""
        self.exports.clear()
        for entry in self.by_anchor.values():
            if isinstance(entry.target, Ref):
                leave(record(entry.target._anchor), self)
        self.by_anchor.clear()

    # Imports.

    def import_object(self, position: int) -> Ref:
        """Return the reference to an object of the peer's; counts one received."""
        entry = self.imports.get(position)
        far = entry() if entry is not None else None
        if far is None:
            far = Far(self.session, self.codec.target(Kind.EXPORT, position))
            far.entry = entry = self._enter_import(far, position, entry, is_promise=False)
        elif type(far) is not Far:
            raise RemoteProtocolError("bad-ref", f"import {position} is a promise, not an object")
        assert entry is not None
        entry.wire += 1
        entry.touched = entry.transferred = self.account.clock
        return view(self.home, far, Ref)

    def _import_promise(self, position: int) -> Promise[Any]:
        entry = self.imports.get(position)
        promise = entry() if entry is not None else None
        if promise is None:
            if self.promises >= self.limits.promises:
                raise LimitExceeded("too-many", f"more than {self.limits.promises} promises")
            promise = Promise(self.home)
            promise._route = entry = self._enter_import(promise, position, entry, is_promise=True)
            entry.desc = self.codec.target(Kind.EXPORT, position)
        elif not isinstance(promise, Promise):
            raise RemoteProtocolError("bad-ref", f"import {position} is an object, not a promise")
        assert entry is not None
        entry.wire += 1
        entry.touched = entry.transferred = self.account.clock
        return promise

    def _enter_import(self, target: Any, position: int, old: Import | None, *, is_promise: bool) -> Import:
        if old is None and len(self.imports) >= self.limits.imports:
            raise LimitExceeded("too-many", f"more than {self.limits.imports} imports")
        entry = self.account.import_(position, target, self.dropped_imports.append)
        entry.is_promise = is_promise
        self.promises += is_promise
        if old is not None:
            entry.wire = old.wire
            self.promises -= old.is_promise
        self.imports[position] = entry
        return entry

    def take_dropped_imports(self) -> list[tuple[int, int]]:
        """Remove imports that nobody here holds any more; return (position, count) of each."""
        gone: list[tuple[int, int]] = []
        while self.dropped_imports:
            entry: Import = self.session.revived.next_dropped()
            if self.imports.get(entry.position) is entry:
                del self.imports[entry.position]
                self.promises -= entry.is_promise
                gone.append((entry.position, entry.wire))
        return gone

    # Questions and answers.

    def ask(self, promise: Promise[Any], wanted: bool) -> Question:
        """Enter a question whose result settles ``promise``."""
        questions, positions = self.questions, self.question_positions
        if len(questions) >= self.limits.questions:
            raise Overloaded(f"{self.limits.questions} calls wait for this peer already")
        position = positions.take()
        dropped = self.dropped_questions.append
        question = questions[position] = self.account.question(position, promise, dropped, wanted)
        return question

    def install(self, position: Any, reply: Any) -> Answer:
        """Enter the answer to a call of the peer's at the position it chose."""
        if type(position) is not int or position < 0:
            raise RemoteProtocolError("bad-op", "an answer position is a non-negative integer")
        if position > LAST_POSITION:
            # A peer could choose such that collide in a dict, whose hash is not keyed for integers.
            raise DecodeError("bad-value", "an answer position out of range")
        if (last := self.answers.get(position)) is not None:
            if last.reply is not None or not self.session.native:
                raise RemoteProtocolError("answer-in-use", f"answer {position} is not released yet")
            # The caller has seen its result, and needs it no more.
            self.release_answer(position)
        if len(self.answers) >= self.limits.answers:
            raise LimitExceeded("too-many", f"more than {self.limits.answers} answers")
        answer = self.answers[position] = self.account.answer(position, reply)
        return answer

    def keep(self, answer: Answer, size: int) -> None:
        """Account for a large result that was sent; beyond the limit its value is not kept.

        The peer has it. Only a call on the result that is still on its way breaks.
        """
        position = answer.position
        if self.answers.get(position) is not answer:
            return
        if self.kept_bytes + size > self.limits.held_bytes:
            most = self.limits.held_bytes
            forgotten = self.answers[position] = self.account.answer(position, None)
            forgotten._value = Overloaded(f"this result is not kept: {most} bytes of them are not released")
            forgotten._state = BROKEN
            return
        self.kept[position] = size
        self.kept_bytes += size

    def release_answer(self, position: Any) -> Answer:
        """Take an answer out that the peer has released."""
        answer = self.answers.pop(position, None) if type(position) is int else None
        if answer is None:
            raise RemoteProtocolError("bad-gc", f"answer {position!r} is not held")
        if self.loans.taken:
            self.loans.over(position)
        if self.kept:
            self.kept_bytes -= self.kept.pop(position, 0)
        return answer

    def listen(self, reply: Any) -> Answer:
        """Enter an answer that stands at no position: nobody but its resolver hears of it."""
        if len(self.listeners) >= self.limits.listeners:
            raise LimitExceeded("too-many-listeners", f"more than {self.limits.listeners} listeners")
        answer = self.account.answer(-1, reply)
        self.listeners.add(answer)
        return answer

    def unheard(self, answer: Promise[Any]) -> None:
        """Forget an answer that will never be given: a resolver or a sink was asked for it."""
        if type(answer) is Answer and answer.position < 0:
            self.listeners.discard(answer)

    # For tests, tools and the curious.

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant does not hold."""
        check(self)

    def dump(self) -> dict[str, list[str]]:
        """Return one line per entry, by table; shows no values."""
        return dump(self)
