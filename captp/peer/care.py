"""What time does to a connection: handshakes that never end, peers that fall silent, old garbage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from captp.model.promise import Message, Promise
from captp.peer.bootstrap import PING, bootstrap_of
from captp.peer.router import Link

if TYPE_CHECKING:
    from captp.peer.peer import Peer


#: Seconds after which a peer that has shown no dialect is taken to speak the current one.
DIALECT_S: Final = 2.0

#: Seconds that a connection has to show life when its peer has dialled again.
DOUBT_S: Final = 3.0


def care(peer: Peer, link: Link) -> None:
    """Look after one connection; called on every beat of the driver."""
    session, now, limits = link.session, peer.now, peer.limits
    if not session.is_open:
        if now - link.opened_at > limits.handshake_timeout_s:
            peer.end(link, "handshake-timeout")
        return
    if now - link.opened_at > DIALECT_S:
        session.assume_dialect()
    if session.outbound.has_garbage:
        session.outbound.release_alone = True
        peer.touched[session] = None
    silent = now - link.heard_at
    in_doubt = link.doubted_at is not None and link.heard_at <= link.doubted_at
    if silent > limits.ping_dead_s or (in_doubt and now - (link.doubted_at or 0.0) > DOUBT_S):
        session.abort("peer-lost", f"silent for {silent:.0f} s")
        peer.end(link, f"peer-lost: silent for {silent:.0f} s")
    elif (
        session.native and silent > limits.ping_interval_s and not _pinged(link, now, limits.ping_interval_s)
    ):
        _ping(peer, link)


def doubt(peer: Peer, link: Link) -> None:
    """Make sure that a connection lives: its peer has come again, as if it knew of none."""
    if link.doubted_at is None or link.heard_at > link.doubted_at:
        link.doubted_at = peer.now
        _ping(peer, link)


def _ping(peer: Peer, link: Link) -> None:
    link.pinged_at = peer.now
    link.ping = Promise(peer.vat)
    peer.vat.outbox.append(Message(bootstrap_of(peer, link.session), PING, (), None, link.ping))


def _pinged(link: Link, now: float, interval: float) -> bool:
    return link.pinged_at is not None and now - link.pinged_at < interval
