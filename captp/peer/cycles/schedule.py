"""When an export is asked about: once it was left alone for a while, and ever more seldom while it lives.

unknown --no root reaches it--> watched --untouched for its wait--> due --live--> watched, for twice as long;
any touch, a root that reaches it, or its end: unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from attrs import define, frozen

from captp.peer.cycles.ground import Holding, Key, Meet
from captp.peer.cycles.pieces import Pieces
from captp.peer.cycles.statements import Edge, Proof
from captp.peer.cycles.trace import Trace

if TYPE_CHECKING:
    from captp.peer.cycles.collector import Collector

#: Exports that are watched and that are looked at in one step, whether they are there still.
SWEEP: Final = 64

#: How often an export is asked about in vain before its wait doubles all the same.
EXCUSED: Final = 3

#: Verdicts that are remembered, for people; the oldest go first.
VERDICTS: Final = 1024

#: One edge to a holder, by numbers that are never used twice: of the side, the position, the incarnation.
Place = tuple[int, int, int]


@define(eq=False)
class Watched:
    """An export that no root of this vat reaches; ``due`` is when it may be asked about."""

    holdings: tuple[Holding, ...]
    since: float
    wait: float
    due: float
    #: How often in a row it waited for somebody else's trace.
    gave_way: int = 0
    #: How often it was found to live.
    lived: int = 0
    #: How often a trace of it came to nothing.
    excused: int = 0


@frozen
class Verdict:
    """How the last trace of this vat's own that asked about an export ended, and what each holder said."""

    at: float
    #: "live", "changed", "expired" or "broken off".
    outcome: str
    #: By holder: "live" with the reason it gave, if any, "claimed", or "silent".
    said: dict[Place, tuple[str, str]]


class Schedule:
    """What one collector watches."""

    def __init__(self, collector: Collector, jitter: Callable[[], float]) -> None:
        self._c = collector
        self._jitter = jitter
        self.watched: Pieces[Watched] = Pieces()
        self._swept: Iterator[Key] = iter(())
        #: For people; nothing is decided by it.
        self.verdicts: dict[Key, Verdict] = {}
        self._round: Iterator[Key] = iter(())
        #: Exports that are due and were not asked about yet, the oldest first.
        self._due: dict[Key, None] = {}
        self._shift = 1.0

    def look(self) -> None:
        """Look at some of the exports that nothing here reaches, and begin a trace of such as are due."""
        c, settings = self._c, self._c.settings
        # Vats must not begin all at once; what one finds together it asks about together, in few words.
        self._shift = self._jitter()
        # Those that wait for room come first, and do not keep the others from being looked at.
        looked = list(islice(self._due, settings.step // 2))
        looked += self._next(settings.step - len(looked))
        due = []
        for key in dict.fromkeys(looked):
            if self._is_due(key):
                self._due[key] = None
                due.append(key)
            else:
                self._due.pop(key, None)
        if due and sum(trace.is_mine for trace in c.traces.values()) < settings.own_traces:
            batch = self._batch(due)
            for key in batch:
                del self._due[key]
                self.watched[key].gave_way = 0
            c.start(batch, c.now)
        self._sweep()

    def _next(self, most: int) -> list[Key]:
        """Return the next of all candidates; once around, begin again."""
        found = list(islice(self._round, most))
        if not found:
            self._round = iter(self._c.ground.candidates())
            found = list(islice(self._round, most))
        return found

    def _sweep(self) -> None:
        """Forget some of the exports that are gone."""
        for _ in range(SWEEP):
            key = next(self._swept, None)
            if key is None:
                self._swept = iter(self.watched)
                break
            if not self._c.ground.holdings(key):
                self.watched.pop(key, None)

    def _is_due(self, key: Key) -> bool:
        c, settings = self._c, self._c.settings
        holdings = c.ground.holdings(key)
        known = self.watched.get(key)
        if known is None or known.holdings != holdings:
            due = c.now + settings.age * self._shift
            self.watched[key] = Watched(holdings, c.now, settings.age, due)
            return False
        if known.due > c.now or not holdings or self._is_traced(key):
            return False
        sides = {holding.side for holding in holdings}
        for side in sides:
            if side not in c.neighbours and c.ground.speaks(side):
                c.act(Meet(side))
        return all(c.knows(side) for side in sides)

    def _is_traced(self, key: Key) -> bool:
        return any(trace.is_mine and key in trace.exports for trace in self._c.traces.values())

    def _batch(self, keys: list[Key]) -> list[Key]:
        """Return exports with the holders of the first: what has none in common should not share its fate."""
        sides = self._sides(keys[0])
        return [key for key in keys if self._sides(key) == sides][: self._c.settings.batch]

    def _sides(self, key: Key) -> set[Any]:
        return {holding.side for holding in self.watched[key].holdings}

    def lived(self, keys: Collection[Key]) -> None:
        """Ask about these again after twice the wait."""
        shift = self._jitter()
        for key in keys:
            known = self.watched.get(key)
            if known is not None:
                known.lived += 1
                known.wait = min(2 * known.wait, self._c.settings.backoff_max)
                known.due = self._c.now + known.wait * shift

    def again(self, keys: Collection[Key]) -> None:
        """Ask about these again after the same wait, some times: nothing was found out."""
        shift = self._jitter()
        for key in keys:
            known = self.watched.get(key)
            if known is not None:
                known.excused += 1
                known.due = self._c.now + known.wait * shift
        self.lived([key for key in keys if key in self.watched and self.watched[key].excused > EXCUSED])

    def judged(self, trace: Trace, outcome: str) -> None:
        """Remember how a trace of this vat's own ended, for those who ask why something is kept."""
        if not trace.is_mine:
            return
        proof = Proof(trace.ledger, trace.agreed)
        for key in trace.suspects:
            edges = zip(trace.exports.get(key, ()), trace.edges_of.get(key, ()), strict=False)
            said = {
                self.place(holding): _said(trace, proof, holding.side, edge)
                for holding, edge in edges
                if self._c.knows(holding.side)
            }
            self.verdicts.pop(key, None)
            self.verdicts[key] = Verdict(self._c.now, outcome, said)
        while len(self.verdicts) > VERDICTS:
            del self.verdicts[next(iter(self.verdicts))]

    def place(self, holding: Holding) -> Place:
        """Return what stands for an edge, also when its side is gone; the side must be a neighbour's."""
        return self._c.neighbours[holding.side].number, holding.position, holding.incarnation

    def anew(self, keys: Iterable[Key]) -> None:
        """Ask about these soon: what they lead to is not what it was."""
        shift = self._jitter()
        for key in keys:
            known = self.watched.get(key)
            if known is not None and known.lived:
                known.lived, known.wait = 0, self._c.settings.age
                known.due = self._c.now + known.wait * shift

    def covered(self, keys: Iterable[Key]) -> None:
        """Leave exports that somebody else asks about to that trace, for a moment and not for ever."""
        for key in keys:
            known = self.watched.get(key)
            if known is not None and known.gave_way < 2:
                known.gave_way += 1
                known.due = max(known.due, self._c.now + self._c.settings.give_way)

    def cut(self, keys: Collection[Key]) -> None:
        """Forget what is gone."""
        for key in keys:
            self.watched.pop(key, None)
            self.verdicts.pop(key, None)


def _said(trace: Trace, proof: Proof, side: Any, edge: Edge) -> tuple[str, str]:
    reason = trace.reasons.get((side, edge[1]))
    if reason is not None:
        return "live", reason
    return ("claimed", "") if proof.claims(edge) else ("silent", "")
