"""What a vat method may ask of its own vat: time, the outside world, and the near object itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from captp.errors import NotDurable, NotNear, UsageError
from captp.model.current import CURRENT_VAT
from captp.model.interface import Interface, interface_of, promise_class, selector_of
from captp.model.locator import SturdyRef
from captp.model.object import Object
from captp.model.own import Lent
from captp.model.promise import Kept, Message, Promise, Reference
from captp.model.ref import settled
from captp.model.weight import boxes_in
from captp.vat.cold import look_into
from captp.vat.effects import Enliven, Later, Outside, SendDurable, Timer
from captp.vat.lasting import Lasting

P = ParamSpec("P")
T = TypeVar("T")
I = TypeVar("I", bound=Interface)  # noqa: E741


def outside(function: Callable[..., Any], *args: Any) -> Promise[Any]:
    """Run a function in the outside world after this turn's commit; return a promise for its result.

    A trio async function runs in the vat's nursery, a plain one in a worker thread; in a process trustee
    both run beside the vat's own thread. It must not touch the state of any Object. When whoever held the
    promise lets go, as a cancelled method does, an async run is cancelled; one whose promise nobody kept
    goes on to its end.
    """
    vat = _current("outside")
    for at, arg in enumerate(args):
        home: Any = getattr(arg, "_home", None)
        if type(home) is Lent:
            raise home.stored(f"captp.outside(), argument {at}")
    promise: Promise[Any] = Promise(vat)
    vat.emit(Outside(promise, function, args))
    return promise


@overload
def enliven(sturdyref: SturdyRef, interface: type[I], *, retry_for: float = 0.0) -> I: ...
@overload
def enliven(sturdyref: SturdyRef, interface: None = None, *, retry_for: float = 0.0) -> Promise[Any]: ...
def enliven(sturdyref: SturdyRef, interface: type[Any] | None = None, *, retry_for: float = 0.0) -> Any:
    """Return a promise for what a sturdyref names; it is fetched after this turn's commit.

    It breaks as that of ``LiveVat.enliven`` does, and the peer is dialled again in the same way.
    """
    vat = _current("enliven")
    if not isinstance(sturdyref, SturdyRef):
        raise UsageError(f"captp.enliven() takes a SturdyRef, not a {type(sturdyref).__name__}")
    promise: Promise[Any] = (Promise if interface is None else promise_class(interface))(vat)
    vat.emit(Enliven(promise, sturdyref, retry_for))
    return promise


def send_durable(sturdyref: SturdyRef, method: str, /, *args: Any, **kwargs: Any) -> Promise[Any]:
    """Call a method of what a sturdyref names exactly once, also if both vats end in between.

    The call is stored with this turn's commit and is made again until its answer is. Calls of one vat to
    another arrive in order. Where the promise is kept in state it is there after a restart, too. Breaks
    with NotDurable for an ``async def`` method, and where either vat has no store. A peer that is no durable
    vat of captp gets the call at most once.
    """
    vat = _current("send_durable")
    return durable_send(vat, sturdyref, method, args, kwargs)


def durable_send(
    vat: Any, sturdyref: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Promise[Any]:
    """Have a vat make a durable call; raises NotDurable, UsageError and Unpassable."""
    if not isinstance(sturdyref, SturdyRef):
        kind = type(sturdyref).__name__
        raise UsageError(f"send_durable() takes a SturdyRef, which outlives its session, not a {kind}")
    if not vat.is_gated:
        raise NotDurable("send_durable() needs a store, so that calls outlive their vat: open_vat(store=...)")
    frozen_args, frozen_kwargs = _frozen(vat, args, kwargs)
    promise = Lasting(vat)
    vat.emit(SendDurable(promise, sturdyref, method, frozen_args, frozen_kwargs))
    return promise


def later(seconds: float, called: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Promise[T]:
    """Call a method of an object of this vat after ``seconds``; return a promise for its result.

    ``called`` is a marked ``def`` method of an object of this vat, which the call holds. In a durable vat
    the call is stored with this turn's commit, and runs once, in a later run of the vat where its time comes
    then or came between. Breaks with Overloaded over ``limits.timers``.
    """
    vat = _current("later")
    _check_seconds(seconds)
    obj: Any = getattr(called, "__self__", None)
    row = type(obj)._captp_rows.get(selector_of(called.__name__)) if isinstance(obj, Object) else None
    if row is None:
        raise UsageError(
            "captp.later() takes a marked method of an object of this vat: captp.later(60, self.close)"
        )
    if row.is_fiber:
        raise UsageError(f"{row.name}() is async: captp.later() calls def methods, which outlive this vat")
    if vat.is_gated and not type(obj)._captp_is_durable:
        raise NotDurable(f"a {type(obj).__name__} has more than state, and is not stored")
    target = vat.reference(obj)
    frozen_args, frozen_kwargs = _frozen(vat, args, kwargs)
    promise: Promise[Any] = Lasting(vat) if vat.is_gated else Promise(vat)
    vat.emit(Later(Message(target, row.selector, frozen_args, frozen_kwargs, promise), seconds))
    return promise


def _frozen(vat: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Freeze arguments that may have to outlive this vat."""
    frozen = vat.owning.frozen(args, kwargs or None)
    if vat.crossed:
        vat.owning.undo()
        raise NotDurable("a unique or borrowed reference does not outlive this vat: share it first")
    if vat.is_gated and next(boxes_in(*frozen), None) is not None:
        raise NotDurable("data of a capsule does not outlive this vat: give what is to be known of it")
    return frozen


def sleep(seconds: float) -> Promise[None]:
    """Return a promise that is fulfilled after ``seconds``, by the vat's clock.

    Where it is kept in the state of a durable vat it is there after a restart, too.
    """
    vat = _current("sleep")
    _check_seconds(seconds)
    promise: Promise[None] = Lasting(vat) if vat.is_gated else Promise(vat)
    vat.emit(Timer(promise, seconds))
    return promise


@overload
def within(seconds: float, awaited: I) -> I: ...
@overload
def within(seconds: float, awaited: Promise[T]) -> Promise[T]: ...
def within(seconds: float, awaited: Any) -> Any:
    """Return a promise that settles as ``awaited`` does, or breaks with Timeout after ``seconds``."""
    vat = _current("within")
    _check_seconds(seconds)
    if not isinstance(awaited, Promise):
        return awaited
    # Of the plain kind: a peer's answer is a promise class of its own, with an entry behind it.
    interface = interface_of(type(awaited))
    plain = Promise if awaited._crosses else Kept
    follower = promise_class(interface)(vat) if interface is not None else plain(vat)
    vat.emit(Timer(follower, seconds, breaks=True))
    vat.settling.race(follower, awaited)
    return follower


def near(reference: Any, cls: type[T]) -> T:
    """Return the object behind a near reference; raises NotNear when it is none of this vat's turn."""
    target = settled(reference) if isinstance(reference, Reference) else reference
    if type(getattr(target, "_home", None)) is Lent:
        raise NotNear("a borrowed reference gives no access to the object itself: call it, or .now() it")
    obj = getattr(target, "_anchor", target)
    if not isinstance(obj, cls):
        raise NotNear(f"{reference!r} is not a near {cls.__name__}: send to it instead")
    home: Any = obj._home  # type: ignore[attr-defined]
    if home.reference is None or home.vat is not CURRENT_VAT.get(None) or home.in_turn is None:
        raise NotNear(f"near() works inside a method, on objects of the same vat ({cls.__name__})")
    look_into(home.vat, obj)  # type: ignore[arg-type]
    return obj


def _check_seconds(seconds: Any) -> None:
    # A NaN would stand at the head of the timers for ever, and keep every other one from firing.
    try:
        is_number = type(seconds) in (int, float) and not math.isnan(seconds)
    except OverflowError:
        is_number = False
    if not is_number:
        raise UsageError(f"seconds is a number that fits a float, not a {type(seconds).__name__} like that")


def _current(what: str) -> Any:
    vat = CURRENT_VAT.get(None)
    if vat is None or vat.trustee.running is None:
        raise UsageError(f"captp.{what}() works inside the methods of a vat's objects")
    return vat
