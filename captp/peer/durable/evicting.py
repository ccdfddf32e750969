"""Stored objects whose state leaves memory when there are too many: the oldest that nobody uses go first.

An object that is emptied stays for those who have references to it, and is filled again when it is called.
Only one that references alone lead to can be emptied: whoever has it itself could look into it at any time.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Final

from captp.model.idents import Oid
from captp.model.object import Object
from captp.peer.durable.kept import State
from captp.peer.durable.loading import Loader
from captp.peer.durable.pins import is_loose
from captp.vat.circles import take_apart

if TYPE_CHECKING:
    from captp.vat.vat import Vat

__all__ = ["Evicting"]

#: Objects that are looked at after one batch.
LOOKS: Final = 256


class _Probe:
    """Is held as an object is that is looked at, and by nobody else."""

    def count(self) -> int:
        probe = _Probe()
        return sys.getrefcount(probe)


#: How many references to an object the look at it makes.
_OWN: Final = _Probe().count()


class Evicting:
    """Keeps the number of objects in memory near a limit, for one vat."""

    def __init__(self, vat: Vat, loader: Loader) -> None:
        self._vat = vat
        self._loader = loader
        #: Those with their state in memory, in the order in which that came; some are gone.
        self._order: deque[Oid] = deque()

    def came(self, obj: Object) -> None:
        """Take note that the state of a stored object is in memory now."""
        self._order.append(obj._entry.oid)

    def evict(self) -> None:
        """Empty some objects if there are too many; called between batches, when all is stored."""
        heap, limit = self._vat.heap, self._vat.limits.objects_in_memory
        for _ in range(min(LOOKS, len(self._order))):
            if heap.size <= limit:
                return
            oid = self._order.popleft()
            obj = heap.find(oid)
            if obj is None or (kept := obj._entry.kept) is None or kept.state is not State.LOADED:
                continue
            if obj._latch is None and sys.getrefcount(obj) - _OWN == _references(obj) and is_loose(obj):
                take_apart(obj)
                self._loader.chill(obj)
            else:
                self._order.append(oid)


def _references(obj: Object) -> int:
    views = obj._views
    if views is None:
        return 0
    if type(views) is not dict:
        return int(views() is not None)
    return sum(view() is not None for view in views.values())
