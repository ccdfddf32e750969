"""What stands in a session's tables: one factory, so that every entry has the same stamps and owner.

Stamps are batch numbers of the session: ``touched`` moves when a message names the entry, and
``transferred`` when a reference to it is given. ``wire`` counts references the other side was
given and ``pending`` those in a message that is still encoding. An ``incarnation`` is never used twice,
so an entry is never mistaken for a later one at its position.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from captp.errors import Broken, HandoffFailed, InvariantBroken
from captp.limits import Limits
from captp.model.promise import BROKEN, PENDING, Promise, Reference


class Export:
    """Something we let the peer name: an object, a promise, or a control target.

    described --message sent--> held (wire > 0) --released to zero--> gone;
    described --message failed--> gone. ``wire`` counts what we sent minus what came back.
    """

    __slots__ = ("account", "incarnation", "lent", "pending", "position", "target", "touched", "transferred",
                 "wire")  # fmt: skip

    account: Any
    incarnation: int
    position: int
    touched: int
    transferred: int

    target: Reference | Control
    #: Whether it stands for one loan, or for what was given away, and not for its target.
    lent: bool
    wire: int
    pending: int

    def __repr__(self) -> str:
        return f"e{self.position}"


class Import(weakref.ref[Any]):
    """Something the peer let us name; weak, so it ends when the last reference here does.

    live --last reference dropped--> dropped --count reported--> gone;
    dropped --named again--> superseded by a new entry that takes over the count.
    """

    __slots__ = ("account", "desc", "incarnation", "is_promise", "position", "session", "touched",
                 "transferred", "unanswered", "unsure", "wanted", "wire")  # fmt: skip

    account: Any
    incarnation: int
    position: int
    touched: int
    transferred: int
    session: Any

    wire: int
    desc: Any
    is_promise: bool
    wanted: bool
    unanswered: int
    unsure: bool

    def __repr__(self) -> str:
        return f"i{self.position}"


class QuestionState(Enum):
    """The life of a question; see Question."""

    WAITING = "waiting"
    SETTLED = "settled"
    DROPPED = "dropped"
    FINISHED = "finished"


class Release(Enum):
    """How far the release of an answer position has come."""

    NOT_YET = "not yet"
    QUEUED = "queued"
    SENT = "sent"


# An enum member looked up through its class costs what a call of ours may cost in all.
WAITING: Final = QuestionState.WAITING
SETTLED: Final = QuestionState.SETTLED
DROPPED: Final = QuestionState.DROPPED
FINISHED: Final = QuestionState.FINISHED
NOT_YET: Final = Release.NOT_YET
QUEUED: Final = Release.QUEUED
SENT: Final = Release.SENT


class Question(weakref.ref[Promise[Any]]):
    """One call we made; holds its promise weakly, so that a dropped promise cancels the call.

    waiting --returned--> settled --nothing sent through it is unanswered--> finished
    waiting --promise dropped, result is awaited all the same--> dropped --returned--> finished
    waiting --promise dropped, otherwise--> finished
    Every path sends exactly one release of the answer, or uses its position again, which is one, and sees
    at most one return.
    ``via`` is the promise the call was sent through, ``unanswered`` counts the calls through ours, and
    ``unsure`` tells that one was let go before anybody could hear that it had arrived.
    """

    __slots__ = ("account", "desc", "incarnation", "position", "released", "resolver", "session",
                 "state", "touched", "unanswered", "unsure", "via", "wanted")  # fmt: skip

    account: Any
    incarnation: int
    position: int
    touched: int

    session: Any
    wanted: bool

    state: QuestionState
    released: Release
    desc: Any
    via: Promise[Any] | None
    unanswered: int
    unsure: bool
    resolver: Export | None

    def __repr__(self) -> str:
        return f"q{self.position}"

    @property
    def is_released(self) -> bool:
        """Whether the peer was told that nothing more comes through it, so that it cannot be taken back."""
        return self.state is FINISHED and self.released is SENT

    def returned(self) -> bool:
        """Note the result; return whether the entry ends here."""
        if self.state is WAITING:
            self.state = SETTLED
            return self.unanswered == 0
        if self.state is DROPPED:
            return True
        raise InvariantBroken(f"second return for {self!r}")

    def promise_dropped(self, *, is_awaited: bool) -> bool:
        """Note that nobody holds the promise any more; return whether the entry ends here.

        A result is awaited all the same where it comes to our position (natively), which must not be
        used again before, and where it is the news that a call through a promise has arrived.
        """
        if self.state is WAITING and self.wanted and is_awaited:
            self.state = DROPPED
            return False
        return self.state is not DROPPED


class Answer(Promise[Any]):
    """The promise for a call of the peer's; it is reported when it settles, if the peer asked.

    open --settles--> settled; both --peer releases the position--> gone from the table.
    ``reply`` says how to report: None not at all, True natively, or the resolver's address and itself.
    """

    __slots__ = ("account", "incarnation", "position", "reply", "touched")

    _reported = True

    account: Any
    incarnation: int
    position: int
    touched: int

    reply: Any

    def __repr__(self) -> str:
        return f"a{self.position}" if self.position >= 0 else "listener"


class Certificate(Promise[Any]):
    """A certificate that introduces nobody: for whoever has no use for ``envelope``, a broken promise."""

    __slots__ = ("envelope",)

    def __init__(self, home: Any, envelope: bytes) -> None:
        super().__init__(home)
        self._state = BROKEN
        self._value = HandoffFailed("handoff: this certificate introduces nobody")
        self.envelope = envelope


class Control:
    """An exported target that the session or its peer handles at decode time, before any turn."""

    __slots__ = ("name", "question")

    def __init__(self, name: str, question: Question | None = None) -> None:
        self.name = name
        self.question = question

    def __repr__(self) -> str:
        return f"<control {self.name}>"


class Introduction:
    """How a reference to a third vat travels: a certificate for the peer, and a gift to deposit there."""

    __slots__ = ("certificate", "deposit")

    def __init__(self, certificate: bytes, deposit: Any) -> None:
        self.certificate = certificate
        self.deposit = deposit


class ControlName(Promise[Any]):
    """What names a control target in a message: its address to the session, a broken promise to objects."""

    __slots__ = ("control", "entry")

    def __init__(self, home: Any, entry: Export, control: Control) -> None:
        super().__init__(home)
        self._state = BROKEN
        self._value = Broken(f"{control!r} belongs to a session and cannot be used by objects")
        self.entry = entry
        self.control = control


class Positions:
    """Hands out positions from one upward, and again those that were given back."""

    __slots__ = ("free", "next")

    def __init__(self) -> None:
        self.next = 1
        self.free: list[int] = []

    def take(self) -> int:
        """Return a position that is not in use."""
        if self.free:
            return self.free.pop()
        position = self.next
        self.next = position + 1
        return position


class QuestionPositions(Positions):
    """Positions of questions; that of one in ``ended`` may be taken as it is, which releases its answer.

    Those ended with plain data, and natively.
    """

    __slots__ = ("ended",)

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[Question] = []

    def take(self) -> int:
        """Return a position that is not in use, or whose use is over for both sides."""
        if self.ended:
            promise = self.ended[-1]()
            # A call may still go through one whose result has come, and not yet reached its promise.
            if promise is None or promise._state != PENDING:
                question = self.ended.pop()
                question.released = SENT
                return question.position
        return super().take()


class Account:
    """What one session owes: its limits, its clock of batches, and the maker of all its entries.

    Entries are filled here and not in constructors: two of them are made per call, one at each end.
    """

    __slots__ = ("clock", "home", "incarnations", "limits", "session")

    def __init__(self, session: Any, home: Any, limits: Limits) -> None:
        self.session = session
        self.home = home
        self.limits = limits
        self.clock = 0
        self.incarnations = 0

    def export(self, position: int, target: Reference | Control) -> Export:
        """Make the entry for something that the peer may name."""
        entry = Export()
        self._stamp(entry, position)
        entry.target = target
        entry.wire = entry.pending = 0
        entry.lent = False
        return entry

    def import_(self, position: int, target: Any, dropped: Callable[[Any], None]) -> Import:
        """Make the entry for something that we may name; ``dropped`` hears when nobody here does."""
        entry = Import(target, dropped)
        self._stamp(entry, position)
        entry.session = self.session
        entry.wire = entry.unanswered = 0
        entry.desc = None
        entry.is_promise = entry.wanted = entry.unsure = False
        return entry

    def question(
        self, position: int, promise: Promise[Any], dropped: Callable[[Any], None], wanted: bool
    ) -> Question:
        """Make the entry for a call of ours."""
        question = Question(promise, dropped)
        self.incarnations += 1
        question.incarnation = self.incarnations
        question.position = position
        question.touched = self.clock
        question.account = self
        question.session = self.session
        question.wanted = wanted
        question.state = WAITING
        question.released = NOT_YET
        question.desc = question.via = question.resolver = None
        question.unanswered = 0
        question.unsure = False
        return question

    def answer(self, position: int, reply: Any) -> Answer:
        """Make the entry for a call of the peer's; position -1 is a listener that stands nowhere."""
        answer = _new_answer(Answer)
        answer._home = self.home
        answer._state = PENDING
        answer._value = answer._waiters = answer._route = None
        self.incarnations += 1
        answer.incarnation = self.incarnations
        answer.position = position
        answer.touched = self.clock
        answer.account = self
        answer.reply = reply
        return answer

    def _stamp(self, entry: Export | Import, position: int) -> None:
        self.incarnations += 1
        entry.incarnation = self.incarnations
        entry.position = position
        entry.touched = entry.transferred = self.clock
        entry.account = self


_new_answer: Final = Answer.__new__
