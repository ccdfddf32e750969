"""The oracle: what one big process would have done with the same sends, in plain pointers.

It knows nothing of sessions. A lineage is one reference in one program: what is sent on it arrives at one
object, in order, at most once, whatever route the messages take.
"""

from __future__ import annotations

from attrs import define


class Violation(AssertionError):
    """The engine did what no run of one process could have done."""


class Target:
    """An object as far as it is known: a name, or nothing yet, or the same as another target."""

    __slots__ = ("_name", "_same")

    def __init__(self, name: str | None = None) -> None:
        self._name = name
        self._same: Target | None = None

    def _find(self) -> Target:
        found = self
        while found._same is not None:
            found = found._same
        return found

    def join(self, other: Target) -> None:
        """Note that two targets turned out to be one object."""
        mine, theirs = self._find(), other._find()
        if mine is theirs:
            return
        if theirs._name is not None:
            mine.is_named(theirs._name)
        theirs._same = mine

    def is_named(self, name: str) -> None:
        """Note which object it is; raises Violation when it is another one."""
        found = self._find()
        if found._name is None:
            found._name = name
        elif found._name != name:
            raise Violation(f"a message for {found._name} has arrived at {name}")


@define
class _Sent:
    lineage: tuple[int, int]
    number: int
    target: Target
    has_arrived: bool = False


class Shadow:
    """Every message of a run, by its number ``mid``."""

    def __init__(self) -> None:
        self._sent: dict[int, _Sent] = {}
        self._last: dict[tuple[int, int], int] = {}
        self._lineages = 0
        self._tears = 0

    def lineage(self) -> int:
        """Return the number of a reference that nobody has had yet."""
        self._lineages += 1
        return self._lineages

    def send(self, mid: int, lineage: int, target: Target) -> None:
        """Note that a message is sent on a reference."""
        self._sent[mid] = _Sent((lineage, self._tears), len(self._sent), target)

    def tear(self) -> None:
        """Note that a connection was lost: what is under way now has no order any more."""
        self._tears += 1

    def knows(self, mid: int) -> bool:
        """Whether a message of this number was sent."""
        return mid in self._sent

    def arrive(self, mid: int, name: str) -> None:
        """Note that a message has arrived at the object called ``name``; raises Violation."""
        sent = self._sent.get(mid)
        if sent is None:
            raise Violation(f"message {mid} was never sent")
        if sent.has_arrived:
            raise Violation(f"message {mid} has arrived twice")
        sent.has_arrived = True
        sent.target.is_named(name)
        if sent.lineage[1] == self._tears:
            if sent.number < self._last.get(sent.lineage, 0):
                raise Violation(f"message {mid} has arrived after a later one on the same reference")
            self._last[sent.lineage] = sent.number

    def has_arrived(self, mid: int) -> bool:
        """Whether a message has come to an object."""
        return self._sent[mid].has_arrived
