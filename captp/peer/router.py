"""Peers to sessions: one live session per peer, dials that are under way, and who waits for them.

A peer is transport and designator; hints do not count. For each peer:
unknown --want--> dialling --established--> live --ended--> unknown; dialling --failed--> resting
--time passes--> unknown; dialling --peer prefers another connection--> yielding --that one established-->
live; yielding --it never comes--> dialling. A new want ends a rest, but none before the shortest is over:
who asks often makes no dials that follow each other faster. Crossed hellos (OCapN draft): the connection
whose key has the lower id goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from attrs import define, field

from captp.errors import Disconnected
from captp.model.idents import ConnId
from captp.model.keys import side_id
from captp.model.locator import PeerLocator
from captp.model.promise import Settlement
from captp.peer.burden import Burden
from captp.session.session import Session

PeerId = tuple[str, str]

FIRST_REST_S = 0.2
LONGEST_REST_S = 30.0
#: How long a dial that lost waits for the connection that won; longer than a peer in doubt is given.
YIELD_S = 5.0

# Codes of an abort that say: there is another connection between us.
CROSSED = "crossed-hello"
DUPLICATE = "duplicate-session"


@define(eq=False)
class Link:
    """One connection and the session on it."""

    conn: ConnId
    session: Session
    dialled: PeerLocator | None
    opened_at: float
    heard_at: float
    source: Any
    burden: Burden = field(factory=Burden)
    #: Nobody has proved to be whom it says it is: it has no claim to be that peer's one session.
    is_anonymous: bool = False
    pinged_at: float | None = None
    #: Held until the next beat, so that the heartbeat's answer is not cancelled.
    ping: Any = None
    #: Since when one message has been coming in, how many bytes were there, and how many messages before.
    stuck_at: float | None = None
    stuck_with: int = 0
    completed: int = 0
    #: When its peer came a second time, as if this connection were dead at its end.
    doubted_at: float | None = None
    #: Fetches that failed in the minute that began then.
    fetch_failures: int = 0
    fetch_minute: float = 0.0
    #: Answers to a guesser that are put off: when each is due, and what it will be.
    delayed: deque[tuple[float, Settlement]] = field(factory=deque)
    #: The next handoff count towards this peer, and how many introductions by it are under way.
    handoff_count: int = 0
    introductions: int = 0


@define(eq=False)
class Waiter:
    """Somebody who wants a session: what to do when there is one, or none until ``until``."""

    ready: Callable[[Link], None]
    failed: Callable[[Disconnected], None]
    until: float


@define(eq=False)
class Attempt:
    """A dial under way or due, and who waits for it."""

    locator: PeerLocator
    waiting: list[Waiter] = field(factory=list)
    conn: ConnId | None = None
    due: float = 0.0
    failures: int = 0
    has_yielded: bool = False


class Failures(NamedTuple):
    """How many dials of a peer failed in a row, and when the next may come: if asked for, and if not."""

    in_a_row: int
    soonest: float
    due: float


class Router:
    """Knows which session leads to which peer."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self.links: dict[ConnId, Link] = {}
        self.live: dict[PeerId, Link] = {}
        self.attempts: dict[PeerId, Attempt] = {}
        #: In the order in which they failed; what is long over is forgotten.
        self._failures: dict[PeerId, Failures] = {}
        #: By transport: whether the last OCapN peer that came put a length in front of its messages.
        self.framings: dict[str, bool] = {}
        self._last_conn = 0

    def new_conn(self) -> ConnId:
        """Return a connection number that was never used."""
        self._last_conn += 1
        return ConnId(self._last_conn)

    def want(self, locator: PeerLocator, now: float, waiter: Waiter) -> Attempt | None:
        """Tell ``waiter`` of the link to a peer, now or later; return an attempt to dial now, if any.

        After failures the next dial is held back, longer each time and with jitter, until somebody asks.
        """
        link = self.live.get(locator.peer)
        if link is not None:
            waiter.ready(link)
            return None
        attempt = self.attempts.get(locator.peer)
        if attempt is None:
            attempt = self._attempt(locator, now)
        attempt.waiting.append(waiter)
        return self.hurry(locator.peer, now)

    def _attempt(self, locator: PeerLocator, now: float) -> Attempt:
        failures, _, due = self._failures.get(locator.peer, (0, now, now))
        attempt = self.attempts[locator.peer] = Attempt(locator, due=due, failures=failures)
        return attempt

    def hurry(self, peer: PeerId, now: float) -> Attempt | None:
        """End the rest of a peer that is asked for anew, once the shortest is over; return as ``want``."""
        attempt = self.attempts.get(peer)
        if attempt is None or attempt.conn is not None or attempt.has_yielded:
            return None
        if peer in self._failures:
            attempt.due = min(attempt.due, self._failures[peer].soonest)
        return attempt if attempt.due <= now else None

    def dialled(self, conn: ConnId) -> Attempt | None:
        """Return the attempt that a connection number belongs to."""
        return next((a for a in self.attempts.values() if a.conn == conn), None)

    def failed(self, attempt: Attempt, error: Disconnected, now: float) -> None:
        """End an attempt without a session: who has patience gets another, the others are told."""
        peer = attempt.locator.peer
        self.attempts.pop(peer, None)
        due = self._hold_back(peer, attempt.failures + 1, now)
        patient = [w for w in attempt.waiting if w.until >= due]
        if patient:
            self._attempt(attempt.locator, now).waiting = patient
        for waiter in attempt.waiting:
            if waiter.until < due:
                waiter.failed(error)

    def _hold_back(self, peer: PeerId, failures: int, now: float) -> float:
        """Let a peer rest after so many failures; return until when, unless somebody asks."""
        rest = min(FIRST_REST_S * 2.0 ** (failures - 1), LONGEST_REST_S)
        jitter = 0.5 + int.from_bytes(self._entropy(2), "big") / 0x10000
        due: float = now + rest * jitter
        self._failures.pop(peer, None)
        self._failures[peer] = Failures(failures, now + FIRST_REST_S * jitter, due)
        while next(iter(self._failures.values())).due + LONGEST_REST_S < now:
            # A peer may name others that do not exist, as many as it likes.
            del self._failures[next(iter(self._failures))]
        return due

    def give_way(self, conn: ConnId, now: float) -> None:
        """Let those who wait for a dial that the peer refused wait for its own connection, once."""
        attempt = self.dialled(conn)
        if attempt is not None and not attempt.has_yielded:
            attempt.has_yielded = True
            attempt.conn = None
            attempt.due = now + YIELD_S

    def rival(self, link: Link) -> Link | None:
        """Return our own dial to the peer of ``link`` that is still opening, if there is one."""
        assert link.session.hello is not None
        attempt = self.attempts.get(link.session.hello.location.peer)
        if attempt is None or attempt.conn is None or attempt.conn == link.conn:
            return None
        return self.links.get(attempt.conn)

    def established(self, link: Link) -> str | None:
        """Enter a link whose peer is known; return why it must go instead, or None.

        Whoever waited for the peer gets this link, whichever side dialled it.
        """
        if link.is_anonymous:
            return None
        session = link.session
        assert session.hello is not None
        peer = session.hello.location.peer
        if peer in self.live:
            return DUPLICATE
        attempt = self.attempts.get(peer)
        ours = self.rival(link)
        if ours is not None and side_id(ours.session.key.public.raw) > session.hello.side_id:
            return CROSSED
        self.live[peer] = link
        self._failures.pop(peer, None)
        if attempt is not None:
            del self.attempts[peer]
            for waiter in attempt.waiting:
                waiter.ready(link)
        return None

    def ended(self, link: Link, now: float) -> None:
        """Forget a link."""
        self.links.pop(link.conn, None)
        hello = link.session.hello
        if hello is not None and self.live.get(hello.location.peer) is link:
            del self.live[hello.location.peer]
            if link.dialled is not None and now - link.opened_at < FIRST_REST_S:
                # Else a peer could have itself dialled without a pause, as long as there is a wish.
                self._hold_back(hello.location.peer, 1, now)

    def due(self, now: float) -> list[Attempt]:
        """Return the attempts whose rest is over."""
        return [a for a in self.attempts.values() if a.conn is None and a.due <= now]

    @property
    def next_at(self) -> float | None:
        """When the next rest is over; None if nobody rests."""
        attempts = self.attempts
        return min((a.due for a in attempts.values() if a.conn is None), default=None) if attempts else None
