"""Times one turn in so many, for whose class its loop has most to do; the others pay nothing for it."""

from __future__ import annotations

from time import perf_counter

from captp.model.object import Object
from captp.model.promise import Message
from captp.model.ref import Ref
from captp.peer.load import Meter
from captp.peer.peer import Peer
from captp.vat.cells import Holder
from captp.vat.fiber import Fiber
from captp.vat.vat import Vat

__all__ = ["sample"]


def sample(peer: Peer, meter: Meter) -> None:
    """Run the first part of a batch, and time the turn behind it alone."""
    turns = peer.vat.turns
    # Not always the first: what only comes of other turns would never be seen.
    peer.run(meter.skipped())
    obj = _next_object(peer.vat)
    before, began = turns.count, perf_counter()
    peer.run(1)
    took = perf_counter() - began
    meter.sampled(None if obj is None or turns.count != before + 1 else _kind(obj), took)


def _next_object(vat: Vat) -> Object | None:
    """Return the object whose turn is next, if it is seen at a glance."""
    if vat.waited or vat.settling.forwarded or not vat.queues.ring:
        return None
    delivery = vat.queues.ring[0].messages[0]
    if type(delivery) is Fiber:
        return delivery.obj
    target = delivery.target if type(delivery) is Message else None
    return target._anchor if isinstance(target, Ref) and isinstance(target._anchor, Object) else None


def _kind(obj: Object) -> str:
    return obj.kind if isinstance(obj, Holder) else type(obj).__name__
