"""Mutexes: a key in the keeping of a lock that tasks and fibers wait for, one after the other."""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar, final

from captp.custody.access import Brand
from captp.custody.berth import Berth, Live, berth
from captp.custody.guard import Guard
from captp.custody.key import Key
from captp.custody.line import Line
from captp.model.promise import Promise

__all__ = ["Mutex"]

K_co = TypeVar("K_co", bound=Brand, covariant=True)


@final
class Mutex(Generic[K_co]):
    """Owns a capsule, and opens it to one holder at a time, in order of arrival.

    Its promises are those of one vat, ``vat`` or the one whose turn runs, and it is used in the methods and
    the tasks of that. At most ``waiters`` wait; for more ``lock()`` breaks as Overloaded.
    """

    __slots__ = ("_line",)

    def __init__(self, key: Key[K_co], vat: Live | Berth | None = None, *, waiters: int = 10_000) -> None:
        self._line = Line(key, berth(vat, "Mutex"), limit=waiters, what="Mutex")

    def lock(self) -> Promise[Guard[K_co]]:
        """Return a promise for a guard, which is the one that opens the capsule until it is given back.

        Whoever lets go of the promise waits no more. It breaks as Poisoned after a holder has failed.
        """
        return self._line.ask(is_shared=False)

    def heal(self) -> None:
        """Let the capsule be used again after a holder has failed; whatever it left half done stays so."""
        self._line.heal()

    def destroy(self) -> Key[K_co]:
        """Give the capsule up; return a fresh key. Raises Contended while somebody holds or waits."""
        return self._line.destroy()

    def __repr__(self) -> str:
        return f"<{self._line}, {self._line.state.name.lower()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Mutex cannot be copied or serialised: it owns a capsule")
