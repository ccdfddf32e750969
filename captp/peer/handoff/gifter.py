"""The gifter's part: a reference to a third vat becomes a certificate, and a gift there.

OCapN CapTP draft, Third-Party Handoffs. Both are made while a message is encoded, and happen only if it
leaves. What cannot be given away that way is passed on as a reference to this vat, which forwards; what is
unique is not passed on then. Its gift is the reference itself, so that the exporter takes it from us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from captp.model.promise import PENDING, Message, Promise, Reference
from captp.model.ref import Far, Ref, view
from captp.peer.handoff.certificates import sign, write_give
from captp.session.entries import WAITING, Introduction, Question
from captp.session.session import Session

if TYPE_CHECKING:
    from captp.peer.peer import Peer

GIFT_ID_BYTES: Final = 32


def introduce(peer: Peer, receiver: Session, target: Reference) -> Introduction | None:
    """Return how ``receiver`` is introduced to the vat that a reference leads to; None: it is not."""
    exporter = _exporter_of(target)
    if exporter is None or exporter is receiver or not exporter.is_open:
        return None
    if exporter.outbound.held > peer.limits.held_bytes:
        # The gift could not leave, and the certificate would be for nothing.
        return None
    link, receiving = peer.links.get(exporter), peer.links.get(receiver)
    if link is None or receiving is None or link.is_anonymous:
        return None
    if link.dialled is None and exporter.completed < 2:
        # It has dialled us and may not have heard our hello: a withdrawal could be there before it.
        return None
    theirs, hello = exporter.hello, receiver.hello
    assert theirs is not None
    assert hello is not None
    if theirs.location.hints and not theirs.location.place:
        # A vat that does not listen says what it speaks, and not where it is.
        return None
    gift_id = peer.entropy(GIFT_ID_BYTES)
    give = write_give(
        receiver=hello.key,
        exporter=theirs.place,
        session=theirs.session_id,
        gifter_side=exporter.side_id,
        gift_id=gift_id,
    )
    bootstrap = view(peer.vat, exporter.bootstrap, Ref)
    deposit = Message(bootstrap, "deposit-gift", (gift_id, target), None, None)
    return Introduction(sign(give, exporter.key), deposit)


def _exporter_of(target: Reference) -> Session | None:
    """Return the session that a reference was imported in, if its exporter can keep it as a gift."""
    if isinstance(target, Ref):
        far = target._anchor
        # Position 0 is nobody's to give.
        return far.session if type(far) is Far and far.broken is None and far.entry is not None else None
    assert isinstance(target, Promise)
    route = target._route
    if target._state != PENDING or route is None:
        return None
    session: Session = route.session
    if type(route) is Question and route.state is not WAITING:
        return None
    # Elsewhere only objects are taken as gifts; those peers hear of a promise's end through us.
    return session if session.passes_answers else None
