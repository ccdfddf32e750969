"""The receiver's part: a certificate becomes a promise at once, and a withdrawal as soon as may be.

OCapN CapTP draft, Third-Party Handoffs. An introduction is one of
waiting --session with the exporter is up--> asked --answer--> settled; waiting --no session--> broken.
Calls on its promise wait, then go the way of the withdrawal, so that their order is kept. A call that
brings what is unique waits for it, gift_wait_s at most and no longer than its sender stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from captp.errors import Disconnected, HandoffFailed, Overloaded
from captp.model.faults import portable
from captp.model.parcel import Parcel
from captp.model.promise import BROKEN, FULFILLED, Message, Promise, Settlement
from captp.model.ref import Ref, view
from captp.peer.handoff.certificates import Give, parse_give, sign, write_receive
from captp.peer.handoff.exporter import ABSENT
from captp.peer.router import Link, Waiter
from captp.session.inbound import Introduced
from captp.wire.ops import Desc, Kind

if TYPE_CHECKING:
    from captp.peer.peer import Peer

#: The netlayer that proves whom it reaches; any other is followed only where a vat is on it already.
SAFE: Final = "tls"


def introduced(peer: Peer, link: Link, effect: Introduced) -> None:
    """Begin to withdraw what a peer has introduced us to."""
    promise, vat = effect.promise, peer.vat
    try:
        give = parse_give(effect.envelope)
        if give.receiver != link.session.key.public:
            raise HandoffFailed("handoff: this introduction is for somebody else")
        if give.exporter.designator == peer.designator:
            gift = peer.exporter.take(link.session, give, promise, peer.now)
            if gift is not ABSENT:
                vat.settle_now(promise, FULFILLED, gift)
            return
        _check_transport(peer, link, give)
        if link.introductions >= peer.limits.introductions:
            raise Overloaded(f"{peer.limits.introductions} introductions by this peer are under way already")
    except (HandoffFailed, Overloaded) as problem:
        vat.settle_now(promise, BROKEN, portable(problem))
        return
    link.introductions += 1
    _withdraw(peer, link, give, promise)


def _check_transport(peer: Peer, link: Link, give: Give) -> None:
    """Refuse to dial where the peer who asks for it cannot be: at sockets of this machine, say."""
    transport = give.exporter.transport
    known = {SAFE, link.session.channel.transport, *peer.locations}
    if transport not in known and give.exporter.peer not in peer.router.live:
        raise HandoffFailed(f"handoff: the introduction leads to {transport!r}, which this vat does not use")


def _withdraw(peer: Peer, link: Link, give: Give, promise: Promise[Any]) -> None:
    # The introducer may be gone by the time the exporter is there.
    key = link.session.key

    def ready(exporting: Link) -> None:
        link.introductions -= 1
        session = exporting.session
        assert session.hello is not None
        count, exporting.handoff_count = exporting.handoff_count, exporting.handoff_count + 1
        receive = write_receive(
            session=session.hello.session_id, side=session.side_id, count=count, give=give
        )
        envelope = Desc(Kind.CERTIFICATE, sign(receive, key))
        bootstrap = view(peer.vat, session.bootstrap, Ref)
        peer.vat.outbox.append(Message(bootstrap, "withdraw-gift", (envelope,), None, promise))

    def failed(error: Disconnected) -> None:
        link.introductions -= 1
        peer.vat.settle_now(promise, BROKEN, error)

    attempt = peer.router.want(give.exporter, peer.now, Waiter(ready, failed, peer.now))
    if attempt is not None:
        peer.dial(attempt)


def came(peer: Peer, link: Link, parcel: Parcel) -> None:
    """Take a call that waits for what moves here with it, and the calls of its sender behind it."""
    parcel.until = peer.now + peer.limits.gift_wait_s
    link.source.messages.append(parcel)


def overdue(peer: Peer) -> list[Settlement]:
    """Return how what the first calls of peers wait for breaks where that has taken too long."""
    why = "what moved here with this call has not come in time: its host does not answer"
    queues = [link.source.messages for link in peer.router.links.values()]
    first = [messages[0] for messages in queues if messages and type(messages[0]) is Parcel]
    return [lost for one in first if one.until <= peer.now for lost in _lost(one, why)]


def left(link: Link) -> list[Settlement]:
    """Return how everything breaks that moves here by calls of a peer which is gone."""
    why = "who moved this here has left before it came"
    return [lost for one in link.source.messages if type(one) is Parcel for lost in _lost(one, why)]


def _lost(parcel: Parcel, why: str) -> list[Settlement]:
    return [Settlement(promise, BROKEN, HandoffFailed(f"handoff: {why}")) for promise in parcel.missing]
