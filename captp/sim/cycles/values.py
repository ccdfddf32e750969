"""What the vats of this world hold and say: references, the forms in which they travel, and messages.

Everything here is a plain value; a broken reference is None in every form.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Side(NamedTuple):
    """One end of a session: who is at the other end, and the session's number."""

    peer: int
    number: int


class Own(NamedTuple):
    """A reference to an object of this vat."""

    key: int


class Far(NamedTuple):
    """A reference to what a peer exports here."""

    side: Side
    position: int


Ref = Own | Far | None


class Mine(NamedTuple):
    """On the wire: an export of the sender; it gives it away once more."""

    position: int


class Yours(NamedTuple):
    """On the wire: an export of the receiver, which the sender names."""

    position: int


class Certificate(NamedTuple):
    """On the wire: something at a third vat, where it has been deposited or soon will be."""

    exporter: int
    gift: tuple[int, int]


class Result(NamedTuple):
    """On the wire, as a target: what an earlier question on this session comes to."""

    number: int


Wired = Mine | Yours | Certificate | Result | None


class Deliver(NamedTuple):
    """Run this at the target; the result is kept under ``question`` when there is one."""

    target: Wired
    args: tuple[Wired, ...]
    question: int | None


class Deposit(NamedTuple):
    """Keep one of your exports for a third vat."""

    gift: tuple[int, int]
    receiver: int
    position: int


class Withdraw(NamedTuple):
    """Give me what somebody has left for me, or soon will."""

    gift: tuple[int, int]
    number: int


class Given(NamedTuple):
    """What was left for you."""

    number: int
    what: Wired


class Release(NamedTuple):
    """Nothing here reaches these imports any more, which came so many times."""

    entries: tuple[tuple[int, int], ...]


class Forget(NamedTuple):
    """Keep the answer to this question no longer."""

    number: int


class Said(NamedTuple):
    """A word of one collector to another."""

    word: tuple[Any, ...]


Message = Deliver | Deposit | Withdraw | Given | Release | Forget | Said
