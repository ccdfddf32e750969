"""References that a vat's user released, as far as the vat's own tables have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captp.model.holding import LetGo, let_go
from captp.model.ref import Ref, view
from captp.session.holders import holders

if TYPE_CHECKING:
    from captp.peer.peer import Peer


def let_go_of(peer: Peer, effect: LetGo) -> None:
    """Empty a released reference once what was sent before it has left, and holds nothing any more."""
    if effect.is_due:
        let_go(effect)
        return
    effect.is_due = True
    peer.vat.outbox.append(effect)
    ref = effect.ref()
    if ref is not None:
        _replace(peer, ref)


def _replace(peer: Peer, ref: Ref) -> None:
    """Put another reference into the tables that have this one: what they give is used by others."""
    anchor, cls = ref._anchor, type(ref)
    for tables in holders(anchor):
        entry = tables.by_anchor[id(anchor)]
        if entry.target is ref:
            entry.target = view(peer.vat, anchor, cls)
    for registration in peer.registry.registrations():
        if registration.ref is ref:
            registration.ref = view(peer.vat, anchor, cls)
