"""One handler per operation that a peer may send to an open session; shapes are checked here, once.

A handler moves the tables and adds effects; it raises RemoteProtocolError with the abort code.
OCapN CapTP draft, operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from captp.errors import Broken, DecodeError, LimitExceeded, RemoteProtocolError
from captp.model.faults import from_wire
from captp.model.guards import as_interface
from captp.model.passable import KWARGS_TAG
from captp.model.promise import (
    BROKEN,
    FULFILLED,
    PENDING,
    Message,
    Promise,
    Reference,
    Select,
    Settlement,
)
from captp.model.ref import Far, Ref
from captp.model.values import FrozenMap, Symbol, Tagged
from captp.session.entries import DROPPED, SETTLED, WAITING, Answer, Control, ControlName, Import, Question
from captp.session.frozen import on_body, on_forget
from captp.session.handshake import Event
from captp.wire.ops import (
    ABORT,
    BODY,
    BREAK,
    CALL,
    DELIVER,
    FORGET,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    LISTEN,
    OP_NAMES,
    RESOLVE,
    START,
    UNTAG,
    Op,
)

if TYPE_CHECKING:
    from captp.session.session import Session


@frozen
class Ended:
    """The session is over; ``remote`` tells who ended it."""

    code: str
    detail: str
    remote: bool


@frozen(eq=False)
class ControlCall:
    """A call of a control target, to be handled before any turn; ``name`` says of which."""

    name: str
    message: Message


@frozen(eq=False)
class Released:
    """The peer released an answer that is not settled: nobody there waits for it."""

    answer: Answer


@frozen(eq=False)
class Introduced:
    """The peer named something of a third vat by a certificate; ``promise`` will be that."""

    promise: Promise[Any]
    envelope: bytes


def on_start(_session: Session, _op: Op) -> None:
    raise RemoteProtocolError("already-started", "a second op:start-session on one connection")


def on_abort(session: Session, op: Op) -> None:
    _, reason = op
    if type(reason) is not str:
        raise DecodeError("bad-op", "op:abort gives its reason as text")
    session.move(Event.ABORT)
    session.effects.append(Ended("aborted", reason[:200], remote=True))


def on_deliver(session: Session, op: Op) -> None:
    _, to, args, position, resolve = op if len(op) >= 5 else (*op, False, False)[:5]
    if type(args) is not tuple:
        raise DecodeError("bad-op", "op:deliver takes a list of arguments")
    answer: Answer | None = None
    if position is not False:
        reply = resolve if resolve is False else _reply_to(session, resolve)
        answer = session.tables.install(position, reply)
    elif resolve is not False:
        answer = _listener(session, resolve)
    selector = kwargs = None
    if args:
        first = args[0]
        if type(first) is Symbol:
            selector = first.name
            if len(selector) > session.limits.method_bytes:
                raise LimitExceeded("bad-value", "a method name is too long")
            args = args[1:]
        if args and type(args[-1]) is Tagged and args[-1].tag == KWARGS_TAG and not _is_resolver(to):
            kwargs = args[-1].value
            if type(kwargs) is not FrozenMap:
                raise DecodeError("bad-value", "keyword arguments are a struct")
            args = args[:-1]
    message = Message(to, selector, args, kwargs, answer, session)
    if session.tables.loans.taking:
        message = session.tables.loans.came(message)
    if type(to) is ControlName:
        _control(session, to.control, message)
    elif _is_ours(session, to):
        session.effects.append(message)
    else:
        raise DecodeError("bad-op", "op:deliver goes to an export or an answer")


def on_call(session: Session, op: Op) -> None:
    _, to, method, args, position, wanted = op if len(op) >= 6 else (*op, False, False)[:6]
    if type(to) is not int or type(method) is not str or type(args) is not tuple:
        raise DecodeError("bad-op", "op:call takes a position, a method and a list of arguments")
    if type(wanted) is not bool or (wanted and position is False) or not session.native:
        raise DecodeError("bad-op", "a result needs an answer position")
    if len(method) > session.limits.method_bytes:
        raise LimitExceeded("bad-value", "a method name is too long")
    tables = session.tables
    target = tables.target(to)
    answer = None if position is False else tables.install(position, wanted)
    message = Message(target, method, args, None, answer, session)
    if tables.loans.taking:
        message = tables.loans.came(message)
    if type(target) is Control:
        _control(session, target, message)
    else:
        session.effects.append(message)


def _is_ours(session: Session, to: Any) -> bool:
    """Whether a peer may call this: what it holds itself it must not send to us."""
    if isinstance(to, Ref):
        return not (type(to._anchor) is Far and to._anchor.session is session)
    if isinstance(to, Promise):
        route = to._route
        # One that follows another has borrowed its route, and is ours all the same.
        is_theirs = type(route) is Import and route.session is session and route() is to
        return not is_theirs and type(to) is not ControlName
    return False


def _reply_to(session: Session, resolve: Any) -> Any:
    """Return how an answer is to be reported: True natively, else where to, and what keeps that alive."""
    if session.native:
        if resolve is True:
            return True
    elif isinstance(resolve, Ref) and type(resolve._anchor) is Far:
        return resolve._anchor.desc, resolve
    elif isinstance(resolve, Promise) and type(resolve._route) is Import:
        return resolve._route.desc, resolve
    raise DecodeError("bad-op", "resolve-me is a resolver or false")


def _listener(session: Session, resolve: Any) -> Answer:
    """Return an answer that stands at no position and reports to a resolver."""
    if session.native:
        raise DecodeError("bad-op", "a result needs an answer position")
    return session.tables.listen(_reply_to(session, resolve))


def _is_resolver(to: Any) -> bool:
    """Whether a result comes here: it may be anything, a tagged value too."""
    return type(to) is ControlName and to.control.question is not None


def _control(session: Session, control: Control, message: Message) -> None:
    """Handle a resolver at once; leave the others to the peer."""
    question = control.question
    if question is None:
        session.effects.append(ControlCall(control.name, message))
    else:
        if len(message.args) != 1 or message.selector not in ("fulfill", "break"):
            raise DecodeError("bad-op", "a resolver takes fulfill or break and one value")
        if message.promise is not None:
            session.tables.unheard(message.promise)
        if question.state in (WAITING, DROPPED):
            returned(session, question, message.selector == "fulfill", message.args[0])


def on_listen(session: Session, op: Op) -> None:
    _, to, listener, *partial = op
    if not _is_ours(session, to) or len(partial) > (not session.native):
        raise DecodeError("bad-op", "op:listen takes a promise")
    _check_listeners(session, to)
    if listener is True and session.native and type(to) is Answer:
        to.reply = True
        if to._state != PENDING:
            session.effects.append(to)
        return
    answer = session.tables.install(listener, True) if session.native else _listener(session, listener)
    session.effects.append(Settlement(answer, FULFILLED, to))


def _check_listeners(session: Session, to: Reference) -> None:
    if not isinstance(to, Promise) or to._state != PENDING:
        return  # it is told at once
    limit, coming = session.limits.listeners_per_promise, session.listens.get(id(to), 0)
    waiters = to._waiters
    there = sum(type(w) is Answer for w in waiters) if type(waiters) is list else 0
    if there + coming >= limit:
        raise LimitExceeded("too-many-listeners", f"{limit} listen to one promise already")
    session.listens[id(to)] = coming + 1


def on_select(session: Session, op: Op) -> None:
    code, to, key, position, *resolve = op
    name = {GET: "get", INDEX: "index", UNTAG: "untag"}[code]
    if type(key) is not (int if code == INDEX else str) or not _is_ours(session, to):
        raise DecodeError("bad-op", f"{OP_NAMES[code]} takes a promise and a key")
    wanted = resolve[0] if len(resolve) == 1 and session.native else False
    if len(resolve) > 1 or type(wanted) is not bool:
        raise DecodeError("bad-op", f"{OP_NAMES[code]} wants its result or not")
    answer = session.tables.install(position, wanted)
    session.effects.append(Message(to, Select(name, key), (), None, answer, session))


def on_resolve(session: Session, op: Op) -> None:
    _, position, value = op
    if type(position) is not int:
        raise DecodeError("bad-op", "a result is for a position")
    tables = session.tables
    question = tables.questions.get(position)
    if question is None or not question.wanted or not session.native:
        raise RemoteProtocolError("bad-ref", "a result that was never asked for")
    if question.state is WAITING and question.unanswered == 0 and question.via is None:
        # The way of nearly every result; the steps are those of ``returned``.
        promise = question()
        if promise is not None and not promise._lazy:
            question.state = SETTLED
            session.outbound.finish(question, is_plain=not tables.named)
            tables.named = False
            session.effects.append(Settlement(promise, FULFILLED, value))
            return
    returned(session, question, True, value)


def on_break(session: Session, op: Op) -> None:
    _, position, value = op
    returned(session, _question(session, position), False, value)


def _question(session: Session, position: Any) -> Question:
    if type(position) is not int:
        raise DecodeError("bad-op", "a result is for a position")
    question = session.tables.questions.get(position)
    if question is None or not question.wanted or not session.native:
        raise RemoteProtocolError("bad-ref", "a result that was never asked for")
    return question


def returned(session: Session, question: Question, fulfilled: bool, value: Any) -> None:
    """Settle the promise of a question, and end what ends with it."""
    if question.state is SETTLED:
        raise RemoteProtocolError("not-resolver", f"a second result for {question!r}")
    promise = question()
    if promise is not None:
        if not fulfilled:
            session.effects.append(Settlement(promise, BROKEN, from_wire(value)))
        elif promise._lazy:
            session.effects.append(_typed(promise, value))
        else:
            session.effects.append(Settlement(promise, FULFILLED, value))
    if question.returned():
        session.outbound.finish(question)
    if question.via is not None:
        session.outbound.answered_through(question)


def _typed(promise: Promise[Any], value: Any) -> Settlement:
    """Show a returned reference under the interface that the caller was promised."""
    shown = promise._captp_shows  # type: ignore[attr-defined]
    if isinstance(value, Reference):
        return Settlement(promise, FULFILLED, as_interface(value, shown))
    kind = type(value).__name__
    return Settlement(promise, BROKEN, Broken(f"expected a reference to {shown.__name__}, got {kind}"))


def on_gc_exports(session: Session, op: Op) -> None:
    _, positions, deltas = op
    if type(positions) is not tuple or type(deltas) is not tuple:
        raise DecodeError("bad-op", "op:gc-exports takes lists of positions and of counts")
    if len(positions) != len(deltas):
        raise RemoteProtocolError("bad-gc", "positions and counts are lists of one length")
    if len(positions) > session.limits.gc_entries:
        raise LimitExceeded("bad-gc", f"more than {session.limits.gc_entries} entries")
    for position, delta in zip(positions, deltas, strict=True):
        if type(position) is not int or type(delta) is not int:
            raise RemoteProtocolError("bad-gc", "positions and counts are integers")
        session.tables.release_export(position, delta)


def on_gc_answers(session: Session, op: Op) -> None:
    _, positions = op
    if type(positions) is not tuple:
        raise DecodeError("bad-op", "op:gc-answers takes a list of positions")
    if len(positions) > session.limits.gc_entries:
        raise LimitExceeded("bad-gc", f"more than {session.limits.gc_entries} entries")
    for position in positions:
        answer = session.tables.release_answer(position)
        if answer._state == PENDING:
            session.effects.append(Released(answer))


HANDLERS: Final[dict[int, Callable[[Session, Op], None]]] = {
    START: on_start,
    ABORT: on_abort,
    DELIVER: on_deliver,
    LISTEN: on_listen,
    GET: on_select,
    INDEX: on_select,
    UNTAG: on_select,
    GC_EXPORTS: on_gc_exports,
    GC_ANSWERS: on_gc_answers,
    RESOLVE: on_resolve,
    BREAK: on_break,
    CALL: on_call,
    BODY: on_body,
    FORGET: on_forget,
}
