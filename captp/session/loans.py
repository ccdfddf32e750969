"""References that a session passes under other terms than shared: lent for one call, or given away.

A loan has a position among the exports and is counted nowhere: given --the call is answered--> taken back;
taken --its call is answered, or released--> over. The borrower uses it before its answer alone, so the
lender may use the position again once it has that. Peers without the extension ``own1`` get counted
references that go dead when the loan is over. Invariant: each loan stands at one question or one answer.
What is unique and a third vat's moves by a certificate, and is given back to its host as the gift.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from captp.errors import (
    BorrowEscape,
    Broken,
    DecodeError,
    InvariantBroken,
    LimitExceeded,
    Moved,
    Overloaded,
    Unpassable,
)
from captp.model.holding import Released
from captp.model.own import Lent, consume, sole
from captp.model.parcel import Closing, Parcel
from captp.model.promise import Message, Promise, broken
from captp.model.ref import Far, Ref, view
from captp.session.entries import Export
from captp.wire.ops import Desc, Kind

#: Announced by vats that know unique references and loans.
OWN: Final = "own1"

_SOLE: Final = {Kind.IMPORT_OBJECT: Kind.IMPORT_SOLE, Kind.EXPORT: Kind.EXPORT_SOLE}


class Loans:
    """The loans and unique references of one session."""

    __slots__ = ("_tables", "asked", "count", "given", "lending", "taken", "taking")

    def __init__(self, tables: Any) -> None:
        self._tables = tables
        #: In the message that is encoded, and in the one that is decoded: also what moves here by it.
        self.lending: list[tuple[Export, Lent]] = []
        self.taking: list[tuple[Lent, Far] | Promise[Any]] = []
        #: By the position of the question, and of the answer.
        self.given: dict[int, list[tuple[Export, Lent]]] = {}
        self.taken: dict[int, list[tuple[Lent, Far]]] = {}
        #: How many references are taken; they count with the imports.
        self.count = 0
        #: What this side asks to be unique, and by which reference: only then a host may consume any here.
        self.asked: WeakKeyDictionary[Far, Callable[[], Any]] = WeakKeyDictionary()

    # Out.

    def describe(self, value: Ref) -> Desc:
        """Name a unique or borrowed reference for the peer."""
        home: Any = value._home
        if type(home) is Released:
            # Its user is done with it; here a table, a promise or a message has it.
            plain: Desc = self._tables.describe(view(home.vat, value._anchor, type(value)))
            return plain
        anchor, session = value._anchor, self._tables.session
        is_theirs = type(anchor) is Far and anchor.session is session
        try:
            home.look()
        except (BorrowEscape, Moved) as problem:
            # Frozen values are on their terms; what a promise became may be on others by now.
            raise Unpassable(str(problem)) from None
        if type(home) is Lent:
            lent: Desc = self._tables.describe(home.plain) if is_theirs else self._lend(home)
            return lent
        if type(anchor) is Far and not is_theirs:
            return self._move(home, anchor)
        desc: Desc = self._tables.describe(home.plain)
        if not is_theirs:
            # It may have been exported before, by a reference that was consumed since.
            self._tables.exports[desc.position].target = self._owned(home)
        # A promise that became this may be told to others too, who must not get it again, nor call it.
        home.move("passed on", session)
        return Desc(_SOLE[desc.kind], desc.position) if OWN in session.extensions else desc

    def _owned(self, home: Any) -> Ref:
        """Return what a peer reaches, and names here in calls, by what is given away to it.

        For objects here that is on loan, until it is given away again: what they kept would be a second
        reference, and the owner could have put it there.
        """
        plain: Ref = home.plain
        session = self._tables.session
        if OWN not in session.extensions:
            return plain
        lent = Lent(home.vat, plain._anchor, "named by its owner, who alone has it")
        lent.owner = session
        # Promises reach it too, in the calls that come before it is given up.
        lent.on_end(lambda: session.effects.append(Closing(home)))
        return Ref(lent, plain._anchor)

    def _move(self, home: Any, far: Far) -> Desc:
        """Name what is unique and a third vat's: that gets it back, and keeps it for the peer."""
        if OWN not in self._tables.session.extensions:
            raise Unpassable(
                f"a unique reference moves to peers that know the extension {OWN}, and this one does not:"
                " captp.share() it, or pass it to its host"
            )
        desc: Desc | None = self._tables.introduce(sole(self._tables.home, far), Kind.CERTIFICATE_SOLE)
        if desc is None:
            raise Unpassable(
                "a unique reference moves to who can be introduced to its host, and this peer cannot be now:"
                " captp.share() it, or pass it to its host"
            )
        home.move("passed on")
        return desc

    def _lend(self, home: Lent) -> Desc:
        tables = self._tables
        if home.has_left:
            raise Unpassable(f"a reference that was {home.where} is in one call alone: lend it for another")
        if len(tables.exports) > tables.limits.exports:
            raise Overloaded(f"this session holds {tables.limits.exports} references already")
        position = tables.export_positions.take()
        entry = tables.exports[position] = tables.account.export(position, Ref(home, home.plain._anchor))
        entry.lent = True
        self.lending.append((entry, home))
        if OWN in tables.session.extensions:
            return Desc(Kind.LENT, position)
        given: Desc = tables.give(entry)
        return given

    def sent(self, question: int) -> None:
        """Note that the message has left: what it lends comes back with the answer to ``question``."""
        for entry, home in self.lending:
            home.has_left = True
            home.on_end(_cutter(entry, self._tables.home))
        self.given[question] = self.lending
        self.lending = []

    def roll_back(self) -> None:
        """Forget what a message would have lent that could not be encoded."""
        for entry, _home in self.lending:
            if entry.pending == 0:
                self._remove(entry)
        self.lending = []

    def answered(self, question: int) -> None:
        """Take back what a call lent that is answered."""
        for entry, home in self.given.pop(question, ()):
            home.end()
            if entry.wire == 0:
                self._remove(entry)

    def _remove(self, entry: Export) -> None:
        if self._tables.exports.get(entry.position) is entry:
            del self._tables.exports[entry.position]
            self._tables.export_positions.free.append(entry.position)

    # In.

    def resolve(self, kind: int, position: int) -> Any:
        """Return what the peer lends or gives away."""
        tables = self._tables
        if OWN not in tables.session.extensions:
            raise DecodeError("bad-value", f"ext {kind} belongs to the extension {OWN}")
        if kind == Kind.LENT:
            if self.count + len(tables.imports) >= tables.limits.imports:
                raise LimitExceeded("too-many", f"more than {tables.limits.imports} imports and loans")
            self.count += 1
            far = Far(tables.session, tables.codec.target(Kind.EXPORT, position))
            far.entry = tables.account.import_(position, far, _forget)
            home = Lent(tables.home, far, "lent by a peer for a call")
            self.taking.append((home, far))
            return Ref(home, far)
        if kind == Kind.CERTIFICATE_SOLE:
            promise = tables.session.certified(position)
            self.taking.append(promise)
            return promise
        if kind == Kind.IMPORT_SOLE:
            far = tables.import_object(position)._anchor
            asked_with = self.asked.pop(far, None)
            if asked_with is not None:
                consume(tables.home, far, asked_with())
            return sole(tables.home, far)
        target = tables.resolve(Kind.EXPORT.value, position)
        if not self.owns(target):
            return target
        # It has come home: whoever had it may go on sending, to nobody.
        entry, obj = tables.exports[position], target._anchor
        tables.unname(entry)
        entry.lent = True
        _cutter(entry, tables.home)()
        target._home.end()
        return sole(tables.home, obj)

    def owns(self, target: Any) -> bool:
        """Whether that is an object here which was given away to this peer, and which it still has."""
        home: Any = target._home if isinstance(target, Ref) else None
        return type(home) is Lent and home.owner is self._tables.session and not home.is_over

    def shared(self, target: Any) -> None:
        """Let what the peer owns be shared from now on, also where it has named it already."""
        target._anchor._entry.sole = False
        target._home = self._tables.home

    def came(self, message: Message) -> Message:
        """Return the call just decoded, whose loans end with its answer; what moves by it is awaited."""
        loans = _loans(self.taking)
        if loans:
            answer = -1 if message.promise is None else message.promise.position  # type: ignore[attr-defined]
            if answer < 0:
                raise DecodeError("bad-value", "what is lent has to come back with an answer")
            self.taken[answer] = loans
        moved = [one for one in self.taking if isinstance(one, Promise)]
        self.taking = []
        return Parcel(message, moved) if moved else message

    def came_elsewhere(self) -> None:
        """Let what moves by a result be the promise that it is; raises DecodeError for a loan."""
        if _loans(self.taking):
            raise DecodeError("bad-value", "what is lent stands among the arguments of a call")
        self.taking = []

    def over(self, answer: int) -> None:
        """End the loans of a call that is answered, or that nobody waits for."""
        for home, far in self.taken.pop(answer, ()):
            self.count -= 1
            home.end()
            far.broken = Broken("the loan of this reference is over: ask for a shared one to keep it")

    def end(self, reason: Broken) -> None:
        """End every loan with its session."""
        for loans in (*self.taken.values(), _loans(self.taking)):
            for home, far in loans:
                home.end()
                far.broken = reason
        for given in self.given.values():
            for _entry, home in given:
                home.end()
        self.given.clear()
        self.taken.clear()
        self.taking = []
        self.count = 0

    # For tests and tools.

    def check(self) -> None:
        """Raise InvariantBroken unless each loan stands at an open question or an answer that is there."""
        tables = self._tables
        if self.lending or sum(map(len, (*self.taken.values(), _loans(self.taking)))) != self.count:
            raise InvariantBroken(f"{self.count} loans of the peer's were counted")
        if stray := self.given.keys() - tables.questions.keys():
            raise InvariantBroken(f"loans of the questions {sorted(stray)}, which are over")
        if stray := self.taken.keys() - tables.answers.keys():
            raise InvariantBroken(f"loans for the answers {sorted(stray)}, which are gone")

    def dump(self) -> list[str]:
        """Return one line per call that lends."""
        given = [f"q{q} lends {[e for e, _ in loans]}" for q, loans in self.given.items()]
        return given + [f"a{a} borrows {len(loans)}" for a, loans in self.taken.items()]


def _loans(taking: list[tuple[Lent, Far] | Promise[Any]]) -> list[tuple[Lent, Far]]:
    return [one for one in taking if isinstance(one, tuple)]


def _forget(_entry: Any) -> None:
    """Report no drop: the peer has counted nothing."""


def _cutter(entry: Export, home: Any) -> Callable[[], None]:
    def cut() -> None:
        entry.target = broken(
            home, Broken("this reference was lent or given away, and is not yours any more")
        )

    return cut
