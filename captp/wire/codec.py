"""What a codec is: operations to bytes and back, with two hooks for references and nothing of tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from captp.model.boxed import Boxed
from captp.wire.ops import Desc, Kind, Op


class Refs(Protocol):
    """The session's side of a codec: how references become descriptors and back."""

    def describe(self, value: object) -> Desc:
        """Name a reference for the peer; raises Unpassable for anything that is none."""
        ...

    def unbox(self, box: Boxed) -> Any:
        """Return what stands for a box in a message: a descriptor, a reference, or the plain value in it."""
        ...

    def resolve(self, kind: Kind, position: Any) -> object:
        """Find what a descriptor of the peer names; raises RemoteProtocolError when it is nothing."""
        ...


class Codec(Protocol):
    """One spelling, one direction pair, one connection."""

    name: str

    @property
    def is_mid_message(self) -> bool:
        """Whether bytes of an unfinished message are held."""
        ...

    @property
    def unread(self) -> int:
        """Bytes of what was fed last that nobody has asked for yet; none when the iterator is exhausted."""
        ...

    def target(self, kind: Kind, position: int) -> Any:
        """Prepare a descriptor that ``encode`` takes in any place; worth keeping."""
        ...

    def symbol(self, name: str) -> Any:
        """Prepare a symbol that ``encode`` takes in any place; kept by the codec."""
        ...

    def encode(self, op: Op) -> bytes:
        """Spell one operation, unframed. Raises Unpassable and leaves nothing behind."""
        ...

    def frame(self, messages: list[bytes]) -> bytes:
        """Join messages into what goes on the wire."""
        ...

    def feed(self, data: bytes) -> Iterator[Op]:
        """Yield the operations that ``data`` completes, decoding each only when asked for it.

        Feed in arrival order and exhaust the iterator before the next feed. Raises DecodeError or
        LimitExceeded at the first byte that cannot be right, after yielding what came before it.
        """
        ...
