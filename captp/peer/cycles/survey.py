"""Which exports no root of this vat reaches, and what they lead to: found bit by bit, between turns.

Each export: unknown --untouched for a while, and traced--> unrooted | rooted; a touch of it, or time:
unknown. Many are traced together, and always together those that ran into the same thing, which perhaps
only they hold. Every trace is bounded: where it stops, and whatever it does not know, reads as rooted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from attrs import define

from captp.cycles import Cycles
from captp.model.promise import Reference
from captp.peer.cycles.ground import Holding, Import, Key
from captp.peer.cycles.pieces import Pieces
from captp.vat.reach import Found, reach

#: After how long an export is traced again that nobody has touched, as a multiple of ``age``.
AGAIN: Final = 4

#: Exports that are traced together, and that must be; what a trace costs besides its nodes, in nodes.
TOGETHER: Final = 64
REGION: Final = 512
TOLL: Final = 100

#: Facts and leads that are looked at in one step, whether their subjects are there still.
SWEEP: Final = 64


@define(eq=False)
class Fact:
    """What is known of one export since its holders were last seen to change."""

    holdings: tuple[Holding, ...]
    due: float
    #: When each of the holdings was first seen as it is now, for people.
    seen: tuple[float, ...] = ()
    #: Whether it was traced since.
    is_traced: bool = False


@define(eq=False)
class Lead:
    """What leads to one import, as of the trace that found it: it holds while none of it was touched."""

    entry: Import
    by: dict[Key, tuple[Holding, ...]]


class Survey:
    """What one vat knows of its own part of the graph."""

    def __init__(
        self,
        *,
        find: Callable[[Key], Any],
        exported: Callable[[], Iterator[Key]],
        holdings: Callable[[Key], tuple[Holding, ...]],
        entries: Callable[[Any], list[Reference]],
        imported: Callable[[Any, int], Import | None],
        key: Callable[[Any], int],
        settings: Cycles,
    ) -> None:
        """``entries`` gives what export tables and held messages hold of one thing, each as often."""
        self._find = find
        self._exported = exported
        self._holdings = holdings
        self._entries = entries
        self._imported = imported
        self._key = key
        self.settings = settings
        self.facts: Pieces[Fact] = Pieces()
        #: Those that no root reaches.
        self.unrooted: Pieces[None] = Pieces()
        #: By session and position; many may go at once with their session.
        self.leads: dict[Any, dict[int, Lead]] = {}
        #: What is known, on the way through it to forget whose subjects are gone.
        self._swept: Iterator[Key] = iter(())
        self._swept_leads: Iterator[tuple[Any, int]] = iter(())
        #: Exports that must be traced together, since something is held by several of them.
        self._regions: dict[Key, set[Key]] = {}
        #: By the identity of what held a trace up: exports that ran into it. Only a hint.
        self._blocked: dict[int, frozenset[Key]] = {}
        self._round: Iterator[Key] = iter(())
        #: Exports that lead to an import which a root reached before.
        self.freed: set[Key] = set()
        self.nodes = 0
        self.looked = 0
        self.stopped = 0
        self.fault = ""

    def step(self, now: float) -> None:
        """Trace what is due, as far as one step goes."""
        left, due = self.settings.nodes, set[Key]()
        for _ in range(self.settings.step):
            key = next(self._round, None)
            if key is None:
                self._begin_round()
                break
            if self._is_due(key, now):
                due |= self._regions.get(key, {key})
                if len(due) >= TOGETHER:
                    left -= self._trace(due, now)
                    due = set()
            if left <= 0:
                break
        if due:
            self._trace(due, now)
        self._sweep()

    def _sweep(self) -> None:
        """Forget some of what is known of exports and imports that are gone."""
        for _ in range(SWEEP):
            key = next(self._swept, None)
            if key is None:
                self._swept = iter(self.facts)
                break
            if not self._holdings(key):
                self._forget(key)
        for _ in range(SWEEP):
            at = next(self._swept_leads, None)
            if at is None:
                self._swept_leads = self._all_leads()
                break
            self._known_lead(*at)

    def _all_leads(self) -> Iterator[tuple[Any, int]]:
        for session, leads in list(self.leads.items()):
            for position in list(leads):
                yield session, position

    def _begin_round(self) -> None:
        self._round = self._exported()
        self._blocked.clear()

    def _forget(self, key: Key) -> None:
        self.facts.pop(key, None)
        self.unrooted.pop(key, None)
        region = self._regions.pop(key, None)
        if region is not None:
            region.discard(key)

    def _is_due(self, key: Key, now: float) -> bool:
        holdings = self._holdings(key)
        if not holdings:
            self._forget(key)
            return False
        fact: Fact | None = self.facts.get(key)
        if fact is None or fact.holdings != holdings:
            seen = _seen(fact, holdings, now)
            self.facts[key] = Fact(holdings, now + self.settings.age / 2, seen)
            self.unrooted.pop(key, None)
            return False
        return fact.due <= now

    def _trace(self, keys: set[Key], now: float) -> int:
        """Trace exports together; return what it cost."""
        found = self._reach(keys)
        again = now + AGAIN * self.settings.age
        for key in map(Key, keys | found.unrooted):
            holdings = self._holdings(key)
            self.facts[key] = Fact(holdings, again, _seen(self.facts.get(key), holdings, now), is_traced=True)
            if key in found.unrooted:
                self.unrooted[key] = None
            else:
                self.unrooted.pop(key, None)
        for (session, position), by in found.reached.items():
            self._lead(session, position, frozenset(map(Key, by)))
        for node, by in found.blocked.items():
            self._join(node, frozenset(map(Key, by)), now)
        return found.cost + TOLL

    def _reach(self, keys: Iterable[Key]) -> Found:
        def seeds() -> Iterator[Any]:
            for key in keys:
                anchor = self._find(key)
                if anchor is not None:
                    yield anchor

        found = reach(seeds(), self._entries, self.settings.limit, self._key)
        self.nodes += found.nodes
        self.looked += found.cost
        self.stopped += not found.is_whole
        self.fault = found.fault
        return found

    def _lead(self, session: Any, position: int, by: frozenset[Key]) -> None:
        entry = self._imported(session, position)
        if entry is not None:
            leads = self.leads.setdefault(session, {})
            if position not in leads:
                self.freed |= by
            leads[position] = Lead(entry, {key: self._holdings(key) for key in by})

    def _known_lead(self, session: Any, position: int) -> Lead | None:
        """Return what was found to lead to an import, if that is still the same one; forget it if not."""
        leads = self.leads.get(session, {})
        lead = leads.get(position)
        if lead is not None and self._imported(session, position) != lead.entry:
            del leads[position]
            return None
        return lead

    def _join(self, node: int, by: frozenset[Key], now: float) -> None:
        """Have exports traced together that ran into the same thing: perhaps only they hold it."""
        met = self._blocked.get(node)
        if met is None or met == by:
            if by:
                self._blocked[node] = by
            return
        both: set[Key] = set().union(*(self._regions.get(key, {key}) for key in met | by))
        if len(both) > REGION or all(self._regions.get(key) == both for key in both):
            return
        self._blocked[node] = frozenset(both)
        for key in both:
            self._regions[key] = both
            if key in self.facts:
                self.facts[key].due = now

    # What the collector asks.

    def reaching(self, session: Any, position: int) -> frozenset[Key] | None:
        """Return the exports that lead to an import, and nothing else does; None if that is not known."""
        lead = self._known_lead(session, position)
        if lead is None:
            return None
        if any(self._holdings(key) != was for key, was in lead.by.items()):
            del self.leads[session][position]
            return None
        return frozenset(lead.by)

    def still_unrooted(self, keys: Iterable[Key]) -> set[Key]:
        """Return those exports that no root reaches now."""
        wanted = set(keys)
        seeds = set(wanted)
        for key in wanted:
            seeds |= self._regions.get(key, set())
        return {Key(key) for key in self._reach(seeds).unrooted} & wanted

    def session_over(self, session: Any) -> None:
        """Forget what was known of a session's imports."""
        self.leads.pop(session, None)


def _seen(fact: Fact | None, holdings: tuple[Holding, ...], now: float) -> tuple[float, ...]:
    """Return when each holding was first seen as it is now; ``fact`` is what was known before."""
    before = {} if fact is None else dict(zip(fact.holdings, fact.seen, strict=True))
    return tuple([before.get(one, now) for one in holdings])
