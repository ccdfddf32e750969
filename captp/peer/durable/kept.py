"""How one object is stored: what memory knows of its rows, so that changes can be told without reading.

new --its first rows are made--> loaded, for an object that something stored has come to lead to;
cold --a message waits--> wanted --its rows came--> loaded; wanted --they cannot be read--> damaged.
Only what is loaded is ever written.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, final

from captp.model.object import Object

__all__ = ["EDGE_BYTES", "Kept", "Places", "State", "edge_key", "ends", "entry_key", "object_key"]

#: How the ids of what a row leads to are packed: 8 bytes each, the lowest bit says that it holds it itself.
EDGE_BYTES: Final = 8


@final
class State(Enum):
    """Where the state of an object is."""

    NEW = "new"
    COLD = "cold"
    WANTED = "wanted"
    LOADED = "loaded"
    DAMAGED = "damaged"


@final
class Places:
    """The rows of one Map that a field holds: its number within the object, and where each key's row is.

    The Map has it, and not the other way round: what holds a container is to be its object alone.
    """

    __slots__ = ("next", "number", "of")

    def __init__(self, number: int) -> None:
        self.number = number
        self.next = 0
        #: By key: its place, and in the lowest bit whether its row has edges.
        self.of: dict[Any, int] = {}


@final
class Kept:
    """What memory knows of the rows of one object."""

    __slots__ = ("has_edges", "last_map", "maps", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        #: Whether there is a row of edges for the body.
        self.has_edges = False
        self.maps: dict[str, Places] = {}
        #: The highest number that one of its Maps has had.
        self.last_map = 0


def object_key(obj: Object | int) -> bytes:
    """Return the key of an object's row."""
    oid = obj if isinstance(obj, int) else obj._entry.oid
    return oid.to_bytes(8, "big")


def entry_key(owner: bytes, number: int, place: int) -> bytes:
    """Return the key of the row of one entry of a Map."""
    return owner + number.to_bytes(2, "big") + place.to_bytes(8, "big")


def edge_key(table: str, key: bytes) -> bytes:
    """Return the key of the edges of a row; what is no object's may have the key of another row."""
    return table[:1].encode() + key if table in ("outbox", "inbox", "timer") else key


def ends(edges: bytes) -> Iterator[tuple[int, bool]]:
    """Yield the id of each object that a row leads to, and whether it holds it itself."""
    for at in range(0, len(edges), EDGE_BYTES):
        packed = int.from_bytes(edges[at : at + EDGE_BYTES], "big")
        yield packed >> 1, bool(packed & 1)
