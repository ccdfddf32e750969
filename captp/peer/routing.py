"""Where everything goes that left a turn or came out of a session, once per item, in order."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from captp.errors import Disconnected, Overloaded, Timeout, WrongPeer
from captp.model.faults import to_wire
from captp.model.holding import LetGo
from captp.model.locator import PeerLocator
from captp.model.own import Sole, give_back
from captp.model.parcel import Closing, Parcel
from captp.model.promise import (
    BROKEN,
    FULFILLED,
    PENDING,
    Message,
    Promise,
    Reference,
    Settlement,
    add_waiter,
)
from captp.model.ref import Far, Ref
from captp.peer import care, pressure
from captp.peer.enliven import enliven
from captp.peer.handoff.receiver import came, introduced
from captp.peer.letting import let_go_of
from captp.peer.order import next_hop, takes_detour
from captp.peer.outputs import Call
from captp.peer.router import CROSSED, DUPLICATE, Link
from captp.session.entries import WAITING, Answer, Question
from captp.session.handshake import Hello
from captp.session.inbound import ControlCall, Ended, Introduced, Released
from captp.session.session import Established, Session
from captp.vat.effects import (
    CallOff,
    Claim,
    Enliven,
    Later,
    Outside,
    Over,
    Shortened,
    Timer,
    Want,
    Watch,
)
from captp.vat.owning import claimed
from captp.wire.dialect import SyrupCodec

if TYPE_CHECKING:
    from captp.peer.peer import Peer


def route(peer: Peer) -> int:
    """Empty the vat's outbox; what routing adds to it is routed too. Return what the results weigh."""
    vat, queued = peer.vat, peer.vat.settling.queued
    bulk, vat.settling.bulk = vat.settling.bulk, 0
    while vat.outbox or vat.ahead:
        items = [*vat.ahead, *vat.outbox] if vat.ahead else vat.outbox
        vat.outbox, vat.ahead = [], []
        for item in items:
            kind = type(item)
            if kind is Answer:
                session = item.account.session
                if item.reply:
                    if session.outbound.report(item):
                        pressure.hold(peer, peer.links[session])
                    elif bulk:
                        session.outbound.weigh(item)
                    peer.touched[session] = None
            elif kind is Message:
                if queued and item.promise in queued:
                    _send_with_queue(peer, item)
                else:
                    send(peer, item)
            elif kind in _VAT_EFFECTS:
                _VAT_EFFECTS[kind](peer, item)
            else:
                assert peer.stored is not None
                peer.stored.take(item)
    return bulk


def _send_with_queue(peer: Peer, message: Message, *, has_waited: bool = False) -> None:
    """Send a message, and right behind it what queued on its result, before anything that came later."""
    waiting = deque([message])
    while waiting:
        message = waiting.popleft()
        if message.promise is not None:
            waiting.extendleft(reversed(peer.vat.settling.take_queue(message.promise)))
        send(peer, message, has_waited=has_waited)


def send(peer: Peer, message: Message, *, has_waited: bool = False) -> None:
    """Give one message to the vat's own queue, to a session, or to the promise it must wait for.

    One that ``has_waited`` for a promise runs before anything that still stands in a queue: a later
    message to the same promise may be there already.
    """
    target = message.target
    if isinstance(target, Promise) or target._way is not None:
        target = next_hop(target, is_foreign=message.sender is not None)
        home: Any = target._home
        if type(home) is Sole:
            target = home.promised_to(message.sender)
    vat = peer.vat
    if isinstance(target, Promise):
        route = target._route
        if target._state != PENDING and (route is None or not isinstance(target._value, Reference)):
            vat.settling.deliver_to_data(target, message)
            return
        if route is None or (type(route) is Question and route.is_released):
            # Without a way, or with one that is closed: its result is here, and is held back for a verdict.
            vat.settling.queue_on(target, message)
            return
        session = route.session
        problem = session.outbound.deliver_through(message, target)
        peer.touched[session] = None
    else:
        message.target = target
        far = target._anchor
        if type(far) is not Far:
            if has_waited:
                vat.waited.append(message)
            else:
                vat.admit(vat.local, message)
            return
        problem = far.broken
        if problem is None:
            session = far.session
            problem = session.outbound.deliver_far(message, far)
            peer.touched[session] = None
    promise = message.promise
    if problem is not None:
        # It has not left: what is unique in it is still its sender's.
        give_back(message)
        if promise is not None:
            vat.settle_now(promise, BROKEN, problem)


def settle(peer: Peer, settlement: Settlement) -> None:
    """Settle a promise, and send on at once what waited for it: anything later must come after."""
    peer.vat.settle_now(settlement.promise, settlement.state, settlement.value)
    forward(peer)


def forward(peer: Peer) -> None:
    """Send on what waited for promises that have just settled."""
    settling = peer.vat.settling
    forwarded, queued = settling.forwarded, settling.queued
    while forwarded:
        message = forwarded.popleft()
        if message.promise in queued:
            _send_with_queue(peer, message, has_waited=True)
        else:
            send(peer, message, has_waited=True)


def _shortened(peer: Peer, effect: Shortened) -> None:
    """Keep the order of calls through a promise that has settled; hear of those that nobody asked for."""
    promise = effect.promise
    if not takes_detour(promise):
        return
    session = promise._route.session
    for question in list(session.tables.questions.values()):
        through = question()
        if question.via is promise and through is not None and not question.wanted:
            _listen(peer, session, through)


def _want(peer: Peer, effect: Want) -> None:
    promise = effect.promise
    route = promise._route
    if promise._state == PENDING and route is not None:
        _listen(peer, route.session, promise)


def _listen(peer: Peer, session: Session, promise: Promise[Any]) -> None:
    problem = session.outbound.listen(promise)
    peer.touched[session] = None
    if problem is not None:
        settle(peer, Settlement(promise, BROKEN, problem))


def _call_off(peer: Peer, effect: CallOff) -> None:
    """Tell the peer that has the call, if it was asked and has not answered."""
    route = effect.promise._route
    if type(route) is Question and route.state is WAITING:
        route.session.outbound.call_off(route)
        peer.touched[route.session] = None


def _outside(peer: Peer, effect: Outside) -> None:
    peer.outputs.append(Call(effect.promise, effect.function, effect.args))


def _timer(peer: Peer, effect: Timer) -> None:
    promise = effect.promise
    if effect.breaks:
        peer.timers.add(peer.now + effect.seconds, Over(weakref.ref(promise)))
    elif peer.stored is None:
        peer.timers.add(peer.now + effect.seconds, Settlement(promise, FULFILLED, None))
    else:
        peer.stored.timers.wait(effect)


def _over(peer: Peer, effect: Over) -> None:
    promise = effect.promise()
    if promise is not None:
        settle(peer, Settlement(promise, BROKEN, Timeout("the time given for this is over")))


def _later(peer: Peer, effect: Later) -> None:
    message = effect.message
    assert message.promise is not None
    if len(peer.timers.waiting) >= peer.limits.timers:
        problem = f"timers-full: {peer.limits.timers} timers wait in this vat; try again later"
        settle(peer, Settlement(message.promise, BROKEN, Overloaded(problem)))
    elif peer.stored is None:
        peer.timers.add(peer.now + effect.seconds, message)
    else:
        peer.stored.timers.call(effect)


def _watch(peer: Peer, effect: Watch) -> None:
    """Fulfil a watcher with the reason once what it watches is broken."""
    target = next_hop(effect.target, is_foreign=True)
    if isinstance(target, Promise):
        if target._state == PENDING:
            add_waiter(target, effect)
            peer.vat.want(target)
        elif target._state == BROKEN:
            peer.vat.settle_now(effect.promise, FULFILLED, to_wire(target._value))
        return
    assert isinstance(target, Ref)
    home: Any = target._home
    if type(home) is Sole and home.watch(effect.promise):
        return
    far = target._anchor
    if type(far) is Far:
        if far.broken is not None:
            peer.vat.settle_now(effect.promise, FULFILLED, to_wire(far.broken))
        else:
            far.watchers = [*(far.watchers or ()), effect.promise]


def _claim(peer: Peer, effect: Claim) -> None:
    """Ask for a unique reference, when messages that went before it hold none any more."""
    if not effect.is_due:
        effect.is_due = True
        peer.vat.outbox.append(effect)
        return
    claim = claimed(peer.vat, effect)
    if isinstance(claim, Message):
        _send_with_queue(peer, claim)
    else:
        settle(peer, claim)


_VAT_EFFECTS: Final[dict[type, Callable[[Peer, Any], None]]] = {
    Settlement: settle,
    Want: _want,
    CallOff: _call_off,
    Outside: _outside,
    Timer: _timer,
    Over: _over,
    Watch: _watch,
    Shortened: _shortened,
    Claim: _claim,
    LetGo: let_go_of,
    Enliven: enliven,
    Later: _later,
}


def _established(peer: Peer, link: Link, effect: Established) -> None:
    """Enter a verified session, or end it: wrong peer, or one too many with this one."""
    location = effect.hello.location
    if link.dialled is not None and link.dialled.peer != location.peer:
        attempt = peer.router.dialled(link.conn)
        if attempt is not None:
            peer.router.failed(attempt, wrong_peer(link.dialled), peer.now)
        link.session.abort("identity", "you are not the peer that was dialled")
        peer.end(link, "identity: somebody else answered")
        return
    rival = peer.router.rival(link)
    refused = _too_many(peer, link) or peer.router.established(link)
    if refused is not None:
        if refused == DUPLICATE and not link.session.native:
            # OCapN peers read the reason of an abort only after a hello.
            link.session.admit()
        link.session.abort(refused, "one session per peer")
        peer.end(link, refused)
        if refused == DUPLICATE:
            care.doubt(peer, peer.router.live[location.peer])
        return
    link.session.admit()
    if link.dialled is None and isinstance(link.session.codec, SyrupCodec):
        peer.router.framings[location.transport] = bool(link.session.codec.framed)
    peer.exporter.opened(link.session)
    if peer.stored is not None:
        peer.stored.outbox.met(link.session)
    peer.trace("info", "session up", peer=location.designator, conn=link.conn)
    if rival is not None:
        rival.session.abort(CROSSED, "the other connection stays")
        peer.end(rival, CROSSED)


def _too_many(peer: Peer, link: Link) -> str | None:
    if link.dialled is not None:
        return None
    there = sum(other.session.is_open for other in peer.router.links.values())
    return "too-many-sessions" if there >= peer.limits.sessions else None


def wrong_peer(dialled: PeerLocator) -> WrongPeer:
    """Return the error for a dial that reached a peer with another key."""
    return WrongPeer(
        f"somebody else answered: expected {dialled.designator[:12]}; check the sturdyref, or ask"
        " its owner for a new one",
        peer=dialled.designator,
    )


def gone(hello: Hello | None, why: str) -> tuple[Disconnected, Disconnected]:
    """Return the error for what was live in a session that has ended, and that for calls which had left."""
    name, run = ("", 0) if hello is None else (hello.location.designator, hello.incarnation)
    who = (name[:12] or "an unknown peer") + (f", run {run} of its store," if run else "")
    text, again = f"the session with {who} has ended: {why}", "enliven the sturdyref again"
    reason = Disconnected(f"{text}; {again}", peer=name, incarnation=run)
    text = f"unknown-outcome: {text}; the call had left, and may have run; {again}"
    return reason, Disconnected(text, peer=name, incarnation=run, may_have_run=True)


def _ended(peer: Peer, link: Link, effect: Ended) -> None:
    if effect.remote and effect.detail.startswith((CROSSED, DUPLICATE)):
        peer.router.give_way(link.conn, peer.now)
    who = "the peer" if effect.remote else "this side"
    why = f"{effect.code} by {who}: {effect.detail}" if effect.detail else effect.code
    peer.end(link, why, code=effect.code, by=who)


def _control_call(peer: Peer, link: Link, effect: ControlCall) -> None:
    handler = peer.controls.get(effect.name)
    if handler is not None:
        handler(peer, link, effect.message)
        forward(peer)
    elif effect.message.promise is not None:
        link.session.tables.unheard(effect.message.promise)


def _released(peer: Peer, link: Link, effect: Released) -> None:
    """Cancel a call whose caller let go; one that is still on its way to its object has to arrive first.

    The caller takes our answer as the news that it arrived, and may then send by a shorter way.
    """
    answer, session = effect.answer, link.session
    if not answer.reply or care.has_arrived(answer):
        session.outbound.acknowledge(answer)
        peer.vat.settling.release(answer)
    else:
        session.tables.released.add(answer)


def _closes(_peer: Peer, link: Link, effect: Closing) -> None:
    link.source.messages.append(effect)


def _asked(peer: Peer, link: Link, answer: Answer) -> None:
    if link.session.outbound.report(answer):
        pressure.hold(peer, link)
    else:
        link.session.outbound.weigh(answer)


SESSION_EFFECTS: Final[dict[type, Callable[[Peer, Link, Any], None]]] = {
    Established: _established,
    Ended: _ended,
    ControlCall: _control_call,
    Released: _released,
    Answer: _asked,
    Introduced: introduced,
    Parcel: came,
    Closing: _closes,
}
