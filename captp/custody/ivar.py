"""Ivars: cells that are written once, and that any number of tasks and fibers wait for."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, NoReturn, TypeVar, final

from captp.custody import strand
from captp.custody.berth import Berth, Live, be_here, berth
from captp.custody.freezing import frozen
from captp.custody.opening import turning_vat
from captp.errors import Unpassable, UsageError
from captp.model.promise import FULFILLED, Kept, Promise, Reference, Settlement
from captp.model.values import Fault, Tagged

__all__ = ["Ivar"]

T = TypeVar("T")


class _State(Enum):
    EMPTY = 0
    FILLED = 1


@final
class Ivar(Generic[T]):
    """A cell that is filled once; everybody who reads gets what it holds, as soon as there is something.

    empty --fill--> filled, for good, unless the turn of a vat that filled it fails. Its one promise is that
    of ``vat``, or of the vat whose turn runs.
    """

    __slots__ = ("_promise", "_state", "_thread", "_vat")

    def __init__(self, vat: Live | Berth | None = None) -> None:
        self._vat = berth(vat, "Ivar")
        self._promise: Kept[T] = Kept(self._vat)
        self._state = _State.EMPTY
        self._thread = strand.get_ident()

    def fill(self, value: T) -> None:
        """Put a portable value in: plain data, which is frozen, shared references of the vat, or ``Data``.

        Raises UsageError the second time.
        """
        be_here(self._vat, self._thread, "Ivar")
        if self._state is _State.FILLED:
            raise UsageError("this Ivar is filled already: it is written once")
        portable = frozen(value)
        _check_references(portable, self._vat)
        self._vat.emit(Settlement(self._promise, FULFILLED, portable))
        self._state = _State.FILLED
        if turning_vat() is not None:
            self._vat.on_roll_back(setattr, self, "_state", _State.EMPTY)

    def read(self) -> Promise[T]:
        """Return the promise for what the cell holds, the same one each time."""
        return self._promise

    def __repr__(self) -> str:
        return f"<Ivar, {self._state.name.lower()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Ivar cannot be copied or serialised: it belongs to a vat")


def _check_references(value: Any, vat: Any) -> None:
    """Raise Unpassable for references of other vats, and for unique and borrowed ones: all who read share."""
    if isinstance(value, Reference):
        if value._home is not vat:
            raise Unpassable("many read an Ivar: it holds shared references of its own vat")
    elif isinstance(value, tuple | frozenset):
        for part in value:
            _check_references(part, vat)
    elif isinstance(value, dict | MappingProxyType):
        for pair in value.items():
            _check_references(pair, vat)
    elif isinstance(value, Tagged):
        _check_references(value.value, vat)
    elif isinstance(value, Fault):
        _check_references(value.data, vat)
