"""Back-pressure: who sends more than is read or run waits, and no session pays for another.

Results that the peer does not read wait unencoded, and with them its calls, of which so many are read as
may be under way. What only waits for others is read on: it may wait for this very peer's answers. The
driver says when a connection is full and when it has drained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from captp.errors import Overloaded
from captp.model.idents import ConnId
from captp.model.promise import BROKEN
from captp.peer.burden import is_large

if TYPE_CHECKING:
    from captp.peer.peer import Peer
    from captp.peer.router import Link


def weigh(peer: Peer, link: Link, count: int) -> None:
    """Take on the last ``count`` calls, or refuse the large ones when as many are under way.

    What waits for its turn alone is taken on: reading stops until it has run. Where reading goes on all
    the same, because what is under way waits for others, or the peer for us to read, they are refused.
    """
    messages, burden, limit = link.source.messages, link.burden, peer.limits.in_flight_bytes
    is_full = burden.weight > limit and burden.lighten() > limit
    if not is_full or (len(messages) > count and not link.source.held):
        burden.add(messages[i] for i in range(-count, 0))
        return
    full = Overloaded(f"calls of {limit} bytes are under way in this session already; wait for some")
    for message in reversed([messages.pop() for _ in range(count)]):
        if not is_large(message):
            messages.append(message)
        elif message.promise is not None:
            peer.vat.settle_now(message.promise, BROKEN, full)


def is_behind(peer: Peer, conn: ConnId) -> bool:
    """Say whether so much of a connection waits for its turn that no more should be read from it."""
    if has_backlog(peer, conn):
        return True
    link = peer.router.links.get(conn)
    if link is None or not link.source.messages:
        return False
    burden, limit = link.burden, peer.limits.in_flight_bytes
    return burden.weight > limit and burden.lighten() > limit


def has_backlog(peer: Peer, conn: ConnId) -> bool:
    """Say whether so many calls and results wait that not even small ones should be read."""
    link = peer.router.links.get(conn)
    if link is None:
        return False
    if is_held_back(peer, conn):
        return True
    waiting = len(link.session.outbound.waiting) if link.source.held else 0
    return len(link.source.messages) + waiting > peer.limits.backlog


def is_held_back(peer: Peer, conn: ConnId) -> bool:
    """Say whether so much waits for a verdict on what it names that no more should be read till then."""
    link = peer.router.links.get(conn)
    if link is None or not peer.is_holding:
        return False
    held, limits = peer.cycles.waiting.held.get(link), peer.limits
    return held is not None and (len(held.effects) > limits.backlog or held.size > limits.in_flight_bytes)


def hold(peer: Peer, link: Link) -> None:
    """Let the calls of a peer wait, since its results do."""
    peer.vat.queues.hold(link.source)
    peer.held[link] = None


def go_on(peer: Peer) -> None:
    """Write a part of the results that wait, and let the calls run whose results do so no more."""
    for link in list(peer.held):
        outbound = link.session.outbound
        outbound.write_waiting()
        if outbound.messages:
            peer.touched[link.session] = None
        if not outbound.waiting:
            let_go(peer, link)


def let_go(peer: Peer, link: Link) -> None:
    """Let the calls of a peer run again, if they were held."""
    if link in peer.held:
        del peer.held[link]
        peer.vat.queues.release(link.source)


def congested(peer: Peer, conn: ConnId, pending: int) -> None:
    """Take note that ``pending`` bytes of a connection wait to be read by the peer."""
    link = peer.router.links.get(conn)
    if link is not None:
        link.session.outbound.congested(pending)


def drained(peer: Peer, conn: ConnId) -> None:
    """Take note that the peer has read what it was sent."""
    link = peer.router.links.get(conn)
    if link is not None:
        link.session.outbound.congested(0)
        peer.touched[link.session] = None
