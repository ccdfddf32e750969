"""What one vat exports to and imports from one peer: positions, counts and stamps; it knows no objects."""

from __future__ import annotations

from attrs import define, field


@define(eq=False)
class Exported:
    """One position of an export table; without a key it is what is left of something that was cut."""

    key: int | None
    incarnation: int
    touched: int
    wire: int = 0


@define(eq=False)
class Imported:
    """One position of an import table."""

    incarnation: int
    touched: int
    wire: int = 0


@define(eq=False)
class Table:
    """Both tables of one session, as one of its ends keeps them."""

    exports: dict[int, Exported] = field(factory=dict)
    imports: dict[int, Imported] = field(factory=dict)
    #: Positions by key, of exports that are not cut.
    index: dict[int, int] = field(factory=dict)

    def export(self, key: int, stamp: int) -> int:
        """Give an export away once more, at the lowest position that is free when it has none."""
        position = self.index.get(key)
        if position is None:
            position = 0
            while position in self.exports:
                position += 1
            self.exports[position] = Exported(key, stamp, stamp)
            self.index[key] = position
        entry = self.exports[position]
        entry.touched = stamp
        entry.wire += 1
        return position

    def receive(self, position: int, stamp: int) -> None:
        """Take in what a peer gives."""
        entry = self.imports.get(position)
        if entry is None:
            entry = self.imports[position] = Imported(stamp, stamp)
        entry.touched = stamp
        entry.wire += 1

    def release(self, position: int, count: int) -> None:
        """Count down what a peer has released; the position is free when nothing is left."""
        entry = self.exports[position]
        assert entry.wire >= count, f"position {position} was given {entry.wire} times, {count} released"
        entry.wire -= count
        if not entry.wire:
            del self.exports[position]
            if entry.key is not None:
                del self.index[entry.key]

    def cut(self, key: int) -> None:
        """Let a position name nothing any more; it stays taken until it is released."""
        position = self.index.pop(key, None)
        if position is not None:
            self.exports[position].key = None
