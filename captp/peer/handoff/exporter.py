"""The exporter's machine: gifts that gifters deposit, withdrawals of receivers, and which come together.

OCapN CapTP draft, Third-Party Handoffs. A gift is one of
nothing --deposit--> held --withdraw--> gone; held --gift_keep_s--> gone;
nothing --withdraw--> awaited --deposit--> gone; awaited --gift_wait_s | gifter's session ends--> broken.
One that is unique was its gifter's and is nobody's while it is held: it moves to whoever withdraws it, and
a gift that is forgotten has no owner any more.
Gifts outlive their gifter's session, so that it may leave when it has introduced; a withdrawal that waits
for a gift which nobody can deposit any more breaks. A count is used once a receive was found right, before
anything can wait. It decides and returns; the caller settles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from attrs import define, field

from captp.errors import (
    BadArguments,
    HandoffFailed,
    InvariantBroken,
    Overloaded,
    RemoteProtocolError,
)
from captp.limits import Limits
from captp.model.keys import PublicKey, parse_designator
from captp.model.own import Sole
from captp.model.promise import BROKEN, FULFILLED, Promise, Reference, Settlement, broken
from captp.model.ref import HOLDS, Far, Ref
from captp.peer.handoff.certificates import (
    GIFT_ID_BYTES,
    Give,
    check_give,
    check_receive,
    parse_receive,
)
from captp.session.entries import Import
from captp.session.loans import OWN
from captp.session.session import Session

ABSENT = object()

_CANNOT_OWN: Final = f"this gift is unique, and this session does not know the extension {OWN}"


@define(eq=False)
class Gift:
    """Something deposited, until ``until``; a list of them would keep what nobody fetches."""

    value: Reference
    until: float


@define(eq=False)
class Waiting:
    """A withdrawal whose gift is not there; ``promise`` is the answer to it, if one was wanted."""

    promise: Promise[Any] | None
    receiver: Side
    until: float


@define(eq=False)
class Counts:
    """The handoff counts that one receiver has used: all below ``floor``, and those in ``above``."""

    window: int
    floor: int = 0
    above: set[int] = field(factory=set)

    def use(self, count: int) -> None:
        """Use a count; raises HandoffFailed when it was used before, or is too far ahead to remember."""
        if count < self.floor or count in self.above:
            raise HandoffFailed("handoff-count: this count was used before")
        if count == self.floor:
            self.floor += 1
            while self.floor in self.above:
                self.above.remove(self.floor)
                self.floor += 1
        elif len(self.above) >= self.window:
            raise HandoffFailed("handoff-count: too many counts were left out")
        else:
            self.above.add(count)


@define(eq=False)
class Side:
    """One session of ours, as far as handoffs go; what it deposited may outlive it."""

    session_id: bytes
    side_id: bytes
    key: PublicKey
    own: PublicKey
    #: Whether its peer keeps what is unique to itself.
    can_own: bool
    counts: Counts
    gifts: dict[bytes, Gift] = field(factory=dict)
    awaited: dict[bytes, Waiting] = field(factory=dict)
    #: How many withdrawals of this side's wait for others to deposit.
    waits: int = 0
    is_live: bool = True


class Exporter:
    """All gifts of one vat."""

    def __init__(self, limits: Limits, designator: str) -> None:
        self._limits = limits
        self._designator = designator
        #: By session id: live sessions, and ended ones while gifts of theirs are kept.
        self._sides: dict[bytes, Side] = {}
        #: How many gifts of ended sessions are kept.
        self._left_behind = 0

    def opened(self, session: Session) -> None:
        """Take note of a session that is up."""
        hello = session.hello
        assert hello is not None
        counts = Counts(self._limits.handoff_window)
        can_own = OWN in session.extensions
        side = Side(hello.session_id, hello.side_id, hello.key, session.key.public, can_own, counts)
        self._sides[hello.session_id] = side

    def ended(self, session: Session) -> list[Settlement]:
        """Take note that a session is over; return how the withdrawals break that waited for it."""
        side = self._side(session)
        if side is None:
            return []
        side.is_live = False
        broken = list(side.awaited.values())
        side.awaited.clear()
        for waiting in broken:
            waiting.receiver.waits -= 1
        if side.waits:
            for other in self._sides.values():
                other.awaited = {i: w for i, w in other.awaited.items() if w.receiver is not side}
            side.waits = 0
        if not side.gifts:
            del self._sides[side.session_id]
        else:
            self._left_behind += len(side.gifts)
            self._shed()
        return _break(broken, "the gifter has left without depositing this gift")

    def _shed(self) -> None:
        """Forget the oldest gifts of ended sessions: coming back must not let a peer store more."""
        ended = iter([s for s in self._sides.values() if not s.is_live])
        while self._left_behind > self._limits.gifts:
            side = next(ended)
            excess = self._left_behind - self._limits.gifts
            for gift_id in list(side.gifts)[:excess]:
                del side.gifts[gift_id]
                self._left_behind -= 1
            if not side.gifts:
                del self._sides[side.session_id]

    def deposit(self, session: Session, gift_id: Any, value: Any, now: float) -> list[Settlement]:
        """Take a gift; return the settlement of the withdrawal that waited for it, if one did.

        What is unique is a gift when its owner gives it up with it; else whoever withdraws it is told.
        Raises BadArguments, HandoffFailed when there is a gift of that id, Overloaded.
        """
        side = self._side(session)
        assert side is not None
        if type(gift_id) is not bytes or not 0 < len(gift_id) <= GIFT_ID_BYTES:
            raise BadArguments(f"bad-args: a gift id has 1 to {GIFT_ID_BYTES} bytes")
        if not isinstance(value, Reference) or _is_the_peers(value, session):
            raise BadArguments("bad-gift: a gift is something that this vat has exported")
        if session.tables.loans.owns(value):
            value = broken(
                session.tables.home,
                HandoffFailed("handoff: what was to be given is unique, and its owner has not shared it"),
            )
        elif type(value._home) in HOLDS and not _is_moved(value):
            raise BadArguments("bad-gift: what was lent is not the gifter's to keep for others")
        waiting = side.awaited.pop(gift_id, None)
        if waiting is not None:
            waiting.receiver.waits -= 1
            if _is_moved(value) and not waiting.receiver.can_own:
                return _break([waiting], _CANNOT_OWN)
            return [Settlement(waiting.promise, FULFILLED, value)] if waiting.promise is not None else []
        if gift_id in side.gifts:
            raise HandoffFailed("gift-exists: there is a gift of this id already")
        if len(side.gifts) >= self._limits.gifts:
            raise Overloaded(f"{self._limits.gifts} gifts of this session wait to be withdrawn already")
        side.gifts[gift_id] = Gift(value, now + self._limits.gift_keep_s)
        return []

    def withdraw(self, session: Session, envelope: bytes, promise: Promise[Any] | None, now: float) -> Any:
        """Give what a receiver may withdraw; ABSENT when its gift has yet to come for ``promise``.

        Raises HandoffFailed, with the gift still there for its right receiver, and Overloaded.
        """
        receiver = self._side(session)
        assert receiver is not None
        receive = parse_receive(envelope)
        check_receive(receive, session=receiver.session_id, side=receiver.side_id)
        gifter = self._gifter_of(receive.give)
        receiver.counts.use(receive.count)
        return self._take_or_wait(gifter, receive.give, receiver, promise, now)

    def take(self, session: Session, give: Give, promise: Promise[Any], now: float) -> Any:
        """Give what a give stands for that came to this very vat in ``session``; ABSENT as in withdraw."""
        receiver = self._side(session)
        assert receiver is not None
        return self._take_or_wait(self._gifter_of(give), give, receiver, promise, now)

    def _take_or_wait(
        self, gifter: Side, give: Give, receiver: Side, promise: Promise[Any] | None, now: float
    ) -> Any:
        value = self._take(gifter, give, receiver)
        if value is not ABSENT:
            return value
        if not gifter.is_live or give.gift_id in gifter.awaited:
            raise HandoffFailed("handoff: there is no such gift, or it is spoken for")
        if receiver.waits >= self._limits.waiting_withdrawals:
            raise Overloaded(f"{self._limits.waiting_withdrawals} withdrawals wait for their gifts already")
        receiver.waits += 1
        gifter.awaited[give.gift_id] = Waiting(promise, receiver, now + self._limits.gift_wait_s)
        return ABSENT

    def _gifter_of(self, give: Give) -> Side:
        named = give.exporter.designator
        if named != self._designator and _is_key(named):
            # Other names mean nothing here: unproved netlayers let everybody choose one.
            raise HandoffFailed("handoff: the give names another exporter")
        gifter = self._sides.get(give.session)
        if gifter is None:
            raise HandoffFailed("handoff: the give names no session of this vat")
        check_give(
            give, session=gifter.session_id, gifter_side=gifter.side_id, gifter=gifter.key, own=gifter.own
        )
        return gifter

    def _take(self, gifter: Side, give: Give, receiver: Side) -> Any:
        gift = gifter.gifts.get(give.gift_id)
        if gift is None:
            return ABSENT
        if _is_moved(gift.value) and not receiver.can_own:
            raise HandoffFailed(f"handoff: {_CANNOT_OWN}")
        del gifter.gifts[give.gift_id]
        if not gifter.is_live:
            self._left_behind -= 1
            if not gifter.gifts:
                del self._sides[gifter.session_id]
        return gift.value

    def expire(self, now: float) -> list[Settlement]:
        """Forget gifts that nobody came for; return how the withdrawals break that waited too long."""
        broken: list[Waiting] = []
        for side in list(self._sides.values()):
            # Both tables are in the order in which their entries end.
            while side.gifts:
                gift_id, gift = next(iter(side.gifts.items()))
                if gift.until > now:
                    break
                del side.gifts[gift_id]
                self._left_behind -= not side.is_live
            while side.awaited:
                gift_id, waiting = next(iter(side.awaited.items()))
                if waiting.until > now:
                    break
                del side.awaited[gift_id]
                waiting.receiver.waits -= 1
                broken.append(waiting)
            if not side.is_live and not side.gifts:
                del self._sides[side.session_id]
        return _break(broken, "nobody has deposited this gift in time")

    def references(self) -> Iterator[Reference]:
        """Yield what is kept as gifts."""
        for side in self._sides.values():
            yield from (gift.value for gift in side.gifts.values())

    def _side(self, session: Session) -> Side | None:
        return None if session.hello is None else self._sides.get(session.hello.session_id)

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant does not hold."""
        sides = list(self._sides.values())
        left_behind = sum(len(s.gifts) for s in sides if not s.is_live)
        if left_behind != self._left_behind:
            raise InvariantBroken(f"{left_behind} gifts were left behind, {self._left_behind} were counted")
        for side in sides:
            waits = sum(w.receiver is side for s in sides for w in s.awaited.values())
            if waits != side.waits:
                raise InvariantBroken(f"{waits} withdrawals of one side wait, {side.waits} were counted")
            if not side.is_live and (side.awaited or not side.gifts):
                raise InvariantBroken("an ended session is kept for nothing")

    def dump(self) -> list[str]:
        """Return one line per session that has gifts or is waited for."""
        return [
            f"{'live' if s.is_live else 'ended'} {len(s.gifts)} gifts, {len(s.awaited)} awaited"
            for s in self._sides.values()
            if s.gifts or s.awaited
        ]


def _is_the_peers(value: Reference, session: Session) -> bool:
    """Whether a reference leads back to the peer itself, which is not ours to keep for others."""
    if isinstance(value, Ref):
        return type(value._anchor) is Far and value._anchor.session is session
    route = value._route if isinstance(value, Promise) else None
    return type(route) is Import and route.session is session and route() is value


def _is_moved(value: Reference) -> bool:
    home: Any = value._home
    return type(home) is Sole


def _is_key(designator: str) -> bool:
    try:
        parse_designator(designator)
    except RemoteProtocolError:
        return False
    return True


def _break(waiting: list[Waiting], why: str) -> list[Settlement]:
    reason = HandoffFailed(f"handoff: {why}")
    return [Settlement(w.promise, BROKEN, reason) for w in waiting if w.promise is not None]
