"""What a capsule's data is to all that never opens it: a value with a border of its own.

The rooms that pass values on know it by this class, since most vats have no capsules to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from attrs import frozen

__all__ = ["Boxed", "Sealed", "Stand"]


@final
@frozen
class Sealed:
    """What a frozen value of plain data is known by, and what it counts for in a table of such."""

    digest: bytes
    weight: int


class Boxed:
    """A value that is passed on as it is, and opened elsewhere."""

    __slots__ = ("__weakref__", "_captp_sealed")

    def __init__(self) -> None:
        #: Set once it was sent, or came, as a frozen value of plain data.
        self._captp_sealed: Sealed | None = None

    def _captp_content(self) -> Any:
        """Return the value, if everybody may read it for good; raises Unpassable."""
        raise NotImplementedError


class Stand:
    """What stands for a box to peers is a near Object of this class too."""

    __slots__ = ()

    if TYPE_CHECKING:
        box: Boxed
