"""The loop trustee: home of objects, keeper of the undo journal; one turn at a time, no lock.

idle --enter--> in turn --commit | roll back--> idle; in turn --an access opens--> away --it ends--> in turn.
``token`` is what an object written in this turn carries; it is replaced after each turn that wrote,
so "first write of this turn" is one identity test. Journal entries are undone last first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from captp.errors import Contended, InvariantBroken, NotInTurn, UnsizeError, UsageError
from captp.model.containers import Tracked
from captp.model.fields import convert_parts
from captp.model.interface import Row, ref_class, shown_as
from captp.model.object import UNOWNED, Object, edges
from captp.model.ref import Ref, view
from captp.vat.heap import Heap


class TurnStep(Protocol):
    """Something that every turn enters and leaves: a capsule, a context, a loan."""

    def enter(self, obj: Object, row: Row) -> None:
        """Prepare for one turn; an exception here breaks the call before its body runs."""
        ...

    def leave(self, obj: Object, row: Row, *, committed: bool) -> None:
        """Undo what ``enter`` did; called once for each ``enter`` that returned, last first."""
        ...


class Trustee:
    """Owns objects and runs their turns, inline in the vat's loop."""

    #: A container does not ask before it is read, as the field does that it is in.
    guard: Final = None

    __slots__ = ("_entered", "away", "capsule", "heap", "in_turn", "journal", "steps", "token", "vat")

    def __init__(self, vat: Any, heap: Heap) -> None:
        self.vat = vat
        self.heap = heap
        #: What its turns run within, when a capsule has asked.
        self.capsule: Any = None
        #: The object whose turn runs; then its vat's objects are read without a word.
        self.in_turn: Object | None = None
        #: The object whose turn is within an access to a capsule, where nothing of the vat is touched.
        self.away: Object | None = None
        #: What each turn enters and leaves, set before there are any; a turn without pays one test at most.
        self.steps: tuple[TurnStep, ...] = ()
        self._entered: list[TurnStep] = []
        self.token: object = object()
        self.journal: list[tuple[Callable[..., Any], Any]] = []

    def keep(self, problem: BaseException) -> tuple[str, int]:
        """Keep what a turn raised for accesses of its capsule; return the capsule's brand and the number."""
        # Late, as most vats have neither capsules nor faults like that.
        from captp.custody.home import home_of  # noqa: PLC0415

        return home_of(self).keep(problem)

    @property
    def running(self) -> Object | None:
        """The object whose turn runs, in an access to a capsule or not."""
        return self.away if self.in_turn is None else self.in_turn

    def look(self, obj: Object) -> None:
        """Let ``obj`` be read where no turn of its vat runs, or raise Contended."""
        # Late, as most vats are read in their turns only.
        from captp.custody.home import look_between_turns  # noqa: PLC0415

        look_between_turns(self, obj)

    def first_write(self, obj: Object) -> None:
        """Journal the state of ``obj`` before its first write in this turn."""
        if self.in_turn is None:
            name = type(obj).__name__
            if self.away is not None:
                raise Contended(
                    f"{name} belongs to a vat, and this is in a capsule: change it after the access"
                )
            raise NotInTurn(
                f"{name} belongs to a vat and changes only inside its own methods; send it a message"
            )
        self.journal.append((restore, (obj, obj._captp_snap())))  # type: ignore[attr-defined]
        obj._turn = self.token

    def leave_turn(self) -> bool:
        """Have nothing touched while the turn is in an access; return whether it was in none before."""
        if self.in_turn is None:
            return False
        self.away, self.in_turn = self.in_turn, None
        # What was written before in this turn is asked about again.
        self.token = object()
        return True

    def come_back(self) -> None:
        """Go on with the turn after the access."""
        self.in_turn, self.away = self.away, None

    def container_write(self, owner: Object, undo: Callable[..., Any], args: Any) -> None:
        """Journal the inverse of one change to a container in the state of ``owner``."""
        if owner._turn is not self.token:
            self.first_write(owner)
        self.journal.append((undo, args))

    def postpone(self, message: Any, obj: Object, cold: Object) -> None:  # noqa: ARG002
        """Run a turn again when an object is in memory: here all are."""
        raise self._never(cold)

    def warm(self, cold: Object) -> None:
        """Have the state of an object read: here all have theirs."""
        raise self._never(cold)

    def _never(self, cold: Object) -> InvariantBroken:
        return InvariantBroken(f"a {type(cold).__name__} is cold in a vat that stores nothing")

    def last_holder_went(self, obj: Object) -> None:
        """Have an object that has ``__dropped__`` told soon; any thread, in the middle of anything."""
        vat = self.vat
        if not vat.is_closed and not obj._entry.is_told and obj._entry.kept is None:
            vat.dropped.append(obj)
            vat.nudge()

    def enter(self, obj: Object, row: Row) -> None:
        """Enter the steps of one turn, in order."""
        for step in self.steps:
            step.enter(obj, row)
            self._entered.append(step)

    def leave(self, obj: Object, row: Row, *, committed: bool) -> None:
        """Leave the steps that were entered, last first."""
        while self._entered:
            self._entered.pop().leave(obj, row, committed=committed)

    def commit(self) -> None:
        """Make the turn's writes final."""
        self.journal.clear()
        self.token = object()

    def on_roll_back(self, undo: Callable[..., Any], *args: Any) -> None:
        """Add something to undo with the turn that runs now; outside a turn it is forgotten."""
        if self.running is not None:
            self.journal.append((undo, args))

    def roll_back(self) -> None:
        """Undo the turn's writes, last first."""
        journal = self.journal
        if journal:
            while journal:
                undo, args = journal.pop()
                undo(*args)
            self.token = object()

    def adopt(self, obj: Object) -> None:
        """Own ``obj`` and every Object in its state, however deep; all of them or, on an error, none."""
        if obj._home is self:
            return
        if not type(obj)._captp_fields and obj._home is UNOWNED:
            obj._home = self
            self.heap.add(obj, self)
            return
        found = {id(obj): obj}
        stack = [obj]
        while stack:
            one = stack.pop()
            one._home.give_up(one, self)
            for part in edges(one):
                if isinstance(part, Object):
                    if part._home is not self and id(part) not in found:
                        found[id(part)] = part
                        stack.append(part)
                elif part._home is not self.vat:
                    raise NotInTurn(f"{type(one).__name__} holds a reference of another vat")
        for one in found.values():
            one._home = self
            self.heap.add(one, self)
        for one in found.values():
            self._convert_state(one)

    def give_up(self, obj: Object, new: Any) -> None:  # noqa: ARG002
        """Keep ``obj`` from getting a new home."""
        raise NotInTurn(f"{type(obj).__name__} belongs to another vat; pass a reference to it")

    def _convert_state(self, obj: Object) -> None:
        """Turn Objects that its fields hold as an interface into references."""
        for name, field in type(obj)._captp_fields.items():
            value = getattr(obj, f"_f_{name}", None)
            if isinstance(value, Object | tuple):
                setattr(obj, f"_f_{name}", field.convert(obj, value))
            elif isinstance(value, Tracked):
                convert_parts(obj, value)

    def reference(self, obj: Object, interface: type | None = None) -> Ref:
        """Return the one reference to ``obj`` under ``interface``; own it first if nobody does."""
        if type(obj)._captp_unmet:
            raise UnsizeError(_unmet(type(obj)))
        if obj._home is not self:
            self.adopt(obj)
        if obj._entry.sole:
            name = type(obj).__name__
            raise UsageError(
                f"this {name} has one owner, and no other reference: its owner may captp.share() it"
            )
        return view(self.vat, obj, ref_class(interface or shown_as(type(obj))))


def _unmet(cls: type[Object]) -> str:
    row, need = cls._captp_unmet[0]
    return (
        f"{cls.__name__}.{row.name}() needs {need!r}, which who sends it a message cannot give: bind it in"
        f" the method, or have callers give it, @captp.needs({need!r}, carry=True)"
    )


def restore(obj: Object, state: tuple[Any, ...]) -> None:
    """Undo all assignments to fields of one object."""
    obj._captp_undo(state)  # type: ignore[attr-defined]
