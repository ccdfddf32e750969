"""One bound value: who borrows it now, and when what was read of it before is out of date.

free --read--> read --the last reader ends--> free; free --write--> written --the writer ends--> free;
free --carried away--> lent --it comes back--> free; any --its block ends--> over.
``stamp`` is good while it is free or read: who only looks asks nobody but that.
"""

from __future__ import annotations

from typing import Any

from captp.custody.context.views import Root, Stamp, is_atom, is_view, shown_by, view_of
from captp.custody.place import Place
from captp.custody.spot import Spot
from captp.errors import BorrowConflict, InvariantBroken, MissingContext, UsageError

__all__ = ["Binding"]


class Binding:
    """A value that one capability has for the length of a block."""

    __slots__ = (
        "_spot", "cap", "is_mut", "is_over", "lent_to", "outer", "place", "readers", "stamp", "value",
        "writer",
    )  # fmt: skip

    def __init__(self, cap: str, value: Any, place: Place, *, is_mut: bool) -> None:
        self.cap = cap
        self.value = value
        self.is_mut = is_mut
        self.place = place
        #: Where each borrow began that reads, and the stamp of what it gave.
        self.readers: dict[Place, Stamp] = {}
        self.writer: Place | None = None
        #: Who has it, in words, while it is carried away.
        self.lent_to = ""
        self.is_over = False
        #: What it hides.
        self.outer: Binding | None = None
        self._spot = Spot() if is_mut else None
        self.stamp = Stamp(cap)

    def shown(self) -> Any:
        """Return what those get who only read."""
        # A view that is bound again keeps the stamp that it has from where it was taken.
        kind: Any = type(self.value)
        return self.value if is_atom(kind) or is_view(self.value) else Root(self)

    def refusal(self, mode: str, here: Place) -> UsageError:
        """Return what says why it cannot be borrowed now."""
        what = f"{self.cap}.{mode} at {here}"
        if self.is_over:
            return MissingContext(
                f"{what}: the block that bound it at {self.place} is over; bind it around this call"
            )
        if self.lent_to:
            return BorrowConflict(
                f"{what}: {self.lent_to} has it to change since {self.writer}; wait for the reply"
            )
        if self.writer is not None:
            return BorrowConflict(f"{what}: it is borrowed to be changed since {self.writer}; end that first")
        if not self.is_mut:
            return MissingContext(
                f"{what}: it is bound to be read only, at {self.place}; bind it with {self.cap}.mut(...)"
            )
        if self.readers:
            return BorrowConflict(f"{what}: it is being read since {[*self.readers][-1]}; end that first")
        return MissingContext(
            f"{what}: it was bound at {self.place} by another task, which alone may change it; bind a value"
            " of this task's own, or let that task do it"
        )

    def may_change(self) -> bool:
        """Return whether it can be borrowed here to be changed, now or when who borrows it has ended."""
        return not self.is_over and self._spot is not None and self._spot.is_here()

    def read(self, here: Place) -> Any:
        """Begin to read; return the view. Raises BorrowConflict, and MissingContext after its block."""
        if self.writer is not None or self.is_over:
            raise self.refusal("ref", here)
        stamp = self.readers[here] = Stamp(self.cap)
        return view_of(self.value, stamp)

    def end_read(self, here: Place) -> None:
        """End what ``read`` began, and what it gave."""
        self.readers.pop(here).spoil(BorrowConflict, ("the block is over that borrowed it at", here))

    def write(self, here: Place) -> Any:
        """Begin to change; return the value. Raises BorrowConflict and MissingContext."""
        self._take(here, "mut")
        self.stamp.spoil(BorrowConflict, ("it was borrowed to be changed at", here))
        return self.value

    def end_write(self) -> None:
        """End what ``write`` began."""
        self.writer = None
        if not self.is_over:
            self.stamp = Stamp(self.cap)

    def lend(self, to: str, here: Place) -> Any:
        """Give the value away until ``come_back``; return it."""
        self._take(here, "mut")
        self.lent_to = to
        self.stamp.spoil(BorrowConflict, (f"it was given to {to}, to be changed, at", here))
        return self.value

    def come_back(self) -> None:
        """Have the value again."""
        self.lent_to = ""
        self.end_write()

    def _take(self, here: Place, mode: str) -> None:
        if (
            self.writer is not None
            or self.readers
            or self._spot is None
            or self.is_over
            or not self._spot.is_here()
        ):
            raise self.refusal(mode, here)
        self.writer = here

    def end(self) -> None:
        """Have nobody borrow it any more: its block is over."""
        self.is_over = True
        for stamp in self.readers.values():
            stamp.spoil(MissingContext, ("the block is over that bound it at", self.place))
        self.stamp.spoil(MissingContext, ("the block is over that bound it at", self.place))

    def tied(self, value: Any) -> Any:
        """Return a view of ``value`` that is good as long as what is read of this binding now."""
        return view_of(shown_by(value), self.stamp)

    def check(self) -> None:
        """Raise InvariantBroken unless the borrows fit one another."""
        if self.writer is not None and self.readers:
            raise InvariantBroken(f"{self.cap} is read and written at once")
        if self.lent_to and self.writer is None:
            raise InvariantBroken(f"{self.cap} is lent, and nobody has it")
        if (self.stamp.problem is None) != (self.writer is None and not self.is_over):
            raise InvariantBroken(f"{self.cap} is read where somebody changes it, or by nobody at all")

    def dump(self) -> str:
        """Return one line: the capability, its mode, and who borrows it."""
        mode = "mut" if self.is_mut else "ref"
        if self.is_over:
            return f"{self.cap}.{mode} at {self.place}: over"
        held = self.lent_to or ("written" if self.writer is not None else f"{len(self.readers)} readers")
        return f"{self.cap}.{mode} at {self.place}: {held}"
