"""What stands in a session's tables: one factory, so that every entry has the same stamps and owner.

Stamps are batch numbers of the session: ``touched`` moves when a message names the entry, ``wire``
counts references the other side was given and ``pending`` those in a message that is still encoding.
An ``incarnation`` is never used twice, so an entry is never mistaken for a later one at its position.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from enum import Enum
from typing import Any

from captp.errors import InvariantBroken
from captp.limits import Limits
from captp.model.promise import PENDING, Promise, Reference


class Account:
    """What one session owes: its limits, its clock of batches, and the maker of its entries."""

    __slots__ = ("clock", "incarnations", "limits", "session")

    def __init__(self, session: Any, limits: Limits) -> None:
        self.session = session
        self.limits = limits
        self.clock = 0
        self.incarnations = 0

    def enter(self, entry: Any, position: int) -> None:
        """Stamp a new entry; the one place where entries begin."""
        self.incarnations = incarnation = self.incarnations + 1
        entry.position = position
        entry.incarnation = incarnation
        entry.touched = self.clock
        entry.account = self


class Export:
    """Something we let the peer name: an object, a promise, or a control target.

    described --message sent--> held (wire > 0) --released to zero--> gone;
    described --message failed--> gone. ``wire`` counts what we sent minus what came back.
    """

    __slots__ = ("account", "incarnation", "pending", "position", "target", "touched", "wire")

    account: Account
    incarnation: int
    position: int
    touched: int

    def __init__(self, target: Any) -> None:
        self.target: Reference | Control = target
        self.wire = 0
        self.pending = 0

    def __repr__(self) -> str:
        return f"e{self.position}"


class Import(weakref.ref[Any]):
    """Something the peer let us name; weak, so it ends when the last reference here does.

    live --last reference dropped--> dropped --count reported--> gone;
    dropped --named again--> superseded by a new entry that takes over the count.
    """

    __slots__ = ("account", "desc", "incarnation", "is_promise", "position", "session", "touched",
                 "unanswered", "wanted", "wire")  # fmt: skip

    account: Account
    incarnation: int
    position: int
    touched: int
    session: Any

    def __init__(self, target: Any, dropped: Callable[[Any], None]) -> None:
        weakref.ref.__init__(self, target, dropped)  # type: ignore[call-arg]
        self.wire = 0
        self.desc: Any = None
        self.is_promise = False
        self.wanted = False
        self.unanswered = 0

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


class Question(weakref.ref[Promise[Any]]):
    """One call we made; holds its promise weakly, so that a dropped promise cancels the call.

    waiting --returned--> settled --nothing sent through it is unanswered--> finished
    waiting --promise dropped, result comes to our position--> dropped --returned--> finished
    waiting --promise dropped, otherwise--> finished
    Every path sends exactly one release of the answer and sees at most one return.
    ``via`` is the promise the call was sent through, ``unanswered`` counts the calls through ours.
    """

    __slots__ = ("account", "desc", "incarnation", "position", "released", "resolver", "session",
                 "state", "touched", "unanswered", "via", "wanted")  # fmt: skip

    account: Account
    incarnation: int
    position: int
    touched: int

    session: Any
    wanted: bool

    def __init__(self, promise: Promise[Any], dropped: Callable[[Any], None]) -> None:
        weakref.ref.__init__(self, promise, dropped)  # type: ignore[call-arg]
        self.state = QuestionState.WAITING
        self.released = Release.NOT_YET
        self.desc: Any = None
        self.via: Promise[Any] | None = None
        self.unanswered = 0
        self.resolver: Export | None = None

    def __repr__(self) -> str:
        return f"q{self.position}"

    def returned(self) -> bool:
        """Note the result; return whether the entry ends here."""
        if self.state is QuestionState.WAITING:
            self.state = QuestionState.SETTLED
            return self.unanswered == 0
        if self.state is QuestionState.DROPPED:
            return True
        raise InvariantBroken(f"second return for {self!r}")

    def promise_dropped(self, *, by_position: bool) -> bool:
        """Note that nobody holds the promise any more; return whether the entry ends here.

        A result that comes to our position (natively) must be seen before the position is used again.
        """
        if self.state is QuestionState.WAITING and self.wanted and by_position:
            self.state = QuestionState.DROPPED
            return False
        return self.state is not QuestionState.DROPPED


class Answer(Promise[Any]):
    """The promise for a call of the peer's; it is reported when it settles, if the peer asked.

    open --settles--> settled; both --peer releases the position--> gone from the table.
    ``reply`` says how to report: None not at all, True natively, a reference to its resolver.
    """

    __slots__ = ("account", "incarnation", "position", "reply", "touched")

    _reported = True

    account: Account
    incarnation: int
    position: int
    touched: int

    def __init__(self, home: Any, reply: Any) -> None:
        # The base class's fields, set here: one call fewer for each call that arrives.
        self._home = home
        self._state = PENDING
        self._value = self._waiters = self._route = None
        self.reply = reply

    def __repr__(self) -> str:
        return f"a{self.position}" if hasattr(self, "position") else "listener"


class Control:
    """An exported target that the session or its peer handles at decode time, before any turn."""

    __slots__ = ("name", "question")

    def __init__(self, name: str, question: Question | None = None) -> None:
        self.name = name
        self.question = question

    def __repr__(self) -> str:
        return f"<control {self.name}>"


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
