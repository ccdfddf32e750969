"""One search for garbage as one vat sees it: what it asked, claimed and froze, until it hears the end.

collecting --the digest of all claims comes--> frozen --proof of all of it--> gone;
collecting --end, or no word in time--> gone; frozen --end, withdrawal, or no word in time--> leaving;
leaving --proof of all of it, or a moment--> gone.
A name of a trace that is gone is remembered for a while, so that nothing of it comes back.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from captp.peer.cycles.ground import Holding, Import, Key
from captp.peer.cycles.statements import Edge, Ledger


@define(eq=False)
class Claim:
    """What this vat said of one edge of its own: nothing but these exports of mine leads to it."""

    entry: Import
    by: frozenset[Key]
    token: bytes
    #: Whether that has changed since, as was said when the digest came.
    is_changed: bool = False


@define(eq=False)
class Task:
    """One question that this vat answers, with what it asked others to that end; its own has no side."""

    side: Any
    number: int
    deadline: float
    #: Questions that are not answered, by side and number.
    waits: set[tuple[Any, int]] = field(factory=set)
    claims: list[bytes] = field(factory=list)
    live: set[bytes] = field(factory=set)


@define(eq=False)
class Trace:
    """What one vat keeps of one trace; see the module for its states."""

    name: bytes
    ledger: Ledger
    created: float
    deadline: float
    #: Who asked first; None for one's own trace.
    parent: Any = None
    #: The key that its name is made of, and whose end is to be proved; None in a trace of somebody else.
    key: bytes | None = None
    suspects: tuple[Key, ...] = ()
    #: What this vat said of its own imports, by side and position.
    claims: dict[tuple[Any, int], Claim] = field(factory=dict)
    #: Exports that were asked about, and where they were held before the question left.
    exports: dict[Key, tuple[Holding, ...]] = field(factory=dict)
    #: The same as others name them, where all of them were asked.
    edges_of: dict[Key, tuple[Edge, ...]] = field(factory=dict)
    tasks: dict[tuple[Any, int], Task] = field(factory=dict)
    #: Questions that are not answered, by side and number: for what task, and the tokens in them.
    asked: dict[tuple[Any, int], Task] = field(factory=dict)
    tokens: dict[tuple[Any, int], tuple[bytes, ...]] = field(factory=dict)
    count: int = 0
    #: Sides that were asked and may have claimed, that asked, and what statements crossed each side before.
    kids: dict[Any, None] = field(factory=dict)
    askers: dict[Any, None] = field(factory=dict)
    crossed: dict[Any, set[bytes]] = field(factory=dict)
    edges: int = 0
    #: Of one's own trace: why holders said that something may live, by side and token.
    reasons: dict[tuple[Any, bytes], str] = field(factory=dict)

    #: Whether somebody had no time to look, so that nothing is known of what is in use.
    is_excused: bool = False

    # From here on: after the digest came.
    frozen_at: float = 0.0
    is_leaving: bool = False
    digest: bytes | None = None
    confirmer: Any = None
    #: All claims of one's own trace, as they go into its proof.
    agreed: tuple[bytes, ...] = ()
    frozen: frozenset[Key] = frozenset()
    dirty: frozenset[Key] = frozenset()
    confirm_waits: set[Any] = field(factory=set)
    statements: list[bytes] = field(factory=list)

    @property
    def is_mine(self) -> bool:
        """Whether this vat began it."""
        return self.key is not None

    @property
    def state(self) -> str:
        """How far it has come, for people."""
        if self.digest is None:
            return "collecting"
        return "leaving" if self.is_leaving else "frozen"
