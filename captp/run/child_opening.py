"""How a parent and its new child process greet, before their session; from parent to child, then back."""

from __future__ import annotations

from typing import Any, Final

import msgpack
from attrs import asdict, field, frozen

from captp.cycles import Cycles
from captp.limits import Limits

__all__ = ["EXIT_MEMORY", "READY", "START_S", "TRANSPORT", "Opening"]

#: The name of the netlayer between a parent and its children.
TRANSPORT: Final = "child"

#: The child's first packet, when it has its classes; anything else says why it has not.
READY: Final = b"captp child: ready"

#: Seconds that a child may take until then.
START_S: Final = 30.0

#: How the process ends when no memory is left for what it does itself.
EXIT_MEMORY: Final = 82


@frozen(kw_only=True)
class Opening:
    """What a child process is told before its session opens; it holds secrets."""

    #: The seed of the child's key, and the swiss number of its workshop.
    seed: bytes = field(repr=False)
    swiss: bytes = field(repr=False)
    #: The parent's public key, and what binds the session to this socket.
    parent: bytes
    binding: bytes
    #: ``module:qualname`` of each class that it makes instances of.
    classes: tuple[str, ...]
    memory_bytes: int
    turn_s: float
    limits: Limits
    cycles: Cycles

    def encode(self) -> bytes:
        """Return the packet."""
        packed: Any = msgpack.packb(asdict(self))
        return bytes(packed)

    @classmethod
    def decode(cls, packet: bytes) -> Opening:
        """Read the packet; it comes from the very process that started this one."""
        fields: dict[str, Any] = msgpack.unpackb(packet, use_list=False)
        told = {"limits": Limits(**fields["limits"]), "cycles": Cycles(**fields["cycles"])}
        return cls(**{**fields, **told})
