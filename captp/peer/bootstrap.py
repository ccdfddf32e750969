"""The bootstrap object, position 0 of every session: fetch by swiss number, gifts, and the heartbeat.

OCapN CapTP draft, bootstrap object. Calls are handled in the order they were decoded, before any turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from captp.errors import BadArguments, Broken, HandoffFailed, NoSuchMethod, NotDurable, NotFound
from captp.model.faults import portable
from captp.model.own import SHARE
from captp.model.promise import BROKEN, FULFILLED, Message, Settlement
from captp.model.values import FrozenMap
from captp.peer.care import PING, has_arrived
from captp.peer.handoff.exporter import ABSENT
from captp.peer.router import Link
from captp.session.entries import Answer, Certificate
from captp.session.loans import OWN
from captp.session.outbound import CALL_OFF
from captp.session.session import DGC, DUR

if TYPE_CHECKING:
    from captp.peer.durable.inbox import Inbox
    from captp.peer.peer import Peer

#: The method by which collectors speak, each to that of the vat at the other end.
CYCLES: Final = "captp:cycles"
#: Those by which durable calls come, and by which their results are said to have come.
SEND: Final = "captp:durable"
DONE: Final = "captp:durable-done"

MINUTE_S: Final = 60.0

#: Above every number of a durable call, and of an incarnation; and what types a call has.
_MOST: Final = 2**63
_CALL_FORMS: Final = ((bytes, str, tuple, FrozenMap), (bytes, str, tuple, type(None)))

#: By how much the answers to a guesser are put off.
DELAY_S: Final = 1.0

#: What a method gives whose answer comes later.
LATER: Final = object()


def handle(peer: Peer, link: Link, message: Message) -> None:
    """Answer one call of the bootstrap."""
    answer = _METHODS.get(message.selector, _no_such_method)
    promise, state = message.promise, FULFILLED
    try:
        value = answer(peer, link, message)
    except Broken as problem:
        # Its frames hold the message: kept, each refusal would be a cycle for the collector.
        state, value = BROKEN, portable(problem)
    if promise is not None and value is not LATER:
        peer.vat.settle_now(promise, state, value)


def _ping(_peer: Peer, _link: Link, message: Message) -> None:
    _arguments(message, 0, "takes nothing")


def _fetch(peer: Peer, link: Link, message: Message) -> Any:
    (swiss,) = _arguments(message, 1, "takes one swiss number")
    try:
        return peer.registry.fetch(swiss, peer.now)
    except NotFound as problem:
        if peer.now - link.fetch_minute > MINUTE_S:
            link.fetch_minute, link.fetch_failures = peer.now, 0
        link.fetch_failures += 1
        if link.fetch_failures > peer.limits.fetch_failures:
            link.session.abort("fetch-failures", "too many unknown swiss numbers")
            peer.end(link, "fetch-failures")
        elif link.fetch_failures > peer.limits.fetch_delay_after and message.promise is not None:
            # A guesser gets as many answers, and gets them later.
            due = peer.now + DELAY_S
            link.delayed.append((due, Settlement(message.promise, BROKEN, portable(problem))))
            return LATER
        raise


def _deposit_gift(peer: Peer, link: Link, message: Message) -> None:
    gift_id, gift = _arguments(message, 2, "takes a gift id and a reference")
    for settlement in peer.exporter.deposit(link.session, gift_id, gift, peer.now):
        peer.vat.settle_now(settlement.promise, settlement.state, settlement.value)
    if link.session.tables.loans.owns(gift):
        raise BadArguments("bad-gift: its owner alone has a unique reference, and has to share it first")


def _withdraw_gift(peer: Peer, link: Link, message: Message) -> Any:
    (envelope,) = _arguments(message, 1, "takes a signed desc:handoff-receive")
    if type(envelope) is not Certificate:
        raise HandoffFailed("handoff: withdraw-gift takes a signed desc:handoff-receive")
    gift = peer.exporter.withdraw(link.session, envelope.envelope, message.promise, peer.now)
    return LATER if gift is ABSENT else gift


def _call_off(peer: Peer, link: Link, message: Message) -> None:
    """Let a call of this caller's not run, unless it has begun or is answered."""
    # It comes as the answer itself: by the time this runs its position may be released.
    (answer,) = _arguments(message, 1, "takes the answer to a call")
    if type(answer) is not Answer or answer.account.session is not link.session:
        raise BadArguments("bad-args: only who made a call calls it off")
    if not has_arrived(answer):
        peer.vat.settling.called_off.add(answer)


def _share(_peer: Peer, link: Link, message: Message) -> None:
    """Take note that the owner of an object shares it: from now on it may be kept, and be a gift."""
    if OWN not in link.session.extensions:
        raise NoSuchMethod("there is no such method")
    (target,) = _arguments(message, 1, "takes an object that was given away")
    loans = link.session.tables.loans
    if not loans.owns(target):
        raise BadArguments("bad-args: only the owner of an object of this vat shares it")
    loans.shared(target)


def _cycles(peer: Peer, link: Link, message: Message) -> None:
    """Take a word of the peer's collector; who has announced none finds nothing here."""
    if DGC not in link.session.extensions:
        raise NoSuchMethod("there is no such method")
    peer.cycles.heard(link, message.args)


def _durable(peer: Peer, link: Link, message: Message) -> Any:
    """Take a durable call, which runs once however often it comes; its result is the answer."""
    name, inbox = _durable_peer(peer, link)
    low, incarnation, number, *what = _arguments(message, 7, "takes three numbers and a call")
    numbers = all(type(n) is int and 0 <= n < _MOST for n in (low, incarnation, number))
    forms = tuple(map(type, what))
    if numbers and 0 < low <= number and forms in _CALL_FORMS:
        return inbox.came(name, low, incarnation, number, tuple(what))
    raise BadArguments("bad-args: a durable call has another form")


def _durable_done(peer: Peer, link: Link, message: Message) -> None:
    """Take note of which results of durable calls the caller has."""
    name, inbox = _durable_peer(peer, link)
    (low,) = _arguments(message, 1, "takes a number")
    if type(low) is not int or not 0 < low < _MOST:
        raise BadArguments("bad-args: the number of a durable call is a positive integer")
    inbox.done(name, low)


def _durable_peer(peer: Peer, link: Link) -> tuple[str, Inbox]:
    """Return who calls, by its key: nobody else may say what it has sent, or has."""
    session = link.session
    if DUR not in session.extensions or peer.stored is None or session.hello is None:
        raise NoSuchMethod("there is no such method")
    if session.channel.proved is None or link.is_anonymous:
        raise NotDurable("not-durable: this connection proves no key, so that anybody could be its peer")
    return session.hello.location.designator, peer.stored.inbox


def _no_such_method(_peer: Peer, _link: Link, _message: Message) -> Any:
    raise NoSuchMethod("there is no such method")


def _arguments(message: Message, count: int, what: str) -> tuple[Any, ...]:
    if len(message.args) != count or message.kwargs is not None:
        raise BadArguments(f"bad-args: {message.selector} {what}")
    return message.args


_METHODS: Final[dict[Any, Callable[[Peer, Link, Message], Any]]] = {
    PING: _ping,
    CALL_OFF: _call_off,
    "fetch": _fetch,
    "deposit-gift": _deposit_gift,
    "withdraw-gift": _withdraw_gift,
    CYCLES: _cycles,
    SHARE: _share,
    SEND: _durable,
    DONE: _durable_done,
}
