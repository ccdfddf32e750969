"""Deletes stored objects that nothing stored leads to any more, a few rows at a time between commits.

rooting --roots, sturdyrefs and durable calls are read--> marking --nothing is left to mark--> marking what
memory holds --nothing is left--> deleting --all objects were looked at--> done.
Commits go on meanwhile: what an edge led to before it was changed is marked (so all that could be reached at
the begin is), and so is every object that is new. Nobody can come by a reference to the others, so they are
dead for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, final

from captp.peer.durable.kept import object_key
from captp.peer.rows import Change, Verb
from captp.run.sealed import Overread, Sealed

__all__ = ["Sweeper"]

#: Objects that are deleted with one commit.
GROUP: Final = 100
#: Ids of one page of marks, as a power of two: few, since a page is written anew for each of its marks.
PAGE_BITS: Final = 8
PAGE_MASK: Final = (1 << PAGE_BITS) - 1


@final
class Sweeper:
    """One sweep; ``held`` are the ids of stored objects that something in memory leads to.

    ``free`` are others that are in memory: whoever has them is told when they are deleted.
    What there is to do raises Overread where the store may not have so much in memory.
    """

    def __init__(self, sealed: Sealed, held: Iterable[int], free: frozenset[int] = frozenset()) -> None:
        self._sealed = sealed
        #: One bit for each id, by page: who says an id, however high, shall not make the rest be there.
        self._marks: dict[int, int] = {}
        self._gray: list[int] = []
        self._roots: Iterator[int | None] | None = sealed.roots()
        self._objects: Iterator[int] | None = None
        self._held = list(held)
        self._free = free
        #: Those of the deleted that were free.
        self.freed: list[int] = []
        self.deleted = 0
        #: Objects that nothing but memory leads to: they are to go when that does not any more.
        self.floating = 0

    def step(self, rows: int) -> bool:
        """Go on for about so many rows; return whether there is more to do."""
        if self._roots is not None:
            for oid in self._roots:
                if oid is not None:
                    self._shade(oid)
                rows -= 1
                if rows <= 0:
                    return True
            self._roots = None
        gray = self._gray
        while gray or self._held:
            if rows <= 0:
                return True
            rows -= 1
            if not gray:
                oid = self._held.pop()
                self.floating += self._shade(oid)
                continue
            for target in self._sealed.targets(object_key(gray.pop())):
                self._shade(target)
                rows -= 1
        return self._delete(rows)

    def before(self, changes: Iterable[Change]) -> None:
        """Take note of changes that are about to be made."""
        for verb, table, key, _ in changes:
            if verb is Verb.INSERT:
                if table == "object":
                    self._mark(int.from_bytes(key, "big"))
            elif table == "edge":
                for target in self._sealed.targets(key):
                    self._shade(target)
            elif table in ("root", "swiss"):
                self._shade(self._sealed.root(table, key))

    def _delete(self, rows: int) -> bool:
        if self._objects is None:
            self._objects = self._sealed.objects()
        dead: list[bytes] = []
        for oid in self._objects:
            rows -= 1
            if not self._is_marked(oid):
                if oid in self._free:
                    self.freed.append(oid)
                dead.append(object_key(oid))
            if rows <= 0 or len(dead) >= GROUP:
                break
        else:
            self._objects = iter(())
        if dead:
            self._sealed.delete(dead)
            self.deleted += len(dead)
        return rows <= 0 or len(dead) >= GROUP

    def _shade(self, oid: int) -> bool:
        """Have what an object leads to marked too; return whether it was not marked."""
        is_new = self._mark(oid)
        if is_new:
            self._gray.append(oid)
            if len(self._gray) + len(self._marks) > self._sealed.most_swept:
                raise Overread("more ids are to be looked at than there may be in memory")
        return is_new

    def _mark(self, oid: int) -> bool:
        """Mark an object; return whether it was not."""
        page, bit = oid >> PAGE_BITS, 1 << (oid & PAGE_MASK)
        marks = self._marks.get(page, 0)
        self._marks[page] = marks | bit
        return not marks & bit

    def _is_marked(self, oid: int) -> bool:
        return bool(self._marks.get(oid >> PAGE_BITS, 0) & 1 << (oid & PAGE_MASK))
