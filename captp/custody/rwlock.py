"""Locks that many may read under and one may write under; who came first goes first."""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar, final

from captp.custody.access import Brand
from captp.custody.berth import Berth, Live, berth
from captp.custody.guard import Guard
from captp.custody.key import Key
from captp.custody.line import Line
from captp.model.promise import Promise

__all__ = ["RwLock"]

K_co = TypeVar("K_co", bound=Brand, covariant=True)


@final
class RwLock(Generic[K_co]):
    """Owns a capsule, and opens it to many who read or to one who writes, in order of arrival.

    Whoever wants to read waits behind who came before to write, so that neither starves. Its promises are
    those of one vat, as a Mutex's. At most ``waiters`` wait; for more both break as Overloaded.
    """

    __slots__ = ("_line",)

    def __init__(self, key: Key[K_co], vat: Live | Berth | None = None, *, waiters: int = 10_000) -> None:
        self._line = Line(key, berth(vat, "RwLock"), limit=waiters, what="RwLock")

    def read(self) -> Promise[Guard[K_co]]:
        """Return a promise for a guard whose accesses only read; many may have one.

        An access that raises freezes the capsule, for good.
        """
        return self._line.ask(is_shared=True)

    def write(self) -> Promise[Guard[K_co]]:
        """Return a promise for the one guard that writes; it breaks as Frozen for a frozen capsule."""
        return self._line.ask(is_shared=False)

    def heal(self) -> None:
        """Let the capsule be used again after a writer has failed; whatever it left half done stays so."""
        self._line.heal()

    def freeze(self) -> Key[K_co]:
        """Let everybody read and nobody write, for good; return a key that may be shared.

        Guards that read stay good. Raises Contended while somebody holds the lock to write, or waits.
        """
        return self._line.freeze()

    def destroy(self) -> Key[K_co]:
        """Give the capsule up; return a fresh key. Raises Contended while somebody holds or waits."""
        return self._line.destroy()

    def __repr__(self) -> str:
        return f"<{self._line}, {self._line.state.name.lower()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an RwLock cannot be copied or serialised: it owns a capsule")
