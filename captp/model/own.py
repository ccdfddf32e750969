"""How long a reference may be held: shared, unique or borrowed; what holds it stands before its vat.

Shared is the default: counted, and the only one that may be stored. A unique reference has one holder:
passing it on consumes it. A borrowed one lives for the turn or the fiber that it was lent to. Both are
references whose home is a ``Hold``, which lets calls through to the vat and everything else not.

loan: fresh --in a message--> lent --its turn, fiber or call ends--> over; unique: held --passed on--> moved,
moved --the message could not leave, or its turn was rolled back--> held.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

from captp.errors import BorrowEscape, Broken, Moved, UsageError
from captp.model.faults import to_wire
from captp.model.promise import BROKEN, ENDED, FULFILLED, Message, Promise, Reference, Settlement
from captp.model.ref import HOLDS, Far, Ref, settled
from captp.model.title import Title

T = TypeVar("T")

__all__ = [
    "MAKE_UNIQUE",
    "SHARE",
    "Borrowed",
    "Exclusive",
    "Lent",
    "Mode",
    "Sole",
    "Unique",
    "consume",
    "give_back",
    "lend",
    "lent",
    "sole",
]

#: Asks an object for a unique reference to it, and tells its host's bootstrap that one is shared.
MAKE_UNIQUE: Final = "captp:make-unique"
SHARE: Final = "captp:share"


#: What a reference reaches that was passed on.
GONE: Final = Far(None, None)
GONE.broken = Broken("this unique reference was passed on: use what its new holder gives")


class Mode(Enum):
    """How a parameter or a result is held; without one it is shared."""

    UNIQUE = "unique"
    BORROWED = "borrowed"
    EXCLUSIVE = "exclusive"


#: A parameter or a result that has one holder: passing it consumes it.
Unique: TypeAlias = Annotated[T, Mode.UNIQUE]
#: A parameter that lives for the turn or the fiber it was given to.
Borrowed: TypeAlias = Annotated[T, Mode.BORROWED]
#: A parameter that arrives as a unique reference: a unique one moves in, a shared one is cloned.
Exclusive: TypeAlias = Annotated[T, Mode.EXCLUSIVE]


class Hold:
    """A home that stands before the vat for one reference."""

    __slots__ = ("plain", "vat")

    #: What keeps it, in words.
    kind: ClassVar[str]

    def __init__(self, vat: Any, anchor: Any) -> None:
        self.vat = vat
        #: A reference without these terms; nobody else sees it.
        self.plain = Ref(vat, anchor)

    def look(self) -> None:
        """Raise what says that the reference cannot be used any more."""
        raise NotImplementedError

    def cross(self, ref: Ref) -> Ref:
        """Return what travels when ``ref`` is passed on; raises what says that it cannot be."""
        raise NotImplementedError

    def stored(self, where: str) -> Exception:
        """Return the error for one who keeps the reference."""
        raise NotImplementedError

    def reached(self, _ref: Reference) -> Reference:
        """Return what the vat sends to."""
        return self.plain

    # What references call; see promise.Home.

    def send(self, ref: Reference, *rest: Any) -> Any:
        self.look()
        return self.vat.send(self.reached(ref), *rest)

    def delegate(self, ref: Reference, *rest: Any) -> Any:
        self.look()
        return self.vat.delegate(self.reached(ref), *rest)

    def send_only(self, ref: Reference, *rest: Any) -> None:
        self.look()
        self.vat.send_only(self.reached(ref), *rest)

    def call_now(self, ref: Reference, *rest: Any) -> Any:
        self.look()
        return self.vat.call_now(self.reached(ref), *rest)

    def release(self, ref: Ref) -> None:
        self.vat.release(ref)


class Lent(Hold):
    """The home of a borrowed reference."""

    __slots__ = ("_ends", "_kept", "has_left", "is_fresh", "is_over", "owner", "where")

    kind = "borrowed"

    def __init__(self, vat: Any, anchor: Any, where: str, *, is_fresh: bool = False) -> None:
        super().__init__(vat, anchor)
        self.where = where
        #: Whether it may still go into one message.
        self.is_fresh = is_fresh
        #: Whether it is in a message that a session has sent: it is in no other one.
        self.has_left = False
        self.is_over = False
        #: The session of the peer that has the object to itself, where it is that which names it here.
        self.owner: Any = None
        self._ends: tuple[Callable[[], None], ...] = ()
        self._kept: Promise[Any] | None = None

    def look(self) -> None:
        if self.is_over:
            raise BorrowEscape(
                f"this reference was {self.where}, which is over: ask for a shared one to keep it"
            )

    def cross(self, ref: Ref) -> Ref:
        self.look()
        if not self.is_fresh:
            raise BorrowEscape(
                f"this reference was {self.where}, and is not passed on: give it to a parameter that borrows,"
                " with captp.lend(), or ask for a shared one"
            )
        self.is_fresh = False
        self.vat.crossed.append(self)
        return ref

    def stored(self, where: str) -> Exception:
        return BorrowEscape(
            f"{where}: this reference was {self.where}, and cannot be kept: ask for a shared one"
        )

    def reached(self, ref: Reference) -> Reference:
        """Return the loan itself: who answers a message can tell that it came by a loan."""
        return ref

    def undo(self) -> None:
        """Take it back: the message it was in did not leave."""
        self.is_fresh = True

    def carried(self, promise: Promise[Any] | None) -> None:
        """Note the message that it is in: it is over when the result of that settles ``promise``."""
        if promise is not None:
            self.vat.owning.when_settled(promise, self)

    def keeps(self, promise: Promise[Any] | None) -> None:
        """Keep the promise of the result, which nobody else does: a promise that goes cancels its call."""
        self._kept = promise

    def on_end(self, act: Callable[[], None]) -> None:
        """Have ``act`` called when the loan is over."""
        self._ends = (*self._ends, act)

    def end(self) -> None:
        """End the loan, and all that were made of it."""
        if not self.is_over:
            self.is_over = True
            self._kept = None
            ends, self._ends = self._ends, ()
            for act in ends:
                act()


class Sole(Hold):
    """The home of a unique reference."""

    __slots__ = ("_giver", "_heir", "_how", "_promise", "_ref", "_title", "_watchers")

    kind = "unique"

    def __init__(self, vat: Any, anchor: Any, giver: Sole | None = None) -> None:
        super().__init__(vat, anchor)
        self._giver = giver
        self._title: Title = Title() if giver is None else giver._title
        #: How it was given away; empty while it is held.
        self._how = ""
        self._promise: Promise[Any] | None = None
        #: The reference that it was, weakly: they would be garbage together, for the collector to find.
        self._ref: weakref.ref[Ref] | None = None
        self._heir: Sole | None = None
        #: Promises that hear when it is gone for good.
        self._watchers: list[Promise[Any]] = []

    def look(self) -> None:
        if self._how:
            raise self._moved()

    def _moved(self) -> Moved:
        return Moved(f"this unique reference was {self._how}{self._fate()}: use what its new holder gives")

    def _fate(self) -> str:
        promise = self._promise
        if promise is None or promise._state == FULFILLED:
            return ""
        if promise._state == BROKEN:
            return ", and that call broke, so that it may be there or gone"
        return ", in a call that is not answered yet"

    def cross(self, ref: Ref) -> Ref:
        self.look()
        self._how = "passed on"
        self._ref = weakref.ref(ref)
        self.vat.crossed.append(self)
        self.vat.on_roll_back(self.undo)
        self._heir = Sole(self.vat, ref._anchor, self)
        return type(ref)(self._heir, ref._anchor)

    def move(self, how: str, owner: Any = None) -> None:
        """Say how it was given away, and to which session; it cannot be used from now on."""
        self._how = how
        self._title.goes_to(owner)
        self._tell()

    def watch(self, promise: Promise[Any]) -> bool:
        """Have ``promise`` fulfilled with Moved once the reference is gone; return whether it is."""
        self._watchers.append(promise)
        is_gone = bool(self._how) and self._heir is None
        if is_gone:
            self._tell()
        return is_gone

    def _tell(self) -> None:
        # They stay: a turn that is rolled back has told nobody.
        for promise in self._watchers:
            self.vat.emit(Settlement(promise, FULFILLED, to_wire(self._moved())))

    def stored(self, where: str) -> Exception:
        return Moved(
            f"{where}: a unique reference cannot be state, as state is shared: captp.share() it first"
        )

    def undo(self) -> None:
        """Take it back: the message it was in did not leave, or its turn was rolled back."""
        self._how = ""
        self._promise = None
        self._title.goes_to(None)

    def carried(self, promise: Promise[Any] | None) -> None:
        """Note the message that it is in, whose result settles ``promise``."""
        self._promise = promise
        if promise is not None:
            self.vat.owning.when_settled(promise, self)
        else:
            self._part()

    def end(self) -> None:
        """Let go of what was given away, once it has arrived or is lost."""
        if self._how and self._ref is not None and self._heir is not None:
            self._part()
            # A near call may be over inside a turn, which can still be rolled back.
            back = self.vat.on_roll_back
            ref = self._ref()
            if ref is not None:
                back(setattr, ref, "_anchor", ref._anchor)
                ref._anchor = GONE
            # Messages that it sent before may still wait for their turn: theirs is left as it is.
            back(setattr, self, "plain", self.plain)
            self.plain = Ref(self.vat, GONE)

    def _part(self) -> None:
        heir, self._heir = self._heir, None
        if heir is not None:
            heir._giver = None
        self._tell()

    def close(self) -> None:
        """Let go of what a peer has given up to which it was given."""
        self._title.close()
        self.plain = Ref(self.vat, GONE)

    def promised_to(self, sender: Any) -> Ref:
        """Return what calls reach by a promise that became this; ``sender`` is the session they came in."""
        return self.plain if self._title.admits(sender) else Ref(self.vat, GONE)

    def give_back(self) -> None:
        """Return it to who passed it on."""
        if self._giver is not None:
            self._giver.undo()


HOLDS.update((Lent, Sole))
ENDED.update((Lent, Sole))


def give_back(message: Message) -> None:
    """Return the unique references in a message that did not get to its turn to those who passed them on."""
    stack: list[Any] = [message.args, message.kwargs]
    while stack:
        part = stack.pop()
        if isinstance(part, tuple):
            stack += part
        elif isinstance(part, dict):
            stack += part.values()
        elif isinstance(part, Ref):
            home: Any = part._home
            if type(home) is Sole:
                home.give_back()


def look(reference: Reference) -> None:
    """Raise Moved or BorrowEscape where that is what a direct call of what a promise became would do."""
    home: Any = settled(reference)._home
    if isinstance(home, Hold):
        home.look()


def sole(vat: Any, anchor: Any, cls: type[Ref] = Ref) -> Ref:
    """Return a unique reference."""
    return cls(Sole(vat, anchor), anchor)


def consume(vat: Any, anchor: Any, asked_with: Ref | None = None) -> None:
    """Consume the shared references to what has become unique; one may be none of its known views."""
    known = anchor._views
    views = known.values() if type(known) is dict else () if known is None else (known,)
    shared: Any
    for shared in (asked_with, *(view() for view in views)):
        if shared is not None:
            old = Sole(vat, anchor)
            old.move("made unique")
            shared._home = old
    anchor._views = None


def lent(vat: Any, value: Ref, where: str, cls: type[Ref] | None = None) -> Ref:
    """Return a borrowed reference to what ``value`` reaches; it is over no later than ``value`` is."""
    return _loan(vat, value, where, cls, is_fresh=False)


def _loan(vat: Any, value: Ref, where: str, cls: type[Ref] | None, *, is_fresh: bool) -> Ref:
    home = Lent(vat, value._anchor, where, is_fresh=is_fresh)
    outer = value._home
    if isinstance(outer, Hold):
        outer.look()
    if isinstance(outer, Lent):
        outer.on_end(home.end)
    return (cls or type(value))(home, value._anchor)


def lend(reference: T) -> T:
    """Return a reference that can be passed in one call, and ends with it; nothing is counted for it.

    Parameters annotated ``Borrowed`` do this by themselves. Raises UsageError for a promise that is
    pending, as nobody knows yet what to lend.
    """
    value: Any = settled(reference) if isinstance(reference, Reference) else reference
    if not isinstance(value, Ref):
        raise UsageError(f"a {type(value).__name__} cannot be lent: await it, or export the object first")
    vat = value._home.vat if isinstance(value._home, Hold) else value._home
    return _loan(vat, value, "lent for a call", None, is_fresh=True)  # type: ignore[return-value]


def share(reference: T) -> T:
    """Return a shared reference in place of a unique one, which is consumed; its host is told.

    A shared reference is returned as it is. Raises Moved, and BorrowEscape for a borrowed one.
    """
    value: Any = reference
    home = getattr(value, "_home", None)
    if isinstance(home, Lent):
        raise home.stored("captp.share()")
    if not isinstance(home, Sole):
        return reference
    home.look()
    home.move("shared")
    home.vat.on_roll_back(home.undo)
    return home.vat.owning.shared(value)  # type: ignore[no-any-return]
