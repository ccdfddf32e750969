"""What time does to a connection: handshakes that never end, peers that fall silent, old garbage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import getweakrefs

from captp.limits import Limits
from captp.model.promise import PENDING, Message, Promise
from captp.model.ref import Ref, view
from captp.peer.router import Link
from captp.session.entries import Answer, Question
from captp.session.session import Session

if TYPE_CHECKING:
    from captp.peer.peer import Peer

#: The heartbeat: a call of the bootstrap that native peers answer with None.
PING: Final = "captp:ping"

#: Seconds after which a peer that has shown no dialect is taken to speak the current one.
DIALECT_S: Final = 2.0

#: Bytes that a table's entry or a waiting message is taken to cost.
ENTRY: Final = 512

#: Seconds that a message may come at any rate.
RATE_S: Final = 5.0

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
    if session.tables.released:
        _cancel_arrived(peer, session)
    settling = peer.vat.settling
    if settling.called_off:
        # Whatever else answered them: they are not to be kept.
        settling.called_off = {a for a in settling.called_off if a._state == PENDING}
    while link.delayed and link.delayed[0][0] <= now:
        _, late = link.delayed.popleft()
        peer.vat.settle_now(late.promise, late.state, late.value)
    if session.outbound.has_garbage:
        session.outbound.release_alone = True
        peer.touched[session] = None
    silent = now - link.heard_at
    slowness = _slowness(link, now, limits)
    if slowness:
        session.abort("too-slow", slowness)
        peer.end(link, "too-slow")
    elif not session.native:
        # OCapN has no heartbeat: such a peer is lost when its connection is.
        return
    elif silent > limits.ping_dead_s or _has_not_answered(link, now):
        session.abort("peer-lost", f"silent for {silent:.0f} s")
        peer.end(link, f"peer-lost: silent for {silent:.0f} s")
    elif silent > limits.ping_interval_s and not _pinged(link, now, limits.ping_interval_s):
        _ping(peer, link)


def account_of(peer: Peer) -> int:
    """Return roughly how many bytes the session holds that holds most, 0 when there is none."""
    return max(map(_account, peer.router.links.values()), default=0)


def shed(peer: Peer) -> None:
    """End the session that holds most: the process has no memory left for it."""
    heaviest = max(peer.router.links.values(), key=_account, default=None)
    if heaviest is not None:
        heaviest.session.abort("too-much-memory", "this session holds most, and memory is short")
        peer.end(heaviest, "too-much-memory")
        peer.vat.ring()


def _account(link: Link) -> int:
    session, tables = link.session, link.session.tables
    entries = len(tables.exports) + len(tables.imports) + len(tables.questions) + len(tables.answers)
    results = tables.kept_bytes + (0 if session.codec is None else session.outbound.held)
    calls = link.burden.lighten() + ENTRY * len(link.source.messages)
    entries += tables.loans.count + len(tables.listeners) + len(tables.frozen.sent)
    return calls + results + tables.frozen.held + ENTRY * entries


def _cancel_arrived(peer: Peer, session: Session) -> None:
    """Cancel the calls whose callers let go while they were on their way, and that have arrived since."""
    released = session.tables.released
    for answer in [a for a in released if has_arrived(a)]:
        released.discard(answer)
        session.outbound.acknowledge(answer)
        peer.vat.settling.release(answer)
        peer.touched[session] = None


def has_arrived(answer: Answer) -> bool:
    """Whether a pending answer is that of a fiber, or follows what the method returned."""
    return answer._value is not None or any(type(w) is not Question for w in getweakrefs(answer))


def _slowness(link: Link, now: float, limits: Limits) -> str:
    """Say how the peer lets one message drip in, which would cost it nothing and us its memory."""
    session = link.session
    assert session.codec is not None
    if not session.codec.is_mid_message:
        link.stuck_at = None
    elif link.stuck_at is None or link.completed != session.completed:
        link.stuck_at, link.completed, link.stuck_with = now, session.completed, session.received
    if link.stuck_at is None:
        return ""
    seconds = now - link.stuck_at
    if seconds > limits.partial_message_s:
        return f"one message took over {limits.partial_message_s:g} s"
    if seconds > RATE_S and session.received - link.stuck_with < limits.min_rate * seconds:
        return f"one message comes at under {limits.min_rate} bytes/s"
    return ""


def doubt(peer: Peer, link: Link) -> None:
    """Make sure that a connection lives: its peer has come again, as if it knew of none."""
    if link.session.native and link.doubted_at is None:
        link.doubted_at = peer.now
        _ping(peer, link)


def _has_not_answered(link: Link, now: float) -> bool:
    return link.doubted_at is not None and now - link.doubted_at > DOUBT_S


def _ping(peer: Peer, link: Link) -> None:
    link.pinged_at = peer.now
    link.ping = Promise(peer.vat)
    bootstrap = view(peer.vat, link.session.bootstrap, Ref)
    peer.vat.outbox.append(Message(bootstrap, PING, (), None, link.ping))


def _pinged(link: Link, now: float, interval: float) -> bool:
    return link.pinged_at is not None and now - link.pinged_at < interval
