"""A connection between two simulated peers: bytes in flight both ways, and the ways it can fail."""

from __future__ import annotations

from attrs import define, field

from captp.model.idents import ConnId


@define(eq=False)
class End:
    """One side: whose it is, the number it has there, and the bytes on their way to it."""

    node: int
    conn: ConnId
    inbox: bytearray = field(factory=bytearray)
    is_open: bool = True
    #: The other side has hung up: this one hears it after the last byte.
    is_last: bool = False

    @property
    def has_news(self) -> bool:
        """Whether there is something to bring to this end."""
        return self.is_open and bool(self.inbox or self.is_last)


@define(eq=False)
class Link:
    """A pair of ends.

    up --hang up at one end--> half (the other end reads on) --read to the end--> down;
    up --lost--> down, each end told when the world says so.
    """

    number: int
    ends: tuple[End, End]
    is_stalled: bool = False
    #: Whether it carries but a few bytes at a time.
    is_lame: bool = False

    @property
    def is_up(self) -> bool:
        """Whether both ends are there."""
        return all(e.is_open and not e.is_last for e in self.ends)

    def other(self, end: End) -> End:
        """Return the opposite end."""
        return self.ends[1] if end is self.ends[0] else self.ends[0]

    def write(self, end: End, data: bytes) -> None:
        """Send bytes from ``end``; they are lost if the other side is gone."""
        target = self.other(end)
        if target.is_open and not target.is_last:
            target.inbox += data

    def hang_up(self, end: End) -> None:
        """Close ``end``; the other side still reads what was sent."""
        end.is_open = False
        end.inbox.clear()
        self.other(end).is_last = True

    def cut(self) -> None:
        """Lose what is in flight and let both ends learn of it in their own time."""
        for end in self.ends:
            end.inbox.clear()
            end.is_last = True
