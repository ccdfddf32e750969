"""What a vat of this world tells its collector: from its tables, and from a local trace, new or old."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from attrs import define

from captp.peer.cycles.ground import Holding, Import, Key
from captp.sim.cycles.values import Far, Own, Ref

if TYPE_CHECKING:
    from captp.sim.cycles.vat import Vat


@define(eq=False)
class Summary:
    """What one local trace has found."""

    unrooted: list[Key]
    #: For each import that no root reaches: its entry, and the exports that lead to it.
    leading: dict[Far, tuple[Import, frozenset[Key]]]
    holdings: dict[Key, tuple[Holding, ...]]


class VatGround:
    """The ground of one collector; see captp.peer.cycles.ground."""

    def __init__(self, vat: Vat, stock: Collection[int] = (), *, is_old: bool = False) -> None:
        self._vat = vat
        self._stock = stock
        #: Whether it answers from a summary that is made now and then, and not for each question.
        self.is_old = is_old
        self._summary: Summary | None = None

    def roots(self, but: Collection[int] = ()) -> Iterator[Ref]:
        """Yield what the vat takes for its roots; see Vat.root_refs for ``but``."""
        return self._vat.root_refs(but)

    def begin(self) -> None:
        """Be ready for one input of the collector, during which nothing changes."""
        if not self.is_old:
            self._summary = None

    def look(self) -> Summary:
        """Trace the vat and remember what was found."""
        vat = self._vat
        rooted, imports = vat.reach(self.roots())
        unrooted = sorted(Key(key) for key in vat.exports() - rooted)
        leading: dict[Far, set[Key]] = {}
        for key in unrooted:
            for far in vat.reach([Own(key)])[1]:
                leading.setdefault(far, set()).add(key)
        found: dict[Far, tuple[Import, frozenset[Key]]] = {}
        for side, table in vat.tables.items():
            for position in table.imports:
                far = Far(side, position)
                now = self.imported(side, position)
                if now is not None and far not in imports:
                    found[far] = now, frozenset(leading.get(far, ()))
        self._summary = Summary(unrooted, found, {key: self.holdings(key) for key in unrooted})
        return self._summary

    def holdings(self, key: Key) -> tuple[Holding, ...]:
        """Return where an export is held."""
        vat = self._vat
        found = []
        for side, table in vat.tables.items():
            position = table.index.get(key)
            if position is not None:
                entry = table.exports[position]
                found.append(Holding(side, position, entry.incarnation, entry.touched, vat.given[key]))
        return tuple(sorted(found))

    def imported(self, side: Any, position: int) -> Import | None:
        """Return the entry of an import."""
        table = self._vat.tables.get(side)
        entry = None if table is None else table.imports.get(position)
        return None if entry is None else Import(entry.incarnation, entry.touched)

    def reaching(self, side: Any, position: int) -> frozenset[Key] | None:
        """Return what leads to an import, as the summary says, unless it may say too little by now."""
        summary = self._summary or self.look()
        known = summary.leading.get(Far(side, position))
        if known is None:
            return None
        was, leading = known
        if was != self.imported(side, position):
            return None
        if any(self.holdings(key) != summary.holdings[key] for key in leading):
            return None
        return leading

    @property
    def looked(self) -> int:
        """Return that to look costs nothing here."""
        return 0

    def unrooted(self, keys: Collection[Key], but: Collection[Key] = ()) -> set[Key]:
        """Return those of some exports that no root reaches.

        When the digest comes, all that is held back or waits counts: it may be honest, and may have come
        before the export was asked about. When the proof comes, ``but`` is what it proves to be garbage:
        whoever names one of these by its position has denied to hold it, and must not stop by that what
        happens everywhere else. A name that comes from an answer is no such name: answers are roots.
        """
        rooted, _ = self._vat.reach(self.roots(but))
        return set(keys) - rooted

    def speaks(self, side: Any) -> bool:
        """Tell whether a peer has a collector."""
        return side.peer not in self._stock

    def candidates(self) -> list[Key]:
        """Return what no root reached when the summary was made, unless it was touched since."""
        summary = self._summary or self.look()
        return [key for key in summary.unrooted if self.holdings(key) == summary.holdings[key]]
