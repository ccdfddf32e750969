"""Unique references at the host of their object, and what a message does with those that it carries."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from copy import copy
from typing import Any, Final, TypeVar

from captp.errors import BorrowEscape, InvariantBroken, Refused, StillShared, UsageError
from captp.model.current import CURRENT_VAT
from captp.model.guards import compile_thunk
from captp.model.interface import Method, Row, interface_of, promise_class, ref_class
from captp.model.object import Object
from captp.model.own import MAKE_UNIQUE, SHARE, Hold, Lent, Sole, consume, sole
from captp.model.passable import freeze, freeze_args, freeze_kwargs
from captp.model.promise import BROKEN, Message, Promise, Reference, Settlement, add_waiter
from captp.model.ref import Far, Ref, settled, view
from captp.vat.boxes import Boxes
from captp.vat.effects import Claim

T = TypeVar("T")

__all__ = ["Owning", "claimed", "make_unique", "unique_row"]


class Owning:
    """The terms on which one vat's references cross its borders."""

    __slots__ = ("_boxes", "_vat")

    def __init__(self, vat: Any) -> None:
        self._vat = vat
        self._boxes: Boxes | None = None

    @property
    def boxes(self) -> Boxes:
        """What is known of data that crosses; most vats see none."""
        if self._boxes is None:
            self._boxes = Boxes(self._vat)
        return self._boxes

    def frozen(
        self, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
        """Freeze arguments; what they give away or lend is taken back if one of them cannot cross."""
        vat = self._vat
        try:
            return freeze_args(args, vat), None if kwargs is None else freeze_kwargs(kwargs, vat)
        except BaseException:
            self.undo()
            raise

    def passed_on(self, value: Any) -> Any:
        """Freeze something that leaves without a call; unique references leave with it, and loans cannot."""
        try:
            value = freeze(value, self._vat)
        except BaseException:
            self.undo()
            raise
        if self._vat.crossed:
            self._refuse_loans()
        return value

    def bind(self, promise: Promise[Any] | None) -> None:
        """Tell what was frozen into a message whose result settles ``promise``."""
        crossed, self._vat.crossed = self._vat.crossed, []
        for hold in crossed:
            hold.carried(promise)

    def unasked(self) -> Promise[Any] | None:
        """Return the promise for a result that nobody asked for, if loans come back with it."""
        loans = [hold for hold in self._vat.crossed if type(hold) is Lent]
        promise: Promise[Any] | None = Promise(self._vat) if loans else None
        self.bind(promise)
        for loan in loans:
            loan.keeps(promise)
        return promise

    def undo(self) -> None:
        """Take back what was frozen into a message or a result that is not made."""
        crossed, self._vat.crossed = self._vat.crossed, []
        for hold in crossed:
            hold.undo()

    def _refuse_loans(self) -> None:
        for hold in self._vat.crossed:
            if type(hold) is Lent:
                self.undo()
                raise BorrowEscape(f"a result has a reference that was {hold.where}: return a shared one")
        self.bind(None)

    def when_settled(self, promise: Promise[Any], hold: Hold) -> None:
        """Have a loan, or what was given away, end when ``promise`` is settled."""
        add_waiter(promise, hold)

    def shared(self, ref: Ref) -> Ref:
        """Return a shared reference in the place of a unique one, and tell the host of its object."""
        vat, anchor = self._vat, ref._anchor
        if type(anchor) is Far:
            bootstrap = view(vat, anchor.session.bootstrap, Ref)
            vat.send_only(bootstrap, SHARE, (Ref(vat, anchor),), None)
        else:
            anchor._entry.sole = False
            vat.on_roll_back(setattr, anchor._entry, "sole", True)
        return view(vat, anchor, type(ref))

    def owned(self, obj: Object, interface: type | None = None) -> Ref:
        """Return the first unique reference to an object that nobody has a reference to."""
        if _views(obj):
            raise Refused(f"this {type(obj).__name__} has references already, so it cannot be unique")
        vat = self._vat
        vat.trustee.reference(obj)
        obj._entry.sole = True
        vat.on_roll_back(setattr, obj._entry, "sole", False)
        return sole(vat, obj, Ref if interface is None else ref_class(interface))

    def clone(self, obj: Object) -> Ref:
        """Return a unique reference to what ``__captp_clone__()`` makes of an object."""
        name = type(obj).__name__
        make = getattr(obj, "__captp_clone__", None)
        if make is None:
            raise Refused(
                f"others have this {name} too, and it has no __captp_clone__() that makes a new one"
            )
        made = make()
        if not isinstance(made, Object) or made is obj:
            raise Refused(f"__captp_clone__() of {name} gives no new object")
        return self.owned(made)


# What becomes unique.


def make_unique(reference: T) -> Promise[T]:
    """Ask for a unique reference to what a shared one reaches, which is consumed if nobody else has it.

    Where others do, the object's ``__captp_clone__()`` makes a new one; without one the promise breaks
    as Refused. It breaks as StillShared where the object is far and the reference is held in more than
    one place here. Raises Moved and BorrowEscape for what is not shared.
    """
    value: Any = settled(reference) if isinstance(reference, Reference) else reference
    if isinstance(value, Object):
        value = _current(value).reference(value)
    if not isinstance(value, Ref):
        raise UsageError(f"a {type(value).__name__} cannot be made unique: await it first")
    home: Any = value._home
    if type(home) is Sole:
        home.look()
        raise UsageError("this reference is unique already")
    if isinstance(home, Hold):
        raise home.stored("captp.make_unique()")
    interface = interface_of(type(value))
    promised = Promise if interface is None else promise_class(interface)
    if type(value._anchor) is not Far:
        asked: Promise[T] = home.send(value, MAKE_UNIQUE, (0,), None, promised)
        return asked
    promise: Promise[T] = promised(home)
    home.emit(Claim(promise, value._anchor, weakref.ref(value), value._way))
    return promise


def _held(claim: Claim) -> tuple[int, int]:
    """Return how many references a far object has, and how often the one is held that was asked with."""
    ref = claim.view()
    count = sys.getrefcount(claim.anchor)
    return (count, 0) if ref is None else (count - 1, sys.getrefcount(ref))


def _held_by_one() -> tuple[int, int]:
    ref = Ref(None, Far(None, None))
    return _held(Claim(Promise(None), ref._anchor, weakref.ref(ref), None))


#: Those counts for a reference that one variable holds, in this Python.
_ONE: Final = _held_by_one()


def claimed(vat: Any, claim: Claim) -> Message | Settlement:
    """Return what asks the host for a unique reference, or what breaks the promise of one."""
    held = _held(claim)
    if held[0] > _ONE[0] or held[1] > _ONE[1]:
        problem = StillShared(
            "others in this vat hold this reference too, in a variable, a field, a message or as another"
            " view of it: make it unique where it is held once"
        )
        return Settlement(claim.promise, BROKEN, problem)
    far = claim.anchor
    asked = far.session.tables.loans.asked
    asked[far] = claim.view
    # Released before it is answered, it would be nobody's there.
    hold = Lent(vat, far, "asked to be unique")
    hold.on_end(lambda: asked.pop(far, None))
    add_waiter(claim.promise, hold)
    target = Ref(vat, far)
    target._way = claim.way
    return Message(target, MAKE_UNIQUE, (far.entry.wire,), None, claim.promise)


def _current(obj: Object) -> Any:
    vat = getattr(obj._home, "vat", None) or CURRENT_VAT.get(None)
    if vat is None:
        raise UsageError(f"this {type(obj).__name__} belongs to no vat yet: vat.export() it")
    return vat


def _views(obj: Any) -> list[Ref]:
    known = obj._views
    slots = () if known is None else known.values() if type(known) is dict else (known,)
    return [ref for slot in slots if (ref := slot()) is not None]


class _Probe(Object):
    """Shows how many references the machinery itself has to an object that is being made unique."""


#: Those references, to the object and to the reference that was sent to, in this Python.
_BASE: list[tuple[int, int]] = []


def unique_row(vat: Any, obj: Object, message: Message) -> Row:
    """Return what a request for a unique reference does here: give the object out, or a clone of it."""
    ref = message.target
    counts = (sys.getrefcount(obj), sys.getrefcount(ref))
    if type(obj) is _Probe:
        _BASE.append(counts)
    elif not _BASE:
        vat.deliver(
            Message(view(vat, vat.trustee.reference(_Probe())._anchor, Ref), MAKE_UNIQUE, (0,), None, None)
        )
        if not _BASE:
            raise InvariantBroken("no reference counts were taken")
    row = copy(GIVE_ROW if _is_sole(obj, message, counts) else CLONE_ROW)
    row.result = interface_of(type(message.promise))
    return row


def _is_sole(obj: Object, message: Message, counts: tuple[int, int]) -> bool:
    """Whether the one who asks has the only reference: held by its session, or by one variable here."""
    if type(obj) is _Probe or obj._entry.sole or len(_views(obj)) != 1:
        return False
    if obj._entry.kept is not None:
        # What is on disk leads to it, which nobody can count.
        return False
    if counts[0] > _BASE[0][0] or counts[1] > _BASE[0][1] + 1:
        return False
    session = getattr(getattr(message.promise, "account", None), "session", None)
    if session is None:
        return True
    entry = session.tables.by_anchor.get(id(obj))
    return (
        entry is not None
        and (entry.wire, entry.pending) == (message.args[0], 0)
        and entry.target is message.target
    )


def _give_out(self: Object, _count: int) -> Any:
    self._entry.sole = True
    self._home.vat.on_roll_back(setattr, self._entry, "sole", False)
    consume(self._home.vat, self)
    return sole(self._home.vat, self)


def _give_clone(self: Object, _count: int) -> Any:
    if self._entry.sole:
        raise Refused(f"this {type(self).__name__} has an owner already")
    return self._home.vat.owning.clone(self)


def _row(function: Callable[..., Any], name: str) -> Row:
    row = Row(Method(function, latch=True), Object)
    row.name = name
    compile_thunk(row)
    return row


#: What makes one unique.
GIVE_ROW: Final = _row(_give_out, MAKE_UNIQUE)
CLONE_ROW: Final = _row(_give_clone, MAKE_UNIQUE)
