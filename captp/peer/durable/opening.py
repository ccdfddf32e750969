"""Opening a durable vat: what it has stored, and its swiss numbers, from what its store held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captp.model.keys import derive
from captp.peer.durable.stored import Image, Stored
from captp.peer.durable.swiss import DurableRegistry

if TYPE_CHECKING:
    from captp.peer.peer import Peer


def open_stored(peer: Peer, image: Image) -> tuple[Stored, DurableRegistry]:
    """Return what makes ``peer`` durable; raises StoreDamaged."""
    stored = Stored(peer, image)
    return stored, DurableRegistry(derive(peer.key.seed(), b"captp swiss index"), stored, image.swiss)
