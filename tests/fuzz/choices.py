"""Bytes as a series of decisions, so that whoever changes a byte changes one decision; knows no protocol."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")

#: Cuts in one input: enough for any state to be left and taken up again.
_PIECES = 64


class Choices:
    """Decides as its bytes say, and always the first way once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def below(self, end: int) -> int:
        return self.byte() % end

    def one_of(self, things: Sequence[T]) -> T:
        return things[self.byte() % len(things)]


def cut(data: bytes) -> list[bytes]:
    """Cut bytes at places that follow from the bytes alone and look arbitrary; few bytes into single ones."""
    if len(data) <= _PIECES // 2:
        return [data[i : i + 1] for i in range(len(data))]
    random = Random(crc32(data))
    ends = sorted(random.choices(range(1, len(data)), k=random.randint(1, _PIECES)))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]
