"""Arenas: values that name one another by index, so that all of them can be changed by who has the arena."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar, final

from captp.custody.context.cap import Borrow, Cap
from captp.errors import UsageError

__all__ = ["Arena", "Index"]

T = TypeVar("T")
D = TypeVar("D")


@final
class Index(Generic[T]):
    """Names a value in an arena; it is data, and compares and hashes as such.

    The generation tells it from the index of what was in its place before. Made by ``Arena.insert``.
    """

    __slots__ = ("_kind", "generation", "slot")

    #: A view gives it as it is.
    _captp_is_atom: Final = True

    def __init__(self, slot: int, generation: int, kind: type[T] | None = None) -> None:
        self.slot: Final = slot
        self.generation: Final = generation
        self._kind = kind

    def get(self) -> T:
        """Return the value as it may be read, by way of the ``Cap`` of its class."""
        return self._cap().get()[self]

    def mut(self) -> Borrow[T]:
        """Borrow the arena to change the value, by way of the ``Cap`` of its class."""
        return self._cap().mut().map(lambda arena: arena[self])

    def _cap(self) -> Cap[Arena[T]]:
        cap = getattr(self._kind, "Cap", None)
        if not isinstance(cap, Cap):
            name = "the class of its value" if self._kind is None else self._kind.__name__
            raise UsageError(f"{self!r} finds its arena by the capability that {name} names as its `Cap`")
        return cap

    def __eq__(self, other: object) -> bool:
        if type(other) is not Index:
            return NotImplemented
        return (self.slot, self.generation) == (other.slot, other.generation)

    def __hash__(self) -> int:
        return hash((self.slot, self.generation))

    def __repr__(self) -> str:
        return f"Index({self.slot}, {self.generation})"


@final
class Arena(Generic[T]):
    """Values by index. An index is stale for good once its value was removed, and raises KeyError.

    In the order of their slots, which are used again; at most 2**32 - 1 values were ever in one slot.
    """

    __slots__ = ("_free", "_generations", "_values")

    #: What of it may be called by those who only read.
    _captp_reads: Final = frozenset(
        {"get", "items", "__contains__", "__getitem__", "__iter__", "__len__", "__repr__"}
    )

    def __init__(self) -> None:
        self._values: list[Any] = []
        #: By slot: how often it was filled or emptied; even where it is empty.
        self._generations: list[int] = []
        self._free: list[int] = []

    def insert(self, value: T) -> Index[T]:
        """Take in a value and return its index."""
        if self._free:
            slot = self._free.pop()
            self._values[slot] = value
        else:
            slot = len(self._values)
            self._values.append(value)
            self._generations.append(0)
        self._generations[slot] += 1
        return Index(slot, self._generations[slot], type(value))

    def remove(self, index: Index[T]) -> T:
        """Take out a value and return it; raises KeyError for a stale index."""
        value = self[index]
        self._values[index.slot] = None
        self._generations[index.slot] += 1
        self._free.append(index.slot)
        return value

    def get(self, index: Index[T], default: D) -> T | D:
        """Return the value at an index, or ``default`` if that is stale."""
        try:
            return self[index]
        except KeyError:
            return default

    def items(self) -> Iterator[tuple[Index[T], T]]:
        """Give each index with its value."""
        for slot, (generation, value) in enumerate(zip(self._generations, self._values, strict=True)):
            if generation % 2:
                yield Index(slot, generation, type(value)), value

    def _captp_slots(self) -> list[tuple[int, Any]]:
        """Return all that there is to know: by slot, how often it was filled or emptied, and its value."""
        return list(zip(self._generations, self._values, strict=True))

    def _captp_fill(self, slots: list[tuple[int, Any]]) -> None:
        """Be as the arena that has these slots."""
        self._generations = [generation for generation, _ in slots]
        self._values = [value for _, value in slots]
        self._free = [slot for slot, (generation, _) in enumerate(slots) if not generation % 2]

    def __getitem__(self, index: Index[T]) -> T:
        if index not in self:
            raise KeyError(f"{index!r} is stale, or of another arena")
        return self._values[index.slot]  # type: ignore[no-any-return]

    def __contains__(self, index: object) -> bool:
        return (
            type(index) is Index
            and 0 <= index.slot < len(self._values)
            and self._generations[index.slot] == index.generation
        )

    def __iter__(self) -> Iterator[T]:
        return (value for _, value in self.items())

    def __len__(self) -> int:
        return len(self._values) - len(self._free)

    def __repr__(self) -> str:
        return f"<Arena of {len(self)}>"
