"""A dict in pieces, by ranges of its numbers: no insertion moves all of it, and no walk copies all of it.

A plain dict of 40,000 entries takes as long to grow as a vat may stand still.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Final, TypeVar

from captp.peer.cycles.ground import Key

V = TypeVar("V")

#: A piece has the entries of 512 numbers in a row.
BITS: Final = 9


class Pieces(MutableMapping[Key, V]):
    """Something for each of many keys; a walk goes on, whatever is changed meanwhile."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: dict[int, dict[Key, V]] = {}

    def __getitem__(self, key: Key) -> V:
        return self._pieces[key >> BITS][key]

    def get(self, key: Key, default: Any = None) -> Any:
        """Return what is there for a key."""
        piece = self._pieces.get(key >> BITS)
        return default if piece is None else piece.get(key, default)

    def __contains__(self, key: object) -> bool:
        return self.get(key, self) is not self  # type: ignore[arg-type]

    def __setitem__(self, key: Key, value: V) -> None:
        piece = self._pieces.get(key >> BITS)
        if piece is None:
            piece = self._pieces[key >> BITS] = {}
        piece[key] = value

    def __delitem__(self, key: Key) -> None:
        piece = self._pieces[key >> BITS]
        del piece[key]
        if not piece:
            del self._pieces[key >> BITS]

    def __len__(self) -> int:
        return sum(map(len, self._pieces.values()))

    def __iter__(self) -> Iterator[Key]:
        for piece in list(self._pieces.values()):
            yield from list(piece)
