"""What a collector knows of its vat and asks of it; it knows no tables, no heap and no wire.

A *side* is one session that is up, and an *export* is an object that peers hold, by a number of its own.
Stamps only grow: what was touched or transferred after a stamp was read has a greater one.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import Any, NewType, Protocol

from attrs import frozen

#: One session that is up, as its owner names it.
Side = Hashable

#: An object that peers hold; never used again for another one.
Key = NewType("Key", int)


@frozen(order=True)
class Holding:
    """One place where a peer holds an export: where, and when it was last named and given."""

    side: Any
    position: int
    incarnation: int
    touched: int
    #: When the export was last given to anybody: who has given it back again must leave a trace of it.
    transferred: int


@frozen
class Import:
    """One thing that this vat holds of a peer's, by the stamps of its entry."""

    incarnation: int
    touched: int


class Ground(Protocol):
    """The vat as its collector sees it; every answer is of this very moment."""

    def holdings(self, key: Key) -> tuple[Holding, ...]:
        """Return where an export is held, sides that know no collector included; in a fixed order."""
        ...

    def imported(self, side: Any, position: int) -> Import | None:
        """Return the entry of an import; None when it has been released, or never was."""
        ...

    def reaching(self, side: Any, position: int) -> frozenset[Key] | None:
        """Return the exports that lead to an import which no root of this vat reaches.

        None when a root may reach it, when that is not known, or when it may have changed since it was.
        """
        ...

    def unrooted(self, keys: Collection[Key], but: Collection[Key] = ()) -> set[Key]:
        """Return those exports that no root of this vat reaches, found out anew and not remembered.

        What is held back is a root, except where it names one of ``but`` by its position: these are proved
        to be garbage, so that only a liar can have named them.
        """
        ...

    @property
    def looked(self) -> int:
        """How much it has looked at to that end, ever, in nodes."""
        ...

    def speaks(self, side: Any) -> bool:
        """Tell whether there may be a collector at the other end of a side."""
        ...

    def candidates(self) -> Iterable[Key]:
        """Return the exports that no root of this vat reached when it last looked, also while they change."""
        ...


class Signatures(Protocol):
    """Makes keys, and signs and verifies with them; the driver's entropy is behind it."""

    def make(self) -> bytes:
        """Return the public half of a new key, 32 bytes."""
        ...

    def sign(self, public: bytes, body: bytes) -> bytes:
        """Return the signature of ``body``, 64 bytes, by a key that ``make`` gave."""
        ...

    def verify(self, public: bytes, body: bytes, signature: bytes) -> bool:
        """Tell whether a signature is of that body, by that key."""
        ...

    def forget(self, public: bytes) -> None:
        """Forget a key that ``make`` gave."""
        ...

    def seed(self, *parts: Any) -> bytes:
        """Return the 16 bytes that stand for some numbers and bytes, which nobody else can tell."""
        ...


# What the collector asks of its owner, to be done in this order and before anything else.


@frozen
class Send:
    """Say a word to the collector at the other end of a side, in the order of that session."""

    side: Any
    word: tuple[Any, ...]


@frozen
class Meet:
    """Find the collector at the other end of a side, and call ``opened`` when there is one."""

    side: Any


@frozen
class Thaw:
    """Look again at what is held back: fewer exports are frozen than were."""


@frozen
class Cut:
    """Let nobody name these exports any more, in what is held back neither: they are garbage."""

    keys: frozenset[Key]
    trace: bytes
