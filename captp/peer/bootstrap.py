"""The bootstrap object, position 0 of every session: fetch by swiss number, and the heartbeat.

OCapN CapTP draft, bootstrap object. Calls are handled in the order they were decoded, before any turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from captp.errors import BadArguments, Disconnected, NoSuchMethod, NotFound
from captp.model.guards import as_interface
from captp.model.interface import promise_class
from captp.model.locator import SturdyRef
from captp.model.promise import BROKEN, FULFILLED, Message, Promise
from captp.model.ref import Ref, view
from captp.peer.router import Link, Waiter
from captp.session.session import Session

if TYPE_CHECKING:
    from captp.peer.peer import Peer

#: The heartbeat: a call of the bootstrap that native peers answer with None.
PING: Final = "captp:ping"


def handle(peer: Peer, link: Link, message: Message) -> None:
    """Answer one call of the bootstrap."""
    promise, vat = message.promise, peer.vat
    if message.selector == PING and not message.args:
        state: int = FULFILLED
        value: Any = None
    elif message.selector == "fetch" and len(message.args) == 1:
        try:
            state, value = FULFILLED, peer.registry.fetch(message.args[0], peer.now)
        except NotFound as problem:
            state, value = BROKEN, problem
            link.fetch_failures += 1
            if link.fetch_failures > peer.limits.fetch_failures:
                link.session.abort("fetch-failures", "too many unknown swiss numbers")
                peer.end(link, "fetch-failures")
                return
    elif message.selector == "fetch":
        state, value = BROKEN, BadArguments("bad-args: fetch takes one swiss number")
    else:
        state, value = BROKEN, NoSuchMethod("there is no such method")
    if promise is not None:
        vat.settle_now(promise, state, value)


def bootstrap_of(peer: Peer, session: Session) -> Ref:
    """Return a reference to the bootstrap object of a session's peer."""
    return view(peer.vat, session.bootstrap, Ref)


def enliven(peer: Peer, sturdyref: SturdyRef, interface: type | None, retry_for: float) -> Promise[Any]:
    """Return a promise for what a sturdyref names; dial its peer if there is no session."""
    vat = peer.vat
    promise: Promise[Any] = (promise_class(interface) if interface is not None else Promise)(vat)
    if sturdyref.peer.designator == peer.designator:
        try:
            ref = peer.registry.fetch(sturdyref.swiss, peer.now)
        except NotFound as problem:
            vat.settle_now(promise, BROKEN, problem)
        else:
            vat.settle_now(promise, FULFILLED, as_interface(ref, interface) if interface else ref)
        return promise

    def ready(link: Link) -> None:
        bootstrap = bootstrap_of(peer, link.session)
        vat.outbox.append(Message(bootstrap, "fetch", (sturdyref.swiss,), None, promise))

    def failed(error: Disconnected) -> None:
        vat.settle_now(promise, BROKEN, error)

    waiter = Waiter(ready, failed, peer.now + retry_for)
    attempt = peer.router.want(sturdyref.peer, peer.now, waiter)
    if attempt is not None and attempt.due <= peer.now:
        peer.dial(attempt)
    return promise
