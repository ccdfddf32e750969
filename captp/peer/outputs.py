"""What a peer asks the driver to do; values with equality, drained batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from captp.model.idents import ConnId, Oid
from captp.model.locator import PeerLocator
from captp.model.promise import Promise

if TYPE_CHECKING:
    from captp.peer.rows import Change


@define
class Write:
    """Bytes for a connection; one per connection and batch."""

    conn: ConnId
    data: bytes


@frozen
class Dial:
    """Open a connection to a peer and report it as connected or failed, with this number."""

    conn: ConnId
    locator: PeerLocator


@frozen
class Hangup:
    """Close a connection gracefully, after what was written before."""

    conn: ConnId
    reason: str


@frozen(eq=False)
class Call:
    """Run a function in the outside world and report its result for ``promise``."""

    promise: Promise[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]


@define(eq=False)
class Woken:
    """Waiters of the driver's tasks whose promises are settled, first come first."""

    waiters: list[Any]


@frozen
class Load:
    """Read what is stored of objects and report each with ``Stored.loaded``; their messages wait."""

    oids: tuple[Oid, ...]


@frozen
class Sweep:
    """Delete what is stored and nothing leads to, but for objects that something in memory leads to."""

    held: tuple[int, ...]
    #: Such that memory has and that are to go all the same, if nothing stored leads to them.
    free: frozenset[int] = frozenset()


@frozen
class Commit:
    """What must be stored before the outputs of its batch, and of later ones, may leave."""

    number: int
    changes: list[Change]
    #: The highest id that an object has had.
    last_oid: int


@frozen
class Trace:
    """Something that a person may want to read; never a secret, never on the hot path."""

    level: str
    event: str
    fields: dict[str, Any]
    error: BaseException | None = None


@define(eq=False)
class Batch:
    """What one run leaves behind: a commit, and the outputs that may leave once it is stored.

    ``commit`` is None in a volatile vat. ``number`` grows by one per batch.
    """

    number: int
    commit: Commit | None
    outputs: list[Any]
    #: Seconds (the driver's clock) at which ``tick`` wants to be called; None: no deadline.
    wake_at: float | None
    #: Whether there is more to run at once.
    more: bool
