"""Sturdyrefs to references: here, over the session that there is, or over one that is dialled for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captp.errors import Disconnected, NotFound
from captp.model.faults import portable
from captp.model.guards import as_interface
from captp.model.interface import interface_of
from captp.model.promise import BROKEN, FULFILLED, Message
from captp.model.ref import Ref, view
from captp.peer.router import Link, Waiter
from captp.vat.effects import Enliven

if TYPE_CHECKING:
    from captp.peer.peer import Peer


def enliven(peer: Peer, effect: Enliven) -> None:
    """Settle a promise with what a sturdyref names; dial its peer if there is no session."""
    promise, sturdyref, vat = effect.promise, effect.sturdyref, peer.vat
    if sturdyref.peer.designator == peer.designator:
        try:
            ref = peer.registry.fetch(sturdyref.swiss, peer.now)
        except NotFound as problem:
            vat.settle_now(promise, BROKEN, portable(problem))
        else:
            interface = interface_of(type(promise))
            vat.settle_now(promise, FULFILLED, as_interface(ref, interface) if interface else ref)
        return

    def ready(link: Link) -> None:
        bootstrap = view(vat, link.session.bootstrap, Ref)
        vat.outbox.append(Message(bootstrap, "fetch", (sturdyref.swiss,), None, promise))

    def failed(error: Disconnected) -> None:
        vat.settle_now(promise, BROKEN, error)

    waiter = Waiter(ready, failed, peer.now + effect.retry_for)
    attempt = peer.router.want(sturdyref.peer, peer.now, waiter)
    if attempt is not None:
        peer.dial(attempt)
